"""Every operation of every API we speak, through botocore's own client side and back.

Requests: botocore serialises random parameters, we parse them: the same parameters come out.
Responses: we serialise random output, botocore parses it: the same output comes out.
"""

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from cloudlet.call import Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire import models, rest
from cloudlet.wire.protocol import Protocol
from tests.wire.random_values import Values

SERVICES = [
    "s3", "dynamodb", "dynamodbstreams", "lambda", "apigatewayv2", "apigatewaymanagementapi",
    "events", "scheduler", "sqs", "iam", "sts", "logs", "cloudfront", "sns", "cloudformation",
    "kinesis",
]  # fmt: skip
SPOKEN = [
    *((service, "") for service in SERVICES),
    *(("cloudwatch", dialect) for dialect in ("smithy-rpc-v2-cbor", "json", "query")),
    ("sqs", "query"),
]
# The client cannot express or keep these: what it sends differs by design.
CLIENT_SIDE = {
    "s3": {
        "WriteGetObjectResponse",  # another host
        "CreateSession", "ListDirectoryBuckets",  # directory buckets: another host
        "GetBucketLifecycle", "PutBucketLifecycle",  # deprecated twins of …Configuration
        "GetBucketNotification", "PutBucketNotification",
        "SelectObjectContent",  # event stream
        "GetBucketLocation",  # read by a handler of the client; tested by itself
    },
    "lambda": {"InvokeAsync", "InvokeWithResponseStream"},
    "logs": {"StartLiveTail", "GetLogObject"},  # event stream
    "kinesis": {"SubscribeToShard"},  # event stream
}  # fmt: skip


def _operations() -> list[tuple[str, str]]:
    return [
        (service, name)
        for service in SERVICES
        for name in models.operation_names(service)
        if name not in CLIENT_SIDE.get(service, set())
    ]


def _strip(value: Any) -> Any:
    """What no wire format keeps: empty containers and absent members."""
    if isinstance(value, dict):
        kept = {key: _strip(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [], None, b"", "")}
    return [_strip(item) for item in value] if isinstance(value, list) else value


async def _plain(params: dict[str, Any]) -> dict[str, Any]:
    return {k: await v.read(1 << 20) if isinstance(v, Body) else v for k, v in params.items()}


def _request(serialized: dict[str, Any], operation: OperationModel) -> Request:
    query = serialized["query_string"]
    body = serialized["body"]
    headers = {k.lower(): str(v) for k, v in serialized["headers"].items()}
    if isinstance(body, dict):
        body, headers["content-type"] = urlencode(body), "application/x-www-form-urlencoded"
    if isinstance(body, str):
        body = body.encode()
    if hasattr(body, "read"):
        body = body.read()
    path, _, own = serialized["url_path"].partition("?")
    query = "&".join(filter(None, [own, urlencode(query, doseq=True) if query else ""]))
    return Request(serialized["method"], path, query, headers, Body.of(body or b""))


def _same_case(value: dict[str, Any], name: str) -> None:
    """Metadata travels in headers: names lose their case."""
    if name in value and isinstance(value[name], dict):
        value[name] = {key.lower(): item.strip() for key, item in value[name].items()}


def _ascii_metadata(params: dict[str, Any]) -> None:
    if isinstance(params.get("Metadata"), dict):
        params["Metadata"] = {"a-b": "one", "c": "two words"}


@pytest.mark.parametrize(("service", "dialect"), SPOKEN)
def test_requests(monkeypatch: pytest.MonkeyPatch, service: str, dialect: str) -> None:
    # Random digests are wrong ones: test_digests has right ones.
    monkeypatch.setattr("cloudlet.wire.digests.verify", lambda *_, **__: None)
    protocol = Protocol(models.load(service, dialect))
    protocol._validator.check = lambda shape, params: None  # type: ignore[method-assign]
    wrong = []
    for name in models.operation_names(service):
        if name in CLIENT_SIDE.get(service, set()):
            continue
        operation = protocol.model.operation(name)
        serializer = create_serializer(protocol.model.protocol, include_validation=False)
        for seed in range(3):
            shape = operation.input_shape
            params = Values(seed).of(shape) if shape else {}
            _ascii_metadata(params)
            if shape:
                for member in shape.required_members:  # labels must not vanish
                    traits = shape.members[member].serialization
                    if traits.get("location") == "uri" and isinstance(params[member], str):
                        params[member] = f"name{seed}"
            serialized = serializer.serialize_to_request(params, operation)
            parsed = asyncio.run(protocol.parse(_request(serialized, operation)))
            got = _strip(asyncio.run(_plain(parsed.params)))
            _same_case(params, "Metadata")
            if parsed.operation != name or got != _strip(params):
                wrong.append((name, parsed.operation, _strip(params), got))
    assert not wrong, f"{len(wrong)} wrong, first: {wrong[0]}\n{[w[:2] for w in wrong]}"


@pytest.mark.parametrize(("service", "dialect"), SPOKEN)
def test_responses(service: str, dialect: str) -> None:
    protocol = Protocol(models.load(service, dialect))
    parser = create_parser(protocol.model.protocol)
    wrong = []
    for name in models.operation_names(service):
        operation = protocol.model.operation(name)
        shape = operation.output_shape
        if shape is None or name in CLIENT_SIDE.get(service, set()):
            continue
        for seed in range(3):
            output = Values(seed).of(shape)
            _ascii_metadata(output)
            for member, traits in ((m, s.serialization) for m, s in shape.members.items()):
                if traits.get("location") == "statusCode":
                    output[member] = 200
            streaming = operation.has_streaming_output
            response = protocol.response(name, Result(output), "id")
            headers = dict(response.headers)
            body = object() if streaming else response.body  # the client wraps streams unread
            parsed = parser.parse(
                {"status_code": response.status, "headers": headers, "body": body}, shape
            )
            parsed.pop("ResponseMetadata", None)
            expected = _strip(output)
            if streaming:
                payload = shape.serialization["payload"]
                parsed.pop(payload, None)
                expected.pop(payload, None)
            _same_case(expected, "Metadata")
            _same_case(parsed, "Metadata")
            if _strip(parsed) != expected:
                wrong.append((name, expected, _strip(parsed)))
    assert not wrong, f"{len(wrong)} wrong, first: {wrong[0]}\n{[w[0] for w in wrong]}"


def test_an_operation_is_told_by_query_and_headers() -> None:
    model = models.load("s3")

    def match(method: str, path: str, query: str = "", **headers: str) -> str:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        request = Request(method, path, query, named, Body.of(b""))
        return rest.match(model, request, path, request.arguments())[0]

    assert match("PUT", "/b/k") == "PutObject"
    assert match("PUT", "/b/k", x_amz_copy_source="/b/j") == "CopyObject"
    assert match("PUT", "/b/k", "partNumber=1&uploadId=u") == "UploadPart"
    assert (
        match("PUT", "/b/k", "partNumber=1&uploadId=u", x_amz_copy_source="x") == "UploadPartCopy"
    )
    assert match("GET", "/b") == match("GET", "/b/") == "ListObjects"
    assert match("GET", "/b/", "list-type=2") == "ListObjectsV2"
    assert match("GET", "/b/k/with//slashes/") == "GetObject"
    assert match("GET", "/b/k", "uploadId=u") == "ListParts"
    assert match("DELETE", "/b/k", "uploadId=u") == "AbortMultipartUpload"
    assert match("POST", "/b", "delete") == "DeleteObjects"
    assert match("GET", "/") == "ListBuckets"


def test_headers_that_a_presigned_query_carries() -> None:
    """s3-002: SDKs move x-amz-* headers into the query when they presign; s3-033: a checksum
    among them was made without the body and says nothing of it."""
    query = "X-Amz-Signature=00&X-Amz-Expires=60&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-meta-a=b"
    request = Request("PUT", "/bucket/key", query, {}, Body.of(b""))
    parsed = asyncio.run(Protocol(models.load("s3")).parse(request))
    assert "ChecksumCRC32" not in parsed.params
    assert parsed.params["Metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("region", "text"), [("eu-west-1", ">eu-west-1</LocationConstraint>"), (None, "/>")]
)
def test_a_bucket_location_is_bare_text(region: str | None, text: str) -> None:
    """s3-001: the root element itself holds the text; it is empty for us-east-1."""
    protocol = Protocol(models.load("s3"))
    response = protocol.response("GetBucketLocation", Result({"LocationConstraint": region}), "id")
    assert isinstance(response.body, bytes)
    assert response.body.endswith(
        f'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"{text}'.encode()
    )


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [("/bucket", "max-keys=blah", "InvalidArgument"), ("/bucket/%ae%8a-", "", "InvalidURI")],
)
def test_s3_words_what_cannot_be_read(path: str, query: str, code: str) -> None:
    """s3-004: values of a wrong kind are InvalidArgument, keys that are not UTF-8 InvalidURI."""
    request = Request("GET", path, query, {}, Body.of(b""))
    with pytest.raises(AwsError) as refused:
        asyncio.run(Protocol(models.load("s3")).parse(request))
    assert (refused.value.code, refused.value.status) == (code, 400)
