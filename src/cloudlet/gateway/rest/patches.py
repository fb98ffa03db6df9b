"""Patch operations: which paths of which resource may change, and how.

`RULES` says of each resource its paths and what stands there:

* `s` text, `b` boolean, `i` integer, `f` number: `replace`; with `?` also `add` and `remove`, and
  an empty value removes;
* `{s}`, `{b}`: a map, whose entries are added, replaced and removed one by one (`/variables/name`);
* `[key]`: a list whose item the path names (`/binaryMediaTypes/image~1png`);
* `[value]`: a list whose item is the operation's value;
* `{}`: a structure that can only be removed as a whole.

https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from cloudlet.call import Call
from cloudlet.gateway.configuration import bad_request

Document = dict[str, Any]
Operation = Mapping[str, Any]

RULES: Mapping[str, str] = {
    "account": "cloudwatchRoleArn:s?",
    "apikey": "customerId:s description:s enabled:b name:s stages:[value]",
    "authorizer": (
        "authorizerCredentials:s? authorizerResultTtlInSeconds:i authorizerUri:s authType:s"
        " identitySource:s? identityValidationExpression:s? name:s type:s"
    ),
    "basepathmapping": "basePath:s restapiId:s stage:s?",
    "deployment": "description:s",
    "documentationpart": "properties:s",
    "documentationversion": "description:s",
    "domainname": (
        "certificateArn:s certificateName:s regionalCertificateArn:s regionalCertificateName:s"
        " securityPolicy:s endpointConfiguration/types:[key]"
    ),
    "integration": (
        "cacheKeyParameters:[key] cacheNamespace:s connectionType:s contentHandling:s?"
        " credentials:s? httpMethod:s passthroughBehavior:s requestParameters:{s}"
        " requestTemplates:{s} timeoutInMillis:i tlsConfig/insecureSkipVerification:b uri:s"
    ),
    "integrationresponse": (
        "contentHandling:s? responseParameters:{s} responseTemplates:{s} selectionPattern:s?"
    ),
    "method": (
        "apiKeyRequired:b authorizationScopes:[value] authorizationType:s authorizerId:s?"
        " operationName:s? requestModels:{s} requestParameters:{b} requestValidatorId:s?"
    ),
    "methodresponse": "responseModels:{s} responseParameters:{b}",
    "model": "description:s schema:s",
    "resource": "parentId:s pathPart:s",
    "response": "responseParameters:{s} responseTemplates:{s} statusCode:s?",
    "restapi": (
        "apiKeySource:s binaryMediaTypes:[key] description:s? disableExecuteApiEndpoint:b"
        " endpointAccessMode:s endpointConfiguration/types:[key] minimumCompressionSize:i? name:s"
        " policy:s? securityPolicy:s? version:s?"
    ),
    "stage": (
        "accessLogSettings:{} accessLogSettings/destinationArn:s accessLogSettings/format:s"
        " cacheClusterEnabled:b cacheClusterSize:s canarySettings:{} canarySettings/deploymentId:s"
        " canarySettings/percentTraffic:f canarySettings/stageVariableOverrides:{s}"
        " canarySettings/useStageCache:b deploymentId:s description:s documentationVersion:s?"
        " tracingEnabled:b variables:{s}"
    ),
    "usageplan": (
        "apiStages:[value] description:s name:s productCode:s? quota:{} quota/limit:i"
        " quota/offset:i quota/period:s throttle:{} throttle/burstLimit:i throttle/rateLimit:f"
    ),
    "validator": "name:s validateRequestBody:b validateRequestParameters:b",
}
_NUMBER_MAX = 2**31
_OPS = ("add", "remove", "replace", "copy", "move", "test")


def changed(call: Call, kind: str, document: Document) -> Document:
    """A copy, changed as the call says."""
    return apply(kind, document, call.params.get("patchOperations") or [])


def apply(kind: str, document: Document, operations: Iterable[Operation]) -> Document:
    """A changed copy; raises BadRequestException and changes nothing where one is wrong."""
    result = copy.deepcopy(document)
    for operation in operations:
        apply_one(kind, result, operation)
    return result


def apply_one(kind: str, document: Document, operation: Operation) -> None:
    name, path = str(operation.get("op")), str(operation.get("path") or "")
    if name not in _OPS:
        raise bad_request(f"Invalid patch operation specified. Must be one of: {list(_OPS)}")
    if not path.startswith("/"):
        raise bad_request(f"Invalid patch path '{path}' specified for op '{name}'.")
    rules = dict(rule.split(":", 1) for rule in RULES[kind].split())
    segments = path[1:].split("/")
    for length in range(len(segments), 0, -1):
        found = "/".join(segments[:length])
        if found in rules:
            rest = unescape("/".join(segments[length:]))
            if _change(document, rules[found], (name, found, rest), operation.get("value")):
                return
    raise _unsupported(path, name, rules)


def unescape(segment: str) -> str:
    """JSON pointer's escapes."""
    return segment.replace("~1", "/").replace("~0", "~")


def _change(document: Document, rule: str, where: tuple[str, str, str], value: Any) -> bool:
    """False where the rule does not cover the operation. `where`: (op, rule's path, rest)."""
    name, path, rest = where
    *parents, last = path.split("/")
    owner = document
    for parent in parents:
        if not owner.get(parent):
            owner[parent] = {}
        owner = owner[parent]
    if rule[0] in "{[" and rule != "{}":
        change = _change_list if rule[0] == "[" else _change_map
        return change(owner, last, rule, (name, rest, value))
    if rest or name not in _allowed(rule):
        return False
    if name == "remove" or (rule.endswith("?") and value in (None, "")):
        owner.pop(last, None)
    else:
        owner[last] = scalar(rule[0], value, f"/{path}")
    return True


def _allowed(rule: str) -> tuple[str, ...]:
    if rule == "{}":
        return ("remove",)
    return ("add", "remove", "replace") if rule.endswith("?") else ("replace",)


def _change_map(owner: Document, last: str, rule: str, change: tuple[str, str, Any]) -> bool:
    name, key, value = change
    if not key or name not in ("add", "remove", "replace"):
        return False
    entries = owner.get(last)
    owner[last] = entries = {} if entries is None else entries
    if name == "remove":
        if key not in entries:
            raise bad_request(f"Invalid parameter name specified: {key}")
        del entries[key]
    else:
        entries[key] = scalar(rule[1], value, key)
    return True


def _change_list(owner: Document, last: str, rule: str, change: tuple[str, str, Any]) -> bool:
    name, key, value = change
    by_key = rule == "[key]"
    if name not in ("add", "remove", "replace") or bool(key) != by_key:
        return False
    found = owner.setdefault(last, [])
    entry = key if by_key else scalar("s", value, last)
    if name == "replace" and by_key:
        at = int(key) if key.isdecimal() and int(key) < len(found) else _index(found, key)
        found[at] = scalar("s", value, last)
    elif name == "replace":
        owner[last] = [entry]
    elif name == "remove":
        del found[_index(found, entry)]
    elif entry not in found:
        found.append(entry)
    return True


def _index(found: list[Any], entry: str) -> int:
    if entry not in found:
        raise bad_request(f"Invalid patch path: {entry} is not there")
    return found.index(entry)


def scalar(kind: str, value: Any, path: str) -> Any:
    """The operation's text as what stands at the path."""
    if kind == "s":
        return "" if value is None else str(value)
    try:
        if kind == "b":
            return {"true": True, "false": False}[str(value).lower()]
        number = (int if kind == "i" else float)(value)
        if not abs(number) < _NUMBER_MAX:  # nan, too
            raise ValueError(value)
        return number
    except (KeyError, TypeError, ValueError):
        raise bad_request(f"Invalid value specified for path '{path}': {value}") from None


def _unsupported(path: str, name: str, rules: Mapping[str, str]) -> Exception:
    known = []
    for rule_path, rule in rules.items():
        is_entry = rule[0] in "{[" and rule != "{}"
        if name in (("add", "remove", "replace") if is_entry else _allowed(rule)):
            known.append(f"/{rule_path}" + ("/*" if is_entry and rule != "[value]" else ""))
    if not known:
        return bad_request(f"Invalid patch operation '{name}' for path '{path}'")
    listed = ", ".join(sorted(known))
    return bad_request(
        f"Invalid patch path '{path}' specified for op '{name}'. Must be one of: [{listed}]"
    )
