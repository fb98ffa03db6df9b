"""Queries are filtering and sorting, scans and their segments are everything, whatever the pages;
a condition means what its parts mean."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.dynamodb import batches, expressions, search, tables, values
from cloudlet.dynamodb.schema import SCHEMA
from tests.harness import Bench
from tests.unit.dynamodb.conftest import TABLE

_WORDS = ("a", "ab", "b", "\u00e9", "\U0001f600")
_word = st.sampled_from(_WORDS)
_number = st.sampled_from(["-1e20", "-1.5", "0", "0.01", "2", "10", "1e30"])
_rows = st.dictionaries(
    st.tuples(_word, _number),
    st.fixed_dictionaries({}, optional={"g": _word, "h": _word}),
    max_size=12,
)


@contextmanager
def filled(rows: dict[tuple[str, str], dict[str, str]]) -> Iterator[tuple[Bench, list[Any]]]:
    items = [
        {"pk": {"S": pk}, "sk": {"N": sk}, **{name: {"S": word} for name, word in more.items()}}
        for (pk, sk), more in rows.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), SCHEMA)
        bench.call(tables.create_table, **TABLE)
        if items:
            puts = [{"PutRequest": {"Item": item}} for item in items]
            bench.call(batches.batch_write_item, RequestItems={"tab": puts})
        yield bench, [values.canonical_item(item)[0] for item in items]
        bench.close()


def pages(bench: Bench, operation: Any, limit: int, **params: Any) -> list[Any]:
    found: list[Any] = []
    start = None
    while True:
        page = bench.call(
            operation, TableName="tab", Limit=limit, ExclusiveStartKey=start, **params
        )
        assert page["ScannedCount"] <= limit and page["Count"] == len(page["Items"])
        found += page["Items"]
        start = page.get("LastEvaluatedKey")
        if start is None:
            return found


def place(item: Any) -> tuple[str, Decimal]:
    return item["pk"]["S"], Decimal(item["sk"]["N"])


@settings(max_examples=25, deadline=None)
@given(_rows, st.integers(1, 5), st.integers(1, 9))
def test_segments_cover_everything_once(rows: Any, limit: int, total: int) -> None:
    with filled(rows) as (bench, items):
        for index, wanted in (
            ({}, items),
            ({"IndexName": "by_g"}, [item for item in items if "g" in item]),
        ):
            segments = [
                pages(bench, search.scan, limit, TotalSegments=total, Segment=number, **index)
                for number in range(total)
            ]
            found = [item for segment in segments for item in segment]
            assert sorted(found, key=place) == sorted(wanted, key=place)
            assert pages(bench, search.scan, limit, **index) == found


_Test = Callable[[Any, Any], bool]
_TESTS: dict[str, _Test] = {
    "{} = :v": lambda mine, given_: mine == given_,
    "{} < :v": lambda mine, given_: mine < given_,
    "{} <= :v": lambda mine, given_: mine <= given_,
    "{} > :v": lambda mine, given_: mine > given_,
    "{} >= :v": lambda mine, given_: mine >= given_,
    "{} BETWEEN :v AND :v": lambda mine, given_: mine == given_,
}
_KINDS = st.sampled_from(["table", "by_h", "by_g"])


@settings(max_examples=50, deadline=None)
@given(_rows, _KINDS, st.sampled_from(sorted(_TESTS)), st.booleans(), st.integers(1, 4), st.data())
def test_a_query_filters_and_sorts(
    rows: Any, kind: str, text: str, is_forward: bool, limit: int, data: st.DataObject
) -> None:
    hash_key, sort_key = {"table": ("pk", "sk"), "by_h": ("pk", "h"), "by_g": ("g", "")}[kind]
    leading, word = data.draw(_word), data.draw(_word)
    number = data.draw(_number)
    given_values: dict[str, Any] = {":p": {"S": leading}}
    condition = f"{hash_key} = :p"
    if sort_key:
        condition += " AND " + text.format(sort_key)
        given_values[":v"] = {"N": number} if sort_key == "sk" else {"S": word}
    more = {} if kind == "table" else {"IndexName": kind}
    with filled(rows) as (bench, items):
        found = pages(
            bench,
            search.query,
            limit,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=given_values,
            ScanIndexForward=is_forward,
            **more,
        )

    def sort_value(item: Any) -> Any:
        return Decimal(item["sk"]["N"]) if sort_key == "sk" else item["h"]["S"].encode()

    wanted = [item for item in items if item.get(hash_key) == {"S": leading}]
    if sort_key:
        edge = Decimal(number) if sort_key == "sk" else word.encode()
        wanted = [
            item for item in wanted if sort_key in item and _TESTS[text](sort_value(item), edge)
        ]
        order = [sort_value(item) for item in found]
        assert order == sorted(order, reverse=not is_forward)
    assert sorted(map(place, found)) == sorted(map(place, wanted))


_LEAVES: dict[str, Callable[[Any], bool]] = {
    "a = :one": lambda item: item.get("a") == {"N": "1"},
    "a <> :one": lambda item: item.get("a") != {"N": "1"},
    "attribute_exists(b)": lambda item: "b" in item,
    "attribute_not_exists(a)": lambda item: "a" not in item,
    "b IN (:x, :one)": lambda item: item.get("b") in ({"S": "x"}, {"N": "1"}),
    "begins_with(b, :x)": lambda item: item.get("b", {}).get("S", "").startswith("x"),
    "size(b) > :one": lambda item: len(item.get("b", {}).get("S", "")) > 1,
}
_Tree = tuple[str, Callable[[Any], bool]]


def _both(left: _Tree, right: _Tree) -> _Tree:
    return f"({left[0]}) AND ({right[0]})", lambda item: left[1](item) and right[1](item)


def _either(left: _Tree, right: _Tree) -> _Tree:
    return f"({left[0]}) OR ({right[0]})", lambda item: left[1](item) or right[1](item)


def _not(tree: _Tree) -> _Tree:
    return f"NOT ({tree[0]})", lambda item: not tree[1](item)


_trees = st.recursive(
    st.sampled_from(sorted(_LEAVES)).map(lambda text: (text, _LEAVES[text])),
    lambda inner: st.one_of(
        st.builds(_both, inner, inner), st.builds(_either, inner, inner), st.builds(_not, inner)
    ),
    max_leaves=8,
)
_item = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from([{"N": "1"}, {"N": "2"}, {"S": "1"}]),
        "b": st.sampled_from([{"S": "x"}, {"S": "xy"}, {"S": "y"}]),
    },
)


@given(_trees, _item)
def test_a_condition_means_what_its_parts_mean(tree: _Tree, item: Any) -> None:
    text, holds = tree
    known = {":one": {"N": "1"}, ":x": {"S": "x"}}
    bound = {name: value for name, value in known.items() if name in text}
    params = {"ConditionExpression": text}
    if bound:
        params["ExpressionAttributeValues"] = bound
    assert expressions.of(params, "ConditionExpression").holds(
        "ConditionExpression", item
    ) == holds(item)
