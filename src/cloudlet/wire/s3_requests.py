"""S3's refusals of requests for what they are, before it looks whether bucket or key are there.

s3-107: of AWS's own tests of its routes there is no list; these are the ones that others observed.
"""

from collections.abc import Mapping

from cloudlet.errors import AwsError
from cloudlet.exchange import Request

_CONTENT = ("disposition", "encoding", "language", "type")
_OVERRIDES = {"response-cache-control", "response-expires"}
_OVERRIDES |= {f"response-content-{name}" for name in _CONTENT}
_NOT_OF_KEYS = {
    "uploads": "Key is not expected for the GET method ?uploads subresource",
    "versions": "There is no such thing as the ?versions sub-resource for a key",
}


def check(request: Request, operation: str, query: Mapping[str, str]) -> None:
    source = request.headers.get("x-amz-copy-source")
    if source is not None and request.method != "PUT" and "uploads" not in query:
        text = "You can only specify a copy source header for copy requests."
        raise _invalid(text, "x-amz-copy-source", source)
    if operation in ("GetObject", "HeadObject"):
        for name in query:
            if name in _NOT_OF_KEYS:
                raise AwsError("InvalidRequest", _NOT_OF_KEYS[name], 400)
            if name.startswith("response-") and name not in _OVERRIDES:
                text = f"{name} is not in the set of overridable response headers"
                raise _invalid(text, name, query[name])
    elif operation == "PutObject" and "partNumber" in query and "uploadId" not in query:
        text = "This operation does not accept partNumber without uploadId"
        raise _invalid(text, "partNumber", "partNumber")
    elif operation == "ListMultipartUploads" and "uploadId" in query:
        text = "Conflicting query string parameters: uploads, uploadId"
        raise _invalid(text, "ResourceType", "uploads")
    elif operation == "ListObjects" and (start := query.get("start-after")) is not None:
        text = "startAfter only supported in REST.GET.BUCKET with list-type=2"
        raise _invalid(text, "start-after", start)


def _invalid(message: str, name: str, value: str) -> AwsError:
    return AwsError("InvalidArgument", message, 400, ArgumentName=name, ArgumentValue=value)
