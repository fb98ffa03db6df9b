"""DynamoDB against a plain model in memory: numbers, operations, queries, indexes, streams."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.dynamodb import expressions, items, numerics, search, sweep, tables, values
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.dynamodb.source import Source
from cloudlet.errors import AwsError
from tests.harness import Bench
from tests.unit.dynamodb.conftest import TABLE

numbers = st.builds(
    lambda digits, exponent, sign: f"{sign}{digits}e{exponent}",
    st.integers(0, 10**38 - 1),
    st.integers(-120, 80),
    st.sampled_from(["", "-", "+"]),
)
small = st.integers(-3, 3).map(lambda number: {"N": str(number)})
words = st.sampled_from(["a", "b", "ab", "c"]).map(lambda word: {"S": word})
scalars = st.one_of(
    numbers.map(lambda number: {"N": number}),
    st.text(max_size=5, alphabet=st.characters(exclude_categories=["Cs"])).map(lambda s: {"S": s}),
    st.binary(max_size=4).map(lambda raw: {"B": values.b64encode(raw).decode()}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from(["x", "y"]), inner).map(lambda members: {"M": members}),
    ),
    max_leaves=6,
)


@given(numbers, numbers)
def test_bytes_of_numbers_have_their_order(left: str, right: str) -> None:
    one, other = Decimal(left), Decimal(right)
    first, second = numerics.encode(left), numerics.encode(right)
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert (numerics.canonical(left) == numerics.canonical(right)) == (one == other)


@given(numbers)
def test_canonical_numbers_keep_their_value(number: str) -> None:
    spelled = numerics.canonical(number)
    assert Decimal(spelled) == Decimal(number)
    assert numerics.canonical(spelled) == spelled
    assert "e" not in spelled.lower()


@given(st.integers(-(10**37), 10**37), st.integers(-(10**37), 10**37))
def test_sums_are_exact(left: int, right: int) -> None:
    assert numerics.add(str(left), str(right)) == str(left + right)
    assert numerics.subtract(str(left), str(right)) == str(left - right)


@given(anything)
def test_canonical_values_stay_as_they_are(value: dict[str, Any]) -> None:
    spelled, size = values.canonical(value)
    assert values.canonical(spelled) == (spelled, size)
    assert size >= 0


@given(anything, anything)
def test_what_is_set_is_equal_afterwards(old: dict[str, Any], new: dict[str, Any]) -> None:
    params = {
        "UpdateExpression": "SET v = :new, w.x[0] = v",
        "ConditionExpression": "v = :old",
        "ExpressionAttributeValues": {":new": new, ":old": old},
    }
    found = expressions.of(params, "UpdateExpression", "ConditionExpression")
    item = {"v": values.canonical(old)[0], "w": {"M": {"x": {"L": [{"N": "1"}]}}}}
    assert found.holds("ConditionExpression", item)
    from cloudlet.dynamodb import updates

    changed = updates.apply(found.actions, found.bindings, item)
    assert changed["v"] == values.canonical(new)[0]
    assert changed["w"]["M"]["x"]["L"] == [item["v"]]


text_alphabet = st.sampled_from("abn:#()=<>[],.+- \n0'ANDORSETé")


@given(st.text(text_alphabet, max_size=30), st.sampled_from(["Condition", "Update", "Projection"]))
def test_any_text_is_parsed_or_refused(text: str, kind: str) -> None:
    try:
        expressions.compiled(f"{kind}Expression", text)
    except AwsError as error:
        assert error.code == "ValidationException"
        assert error.message.startswith(f"Invalid {kind}Expression: ")


@contextmanager
def table() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), SCHEMA)
        bench.call(tables.create_table, **TABLE)
        yield bench
        bench.close()


attributes = st.fixed_dictionaries({}, optional={"g": words, "h": words, "v": anything})
operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "update", "unset", "guarded"]), words, small, attributes
    ),
    max_size=25,
)
Model = dict[tuple[str, Decimal], dict[str, Any]]


def perform(bench: Bench, model: Model, step: tuple[Any, ...]) -> None:
    kind, pk, sk, more = step
    place = (pk["S"], Decimal(sk["N"]))
    key = {"pk": pk, "sk": sk}
    if kind == "put":
        bench.call(items.put_item, TableName="tab", Item={**key, **more})
        model[place] = values.canonical_item({**key, **more})[0]
    elif kind == "delete":
        bench.call(items.delete_item, TableName="tab", Key=key)
        model.pop(place, None)
    elif kind == "guarded":
        guard = {"ConditionExpression": "attribute_not_exists(pk)"}
        try:
            bench.call(items.put_item, TableName="tab", Item={**key, **more}, **guard)
            assert place not in model
            model[place] = values.canonical_item({**key, **more})[0]
        except AwsError as error:
            assert error.code == "ConditionalCheckFailedException" and place in model
    else:
        text = "SET g = :g" if kind == "update" else "REMOVE g"
        given_values = {":g": {"S": "u"}} if kind == "update" else None
        bench.call(
            items.update_item,
            TableName="tab",
            Key=key,
            UpdateExpression=text,
            ExpressionAttributeValues=given_values,
        )
        if kind == "unset" and place not in model:
            return  # dynamodb-031
        item = dict(model.get(place, key))
        item.pop("g", None)
        model[place] = {**item, "g": {"S": "u"}} if kind == "update" else item


def all_pages(bench: Bench, operation: Any, **params: Any) -> list[dict[str, Any]]:
    found = []
    start = None
    while True:
        page = bench.call(operation, TableName="tab", ExclusiveStartKey=start, Limit=2, **params)
        found += page["Items"]
        start = page.get("LastEvaluatedKey")
        if start is None:
            return found


def by_key(found: list[dict[str, Any]]) -> Model:
    placed = {(item["pk"]["S"], Decimal(item["sk"]["N"])): item for item in found}
    assert len(placed) == len(found)
    return placed


@settings(max_examples=40, deadline=None)
@given(operations)
def test_operations_agree_with_a_model(steps: list[tuple[Any, ...]]) -> None:
    with table() as bench:
        model: Model = {}
        for step in steps:
            perform(bench, model, step)
            bench.clock.advance(3000)
            bench.database.write_now(lambda tx: sweep.trim(tx, bench.clock.now_ms))
        assert by_key(all_pages(bench, search.scan)) == model
        segments = [
            all_pages(bench, search.scan, TotalSegments=3, Segment=segment) for segment in range(3)
        ]
        assert by_key([item for segment in segments for item in segment]) == model
        _check_indexes(bench, model)
        _check_counts(bench, model)
        _check_stream(bench, model)


def _check_indexes(bench: Bench, model: Model) -> None:
    with_g = {place: item for place, item in model.items() if "g" in item}
    assert by_key(all_pages(bench, search.scan, IndexName="by_g")) == with_g
    for word in ("a", "b", "ab", "c"):
        found = all_pages(
            bench,
            search.query,
            IndexName="by_h",
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": word}},
        )
        expected = [item for item in model.values() if item["pk"]["S"] == word and "h" in item]
        assert [item["h"]["S"] for item in found] == sorted(item["h"]["S"] for item in expected)
        for item in found:
            assert set(item) == {"pk", "sk", "h"}


def _check_counts(bench: Bench, model: Model) -> None:
    shown = bench.call(tables.describe_table, TableName="tab")["Table"]
    assert shown["ItemCount"] == len(model)
    assert shown["TableSizeBytes"] == sum(values.canonical_item(i)[1] for i in model.values())
    by_g = shown["GlobalSecondaryIndexes"][0]
    assert by_g["ItemCount"] == sum("g" in item for item in model.values())
    by_h = shown["LocalSecondaryIndexes"][0]
    assert by_h["ItemCount"] == sum("h" in item for item in model.values())


def _check_stream(bench: Bench, model: Model) -> None:
    """Replaying the stream gives the table."""
    view = bench.database.view()
    arn = bench.call(tables.describe_table, TableName="tab")["Table"]["LatestStreamArn"]
    replayed: dict[str, Any] = {}
    found = Source().shards(view, arn)
    assert [shard.closed for shard in found] == [True] * (len(found) - 1) + [False]
    for shard in found:  # parents first
        records = Source().read(view, arn, shard.id, "", 1000)
        for record in records:
            change = record.document["dynamodb"]
            place = str(change["Keys"])
            assert replayed.get(place) == change.get("OldImage")
            assert change.get("OldImage") != change.get("NewImage")
            replayed[place] = change.get("NewImage")
        last = records[-1].sequence_number if records else ""
        assert Source().latest(view, arn, shard.id) == last
    left = [item for item in replayed.values() if item is not None]
    assert by_key(left) == model


@settings(max_examples=30, deadline=None)
@given(
    st.lists(numbers, unique_by=Decimal, min_size=1, max_size=15),
    st.sampled_from(["=", "<", "<=", ">", ">=", "BETWEEN"]),
    st.booleans(),
    st.data(),
)
def test_query_is_filter_and_sort(
    sort_keys: list[str], operator: str, is_forward: bool, data: st.DataObject
) -> None:
    pivot = data.draw(st.sampled_from(sort_keys))
    with table() as bench:
        for number in sort_keys:
            bench.call(
                items.put_item, TableName="tab", Item={"pk": {"S": "p"}, "sk": {"N": number}}
            )
        text = f"pk = :p AND sk {operator} :v"
        given_values = {":p": {"S": "p"}, ":v": {"N": pivot}}
        if operator == "BETWEEN":
            text += " AND :w"
            given_values[":w"] = {"N": numerics.canonical(str(max(Decimal(pivot), Decimal(0))))}
        found = all_pages(
            bench,
            search.query,
            KeyConditionExpression=text,
            ExpressionAttributeValues=given_values,
            ScanIndexForward=is_forward,
        )
    low = Decimal(pivot)
    keeps = {
        "=": lambda n: n == low,
        "<": lambda n: n < low,
        "<=": lambda n: n <= low,
        ">": lambda n: n > low,
        ">=": lambda n: n >= low,
        "BETWEEN": lambda n: low <= n <= max(low, Decimal(0)),
    }[operator]
    expected = sorted((n for n in map(Decimal, sort_keys) if keeps(n)), reverse=not is_forward)
    assert [Decimal(item["sk"]["N"]) for item in found] == expected
