"""Documentation parts: texts about entities of an API, addressed by location.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-documenting-api.html
"""

import json

from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.rest.documents import Document, bad_request

_TYPES = (
    *("API", "AUTHORIZER", "MODEL", "RESOURCE", "METHOD", "PATH_PARAMETER", "QUERY_PARAMETER"),
    *("REQUEST_HEADER", "REQUEST_BODY", "RESPONSE", "RESPONSE_HEADER", "RESPONSE_BODY"),
)


def check(document: Document) -> None:
    if document["location"]["type"] not in _TYPES:
        raise bad_request(f"Invalid documentation part type. Must be one of {list(_TYPES)}")
    try:
        is_object = isinstance(json.loads(document["properties"]), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise bad_request("Documentation part properties must be a JSON object")


def filtered(found: list[Document], params: Document) -> list[Document]:
    """`type`, `name` and `path` (a prefix, as on AWS) choose among the parts."""
    if params.get("locationStatus") not in (None, "DOCUMENTED"):
        raise NotImplementedByCloudlet("GetDocumentationParts with locationStatus UNDOCUMENTED")
    return [part for part in found if _fits(part["location"], params)]


def _fits(location: Document, params: Document) -> bool:
    return (
        params.get("type") in (None, location["type"])
        and str(params.get("nameQuery") or "") in str(location.get("name") or "")
        and str(location.get("path") or "").startswith(str(params.get("path") or ""))
    )
