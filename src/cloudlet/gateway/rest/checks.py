"""What must be true of APIs, methods and integrations; the operations and the import share it.

What the data plane cannot honour is refused here, by name.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway.rest import definitions, documents
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.policy import regexes
from cloudlet.store.database import View

HTTP_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
TIMEOUT_MS_MAX = 29_000
_PATH_PART = re.compile(r"[A-Za-z0-9._\-:~$%!'()*,;=@+]+|\{[A-Za-z0-9._\-:]+\+?\}")
_REQUEST_PARAMETER = re.compile(
    r"method\.request\.(querystring|path|header|multivaluequerystring|multivalueheader)\.[^\s']+"
)
_INTEGRATION_PARAMETER = re.compile(r"integration\.request\.(querystring|path|header)\.[^\s']+")
_RESPONSE_PARAMETER = re.compile(r"method\.response\.(header|multivalueheader)\.[^\s']+")
_CONSTANT = re.compile(r"'.*'|stageVariables\.\w+|context\.[\w.-]+", re.DOTALL)
_ANSWERED = re.compile(r"integration\.response\.(header\.|multivalueheader\.|body)\S*")
_BODY = re.compile(r"method\.request\.body\S*")
_AWS_URI = re.compile(r"arn:aws[\w-]*:apigateway:([^:]+):([^:]+):(path|action)/(.+)", re.DOTALL)


def rest_api(document: Document) -> None:
    if not str(document.get("name") or "").strip():
        raise bad_request("Name must be specified")
    if document.get("endpointAccessMode") not in (None, "BASIC"):
        raise NotImplementedByCloudlet("A REST API with a strict endpointAccessMode")
    endpoint = document["endpointConfiguration"]
    types = endpoint.get("types") or []
    if len(types) != 1 or types[0] not in ("REGIONAL", "EDGE", "PRIVATE"):
        raise bad_request("Invalid endpoint types specified. Must be one of [EDGE, REGIONAL]")
    if types == ["PRIVATE"] or endpoint.get("vpcEndpointIds"):
        raise NotImplementedByCloudlet("A private REST API")
    if document.get("apiKeySource") not in ("HEADER", "AUTHORIZER"):
        raise bad_request("Invalid API key source. Must be one of [HEADER, AUTHORIZER]")
    size = document.get("minimumCompressionSize")
    if size is not None and not 0 <= size <= 10_485_760:
        raise bad_request(
            "Invalid minimum compression size, must be between 0 and 10485760 (in bytes)."
        )
    policy(document.get("policy"))


def policy(text: str | None) -> Document | None:
    """The resource policy as a document."""
    if not text:
        return None
    try:
        document = orjson.loads(text)
        if isinstance(document, dict) and document.get("Statement"):
            definitions.bound(document)
            return document
    except ValueError:
        pass
    raise bad_request(
        "Invalid policy document. Please check the policy syntax and ensure that Principals are"
        " valid."
    )


def path_part(text: str) -> None:
    if not _PATH_PART.fullmatch(text):
        raise bad_request(
            "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and"
            " curly braces at the beginning and the end."
        )


def sibling(part: str, parent: Document, siblings: list[Document]) -> None:
    """`siblings`: the parent's other children."""
    if str(parent.get("pathPart") or "").endswith("+}"):
        raise bad_request("Cannot create a child of a resource with a greedy path variable.")
    for other in siblings:
        if other["pathPart"] == part:
            raise documents.conflict(
                f"Another resource with the same parent already has this name: {part}"
            )
        if part.startswith("{") and other["pathPart"].startswith("{"):
            raise bad_request(
                f"A sibling ({other['id']}) of this resource already has a variable path part --"
                " only one is allowed"
            )


def method(view: View, api_id: str, document: Document) -> None:
    if document["httpMethod"] not in HTTP_METHODS:
        raise bad_request(
            f"Invalid HttpMethod specified. Valid options are {','.join(HTTP_METHODS)}"
        )
    kind = document["authorizationType"]
    if kind not in ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS"):
        raise bad_request(
            "Invalid authorization type specified. Must be one of: [NONE, AWS_IAM, CUSTOM]"
        )
    if kind == "COGNITO_USER_POOLS" or document.get("authorizationScopes"):
        raise NotImplementedByCloudlet("A method with Cognito user pools or authorization scopes")
    if kind == "CUSTOM":
        authorizer = document.get("authorizerId")
        if not authorizer or not documents.find_part(view, api_id, "authorizer", authorizer):
            raise bad_request(
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or"
                " COGNITO_USER_POOLS requires a valid authorizer."
            )
    else:
        document.pop("authorizerId", None)
    validator = document.get("requestValidatorId")
    if validator and not documents.find_part(view, api_id, "validator", validator):
        raise bad_request("Invalid Request Validator identifier specified")
    for name in document.get("requestParameters") or {}:
        if not _REQUEST_PARAMETER.fullmatch(name):
            raise _mapping(f"Invalid mapping expression specified: {name}")
    models(view, api_id, document.get("requestModels"))


def models(view: View, api_id: str, names: Mapping[str, str] | None) -> None:
    for name in (names or {}).values():
        if not documents.find_part(view, api_id, "model", name):
            raise bad_request(f"Invalid model identifier specified: {name}")


def method_response(view: View, api_id: str, document: Document) -> None:
    status(document["statusCode"])
    for name in document.get("responseParameters") or {}:
        if not _RESPONSE_PARAMETER.fullmatch(name):
            raise _mapping(f"Invalid mapping expression specified: {name}")
    models(view, api_id, document.get("responseModels"))


def status(text: str) -> None:
    if not re.fullmatch(r"[1-5]\d\d", text):
        raise bad_request("Invalid status code specified")


def integration(document: Document, owner: Document) -> None:
    """`owner` is the method."""
    kind = document["type"]
    if kind not in ("HTTP", "AWS", "MOCK", "HTTP_PROXY", "AWS_PROXY"):
        raise bad_request("Invalid integration type specified")
    if document.get("connectionType") == "VPC_LINK" or document.get("connectionId"):
        raise NotImplementedByCloudlet("A VPC link")
    if document.get("responseTransferMode") not in (None, "BUFFERED"):
        raise NotImplementedByCloudlet("An integration with responseTransferMode STREAM")
    if (document.get("tlsConfig") or {}).get("insecureSkipVerification"):
        raise NotImplementedByCloudlet("An integration with insecureSkipVerification")
    if document.get("passthroughBehavior") not in ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"):
        raise bad_request(
            "Invalid passthrough behavior specified. Valid options are WHEN_NO_MATCH,"
            " WHEN_NO_TEMPLATES, NEVER"
        )
    content_handling(document)
    if not 50 <= document["timeoutInMillis"] <= TIMEOUT_MS_MAX:
        raise bad_request(f"Timeout should be between 50 ms and {TIMEOUT_MS_MAX} ms")
    if kind != "MOCK":
        _target(document)
    _request_parameters(document, owner)


def content_handling(document: Document) -> None:
    handling = document.get("contentHandling")
    if handling not in (None, "CONVERT_TO_BINARY", "CONVERT_TO_TEXT"):
        raise bad_request("Invalid content handling specified")


def _target(document: Document) -> None:
    uri = document.get("uri") or ""
    if document.get("httpMethod") not in HTTP_METHODS:
        raise bad_request("Enumeration value for HttpMethod must be non-empty")
    if document["type"].startswith("HTTP"):
        if not re.match(r"https?://|\$\{stageVariables\.", uri):
            raise bad_request("Invalid HTTP endpoint specified for URI")
        return
    if not uri.startswith("arn:"):
        raise bad_request("Invalid ARN specified in the request")
    found = _AWS_URI.fullmatch(uri)
    if not found:
        raise bad_request("AWS ARN for integration must contain path or action")
    is_function = found.group(2) == "lambda" and found.group(4).endswith("/invocations")
    if document["type"] == "AWS_PROXY" and not is_function:
        raise bad_request(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose"
            " stream invocations."
        )


def _request_parameters(document: Document, owner: Document) -> None:
    declared = owner.get("requestParameters") or {}
    for name, value in (document.get("requestParameters") or {}).items():
        if not _INTEGRATION_PARAMETER.fullmatch(name):
            raise _mapping(f"Invalid mapping expression specified: {name}")
        if _CONSTANT.fullmatch(value) or _BODY.fullmatch(value):
            continue
        single = value.replace("request.multivalue", "request.")
        if value not in declared and single not in declared:
            raise _mapping(f"Invalid mapping expression parameter specified: {value}")
    for name in document.get("cacheKeyParameters") or []:
        known = name in declared or name in (document.get("requestParameters") or {})
        if not known:
            raise bad_request(f"Invalid cache key parameter specified: {name}")


def integration_response(document: Document, owner: Document) -> None:
    """`owner` is the method."""
    status(document.get("statusCode") or "")
    declared = (owner.get("methodResponses") or {}).get(document["statusCode"])
    if declared is None:
        raise documents.not_found("status")
    content_handling(document)
    try:
        regexes.compiled(document.get("selectionPattern") or "")
    except re.error:
        raise bad_request("Invalid selection pattern specified") from None
    known = declared.get("responseParameters") or {}
    for name, value in (document.get("responseParameters") or {}).items():
        if name not in known:
            raise _mapping(f"Invalid mapping expression parameter specified: {name}")
        if not (_CONSTANT.fullmatch(value) or _ANSWERED.fullmatch(value)):
            raise _mapping(f"Invalid mapping expression specified: {value}")


def _mapping(problem: str) -> AwsError:
    """API Gateway's report of mapping expressions."""
    return bad_request(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors :"
        f" [{problem}]"
    )


def authorizer(document: Document) -> None:
    kind = document["type"]
    if kind not in ("TOKEN", "REQUEST"):
        raise NotImplementedByCloudlet(f"An authorizer of type {kind}")
    if document.get("providerARNs") or document.get("jwtConfiguration"):
        raise NotImplementedByCloudlet("An authorizer with providerARNs or jwtConfiguration")
    uri = document.get("authorizerUri") or ""
    if not (":lambda:path/" in uri and uri.endswith("/invocations")):
        raise bad_request(f"Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API"
                          " Gateway ARN that represents a Lambda function invocation.")  # fmt: skip
    ttl = document["authorizerResultTtlInSeconds"]
    if not 0 <= ttl <= 3600:
        raise bad_request("Authorizer result TTL must be between 0 and 3600 seconds")
    if not document.get("identitySource") and (kind == "TOKEN" or ttl > 0):
        raise bad_request("Identity source is required for this authorizer")


def model(document: Document) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]+", document["name"]):
        raise bad_request(f"Model name must be alphanumeric: {document['name']}")
    if not document.get("schema"):
        raise bad_request("Model schema must have at least 1 property or array items defined")
    try:
        schema: Any = orjson.loads(document["schema"])
    except ValueError:
        schema = None
    definitions.bound(schema)
    if not isinstance(schema, dict):
        raise bad_request("Invalid model schema specified: it must be a JSON schema")
