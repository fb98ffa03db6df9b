"""How large a body each service takes before it is refused."""

import asyncio
import base64

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire import faults, models
from cloudlet.wire.protocol import Parsed, protocol


def _parsed(service: str, method: str, path: str, body: bytes, target: str = "") -> Parsed:
    headers = {"x-amz-target": target} if target else {}
    request = Request(method, path, "", headers, Body.of(body))
    return asyncio.run(protocol(service).parse(request))


def test_lambda_takes_code_as_large_as_aws_does() -> None:
    code = bytes(50 << 20)
    body = orjson.dumps({"ZipFile": base64.b64encode(code).decode()})
    path = "/2015-03-31/functions/hello/code"
    parsed = _parsed("lambda", "PUT", path, body)
    assert parsed.operation == "UpdateFunctionCode"
    assert len(parsed.params["ZipFile"]) == len(code)


def test_others_refuse_bodies_that_no_operation_of_theirs_has() -> None:
    with pytest.raises(AwsError) as refused:
        _parsed("dynamodb", "POST", "/", bytes((16 << 20) + 1), "DynamoDB_20120810.PutItem")
    assert refused.value.status == 413


def test_broken_json_is_refused_without_a_word() -> None:
    """dynamodb-057"""
    with pytest.raises(AwsError) as refused:
        _parsed("dynamodb", "POST", "/", b"{broken", "DynamoDB_20120810.PutItem")
    answer = faults.response(models.load("dynamodb"), refused.value, "id", "/")
    assert answer.body == b'{"__type":"com.amazon.coral.service#SerializationException"}'
