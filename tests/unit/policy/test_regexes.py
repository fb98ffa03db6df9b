"""Regular expressions of users: what may take exponential time is told apart."""

import re

import pytest

from cloudlet.policy import regexes

_ENDLESS = (
    r"(a+)+$", r"((a+))+$", r"(a|a)*b", r"(?:a*)*b", r"(\w+\s?)+$", r"(a|aa)+$", r"(.*,)*x",
    r"^(([a-z])+.)+[A-Z]$", r"(x+x+)+y", r"((a{1,50})){1,50}$", r"(?=(a+)+$)", r"(?:a?){100}b",
    "a?" * 30 + "a" * 30, r"(?s)(\n|.)+b", r"(\s|.)*x",
)  # fmt: skip
_HARMLESS = (
    r"^[a-z0-9]+(?:[-.][a-z0-9]+)*$", r"(\d+,)*\d+", r'("[^"]*",?)+', r"[a-zA-Z0-9]*",
    r"^(?!\.)(?:[a-z]{2,63}\.)+[a-z]{2,}$", r".*foo.*bar.*", r"^(?:/[^/]+)+$", r"(foo|bar|baz)+",
    r"^([0-9]{1,3}\.){3}[0-9]{1,3}(\/([0-9]|[1-2][0-9]|3[0-2]))?$", r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$",
    r"(?:[^,\s]+,\s*)*[^,\s]+", r"^$|^(?=.{1,64}$)[a-z](-?[a-z0-9])*$", r"(\r?\n)*", r"(a)\1(?i:b)",
    r"(\n|.)*Error(\n|.)*", r"(\n|.)+", r"\s*(.*)\s*", r".*\[(BadRequest|Forbidden)\].*",
)  # fmt: skip


@pytest.mark.parametrize("pattern", _ENDLESS)
def test_what_may_take_exponential_time_is_refused(pattern: str) -> None:
    with pytest.raises(regexes.Endless):
        regexes.compiled(pattern)


@pytest.mark.parametrize("pattern", _HARMLESS)
def test_what_people_write_is_not(pattern: str) -> None:
    assert regexes.compiled(pattern).pattern == pattern


def test_repetitions_in_a_row() -> None:
    assert regexes.compiled(r"a*b*a*", 0, 1)
    with pytest.raises(regexes.Endless):
        regexes.compiled(r"[ab]*b*", 0, 1)


def test_another_process_finds_out_where_that_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = r"^arn:aws:s3:::[^\s/]+(/[^\s]*)*$"
    assert regexes.matches(pattern, "arn:aws:s3:::bucket/key")
    assert not regexes.matches(pattern, "arn:aws:sqs:::bucket/key")
    assert regexes.matches("(a+)+b", "xaab", "search")
    monkeypatch.setattr(regexes, "_PATIENCE_S", 0.2)
    with pytest.raises(re.error, match="too long"):
        regexes.matches("(a+)+", "a" * 40 + "!")
