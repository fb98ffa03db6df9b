"""What is short and costs much: patterns, numbers and texts that must be answered at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.dynamodb import items, partiql, tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.errors import AwsError
from cloudlet.events.patterns import InvalidPattern, compile_pattern
from cloudlet.messaging.eventbridge import expressions, inputs
from cloudlet.messaging.sqs import messages
from cloudlet.monitoring import filter_conditions, filter_patterns
from cloudlet.policy import patterns
from cloudlet.sns import filters, publishing
from cloudlet.wire import models
from cloudlet.wire.json_codec import Parser
from cloudlet.wire.validate import Validator
from tests.harness import Bench
from tests.unit.dynamodb import statements

QUICK_S = 20.0  # of computing: each took minutes, or all of the memory


def either(count: int, name: str) -> str:
    return '{"$or": [' + ",".join(f'{{"{name}": [1]}}' for _ in range(count)) + "]}"


def nested(depth: int) -> str:
    text = '{"a": [1]}'
    for _ in range(depth):
        text = f'{{"$or": [{text}, {{"b": [1]}}]}}'
    return text


FIELDS = ",".join(f'"f{number}": [1]' for number in range(15_000))


@pytest.mark.parametrize(
    "pattern",
    [
        f'{either(900, "a")[:-1]}, "x": {either(10_000, "b")}}}',
        f"{either(900, 'a')[:-1]}, {FIELDS}}}",
        f"{{{FIELDS}, {either(900, 'a')[1:]}",
        nested(400),
    ],
)
def test_patterns_that_are_too_much_are_refused_at_once(pattern: str) -> None:
    began_s = time.process_time()
    with pytest.raises(InvalidPattern, match=r"too complex|too deeply"):
        compile_pattern(pattern)
    assert time.process_time() - began_s < QUICK_S


def test_alternatives_do_not_share_their_fields() -> None:
    matches = compile_pattern('{"$or": [{"a": [1], "b": [2]}, {"c": [3]}], "d": [4]}')
    assert matches({"c": 3, "d": 4})
    assert not matches({"a": 1, "d": 4})


def test_arrays_may_be_nested_however_deep() -> None:
    text = '{"a": ' + "[" * 1000 + "1" + "]" * 1000 + "}"
    assert filters.passes('{"a": [1]}', filters.BODY, text, {})
    deep = '{"a": ' + "[" * 1000 + '{"b": 1}' + "]" * 1000 + "}"
    assert not filters.passes('{"a.c": [1]}', filters.BODY, deep, {})


@pytest.mark.parametrize("number", [publishing._NUMBER, messages._NUMBER])
def test_numbers_take_no_time(number: Any) -> None:
    began_s = time.process_time()
    assert not number.fullmatch("1" * 250_000 + "x")
    assert all(number.fullmatch(text) for text in ("1", "-1.", "+.5", "1.5e-7"))
    assert time.process_time() - began_s < QUICK_S


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    bench.call(tables.create_table, **statements.PLACE)
    yield bench
    bench.close()


_IN = "IN (" + ",".join("?" * 31) + ")"
_SETS = ", ".join(f"a{number:x} = 1" for number in range(950))


@pytest.mark.parametrize(
    "text",
    [
        f'SELECT * FROM "my-tab" WHERE pk {_IN} AND sk {_IN}' + " AND pk = 1" * 700,
        f'SELECT * FROM "my-tab" WHERE pk {_IN} AND sk {_IN}' + " AND a = 1" * 700,
        'SELECT * FROM "my-tab" WHERE ' + " OR ".join(["pk = ?"] * 800),
    ],
)
def test_statements_with_too_many_reads_are_refused_at_once(db: Bench, text: str) -> None:
    began_s = time.process_time()
    error = statements.refusal(db, text, *[{"S": "x"}] * text.count("?"))
    assert "Too many decomposed read operations" in error.message
    assert time.process_time() - began_s < QUICK_S


def test_updates_of_many_attributes_take_no_time(db: Bench) -> None:
    for number in range(25):
        statements.put(db, "a", str(number))
    began_s = time.process_time()
    key = {"pk": {"S": "a"}, "sk": {"S": "1"}}
    text = f"UPDATE \"my-tab\" SET {_SETS} WHERE pk = 'a' AND sk = "
    batch = [{"Statement": f"{text}'{number}'"} for number in range(25)]
    assert len(db.call(partiql.batch_execute_statement, Statements=batch)) == 1
    assert len(statements.got(db, "a")) == 952
    wanted = [f"a{number:x}" for number in range(200_000)]
    answer = db.call(items.get_item, TableName="my-tab", Key=key, AttributesToGet=wanted)
    assert len(answer["Item"]) == 950
    with pytest.raises(AwsError, match="Duplicate value in attribute name: a1"):
        db.call(items.get_item, TableName="my-tab", Key=key, AttributesToGet=[*wanted, "a1"])
    assert time.process_time() - began_s < 4 * QUICK_S


@pytest.mark.parametrize("digits", [10, 5000])
def test_list_indexes_of_many_digits(db: Bench, digits: int) -> None:
    error = statements.refusal(db, f'SELECT a[{"9" * digits}] FROM "my-tab"')
    assert "not within the allowable range" in error.message


@pytest.mark.parametrize(
    "paths",
    ["a, b, a", "a, a.b", "a.b, a", "a[0], a.b", "a.b, a[0].c", "a.b.c, a.b[1]", "a[1], a[1]"],
)
def test_paths_that_get_in_each_others_way(db: Bench, paths: str) -> None:
    first, second = paths.split(", ")[0], paths.split(", ")[-1]
    with pytest.raises(AwsError, match="Two document paths") as error:
        db.call(
            items.get_item, TableName="my-tab", Key={"pk": {"S": "a"}, "sk": {"S": "1"}},
            ProjectionExpression=paths,
        )  # fmt: skip
    told = [part.replace("[", ", [") for part in (first, second)]
    assert all(f"[{each.replace('.', ', ')}]" in error.value.message for each in told)


def test_variables_that_never_end_take_no_time() -> None:
    began_s = time.process_time()
    text = "${" * 60_000
    assert patterns.substitute(text, {}) == text
    assert patterns.substitute("${a}${" + text, {"a": "b*"}) == "b\ue000${" + text
    assert time.process_time() - began_s < QUICK_S


def test_columns_of_logs_take_no_time() -> None:
    began_s = time.process_time()
    wants = filter_patterns.compile_pattern("[first, ..., last]")
    for line in ("[ " * 200_000, "[a] " + '"\\' * 100_000, '" ' * 200_000, "] [" * 100_000):
        assert wants(line) is not None
    found = filter_patterns.compile_pattern("[a, b, c, d, e]")('[x y] "u v" a]b [c d')
    assert found is not None
    assert found.values("$a") == ["x y"] and found.values("$d") == ["[c"]
    assert time.process_time() - began_s < QUICK_S


def test_quotes_of_templates_take_no_time() -> None:
    began_s = time.process_time()
    assert inputs._quoted_ranges('"\\' * 200_000) == []
    assert inputs._quoted_ranges('"\\' * 200_001 + "\\") == []
    assert inputs._quoted_ranges('a "b\\"c" d "e') == [(2, 8)]
    assert filter_conditions._NUMBER.fullmatch("1" * 400_000 + "x") is None
    assert time.process_time() - began_s < QUICK_S


def validated(service: str, operation: str, params: dict[str, Any]) -> None:
    shape = models.load(service).operation(operation).input_shape
    assert shape is not None
    Validator().check(shape, Parser().of(shape)(params))


@pytest.mark.parametrize("text", [" " * 100 + "\x00", "\x00", "\t"])
def test_headers_that_miss_their_pattern_are_refused_at_once(text: str) -> None:
    target = {"Id": "1", "Arn": "arn:x", "HttpParameters": {"HeaderParameters": {"x": text}}}
    with pytest.raises(AwsError, match="regular expression"):
        validated("events", "PutTargets", {"Rule": "r", "Targets": [target]})
    target["HttpParameters"] = {"HeaderParameters": {"x": "\t a \t b "}}
    validated("events", "PutTargets", {"Rule": "r", "Targets": [target]})


@pytest.mark.parametrize("number", [2**63, 1e30, -(2**63) - 1])
def test_numbers_have_64_bits(number: float) -> None:
    with pytest.raises(AwsError, match="can not be converted"):
        validated("sqs", "ListQueues", {"MaxResults": number})


def test_templates_do_not_grow_beyond_bounds() -> None:
    transformer = {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": '"<a>' * 2000}
    event = {"detail": {"a": "x" * 900_000}}
    with pytest.raises(AwsError, match="too large"):
        inputs.render({"InputTransformer": transformer}, event, "arn:rule", 0)


def test_rates_have_an_end() -> None:
    with pytest.raises(expressions.InvalidExpression):
        expressions.check("rate(99999999999999999999 days)")
