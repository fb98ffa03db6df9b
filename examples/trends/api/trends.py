"""Sliding windows of rows, and which of their tags are trends.

A window [from, to) on the grid of ten seconds is whole minutes and, at its ends, buckets of ten
seconds. A tag's score compares it with its own preceding hour:

    expected = window · (mentions in the hour before + 1) / (length of that hour + 60 s)
    score    = (mentions - expected) / √(expected + 1)

That is about the number of standard deviations of a Poisson count; the 1 mention in 60 s that
everybody is given keeps tags that nobody knew from trending by a single post, and the hour is as
long as there is data.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import sqrt

from buckets import STEPS

BASE_S = 3600
PRIOR, PRIOR_S = 1, 60

Spans = list[tuple[str, int, int]]


@dataclass
class Totals:
    posts: int = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Trend:
    tag: str
    count: int
    expected: float
    score: float


Read = Callable[[Spans], Totals]


def spans(since: int, until: int) -> Spans:
    """(step, from, to) of the fewest rows that make the window."""
    minute = STEPS["1m"]
    first, last = -(-since // minute) * minute, until // minute * minute
    found = [("10s", since, first), ("1m", first, last), ("10s", last, until)]
    if first >= last:
        found = [("10s", since, until)]
    return [span for span in found if span[1] < span[2]]


def top(read: Read, since: int, until: int, first: int) -> tuple[Totals, list[Trend]]:
    """What was mentioned in the window, in no order; `first` is when the data begins."""
    base_from = max(since - BASE_S, min(first, since))
    now, base = read(spans(since, until)), Totals()
    if base_from < since:
        base = read(spans(base_from, since))
    return now, list(scored(now.counts, base.counts, until - since, since - base_from))


def scored(now: Counter[str], base: Counter[str], window_s: int, base_s: int) -> Iterator[Trend]:
    for tag, count in now.items():
        expected = window_s * (base[tag] + PRIOR) / (base_s + PRIOR_S)
        score = (count - expected) / sqrt(expected + 1)
        yield Trend(tag, count, round(expected, 2), round(score, 2))
