"""The model's complaints, and those that DynamoDB has before them."""

import asyncio
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire.protocol import protocol

_COUNTED = "1 validation error detected: "


def _refusal(operation: str, params: dict[str, Any]) -> str:
    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
    request = Request("POST", "/", "", headers, Body.of(orjson.dumps(params)))
    with pytest.raises(AwsError) as refused:
        asyncio.run(protocol("dynamodb").parse(request))
    return refused.value.message


KEYS = [{"AttributeName": "k", "KeyType": "HASH"}]


@pytest.mark.parametrize(
    ("operation", "params", "message"),
    [
        ("CreateTable", {}, "The parameter 'TableName' is required but was not present in the"
         " request"),
        ("CreateTable", {"TableName": "x!", "KeySchema": []}, f"{_COUNTED}Value 'x!' at 'tableName'"
         " failed to satisfy constraint: Member must have length greater than or equal to 3"),
        ("CreateTable", {"TableName": "abc", "KeySchema": KEYS, "AttributeDefinitions":
         [{"AttributeName": "k", "AttributeType": "X"}]}, f"{_COUNTED}Value 'X' at"
         " 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must"
         " satisfy enum value set: [B, N, S]"),
        ("Query", {"TableName": "abc", "Limit": 0}, f"{_COUNTED}Value at 'Limit' failed to satisfy"
         " constraint: Member must have value greater than or equal to 1"),
        ("BatchGetItem", {"RequestItems": {}}, "The requestItems parameter is required for"
         " BatchGetItem"),
        ("BatchGetItem", {"RequestItems": {"abc": {"Keys": [{}] * 101}}}, f"{_COUNTED}Value at"
         " 'RequestItems.abc.member.Keys' failed to satisfy constraint: Member must have length"
         " less than or equal to 100"),
        ("BatchWriteItem", {"RequestItems": {"abc": []}}, f"{_COUNTED}Value '{{abc=[]}}' at"
         " 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member"
         " must have length less than or equal to 25, Member must have length greater than or equal"
         " to 1]"),
    ],
)  # fmt: skip
def test_refusals(operation: str, params: dict[str, Any], message: str) -> None:
    """dynamodb-067"""
    assert _refusal(operation, params) == message
