"""Requests → operation calls, results → responses: one generic way for all four protocols.

A `Protocol` wraps a model with compiled codecs. S3's surprises stand in tables here: bucket names
in the host, root elements that the model doesn't name, a location constraint without structure.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import orjson
from botocore.model import OperationModel, OperationNotFoundError, Shape, StructureShape

from cloudlet.call import Params, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Request, Response
from cloudlet.wire import (
    cbor_codec,
    compression,
    digests,
    event_stream,
    faults,
    form_codec,
    header_text,
    models,
    rest,
    scalars,
    sqs_query,
)
from cloudlet.wire.json_codec import Formatter, Parser
from cloudlet.wire.models import Model, serialization
from cloudlet.wire.table_requests import TableRequests
from cloudlet.wire.validate import Validator
from cloudlet.wire.xml_codec import DECLARATION, Reader, Writer, malformed, parse_document

_BODY_BYTES_MAX = 16 << 20
_BODY_BYTES_MAX_OF = {"lambda": 70 << 20}  # 50 MiB of zipped code, as base64 in JSON
_SIGNATURE_ARGUMENTS = {
    f"x-amz-{name}"
    for name in (
        "algorithm", "credential", "date", "expires", "signedheaders", "signature",
        "security-token", "content-sha256",
    )
}  # fmt: skip
_UNHEEDED = ("x-amz-checksum-", "x-amz-sdk-checksum-")
_CONDITIONS = ("if-match", "if-none-match")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
# s3-104: S3 Control's model refuses ARNs of buckets, which AWS takes
_UNCHECKED = ("s3", "s3control", "apigatewaymanagementapi")
_XML_NAMESPACE = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
_S3_ROOTS = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "UploadPartCopy": "CopyPartResult",
}
Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Parsed:
    operation: str
    params: Params


class Protocol:
    """One service's API on the wire."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._json_in = Parser()
        styles = {"apigatewayv2": "iso8601", "cloudwatch": model.protocol, "kinesis": model.dialect}
        self._json_out = Formatter(styles.get(model.name) or "unixTimestamp")
        self._xml_in = Reader()
        self._xml_out = Writer()
        self._validator = TableRequests() if model.name == "dynamodb" else Validator()
        self._validates = model.name not in _UNCHECKED and model.protocol != "ec2"
        self._is_json = model.protocol in ("json", *models.CBORS)
        self._binders: dict[str, rest.Binder] = {}
        self._body_bytes_max = _BODY_BYTES_MAX_OF.get(model.name, _BODY_BYTES_MAX)

    # --- requests ---

    async def parse(self, request: Request) -> Parsed:
        """Raises AwsError where no operation matches or a parameter has the wrong form."""
        if self._is_json:
            parsed = await self._parse_json(request)
        elif self.model.protocol in ("query", "ec2"):
            parsed = await self._parse_form(request)
        else:
            parsed = await self._parse_rest(request)
        shape = self.model.operation(parsed.operation).input_shape
        if shape is not None and self._validates:
            self._validator.check(shape, parsed.params)
        return parsed

    async def _parse_json(self, request: Request) -> Parsed:
        kind = self.model.protocol
        name = request.headers.get("x-amz-target", "").partition(".")[2]
        if kind == models.CBOR:  # /service/GraniteServiceVersion20100801/operation/PutMetricData
            name = request.raw_path.rpartition("/operation/")[2]
        operation = self._known(name)
        body = await self._read(request)
        shape = operation.input_shape
        if shape is None:
            return Parsed(name, {})
        if kind in models.CBORS:
            seconds = 1 if kind == models.CBOR else 1000
            document = cbor_codec.loads(body, seconds) if body else {}
        else:
            document = _json(body, "")  # dynamodb-057: AWS says no word to it
        return Parsed(name, self._json_in.of(shape)(document))

    async def _parse_form(self, request: Request) -> Parsed:
        fields = _form(request, await self._read(request))
        name = dict(fields).get("Action", "")
        if self.model.name == "sqs":
            sqs_query.check_action(name, self.model.operation_names, request.path)
        if not name:
            raise AwsError("MissingAction", "The request is missing an action.", 400)
        shape = self._known(name).input_shape if self._validates else None  # not EC2's: refused
        params = form_codec.parse(fields, shape) if shape else {}
        if shape and self.model.name == "sqs":
            sqs_query.complete(params, shape, request.path)
        return Parsed(name, params)

    async def _parse_rest(self, request: Request) -> Parsed:
        query = request.arguments()
        if self.model.name == "s3" and "Signature=" in request.query:
            _unhoist(request, query)
        name, labels = rest.match(self.model, request, self._path(request), query)
        shape = self.model.operation(name).input_shape
        params: Params = {}
        if shape is not None:
            if name not in self._binders:
                self._binders[name] = rest.Binder(shape)
            try:
                self._binders[name].bind(request, labels, query, params)
            except AwsError as error:
                if self.model.name == "s3":  # s3-004: S3 has one code for values of a wrong kind
                    raise AwsError("InvalidArgument", error.message, 400) from error
                raise
            await self._payload(request, self.model.operation(name), params)
        return Parsed(name, params)

    async def _read(self, request: Request) -> bytes:
        body, limit = await request.body.read(self._body_bytes_max), self._body_bytes_max
        is_plain = "content-encoding" not in request.headers
        return body if is_plain else await compression.inflated(request, body, limit)

    async def _verified(self, request: Request, operation: OperationModel) -> bytes:
        """S3's documents bring digests of themselves."""
        body = await self._read(request)
        # s3-019: of a completed upload the checksum headers are the object's
        if self.model.name == "s3" and operation.name != "CompleteMultipartUpload":
            digests.verify(request.headers, body, is_required=operation.name == "DeleteObjects")
        return body

    def _path(self, request: Request) -> str:
        if self.model.name == "s3":
            return s3_path(request)
        if self.model.name == "apigatewaymanagementapi":  # the stage stands before it
            _, found, rest_of_path = request.raw_path.partition("/@connections/")
            return found + rest_of_path
        return request.raw_path

    async def _payload(self, request: Request, operation: OperationModel, params: Params) -> None:
        shape = operation.input_shape
        assert shape is not None
        payload = serialization(shape).get("payload")
        if payload is None:
            if _is_in_body(shape):
                body = await self._verified(request, operation)
                params.update(self._structured(body, shape))
            return
        member = shape.members[payload]
        if serialization(member).get("streaming"):
            params[payload] = request.body
            return
        body = await self._verified(request, operation)
        if member.type_name == "blob":
            params[payload] = body
        elif member.type_name == "string":
            params[payload] = _text(body)
        elif body:
            params[payload] = self._structured(body, member)

    def _structured(self, body: bytes, shape: Shape) -> Any:
        if self.model.protocol == "rest-xml":
            return self._xml_in.of(shape)(parse_document(body)) if body else {}
        return self._json_in.of(shape)(_json(body))

    def _known(self, name: str) -> OperationModel:
        try:
            return self.model.operation(name)
        except OperationNotFoundError as error:
            raise _unknown(self.model, name) from error

    # --- responses ---

    def response(self, name: str, result: Result, request_id: str, encoding: str = "") -> Response:
        """`encoding`: how a big answer of DynamoDB's may be compressed."""
        operation = self.model.operation(name)
        if self.model.protocol == "query":
            return self._query_response(operation, result, request_id)
        if self._is_json:
            return self._json_response(operation, result, request_id, encoding)
        return self._rest_response(operation, result, request_id)

    def fault(self, error: AwsError, request: Request) -> Response:
        return faults.response(self.model, error, request.id, request.path)

    def _json_response(
        self, operation: OperationModel, result: Result, request_id: str, encoding: str
    ) -> Response:
        shape = operation.output_shape
        streamed = event_stream.member(shape)
        headers = faults.opening(self.model, request_id)
        if shape is not None and streamed:
            headers[0] = ("Content-Type", event_stream.CONTENT_TYPE)
            events = event_stream.EventStream(
                shape.members[streamed], result.output[streamed], event_stream.initial()
            )
            return Response(200, headers + result.headers, events)
        if shape is None:
            headers = headers[1:] if self.model.protocol in models.CBORS else headers
            return Response(result.status or 200, headers + result.headers, b"")
        body = faults.encoded(self.model, self._json_out.of(shape)(result.output))
        if self.model.name.startswith("dynamodb"):
            body, of_body = compression.summed(body, encoding)
            headers += of_body
        return Response(result.status or 200, headers + result.headers, body)

    def _query_response(
        self, operation: OperationModel, result: Result, request_id: str
    ) -> Response:
        name, shape = operation.name, operation.output_shape
        content = ""
        if shape is not None:
            wrapper = serialization(shape).get("resultWrapper", f"{name}Result")
            content = self._xml_out.members(shape)(result.output)
            content = f"<{wrapper}>{content}</{wrapper}>" if content else f"<{wrapper}/>"
        namespace = self.model.service.metadata.get("xmlNamespace", "")
        body = (
            f'{DECLARATION}<{name}Response xmlns="{namespace}">{content}<ResponseMetadata>'
            f"<RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
        )
        headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
        return Response(result.status or 200, headers + result.headers, body.encode())

    def _rest_response(
        self, operation: OperationModel, result: Result, request_id: str
    ) -> Response:
        status = result.status or operation.http.get("responseCode", 200)
        headers: Headers = []
        body: Any = b""
        shape, output = operation.output_shape, result.output
        if shape is not None:
            places = _places(shape)
            for name, value in output.items():  # far fewer than the shape has
                place = places.get(name)
                if value is None or place is None:
                    continue
                if place is _as_status:
                    status = result.status or value
                else:
                    place(headers, value)
            content_type, body = self._rest_body(operation.name, shape, output)
            if content_type and not any(name.lower() == "content-type" for name, _ in headers):
                headers.append(("Content-Type", content_type))
        if self.model.name == "s3":
            headers = [(n, v if v.isascii() else header_text.of_header(v)) for n, v in headers]
            headers += faults.signs(request_id)
        else:
            headers.append(("x-amzn-RequestId", request_id))
        return Response(status, headers + result.headers, body)

    def _rest_body(self, name: str, shape: StructureShape, output: Params) -> tuple[str, Any]:
        payload = serialization(shape).get("payload")
        if payload is not None:
            member, value = shape.members[payload], output.get(payload)
            if value is None:
                return "", b""
            if serialization(member).get("eventstream"):
                return event_stream.CONTENT_TYPE, event_stream.EventStream(member, value)
            if member.type_name not in ("structure", "list", "map"):
                kind = (
                    "application/json"
                    if self.model.protocol == "rest-json" or name in ("GetBucketPolicy",)
                    else ""
                )
                return kind, value.encode() if isinstance(value, str) else value
            return self._document(name, _root(member, payload), member, value)
        if not _is_in_body(shape):
            return "", b""
        return self._document(name, "", shape, output)

    def _document(self, name: str, root: str, shape: Shape, value: Any) -> tuple[str, bytes]:
        if self.model.protocol == "rest-json":
            return "application/json", orjson.dumps(self._json_out.of(shape)(value))
        root = (_S3_ROOTS.get(name) if self.model.name == "s3" else "") or root or shape.name
        namespace = _XML_NAMESPACE.get(self.model.name, "") or serialization(shape).get(
            "xmlNamespace", {}
        ).get("uri", self.model.service.metadata.get("xmlNamespace", ""))
        attribute = f' xmlns="{namespace}"' if namespace else ""
        if name == "GetBucketLocation":  # s3-001: bare text, empty for us-east-1
            text = escape(value.get("LocationConstraint") or "")
            rest = f">{text}</LocationConstraint>" if text else "/>"
            return "application/xml", f"{DECLARATION}<LocationConstraint{attribute}{rest}".encode()
        assert isinstance(shape, StructureShape)
        if "_order" in value:
            content = self._xml_out.mixed(shape)(value)
        else:
            content = self._xml_out.members(shape)(value)
        return "application/xml", f"{DECLARATION}<{root}{attribute}>{content}</{root}>".encode()


@cache
def protocol(service: str, dialect: str = "") -> Protocol:
    """The protocol of a botocore service name; compiled once per process."""
    try:
        return Protocol(models.load(service, dialect))
    except Exception as error:
        raise NotImplementedByCloudlet(f"The service {service!r}") from error


def _unknown(model: Model, operation: str) -> AwsError:
    if model.protocol != "query":
        return AwsError("UnknownOperationException", "", 400)
    version = model.service.metadata["apiVersion"]
    text = f"Could not find operation {operation} for version {version}"
    return AwsError("InvalidAction", text, 400)


@cache
def _is_in_body(shape: StructureShape) -> bool:
    """Does any member travel in the body? Shapes live as long as their model."""
    return any("location" not in serialization(member) for member in shape.members.values())


def _root(member: Shape, name: str) -> str:
    return str(serialization(member).get("name", name))


Place = Callable[[Headers, Any], None]


def _as_status(headers: Headers, value: Any) -> None:
    """A member that is the response's status."""


@cache
def _places(shape: StructureShape) -> dict[str, Place]:
    """How the members that don't travel in the body become headers."""
    found: dict[str, Place] = {}
    for name, member in shape.members.items():
        traits = serialization(member)
        where, header = traits.get("location"), str(traits.get("name", name))
        if where == "statusCode":
            found[name] = _as_status
        elif where == "headers":
            found[name] = _prefixed(header)
        elif where == "header":
            found[name] = _header(header, scalars.text_formatter(member, "rfc822"))
    return found


def _header(header: str, format_: Callable[[Any], str]) -> Place:
    def put(headers: Headers, value: Any) -> None:
        is_list = isinstance(value, list)
        headers.append((header, ", ".join(map(str, value)) if is_list else format_(value)))

    return put


def _prefixed(prefix: str) -> Place:
    def put(headers: Headers, value: Any) -> None:
        for key, item in value.items():
            headers.append((f"{prefix}{key}", header_text.of_metadata(str(item))))

    return put


def _json(body: bytes, refusal: str = "Could not parse the request body.") -> Any:
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AwsError("SerializationException", refusal, 400) from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise malformed() from error


def _form(request: Request, body: bytes) -> list[tuple[str, str]]:
    fields = parse_qsl(request.query, keep_blank_values=True)
    try:
        return fields + parse_qsl(body.decode(), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError) as error:
        raise AwsError("MalformedInput", "The form is not UTF-8.", 400) from error


def _unhoist(request: Request, query: rest.Arguments) -> None:
    """s3-002: SDKs move x-amz-* headers of presigned requests into the signed query; some move
    conditions, too. s3-033: of a checksum that came there AWS takes no notice: it was made before
    there was a body."""
    for name, value in query:
        header = name.lower()
        if header in _SIGNATURE_ARGUMENTS or header.startswith(_UNHEEDED):
            continue
        if header.startswith("x-amz-") or header in _CONDITIONS:
            if not _HEADER_NAME.fullmatch(header):  # as metadata it could never be sent back
                message = "A query parameter that stands for a header has no name of a header."
                raise AwsError("InvalidArgument", message, 400, ArgumentName=name)
            request.headers.setdefault(header, value)


def s3_path(request: Request) -> str:
    """Path style: as it is. Virtual-host style: the bucket from the host before the path."""
    bucket = s3_bucket_of_host(request.host)
    return f"/{bucket}{request.raw_path}" if bucket else request.raw_path


def s3_bucket_of_host(host: str) -> str:
    """`b.s3.us-east-1.amazonaws.com`, `b.s3.localhost:4566` and `b.localhost:4566` → "b"."""
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    for suffix in (".localhost", ".amazonaws.com", ".localhost.localdomain"):
        if name.endswith(suffix):
            name = name[: -len(suffix)]
            break
    else:
        return ""
    labels = name.split(".")
    for number, label in enumerate(labels):
        if label == "s3" or label.startswith("s3-"):
            return ".".join(labels[:number])
    return "" if host.endswith(".amazonaws.com") else name
