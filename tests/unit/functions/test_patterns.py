"""Event patterns: every operator, and what is refused."""

from typing import Any

import pytest

from cloudlet.events.patterns import InvalidPattern, compile_pattern

CASES: list[tuple[Any, Any, bool]] = [
    ({"a": ["x"]}, {"a": "x"}, True),
    ({"a": ["x"]}, {"a": ["y", "x"]}, True),
    ({"a": [1]}, {"a": 1.0}, True),
    ({"a": [1]}, {"a": True}, False),
    ({"a": [None]}, {"a": None}, True),
    ({"a": [None]}, {}, False),
    ({"a": {"b": ["x"]}}, {"a": {"b": "x"}}, True),
    ({"a": {"b": ["x"]}}, {"a": [{"b": "y"}, {"b": "x"}]}, True),
    ({"a": {"b": ["x"]}}, {"a": "x"}, False),
    ({"a": [{"prefix": "ab"}]}, {"a": "abc"}, True),
    ({"a": [{"prefix": {"equals-ignore-case": "AB"}}]}, {"a": "abc"}, True),
    ({"a": [{"suffix": ".png"}]}, {"a": "x.png"}, True),
    ({"a": [{"equals-ignore-case": "ABC"}]}, {"a": "aBc"}, True),
    ({"a": [{"wildcard": "a*c"}]}, {"a": "abbc"}, True),
    ({"a": [{"wildcard": "a\\*c"}]}, {"a": "abc"}, False),
    ({"a": [{"wildcard": "a\\*c"}]}, {"a": "a*c"}, True),
    ({"a": [{"exists": True}]}, {"a": 0}, True),
    ({"a": [{"exists": False}]}, {"b": 0}, True),
    ({"a": {"b": [{"exists": False}]}}, {}, True),
    ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 5}, True),
    ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 6}, False),
    ({"a": [{"numeric": ["=", 1]}]}, {"a": "1"}, False),
    ({"a": [{"anything-but": "x"}]}, {"a": "y"}, True),
    ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "y"}, False),
    ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "xy"}, False),
    ({"a": [{"anything-but": {"wildcard": ["x*", "*y"]}}]}, {"a": "zz"}, True),
    ({"a": [{"anything-but": "x"}]}, {}, False),
    ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.9"}, True),
    ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.1.9"}, False),
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, False),
    ({"a": ["x"], "b": ["y"]}, {"a": "x"}, False),
]


@pytest.mark.parametrize(("pattern", "event", "wanted"), CASES)
def test_matches(pattern: Any, event: Any, wanted: bool) -> None:
    assert compile_pattern(pattern)(event) is wanted


@pytest.mark.parametrize(
    "pattern",
    [
        "{", "[]", "{}", {"a": "x"}, {"a": []}, {"a": [{"like": 1}]}, {"a": [{"prefix": 1}]},
        {"a": [{"numeric": [">"]}]}, {"a": [{"numeric": ["~", 1]}]}, {"a": [{"exists": "yes"}]},
        {"a": [{"cidr": "x"}]}, {"a": [[1]]}, {"$or": [{"a": [1]}]}, {"a": [{"wildcard": "**"}]},
        {"a": [{"anything-but": {"numeric": ["=", 1]}}]}, {"a": [{"anything-but": []}]},
    ],
)  # fmt: skip
def test_refuses(pattern: Any) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)
