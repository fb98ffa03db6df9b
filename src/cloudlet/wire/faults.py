"""AwsError → bytes, the way each protocol and service shows errors."""

import base64
import hashlib
from typing import Any
from xml.sax.saxutils import escape

import orjson

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Request, Response
from cloudlet.wire import cbor_codec, sqs_query
from cloudlet.wire.models import CBOR, CBORS, Model, signing_name
from cloudlet.wire.xml_codec import DECLARATION

# Namespaces in `__type`; DynamoDB's SDKs cut them off, but logs and other clients show them.
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
    "InvalidSignatureException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "IncompleteSignatureException": "com.amazon.coral.service#",
    "ExpiredTokenException": "com.amazon.coral.service#",
    "ThrottlingException": "com.amazon.coral.availability#",
}


def response(model: Model, error: AwsError, request_id: str, resource: str) -> Response:
    """The error document; the front drops the body where the request's method was HEAD."""
    if error.status == 304:
        headers = [(str(k), str(v)) for k, v in error.fields.items()]
        return Response(304, [*headers, *signs(request_id)])
    if model.name == "s3":
        return _s3(error, request_id, resource)
    if model.protocol == "ec2":
        return _ec2(error, request_id)
    if model.protocol in ("query", "rest-xml"):
        return _xml(model, error, request_id)
    if model.name == "cloudwatch":
        return _query_compatible(model, error, request_id)
    return _json(model, error, request_id)


def of_unknown_service(request: Request, target: str) -> Response:
    """What the JSON protocol says of a service whose model nobody knows here."""
    prefix, scope = target.partition(".")[0], signing_name(request)
    error = NotImplementedByCloudlet(f"The service {scope} ({prefix})" if scope else prefix)
    kind = request.headers.get("content-type", "")
    kind = kind if kind.startswith("application/x-amz-json-") else "application/x-amz-json-1.0"
    document = {"__type": error.code, "message": error.message}
    headers = [("Content-Type", kind), ("x-amzn-RequestId", request.id)]
    return Response(error.status, headers, orjson.dumps(document))


def opening(model: Model, request_id: str) -> list[tuple[str, str]]:
    """The headers that every answer in JSON or CBOR has."""
    headers = [("Content-Type", model.content_type), ("x-amzn-RequestId", request_id)]
    return headers + ([("smithy-protocol", "rpc-v2-cbor")] if model.protocol == CBOR else [])


def encoded(model: Model, document: Any) -> bytes:
    return cbor_codec.dumps(document) if model.protocol in CBORS else orjson.dumps(document)


def _query_compatible(model: Model, error: AwsError, request_id: str) -> Response:
    """The shape's name in the document; the code that the query protocol has in a header."""
    known: list[Any] = [
        shape
        for shape in model.service.error_shapes
        if error.code in (shape.metadata.get("error", {}).get("code"), shape.name)
    ]
    name, code = (known[0].name, known[0].error_code) if known else (error.code, error.code)
    document = {"__type": f"com.amazonaws.cloudwatch#{name}", **error.fields}
    document[_message_name(model, name)] = error.message
    who = "Sender" if error.status < 500 else "Receiver"
    headers = [("x-amzn-query-error", f"{code};{who}"), *opening(model, request_id)]
    return Response(error.status, headers, encoded(model, document))


def host_id(request_id: str) -> str:
    """S3's second id: opaque, per request."""
    return base64.b64encode(hashlib.sha384(request_id.encode()).digest()).decode()


def signs(request_id: str) -> list[tuple[str, str]]:
    """The headers that every answer of S3 has."""
    return [
        ("x-amz-request-id", request_id),
        ("x-amz-id-2", host_id(request_id)),
        ("Server", "AmazonS3"),
    ]


def _s3(error: AwsError, request_id: str, resource: str) -> Response:
    fields: dict[str, Any] = dict(error.fields)
    headers = [(str(k), str(v)) for k, v in fields.pop("_headers", [])]
    parts = [f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"]
    parts += [f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items()]
    if error.status >= 500 and "Header" not in fields:  # AWS's own 501 names a header instead
        parts.append(f"<Resource>{escape(resource)}</Resource>")
    parts.append(f"<RequestId>{request_id}</RequestId><HostId>{host_id(request_id)}</HostId>")
    body = f"{DECLARATION}<Error>{''.join(parts)}</Error>".encode(errors="replace")
    headers += [("Content-Type", "application/xml"), *signs(request_id)]
    return Response(error.status, headers, body)


def _xml(model: Model, error: AwsError, request_id: str) -> Response:
    namespace = model.service.metadata.get("xmlNamespace", "")
    attribute = f' xmlns="{namespace}"' if namespace else ""
    who = "Sender" if error.status < 500 else "Receiver"
    code, message, detail = error.code, error.message, ""
    if model.name == "sqs":
        (code, message), detail = sqs_query.refusal(error), "<Detail/>"
    elif model.protocol == "query" and code == "ValidationException":
        code = "ValidationError"
    body = (
        f"{DECLARATION}<ErrorResponse{attribute}><Error><Type>{who}</Type>"
        f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>{detail}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    if code == "UnknownOperationException":
        body = f"<{code}/>"
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    return Response(error.status, headers, body.encode())


def _ec2(error: AwsError, request_id: str) -> Response:
    body = (
        f"{DECLARATION}<Response><Errors><Error><Code>{escape(error.code)}</Code><Message>"
        f"{escape(error.message)}</Message></Error></Errors><RequestID>{request_id}</RequestID>"
        "</Response>"
    )
    return Response(error.status, [("Content-Type", "text/xml")], body.encode())


def _json(model: Model, error: AwsError, request_id: str) -> Response:
    document: dict[str, Any] = {}
    headers = opening(model, request_id)
    if model.protocol == "rest-json":
        headers.append(("x-amzn-ErrorType", error.code))
        document["Type" if model.name == "lambda" else "__type"] = (
            ("User" if error.status < 500 else "Service") if model.name == "lambda" else error.code
        )
    else:
        document["__type"] = _type(model, error.code)
    if model.name == "sqs":
        code = sqs_query.CODES.get(error.code, error.code)
        who = "Sender" if error.status < 500 else "Receiver"
        headers.append(("x-amzn-query-error", f"{code};{who}"))
    is_silent = model.name == "kms" or error.code == "SerializationException"  # kms-002
    if error.message or not is_silent:
        document[_message_name(model, error.code)] = error.message
    document.update(error.fields)
    if "retryAfterSeconds" in document:  # Lambda's, which travels as a header
        headers.append(("Retry-After", document.pop("retryAfterSeconds")))
    return Response(error.status, headers, encoded(model, document))


def _type(model: Model, code: str) -> str:
    if model.name.startswith("dynamodb"):
        return _CORAL.get(code, _DYNAMODB) + code
    if model.name == "sqs":
        return f"com.amazonaws.sqs#{sqs_query.SHAPES.get(code, code)}"
    return code


def _message_name(model: Model, code: str) -> str:
    """The model spells it "Message" or "message", shape by shape."""
    if code == "SerializationException":
        return "Message"
    shapes = model.service.shape_names
    if code in shapes:
        members = getattr(model.service.shape_for(code), "members", {})
        for name in ("Message", "message"):
            if name in members:
                return name
    return "message"
