"""What is short and costs much: patterns, numbers and texts that must be answered at once."""

import time
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.events.patterns import InvalidPattern, compile_pattern
from cloudlet.messaging import expressions, inputs, messages
from cloudlet.sns import filters, publishing
from cloudlet.wire import models
from cloudlet.wire.json_codec import Parser
from cloudlet.wire.validate import Validator

QUICK_S = 5.0  # each took minutes, or all of the memory


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
    began_s = time.monotonic()
    with pytest.raises(InvalidPattern, match=r"too complex|too deeply"):
        compile_pattern(pattern)
    assert time.monotonic() - began_s < QUICK_S


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
    began_s = time.monotonic()
    assert not number.fullmatch("1" * 250_000 + "x")
    assert all(number.fullmatch(text) for text in ("1", "-1.", "+.5", "1.5e-7"))
    assert time.monotonic() - began_s < QUICK_S


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
