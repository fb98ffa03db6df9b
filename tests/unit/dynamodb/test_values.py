"""Attribute values: canonical spelling, sizes, refusals."""

from typing import Any

import pytest

from cloudlet.dynamodb import numerics, values
from cloudlet.dynamodb.numerics import Malformed
from cloudlet.errors import AwsError
from tests.unit.dynamodb.conftest import refused


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", "1"),
        ("+1.50", "1.5"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("0.000", "0"),
        ("00012", "12"),
        (".5", "0.5"),
        ("-1E-3", "-0.001"),
        ("1e125", "1" + "0" * 125),
        ("9" * 38, "9" * 38),
    ],
)
def test_numbers_have_one_spelling(given: str, expected: str) -> None:
    assert numerics.canonical(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than"),
        ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller than"),
        ("1" * 39, "Attempting to store more than 38 significant digits in a Number"),
    ],
)
def test_numbers_are_refused(given: str, message: str) -> None:
    assert refused(numerics.canonical, given).message.startswith(message)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "é"}, 2),
        ({"N": "0"}, 1),
        ({"N": "100"}, 2),
        ({"N": "-12345"}, 5),
        ({"N": "0.5"}, 2),
        ({"B": "AAEC"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["ab", "c"]}, 3),
        ({"L": [{"S": "ab"}]}, 6),
        ({"M": {"k": {"S": "ab"}}}, 7),
    ],
)
def test_sizes(value: dict[str, Any], size: int) -> None:
    assert values.canonical(value)[1] == size


@pytest.mark.parametrize(
    ("number", "size"),
    [("3.14159", 5), ("123456", 4), ("100.001", 5), ("0.0000001", 2), ("1e125", 2), ("-1.5", 4)],
)
def test_digits_are_measured_on_either_side_of_the_point(number: str, size: int) -> None:
    """dynamodb-071"""
    assert values.canonical({"N": number})[1] == size


@pytest.mark.parametrize(
    ("number", "old", "now"),
    [
        ("", "The parameter cannot be converted", "The parameter cannot be converted"),
        ("1e2147483647", "Number underflow.", "Number overflow."),
        ("1e99999999999", "The parameter cannot be converted", "Number overflow."),
        ("1e-99999999999", "The parameter cannot be converted", "Number underflow."),
        ("1e9223372036854775808", "The parameter cannot", "The parameter cannot be converted"),
        ("0e126", "Number overflow.", "Number overflow."),
        ("0e-131", "Number underflow.", "Number underflow."),
    ],
)
def test_exponents(number: str, old: str, now: str) -> None:
    """dynamodb-069, dynamodb-070"""
    error = refused(values.canonical, {"N": number})
    assert isinstance(error, Malformed)
    assert error.message.startswith(old) and error.now.startswith(now)
    assert values.canonical({"N": "0e125"})[0] == {"N": "0"}


@pytest.mark.parametrize(
    ("value", "old", "now"),
    [
        ({"SS": ["b", "a", "b"]}, "[b, a, b] c", '["a", "b", "b"] c'),
        ({"BS": ["/w==", "AA==", "AA=="]}, "[/w==, AA==, AA==]of", '["AA==","/w==","AA=="]of'),
        ({"NS": ["2", "1", "2"]}, "collection contains duplicates", "collection contains dup"),
    ],
)
def test_repeated_members(value: dict[str, Any], old: str, now: str) -> None:
    """dynamodb-069: the newer checks show them in order up to the first repeat."""
    error = refused(values.canonical, value)
    assert isinstance(error, Malformed) and old in error.message and now in error.now


def test_sets_are_sorted_by_value() -> None:
    assert values.canonical({"NS": ["10", "9", "-1.0"]})[0] == {"NS": ["-1", "9", "10"]}
    assert values.canonical({"SS": ["b", "a"]})[0] == {"SS": ["a", "b"]}
    assert values.canonical({"BS": ["Ag==", "AQ=="]})[0] == {"BS": ["AQ==", "Ag=="]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one"),
        ({"X": "1"}, "Supplied AttributeValue is empty, must contain exactly one"),
        ({"S": "a", "N": "1"}, "Supplied AttributeValue has more than one datatypes set"),
        ({"NULL": False}, "One or more parameter values were invalid: Null attribute value"),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        (
            {"SS": ["a", "a"]},
            "One or more parameter values were invalid: Input collection [a, a] contains dup",
        ),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        ({"N": "x"}, "The parameter cannot be converted to a numeric value: x"),
    ],
)
def test_malformed_values(value: dict[str, Any], message: str) -> None:
    assert refused(values.canonical, value).message.startswith(message)


def test_nesting_ends_at_32_levels() -> None:
    """dynamodb-072"""
    value: dict[str, Any] = {"S": "deep"}
    for _ in range(31):
        value = {"L": [value]}
    values.canonical(value)
    assert "Nesting Levels" in refused(values.canonical, {"M": {"a": value}}).message


def test_wrong_json_types_are_serialization_errors() -> None:
    for value in ({"S": 1}, {"N": 1}, {"B": "?"}, {"BOOL": "x"}, {"L": {}}, {"M": []}, {"SS": "a"}):
        with pytest.raises(AwsError) as caught:
            values.canonical(value)
        assert caught.value.code == "SerializationException"
