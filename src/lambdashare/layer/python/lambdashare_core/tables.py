"""AWS clients and DynamoDB items as plain Python values.

Clients are made once per worker, at first use. Numbers are ints: λShare stores no fractions.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Item = dict[str, Any]


@cache
def client(service: str, endpoint: str = "") -> Any:
    settings = Config(
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=3,
        read_timeout=60,
        max_pool_connections=16,
    )
    return boto3.client(service, endpoint_url=endpoint or None, config=settings)  # type: ignore[call-overload]


@cache
def signer() -> Any:
    """The S3 client that only signs URLs, for the name under which browsers reach S3."""
    endpoint = os.environ.get("S3_ENDPOINT", "")
    style = "path" if endpoint else "virtual"  # the bucket's region in the name: no redirects
    settings = Config(signature_version="s3v4", s3={"addressing_style": style})
    region = os.environ.get("AWS_REGION", "us-east-1")
    return boto3.client("s3", endpoint_url=endpoint or None, region_name=region, config=settings)


def typed(value: Any) -> dict[str, Any]:
    """A Python value as DynamoDB writes it."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [typed(each) for each in value]}
        case dict():
            return {"M": {name: typed(each) for name, each in value.items()}}
    raise TypeError(f"no DynamoDB type for {type(value).__name__}")


def plain(value: Mapping[str, Any]) -> Any:
    """What `typed` made, back again."""
    kind, content = next(iter(value.items()))
    match kind:
        case "N":
            return int(content)
        case "NULL":
            return None
        case "L":
            return [plain(each) for each in content]
        case "M":
            return item_of(content)
        case "B":
            return bytes(content)
    return content


def item_of(attributes: Mapping[str, Any]) -> Item:
    return {name: plain(value) for name, value in attributes.items()}


def attributes_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: typed(value) for name, value in item.items()}


def values(**named: Any) -> dict[str, Any]:
    """`values(n=1)` → `{":n": {"N": "1"}}`, for expressions."""
    return {f":{name}": typed(value) for name, value in named.items()}


def query(table: str, condition: str, names: Mapping[str, Any], **more: Any) -> Iterator[Item]:
    """Every item of a query, page by page; `#word` stands for the attribute `word`."""
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values(**names),
        **aliases(f"{condition} {more.get('FilterExpression', '')}"),
        **more,
    }
    while True:
        page = client("dynamodb").query(**arguments)
        yield from map(item_of, page["Items"])
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def get(table: str, consistent: bool = True, **key: Any) -> Item | None:
    answer = client("dynamodb").get_item(
        TableName=table, Key=attributes_of(key), ConsistentRead=consistent
    )
    return item_of(answer["Item"]) if "Item" in answer else None


def update(
    table: str, key: Mapping[str, Any], change: str, condition: str, named: Mapping[str, Any]
) -> Item | None:
    """One conditional update: the new item, or None if the condition does not hold."""
    try:
        answer = client("dynamodb").update_item(
            **updating(table, key, change, condition, named), ReturnValues="ALL_NEW"
        )
    except ClientError as error:
        if failed_condition(error):
            return None
        raise
    return item_of(answer["Attributes"])


def updating(
    table: str, key: Mapping[str, Any], change: str, condition: str, named: Mapping[str, Any]
) -> dict[str, Any]:
    """The request of an update; `#word` in its expressions stands for the attribute `word`."""
    request: dict[str, Any] = {
        "TableName": table,
        "Key": attributes_of(key),
        "UpdateExpression": change,
    }
    if condition:
        request["ConditionExpression"] = condition
    if named:
        request["ExpressionAttributeValues"] = values(**named)
    return request | aliases(f"{change} {condition}")


def aliases(expression: str) -> dict[str, Any]:
    """Many plain words are reserved in expressions: `#word` says that an attribute is meant."""
    words = set(re.findall(r"#(\w+)", expression))
    return {"ExpressionAttributeNames": {f"#{w}": w for w in words}} if words else {}


def failed_condition(error: ClientError) -> bool:
    """Whether a conditional write was refused by its condition (alone or in a transaction)."""
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return True
    reasons = error.response.get("CancellationReasons", [])
    return code == "TransactionCanceledException" and any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )


def contended(error: ClientError) -> bool:
    """Whether a transaction met another one on its way; it may be tried again."""
    code = error.response["Error"]["Code"]
    reasons = error.response.get("CancellationReasons", [])
    return code in ("TransactionConflictException", "TransactionInProgressException") or (
        code == "TransactionCanceledException"
        and any(reason.get("Code") == "TransactionConflict" for reason in reasons)
    )
