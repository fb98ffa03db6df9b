"""OpenAPI documents with anything anywhere: imported or refused, never a crash."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from cloudlet.gateway.rest import definitions
from tests.unit.gateway.test_rest_import import SWAGGER

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 1000),
    st.sampled_from(["", "x", "#/definitions/Pet", "#/nowhere", "a/b", "{x"]),
    st.lists(st.sampled_from(["x", 1, None, {}]), max_size=2),
    st.dictionaries(st.sampled_from(["$ref", "type", "x", "200"]), st.just("#/paths"), max_size=2),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if isinstance(member, dict | list):
            yield from _places(member, (*path, key))
        else:
            yield (*path, key)


PLACES = list(_places(SWAGGER))


@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=3))
def test_a_document_with_junk_is_read_or_refused(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    document: Any = copy.deepcopy(SWAGGER)
    for path, junk in changes:
        owner = document
        for key in path[:-1]:
            try:
                owner = owner[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(owner, dict) or (
                isinstance(owner, list) and path[-1] in range(len(owner))
            ):
                owner[path[-1]] = junk
    try:
        definitions.read(json.dumps(document).encode())
    except AwsError as error:
        assert error.status in (400, 501)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for text in (body, b"openapi: 3.0.1\n" + body, b'{"swagger": "2.0", ' + body + b"}"):
        with suppress(AwsError):
            definitions.read(text)


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["openapi: 3.0.1", "info: {title: x}", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(AwsError, match="too large or too deep"):
        definitions.read("\n".join(lines).encode())
    with pytest.raises(AwsError, match="larger than"):
        definitions.read(b" " * (6 * 1024 * 1024 + 1))
    with pytest.raises(AwsError, match="malformed"):
        definitions.read(b'{"a":' * 100_000)
