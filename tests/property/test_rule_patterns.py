"""Rule patterns against a naive matcher, which flattens events into paths and tries every object
of every array."""

import ipaddress
import itertools
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.events.patterns import compile_pattern

Chosen = dict[tuple[Any, ...], int]  # which object of which array
texts = st.sampled_from(["", "a", "ab", "B", "aXb", "a*b", "10.0.0.1", "::1"])
numbers = st.sampled_from([0, 1, 2.5, 5_000_000_001])
scalars = st.one_of(texts, numbers, st.none(), st.booleans())
names = st.sampled_from(["x", "y", "z"])


def events(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    value: st.SearchStrategy[Any] = scalars
    if depth:
        below = events(depth - 1)
        several = st.lists(st.one_of(scalars, below), max_size=3)
        value = st.one_of(scalars, below, several, st.lists(below, max_size=3))
    return st.dictionaries(names, value, min_size=1, max_size=2)


operators = st.one_of(
    st.builds(lambda t: {"prefix": t}, texts),
    st.builds(lambda t: {"suffix": t}, texts),
    st.builds(lambda t: {"prefix": {"equals-ignore-case": t}}, texts),
    st.builds(lambda t: {"equals-ignore-case": t}, texts),
    st.builds(lambda t: {"wildcard": t}, st.sampled_from(["a*", "*b", "a*b", "*", "a\\*b", "*X*"])),
    st.builds(lambda b: {"exists": b}, st.booleans()),
    st.builds(lambda t: {"anything-but": t}, st.lists(texts, min_size=1, max_size=2)),
    st.builds(lambda n: {"anything-but": n}, st.sampled_from([0, 1, 2.5])),
    st.builds(lambda t: {"anything-but": {"prefix": t}}, st.sampled_from(["a", ["a", "b"]])),
    st.builds(lambda t: {"anything-but": {"wildcard": t}}, st.sampled_from(["a*", ["*b", "a"]])),
    st.builds(lambda n: {"numeric": [">", n, "<=", n + 100]}, st.sampled_from([-1, 0, 2.5])),
    st.builds(lambda n: {"numeric": ["=", n]}, st.sampled_from([0, 1, 2.5, 100])),
    st.builds(lambda c: {"cidr": c}, st.sampled_from(["10.0.0.0/24", "::/64", "10.0.0.1/32"])),
)


def patterns(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    leaf = st.lists(st.one_of(scalars, operators, operators), min_size=1, max_size=4)
    value: st.SearchStrategy[Any] = leaf
    if depth:
        value = st.one_of(leaf, patterns(depth - 1))
    fields = st.dictionaries(names, value, min_size=1, max_size=2)
    if not depth:
        return fields
    choice = st.lists(patterns(depth - 1), min_size=2, max_size=2)
    return st.one_of(fields, st.builds(lambda f, c: {**f, "$or": c}, fields, choice))


def rules(pattern: dict[str, Any]) -> list[dict[tuple[str, ...], list[Any]]]:
    """Without `$or`: every choice of alternatives, what is said later of a field instead."""
    found: list[dict[tuple[str, ...], list[Any]]] = [{}]
    for key, wanted in pattern.items():
        if key == "$or":
            parts = [rule for each in wanted for rule in rules(each)]
        elif isinstance(wanted, dict):
            parts = [{(key, *path): w for path, w in rule.items()} for rule in rules(wanted)]
        else:
            parts = [{(key,): wanted}]
        found = [{**rule, **part} for rule, part in itertools.product(found, parts)]
    return found


def leaves(value: Any, path: tuple[str, ...], where: tuple[Any, ...], chosen: Chosen) -> Any:
    """(path, scalar, the objects of arrays that it is in)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key), (*where, key), chosen)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            within = {**chosen, where: number} if isinstance(item, dict) else chosen
            yield from leaves(item, path, (*where, number), within)
    else:
        yield path, value, chosen


def agree(one: Chosen, other: Chosen) -> bool:
    return all(other.get(array, number) == number for array, number in one.items())


def same(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def fits(value: Any, wanted: Any) -> bool:
    """Of a value that is there."""
    if not isinstance(wanted, dict):
        return same(value, wanted)
    ((name, argument),) = wanted.items()
    if name == "exists":
        return bool(argument)
    if name == "anything-but":
        if isinstance(argument, dict):
            ((inner, given),) = argument.items()
            listed = given if isinstance(given, list) else [given]
            return not any(fits(value, {inner: each}) for each in listed)
        listed = argument if isinstance(argument, list) else [argument]
        return not any(same(value, each) for each in listed)
    if name == "numeric":
        return in_range(value, argument)
    return isinstance(value, str) and reads(value, name, argument)


def in_range(value: Any, argument: list[Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or value > 5e9:
        return False
    signs = {"<=": lambda a, b: a <= b, ">": lambda a, b: a > b, "=": lambda a, b: a == b}
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(signs[sign](value, number) for sign, number in pairs)


def reads(value: str, name: str, argument: Any) -> bool:
    if name == "cidr":
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(argument)
        except ValueError:
            return False
    if name == "wildcard":
        expression = re.escape(argument).replace("\\\\\\*", "\0").replace("\\*", ".*")
        return re.fullmatch(expression.replace("\0", "\\*"), value) is not None
    if isinstance(argument, dict):
        return reads(value.lower(), name, argument["equals-ignore-case"].lower())
    if name == "equals-ignore-case":
        return value.lower() == str(argument).lower()
    return value.startswith(argument) if name == "prefix" else value.endswith(argument)


def matches(event: dict[str, Any], rule: dict[tuple[str, ...], list[Any]]) -> bool:
    found = list(leaves(event, (), (), {}))

    def those(left: list[tuple[str, ...]], chosen: Chosen) -> bool:
        if not left:
            return True
        path, wanted = left[0], rule[left[0]]
        there = [each for each in found if each[0] == path and agree(chosen, each[2])]
        if {"exists": False} in wanted and not there and those(left[1:], chosen):
            return True
        return any(
            any(fits(value, each) for each in wanted) and those(left[1:], {**chosen, **within})
            for _, value, within in there
        )

    return those(sorted(rule), {})  # what is absent hangs on their order


@settings(max_examples=120, deadline=None)
@given(st.lists(events(), min_size=4, max_size=4), patterns())
def test_as_the_naive_matcher_says(several: list[dict[str, Any]], pattern: dict[str, Any]) -> None:
    matcher = compile_pattern(pattern)
    for event in several:
        assert matcher(event) is any(matches(event, rule) for rule in rules(pattern))
    assert compile_pattern(json.dumps(pattern))(several[0]) is matcher(several[0])
