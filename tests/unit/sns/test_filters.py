"""Filter policies: what they may be, and what they let through."""

import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.sns import filters


def attributes(**given: tuple[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"Type": kind, "Value": value} for name, (kind, value) in given.items()}


MESSAGE = attributes(
    store=("String", "example_corp"),
    price=("Number", "100.50"),
    interests=("String.Array", '["soccer", "rugby", null, 7, true]'),
    picture=("Binary", "aGFsbG8="),
    ip=("String", "10.0.0.7"),
)


@pytest.mark.parametrize(
    ("policy", "passes"),
    [
        ({}, True),
        ({"store": ["example_corp"]}, True),
        ({"store": ["other", {"prefix": "example"}]}, True),
        ({"store": [{"suffix": "corp"}]}, True),
        ({"store": [{"anything-but": "example_corp"}]}, False),
        ({"store": [{"anything-but": {"prefix": "order"}}]}, True),
        ({"store": [{"equals-ignore-case": "EXAMPLE_corp"}]}, True),
        ({"store": [{"wildcard": "ex*corp"}]}, True),
        ({"store": [{"exists": True}], "price": [{"numeric": [">", 100, "<=", 101]}]}, True),
        ({"price": [100.5]}, True),
        ({"price": ["100.50"]}, False),
        ({"price": [{"anything-but": [100.5]}]}, False),
        ({"interests": ["rugby"]}, True),
        ({"interests": [7]}, True),
        ({"interests": [True]}, True),
        ({"interests": [None]}, True),
        ({"interests": ["tennis"]}, False),
        ({"interests": [{"anything-but": ["rugby"]}]}, True),
        ({"picture": [{"exists": True}]}, False),
        ({"colour": [{"exists": False}]}, True),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"$or": [{"store": ["x"]}, {"price": [{"numeric": ["<", 200]}]}]}, True),
        ({"store": ["example_corp"], "$or": [{"a": ["b"]}, {"price": [1]}]}, False),
    ],
)
def test_policies_on_attributes(policy: dict[str, Any], passes: bool) -> None:
    text = json.dumps(policy)
    filters.check(text, filters.ATTRIBUTES)
    assert filters.passes(text, filters.ATTRIBUTES, "", MESSAGE) == passes


@pytest.mark.parametrize(
    ("policy", "passes"),
    [
        ({"store": ["example_corp"]}, False),
        ({"order": {"price": [{"numeric": [">=", 100]}]}}, True),
        ({"order": {"items": {"name": ["pen"]}}}, True),
        ({"order": {"items": {"name": ["ink"]}}}, False),
        ({"order": {"note": [None]}}, True),
        ({"order": {"note": [{"exists": False}]}}, False),
    ],
)
def test_policies_on_bodies(policy: dict[str, Any], passes: bool) -> None:
    items = [{"name": "pen"}, {"name": "paper"}]
    body = json.dumps({"order": {"price": 100, "items": items, "note": None}})
    text = json.dumps(policy)
    filters.check(text, filters.BODY)
    assert filters.passes(text, filters.BODY, body, MESSAGE) == passes


def test_names_with_dots_are_paths_of_bodies() -> None:
    """sns-004: AWS lets "object.nested" match either way to write it."""
    policy = json.dumps({"object.nested": ["x"], "$or": [{"a.b": [1]}, {"a.c": [1]}]})
    for body, passes in (
        ({"object": {"nested": "x"}, "a": {"c": 1}}, True),
        ({"object.nested": "x", "a.b": 1}, True),
        ({"object": {"nested": "y"}, "a": {"c": 1}}, False),
        ({"object": {"nested": "x"}}, False),
    ):
        assert filters.passes(policy, filters.BODY, json.dumps(body), {}) == passes
    attribute = attributes(**{"a.b": ("String", "x")})
    assert filters.passes('{"a.b": ["x"]}', filters.ATTRIBUTES, "", attribute)


@pytest.mark.parametrize("body", ["no JSON", "[1]", '"text"'])
def test_a_body_that_is_no_object_matches_nothing(body: str) -> None:
    assert not filters.passes('{"a": [{"exists": false}]}', filters.BODY, body, {})


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ([], "must be an object"),
        ({"a": "b"}, "must be an object or an array"),
        ({"a": []}, "Empty arrays"),
        ({"a": [{"begins": "x"}]}, "Unrecognized match type begins"),
        ({"a": [{"numeric": [">"]}]}, "numeric"),
        ({"a": [{"numeric": [">", 1e10]}]}, "between"),
        ({"a": [{"anything-but": {"suffix": "x"}}]}, "Unsupported anything-but pattern: suffix"),
        ({name: ["x"] for name in "abcdef"}, "more than 5 keys"),
        ({"a": ["x"] * 10, "b": ["x"] * 16}, "too complex"),
        ({"$or": [{"a": ["x"] * 100}, {"b": ["x"] * 51}]}, "too complex"),
    ],
)
def test_wrong_policies(policy: Any, complaint: str) -> None:
    with pytest.raises(AwsError, match=complaint):
        filters.check(json.dumps(policy), filters.ATTRIBUTES)


def test_nested_values_count_as_often_as_they_lie_deep() -> None:
    """sns-001: AWS's own example comes to 72 combinations."""
    policy = {
        "key_a": {"key_b": {"key_c": ["one", "two", "three", "four"]}},
        "key_d": {"key_e": ["one", "two", "three"]},
    }
    filters.check(json.dumps(policy), filters.BODY)
    assert filters._combinations(policy, 1, filters.BODY) == 72
    policy["key_d"]["key_e"] = ["x"] * 7
    with pytest.raises(AwsError, match="too complex"):
        filters.check(json.dumps(policy), filters.BODY)
