"""Policy documents on their way in: parsed, checked for form and size, kept as JSON text.

What a document means is `policy.evaluation`'s; here is only what AWS refuses to store.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import re
from typing import Any
from urllib.parse import quote, unquote

import orjson

from cloudlet.iam import faults

Document = dict[str, Any]
_VERSIONS = ("2012-10-17", "2008-10-17")
_STATEMENT = {
    *("Sid", "Effect", "Condition", "Action", "NotAction", "Resource", "NotResource"),
    *("Principal", "NotPrincipal"),
}
_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_OPERATOR = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"(String(Not)?Equals(IgnoreCase)?|String(Not)?Like|(Numeric|Date)(Not)?Equals"
    r"|(Numeric|Date)(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress"
    r"|Arn(Not)?(Equals|Like)|Null(?!IfExists))(IfExists)?",
    re.IGNORECASE,
)
_SID = re.compile(r"[0-9A-Za-z]*")
_RESOURCE = re.compile(
    r"arn:(?P<partition>[^:]*):(?P<service>[^:]*):(?P<region>[^:]*):[^:]*:.*", re.S
)
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "*")
_PRINCIPAL = re.compile(r"\*|\d{12}|arn:aws[\w-]*:(iam|sts)::\d{12}:[^*?]+|A[A-Z0-9]{20}")
_SYNTAX = "Syntax errors in policy."


def identity(text: str) -> str:
    """An identity policy or a session policy."""
    document = _parse(text)
    for statement in _statements(document):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise faults.malformed_policy("Policy document should not specify a principal.")
        if ("Resource" in statement) == ("NotResource" in statement):
            raise faults.malformed_policy("Policy statement must contain resources.")
        for resource in _list(statement.get("Resource", statement.get("NotResource"))):
            _check_resource(resource)
    return _text(document)


def _check_resource(resource: str) -> None:
    if resource == "*" or "${" in resource or set(resource) <= {"*", "?"}:
        return
    if not resource.startswith("arn:"):
        raise faults.malformed_policy(f'Resource {resource} must be in ARN format or "*".')
    parts = _RESOURCE.fullmatch(resource)
    if parts is None:
        if "*" in resource:  # the wildcard stands for the parts that are missing
            return
        raise faults.malformed_policy("The policy failed legacy parsing")
    if parts["partition"] not in _PARTITIONS and not set(parts["partition"]) & set("*?"):
        text = f'Partition "{parts["partition"]}" is not valid for resource "{resource}".'
        raise faults.malformed_policy(text)
    if parts["service"] == "iam" and parts["region"] not in ("", "*"):
        text = f"IAM resource {resource} cannot contain region information."
        raise faults.malformed_policy(text)


def trust(text: str) -> str:
    """A role's AssumeRolePolicyDocument."""
    document = _parse(text)
    for statement in _statements(document):
        if "Resource" in statement or "NotResource" in statement:
            raise faults.malformed_policy("Has prohibited field Resource")
        if ("Principal" in statement) == ("NotPrincipal" in statement):
            raise faults.malformed_policy("Missing required field Principal")
        _check_principals(statement.get("Principal", statement.get("NotPrincipal")))
        for action in _list(statement.get("Action", statement.get("NotAction"))):
            if action.lower() != "sts:*" and not action.lower().startswith("sts:"):
                text = "AssumeRole policy may only specify STS AssumeRole actions."
                raise faults.malformed_policy(text)
    return _text(document)


def _check_principals(value: Any) -> None:
    if value == "*":
        return
    if not isinstance(value, dict) or not value:
        raise faults.malformed_policy(_SYNTAX)
    for kind, names in value.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise faults.malformed_policy(f"Invalid principal in policy: unknown type {kind}")
        for name in _list(names):
            if kind == "AWS" and _PRINCIPAL.fullmatch(name) is None:
                raise faults.malformed_policy(f'Invalid principal in policy: "AWS":"{name}"')


def encoded(text: str) -> str:
    """As IAM's API shows documents: percent-encoded."""
    return quote(text, safe="-_.~")


def size(*texts: str) -> int:
    """In characters, of documents as this module returns them: white space doesn't count."""
    return sum(len(text) for text in texts)


def _parse(text: str) -> Document:
    try:
        document = orjson.loads(unquote(text) if text.lstrip().startswith("%7B") else text)
    except orjson.JSONDecodeError:
        raise faults.malformed_policy("This policy contains invalid Json") from None
    if not isinstance(document, dict) or "Statement" not in document:
        raise faults.malformed_policy(_SYNTAX)
    if set(document) - {"Version", "Id", "Statement"}:
        raise faults.malformed_policy(_SYNTAX)
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise faults.malformed_policy("Policy document must be version 2012-10-17 or greater.")
    if not _statements(document):
        raise faults.malformed_policy("Policy document must contain a statement.")
    for statement in _statements(document):
        _check_statement(statement)
    sids = [statement["Sid"] for statement in _statements(document) if statement.get("Sid")]
    if len(sids) != len(set(sids)):
        text = "Statement IDs (SID) in a single policy must be unique."
        raise faults.malformed_policy(text)
    return document


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict) or set(statement) - _STATEMENT:
        raise faults.malformed_policy(_SYNTAX)
    if _SID.fullmatch(str(statement.get("Sid", ""))) is None:
        raise faults.malformed_policy(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
            "regular expression [0-9A-Za-z]*"
        )
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise faults.malformed_policy(f"Invalid effect: {statement.get('Effect')}")
    if ("Action" in statement) == ("NotAction" in statement):
        raise faults.malformed_policy("Policy statement must contain actions.")
    for action in _list(statement.get("Action", statement.get("NotAction"))):
        if _ACTION.fullmatch(action) is None:
            text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            raise faults.malformed_policy(text)
    conditions = statement.get("Condition", {})
    if not isinstance(conditions, dict):
        raise faults.malformed_policy(_SYNTAX)
    for operator, keys in conditions.items():
        if _OPERATOR.fullmatch(operator) is None:
            raise faults.malformed_policy(f"Invalid Condition type : {operator}.")
        if not isinstance(keys, dict):
            raise faults.malformed_policy(_SYNTAX)


def _statements(document: Document) -> list[Any]:
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def _list(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise faults.malformed_policy(_SYNTAX)
    return items


def _text(document: Document) -> str:
    return orjson.dumps(document).decode()
