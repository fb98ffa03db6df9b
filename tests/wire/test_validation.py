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


_NONE = "failed to satisfy constraint: Member must have length greater than or equal to 1"
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
        ("BatchGetItem", {"RequestItems": {}}, f"{_COUNTED}Value at 'RequestItems' {_NONE}"),
        ("BatchGetItem", {"RequestItems": {"abc": {"Keys": []}}}, f"{_COUNTED}Value at"
         f" 'RequestItems.abc.member.Keys' {_NONE}"),
        ("BatchWriteItem", {"RequestItems": {}}, "The requestItems parameter is required for"
         " BatchWriteItem"),
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


def _wrong(value: str, at: str, asked: str) -> str:
    return f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {asked}"


_CAPACITY = _wrong("X", "returnConsumedCapacity", "satisfy enum value set: [INDEXES, TOTAL, NONE]")
_METRICS = _wrong("X", "returnItemCollectionMetrics", "satisfy enum value set: [SIZE, NONE]")
_RETURNED = (
    "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD,"
    " ALL_NEW, UPDATE_NEW, NONE]"
)
_OPERATOR = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"


@pytest.mark.parametrize(
    ("operation", "params", "complaints"),
    [
        ("PutItem", {"ReturnItemCollectionMetrics": "X", "ReturnValues": "X",
         "ReturnConsumedCapacity": "X"}, [_CAPACITY, _RETURNED, _METRICS]),
        ("UpdateItem", {"ReturnValues": "X", "ReturnConsumedCapacity": "X"}, [_RETURNED]),
        ("DeleteItem", {"ConditionalOperator": "XOR"}, [_OPERATOR]),
        ("PutItem", {"TableName": "", "ReturnValues": "X"}, [f"Value at 'TableName' {_NONE}"]),
        ("UpdateItem", {"TableName": "", "Key": None, "ReturnConsumedCapacity": "X"},
         [_CAPACITY, f"Value '' at 'tableName' {_NONE}",
          "Value null at 'key' failed to satisfy constraint: Member must not be null"]),
    ],
)  # fmt: skip
def test_newer_checks_of_writes(
    operation: str, params: dict[str, Any], complaints: list[str]
) -> None:
    """dynamodb-073"""
    given = {"TableName": "abc", "Key": {}, "Item": {}, **params}
    given.pop("Key" if operation == "PutItem" else "Item")
    count = f"{len(complaints)} validation error{'s' if len(complaints) > 1 else ''} detected: "
    assert _refusal(operation, given) == count + "; ".join(complaints)


def test_names_of_tables_inside_of_requests() -> None:
    asked = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    gets = [{"Get": {"TableName": name, "Key": {}}} for name in ("abc", "b!d")]
    message = _wrong("b!d", "transactItems.2.member.get.tableName", asked)
    assert _refusal("TransactGetItems", {"TransactItems": gets}) == f"{_COUNTED}{message}"
    keys = (
        "at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member"
        " must have length less than or equal to 255, Member must have length greater than or equal"
        f" to 3, Member must {asked}]"
    )
    wrong = {"RequestItems": {"b!d": {"Keys": [{"k": {"S": "a"}}]}}}
    shown = '{"b!d":{"Keys":[{"k":{"S":"a"}}]}}'
    assert _refusal("BatchGetItem", {**wrong, "ReturnConsumedCapacity": "X"}) == (
        f"2 validation errors detected: Value '{shown}' {keys}; {_CAPACITY}"
    )
    wrong = {"RequestItems": {"b!d": [{"PutRequest": {"Item": {"k": {"S": "a"}}}}]}}
    assert _refusal("BatchWriteItem", wrong).endswith(keys)
    assert _refusal("BatchWriteItem", {**wrong, "ReturnConsumedCapacity": "X"}) == (
        f"{_COUNTED}{_CAPACITY}"
    )


def test_global_indexes_are_complained_of_first() -> None:
    index = {"KeySchema": KEYS, "Projection": {"ProjectionType": "ALL"}}
    given = {
        "TableName": "abc",
        "KeySchema": KEYS,
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "LocalSecondaryIndexes": [{**index, "IndexName": "aa"}],
        "GlobalSecondaryIndexes": [{**index, "IndexName": "zz"}],
    }
    message = _refusal("CreateTable", given)
    assert 0 < message.index("globalSecondary") < message.index("localSecondary")
