"""A cloud with two tables: `t` (pk S, sk N, an index of each kind, a stream) and `plain` (id S)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.dynamodb import tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.errors import AwsError
from tests.harness import Bench


def keys(hash_key: str, range_key: str | None = None) -> list[dict[str, str]]:
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    if range_key:
        schema.append({"AttributeName": range_key, "KeyType": "RANGE"})
    return schema


def types(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


TABLE: dict[str, Any] = {
    "TableName": "tab",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": types(pk="S", sk="N", g="S", h="S"),
    "KeySchema": keys("pk", "sk"),
    "GlobalSecondaryIndexes": [
        {"IndexName": "by_g", "KeySchema": keys("g"), "Projection": {"ProjectionType": "ALL"}}
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_h",
            "KeySchema": keys("pk", "h"),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
PLAIN: dict[str, Any] = {
    "TableName": "plain",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": types(id="S"),
    "KeySchema": keys("id"),
}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    bench.call(tables.create_table, **TABLE)
    bench.call(tables.create_table, **PLAIN)
    yield bench
    bench.close()


def refused(run: Callable[..., Any], *arguments: Any, **params: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        run(*arguments, **params)
    return caught.value
