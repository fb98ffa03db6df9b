"""IAM's wildcards mean what the obvious recursive definition says."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from cloudlet.policy.patterns import glob


@cache
def plainly(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(plainly(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and plainly(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_glob(pattern: str, text: str) -> None:
    assert glob(pattern)(text) == plainly(pattern, text)


def test_many_wildcards_take_no_time() -> None:
    for pattern in ("*" + "a?" * 5000 + "a*", "*" + "?" * 10_000 + "a*", "*?" + "a*" * 5000 + "b"):
        assert not glob(pattern)("a" * 9_999)
        assert glob(pattern)("ab" * 10_001)
    assert glob("*?" * 5000)("a" * 5000) and not glob("*?" * 5000)("a" * 4999)
