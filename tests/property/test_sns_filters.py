"""Filter policies against a naive matcher, which goes through attribute, value and condition."""

import fnmatch
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudlet.sns import filters

NAMES = st.sampled_from(["a", "b", "c"])
ALL_NAMES = NAMES | st.just("d")
WORDS = st.text("aBx", min_size=1, max_size=3)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5])
SCALARS = WORDS | NUMBERS | st.none() | st.booleans()
SIGNS = {"<": "__lt__", "<=": "__le__", "=": "__eq__", ">=": "__ge__", ">": "__gt__"}
CONDITIONS = st.one_of(
    SCALARS,
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"prefix": WORDS}),
    st.fixed_dictionaries({"suffix": WORDS}),
    st.fixed_dictionaries({"equals-ignore-case": WORDS}),
    st.fixed_dictionaries({"wildcard": st.sampled_from(["a*", "*x", "a*x", "*"])}),
    st.fixed_dictionaries({"anything-but": st.lists(WORDS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"anything-but": st.lists(NUMBERS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"anything-but": st.fixed_dictionaries({"prefix": WORDS})}),
    st.tuples(st.sampled_from(sorted(SIGNS)), NUMBERS).map(lambda test: {"numeric": list(test)}),
)
WANTED = st.lists(CONDITIONS, min_size=1, max_size=3)
FLAT = st.dictionaries(NAMES, WANTED, min_size=1, max_size=3)
# alternatives speak of other fields than what stands beside them
POLICIES = FLAT | st.tuples(WANTED, st.lists(FLAT, min_size=2, max_size=2)).map(
    lambda parts: {"d": parts[0], "$or": parts[1]}
)
ATTRIBUTES = st.one_of(
    WORDS.map(lambda word: {"Type": "String", "Value": word}),
    NUMBERS.map(lambda number: {"Type": "Number", "Value": str(number)}),
    st.lists(SCALARS, min_size=1, max_size=3).map(
        lambda items: {"Type": "String.Array", "Value": json.dumps(items)}
    ),
    st.just({"Type": "Binary", "Value": "eA=="}),
)
MESSAGES = st.dictionaries(ALL_NAMES, ATTRIBUTES, max_size=3)
BODIES = st.dictionaries(ALL_NAMES, SCALARS | st.lists(SCALARS, min_size=1, max_size=3), max_size=3)


def same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    kinds = [type(each) in (int, float) for each in (value, wanted)]
    return kinds[0] == kinds[1] and value == wanted


def holds(condition: Any, value: Any) -> bool:
    """Of one value that is there."""
    if not isinstance(condition, dict):
        return same(value, condition) or (value == condition and type(value) is type(condition))
    ((operator, argument),) = condition.items()
    if operator == "exists":
        return bool(argument)
    if operator == "anything-but":
        if isinstance(argument, dict):
            return not (isinstance(value, str) and value.startswith(argument["prefix"]))
        return not any(holds(each, value) for each in argument)
    if operator == "numeric":
        sign, limit = argument
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and bool(getattr(float(value), SIGNS[sign])(float(limit)))
    if not isinstance(value, str):
        return False
    if operator == "equals-ignore-case":
        return value.upper() == argument.upper()
    if operator == "wildcard":
        return fnmatch.fnmatchcase(value, argument)
    return value.startswith(argument) if operator == "prefix" else value.endswith(argument)


def wants(policy: dict[str, Any], values: dict[str, list[Any]]) -> bool:
    for name, conditions in policy.items():
        if name == "$or":
            if not any(wants(alternative, values) for alternative in conditions):
                return False
        elif name not in values:
            if {"exists": False} not in conditions:
                return False
        elif not any(holds(each, value) for each in conditions for value in values[name]):
            return False
    return True


def naive(attributes: dict[str, dict[str, str]]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for name, attribute in attributes.items():
        kind, text = attribute["Type"], attribute["Value"]
        if kind == "String":
            values[name] = [text]
        elif kind == "Number":
            values[name] = [float(text)]
        elif kind == "String.Array":
            values[name] = json.loads(text)
    return values


@given(POLICIES, MESSAGES)
def test_on_attributes(policy: dict[str, Any], message: dict[str, dict[str, str]]) -> None:
    passes = filters.passes(json.dumps(policy), filters.ATTRIBUTES, "", message)
    assert passes == wants(policy, naive(message))


@given(POLICIES, BODIES)
def test_on_bodies(policy: dict[str, Any], body: dict[str, Any]) -> None:
    values = {name: v if isinstance(v, list) else [v] for name, v in body.items()}
    passes = filters.passes(json.dumps(policy), filters.BODY, json.dumps(body), {})
    assert passes == wants(policy, values)


@given(POLICIES, BODIES)
def test_a_nested_policy_is_the_same_one_level_down(
    policy: dict[str, Any], body: dict[str, Any]
) -> None:
    flat = filters.passes(json.dumps(policy), filters.BODY, json.dumps(body), {})
    inner, outer = json.dumps({"in": policy}), json.dumps({"in": body})
    assert filters.passes(inner, filters.BODY, outer, {}) == flat
