"""Route matching against a slow model: every candidate is tried, the most specific wins."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cloudlet.gateway.matching import RouteTable

_segments = st.sampled_from(["a", "b", "{x}"])
_paths = st.builds(
    lambda middle, greedy: "/" + "/".join([*middle, *(["{rest+}"] if greedy else [])]),
    st.lists(_segments, max_size=3),
    st.booleans(),
)
_keys = st.builds(lambda m, p: f"{m} {p}", st.sampled_from(["GET", "POST", "ANY"]), _paths)
_requests = st.tuples(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=4).map(lambda s: "/" + "/".join(s)),
)


def _pattern(path: str) -> re.Pattern[str]:
    parts = []
    for segment in path[1:].split("/"):
        if segment == "{rest+}":
            parts.append("(?=.)(.+)")
        else:
            parts.append("([^/]+)" if segment.startswith("{") else re.escape(segment))
    return re.compile("/" + "/".join(parts))


def _rank(path: str) -> list[int]:
    """Segment by segment: a literal before a variable before a greedy one."""
    return [2 if s == "{rest+}" else 1 if s.startswith("{") else 0 for s in path[1:].split("/")]


def _model(keys: list[str], method: str, path: str) -> str | None:
    found = []
    for key in keys:
        own, template = key.split(" ", 1)
        if own in (method, "ANY") and _pattern(template).fullmatch(path):
            found.append((_rank(template), own == "ANY", key))
    return min(found)[2] if found else None


def _unambiguous(keys: list[str]) -> list[str]:
    """Not two keys that differ only in the names of their variables."""
    return list({key: None for key in keys})


@given(st.lists(_keys, max_size=8), _requests)
def test_most_specific_route_wins(keys: list[str], request: tuple[str, str]) -> None:
    table: RouteTable[str] = RouteTable()
    keys = _unambiguous(keys)
    for key in keys:
        table.add(key, key)
    found = table.match(*request)
    assert (found[0] if found else None) == _model(keys, *request)


@given(st.text(min_size=1).filter(lambda s: "/" not in s))
def test_parameters_are_what_stood_there(text: str) -> None:
    table: RouteTable[int] = RouteTable()
    table.add("GET /x/{id}", 1)
    table.add("GET /y/{rest+}", 2)
    assert table.match("GET", f"/x/{text}") == (1, {"id": text})
    assert table.match("GET", f"/y/{text}/z") == (2, {"rest": f"{text}/z"})
