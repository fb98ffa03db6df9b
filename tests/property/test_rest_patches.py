"""Patch operations of REST APIs: a model of plain dicts and lists says what must come of them."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from cloudlet.gateway.rest import patches

KINDS = sorted(patches.RULES)
NAMES = st.text("ab/~.-", min_size=1, max_size=5)
TEXTS = st.text("xyz 1", min_size=1, max_size=5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "s": TEXTS,
    "b": st.booleans(),
    "i": st.integers(-9, 9),
    "f": st.integers(-9, 9).map(float),
}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scalars(kind: str) -> list[tuple[str, str]]:
    rules = [rule.split(":", 1) for rule in patches.RULES[kind].split()]
    return [(path, rule) for path, rule in rules if rule[0] not in "{["]


def _holder(document: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, last = path.split("/")
    for parent in parents:
        document = document.setdefault(parent, {})
    return document, last


@st.composite
def replacements(draw: st.DrawFn) -> tuple[str, list[tuple[str, Any]]]:
    kind = draw(st.sampled_from(KINDS).filter(_scalars))
    chosen = draw(st.lists(st.sampled_from(_scalars(kind)), max_size=6))
    return kind, [(path, draw(VALUES[rule[0]])) for path, rule in chosen]


@given(replacements())
def test_replaced_members_are_what_was_said(given_: tuple[str, list[tuple[str, Any]]]) -> None:
    kind, changes = given_
    expected: dict[str, Any] = {}
    for path, value in changes:
        owner, last = _holder(expected, path)
        owner[last] = value
    operations = [
        {"op": "replace", "path": f"/{path}", "value": _text(value)} for path, value in changes
    ]
    assert patches.apply(kind, {}, operations) == expected


@given(
    st.lists(st.tuples(st.sampled_from(("add", "replace", "remove")), NAMES, TEXTS), max_size=12)
)
def test_maps_behave_as_dicts(changes: list[tuple[str, str, str]]) -> None:
    model: dict[str, str] = {}
    document: dict[str, Any] = {}
    for op, name, value in changes:
        operation = {"op": op, "path": f"/variables/{_escaped(name)}", "value": value}
        before = copy.deepcopy(document)
        if op == "remove" and name not in model:
            with pytest.raises(AwsError):
                patches.apply("stage", document, [operation])
        else:
            document = patches.apply("stage", document, [operation])
            model.pop(name, None)
            model |= {} if op == "remove" else {name: value}
            assert document["variables"] == model
        assert op != "remove" or name in before.get("variables", {}) or document == before


@given(st.lists(st.tuples(st.sampled_from(("add", "remove")), NAMES), max_size=12))
def test_lists_behave_as_ordered_sets(changes: list[tuple[str, str]]) -> None:
    model: list[str] = []
    document: dict[str, Any] = {}
    for op, name in changes:
        operation = {"op": op, "path": f"/binaryMediaTypes/{_escaped(name)}"}
        if op == "remove" and name not in model:
            with pytest.raises(AwsError):
                patches.apply("restapi", document, [operation])
            continue
        document = patches.apply("restapi", document, [operation])
        if op == "remove":
            model.remove(name)
        elif name not in model:
            model.append(name)
        assert document["binaryMediaTypes"] == model


@given(
    st.sampled_from(KINDS),
    st.text("abAZ/~_*{}0", max_size=12),
    st.sampled_from(("add", "remove", "replace", "copy", "move", "test", "put")),
    st.none() | TEXTS,
)
def test_anything_else_is_refused_and_changes_nothing(
    kind: str, path: str, op: str, value: str | None
) -> None:
    document: dict[str, Any] = {"name": "x", "variables": {"a": "b"}, "apiStages": []}
    before = copy.deepcopy(document)
    operations = [{"op": op, "path": f"/unknown{path}", "value": value}]
    with pytest.raises(AwsError) as caught:
        patches.apply(kind, document, operations)
    assert caught.value.code == "BadRequestException"
    assert document == before


@given(st.sampled_from(KINDS), st.text(max_size=8), st.text(max_size=8))
def test_no_path_breaks_anything(kind: str, head: str, tail: str) -> None:
    for rule in patches.RULES[kind].split():
        path = f"/{rule.split(':')[0]}/{head}/{tail}"
        for op in ("add", "remove", "replace"):
            try:
                patches.apply(kind, {}, [{"op": op, "path": path, "value": tail}])
            except AwsError as error:
                assert error.code == "BadRequestException"
