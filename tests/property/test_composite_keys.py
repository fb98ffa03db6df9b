"""Global indexes with keys of several attributes: queries are what filtering and sorting gives."""

import base64
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.dynamodb import items, search, tables
from cloudlet.dynamodb.schema import SCHEMA
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused, types

# Zeros and 255s are what the bytes of a key escape and end with.
_PART = st.binary(min_size=1, max_size=3).map(
    lambda raw: bytes(b"\x00\x01\x02\xff"[each % 4] for each in raw)
)
_OPERATORS = {
    "=": lambda value, low, high: value == low,
    "<": lambda value, low, high: value < low,
    "<=": lambda value, low, high: value <= low,
    ">": lambda value, low, high: value > low,
    ">=": lambda value, low, high: value >= low,
    "BETWEEN": lambda value, low, high: low <= value <= high,
    "begins_with": lambda value, low, high: value.startswith(low),
}
_SCHEMA = [
    {"AttributeName": name, "KeyType": "HASH" if name[0] == "h" else "RANGE"}
    for name in ("h1", "h2", "r1", "r2")
]


def _value(raw: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(raw).decode()}


def _made(bench: Bench) -> None:
    bench.call(
        tables.create_table,
        TableName="tab",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=types(id="N", h1="B", h2="B", r1="B", r2="B"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {"IndexName": "i", "KeySchema": _SCHEMA, "Projection": {"ProjectionType": "ALL"}}
        ],
    )


def _text(name: str, operator: str) -> str:
    if operator == "BETWEEN":
        return f"{name} BETWEEN :low AND :high"
    return f"begins_with({name}, :low)" if operator == "begins_with" else f"{name} {operator} :low"


def _query(bench: Bench, text: str, given: dict[str, bytes], **more: Any) -> Any:
    return bench.call(
        search.query,
        TableName="tab",
        IndexName="i",
        KeyConditionExpression=f"h1 = :h1 AND h2 = :h2{text}",
        ExpressionAttributeValues={name: _value(raw) for name, raw in given.items()},
        **more,
    )


@settings(max_examples=40, deadline=None)
@given(
    kept=st.lists(st.tuples(_PART, _PART, _PART, _PART), max_size=12),
    operator=st.sampled_from(sorted(_OPERATORS)),
    is_second=st.booleans(),
    bounds=st.tuples(_PART, _PART).map(sorted),
)
def test_queries_are_filtered_and_sorted(
    tmp_path_factory: Any, kept: Any, operator: str, is_second: bool, bounds: list[bytes]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("composite"), SCHEMA)
    try:
        _made(bench)
        for number, parts in enumerate(kept):
            item = dict(zip(("h1", "h2", "r1", "r2"), map(_value, parts), strict=True))
            bench.call(items.put_item, TableName="tab", Item={"id": {"N": str(number)}, **item})
        h1, h2, r1, _ = kept[0] if kept else (b"a", b"b", b"c", b"d")
        low, high = bounds
        asked = {":h1": h1, ":h2": h2, ":low": low}
        asked |= {":high": high} if operator == "BETWEEN" else {}
        text = f" AND {_text('r2' if is_second else 'r1', operator)}"
        if is_second:
            text, asked = f" AND r1 = :r1{text}", {**asked, ":r1": r1}
        holds = _OPERATORS[operator]
        expected = sorted(
            parts[2:]
            for parts in kept
            if parts[:2] == (h1, h2)
            and (
                parts[2] == r1 and holds(parts[3], low, high)
                if is_second
                else holds(parts[2], low, high)
            )
        )
        found: list[tuple[bytes, ...]] = []
        start: dict[str, Any] = {}
        while True:
            page = _query(bench, text, asked, Limit=5, **start)
            for item in page["Items"]:
                found.append(tuple(base64.b64decode(item[name]["B"]) for name in ("r1", "r2")))
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        assert found == expected
    finally:
        bench.close()


def test_what_a_condition_must_name(tmp_path: Any) -> None:
    bench = Bench(tmp_path, SCHEMA)
    try:
        _made(bench)
        given = {":h1": b"a", ":h2": b"b", ":low": b"c"}
        error = refused(_query, bench, " AND r2 = :low", given)
        assert error.message.startswith("RANGE key attributes r1 must have equality")
        asked = {"KeyConditionExpression": "h1 = :h1"}
        values = {":h1": _value(b"a")}
        error = refused(
            bench.call,
            search.query,
            TableName="tab",
            IndexName="i",
            ExpressionAttributeValues=values,
            **asked,
        )
        assert "all HASH key attributes with equality" in error.message
    finally:
        bench.close()
