"""trends: hashtags, buckets and scores, without a cloud."""

import json
import random
from collections import Counter
from itertools import pairwise
from types import ModuleType
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples.conftest import EXAMPLES, Load

SAMPLE = EXAMPLES / "trends" / "sample.jsonl"


@pytest.fixture
def count(load: Load, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("AWS_DEFAULT_REGION", "COUNTS_TABLE"):
        monkeypatch.setenv(name, "us-east-1")
    load("trends/buckets/python", "buckets")
    return load("trends/count")


@pytest.fixture
def trends(load: Load) -> ModuleType:
    load("trends/buckets/python", "buckets")
    return load("trends/api", "trends")


@pytest.fixture
def hashtags(load: Load) -> ModuleType:
    return load("trends/count", "hashtags")


def sample() -> list[dict[str, Any]]:
    return [json.loads(line) for line in SAMPLE.read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Just in: #news", {"news"}),
        ("#News #NEWS #news!", {"news"}),
        ("#Straße #STRASSE", {"strasse"}),
        ("#cafe\u0301, #CAFÉ.", {"café"}),
        ("#हिन्दी #फ़िल्म।", {"हिन्दी", normalize("NFC", "फ़िल्म")}),
        ("＃東京、#桜", {"東京", "桜"}),
        ("#می\u200cخواهم", {"می\u200cخواهم"}),
        ("#2026 #_ #2026年", {"2026年"}),
        ("a#b &#39; https://example.org/#top ##twice", set()),
        ("(#one)#two", {"one", "two"}),
        ("#one#two", {"one"}),
        ("# #", set()),
        ("#" + "x" * 101, set()),
        ("#İstanbul", {"i\u0307stanbul"}),
        ("#rock'n'roll", {"rock"}),
    ],
)
def test_hashtags(hashtags: ModuleType, text: str, tags: set[str]) -> None:
    assert hashtags.hashtags(text) == tags


@settings(deadline=None)
@given(st.text(st.sampled_from("#＃aÉ\u0301ßЖ桜ि _1/&.\u200d"), max_size=12))
def test_spellings_of_a_text_have_the_same_tags(request: pytest.FixtureRequest, text: str) -> None:
    hashtags = request.getfixturevalue("hashtags")
    tags = hashtags.hashtags(text)
    assert tags == hashtags.hashtags(normalize("NFD", text))
    assert tags == {hashtags.fold(tag) for tag in tags}
    for tag in tags:
        assert hashtags.hashtags(f"#{tag}") == {tag}


def folded(count: ModuleType, batches: list[list[dict[str, Any]]]) -> dict[Any, Any]:
    """The table after these batches, each written as one."""
    table: dict[Any, Any] = {}
    for batch in batches:
        posts = [count.parse(json.dumps(post).encode()) for post in batch]
        for (part, minute), some in count.grouped(posts).items():
            starts = {("10s", post["at"] // 10_000 * 10) for post in some} | {("1m", minute)}
            rows = {one: table.setdefault((part, *one), count.row_of(None)) for one in starts}
            count.merge(rows, minute, some)
    return {
        key: {**row, "counts": dict(row["counts"])} for key, row in table.items() if row["posts"]
    }


def test_batches_order_and_repetition_do_not_matter(count: ModuleType) -> None:
    posts = sample()
    expected = folded(count, [posts])
    for seed in range(5):
        order = random.Random(seed)
        again = [*posts, *order.sample(posts, 300)]
        order.shuffle(again)
        cuts = sorted(order.sample(range(len(again)), 40))
        batches = [again[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        assert folded(count, batches) == expected


def test_the_sample_is_counted_post_by_post(count: ModuleType, hashtags: ModuleType) -> None:
    table = folded(count, [sample()])
    posts = {post["id"]: post for post in sample() if post["seen"] - post["at"] <= 120_000}
    mentions = Counter(tag for post in posts.values() for tag in hashtags.hashtags(post["text"]))
    for step in ("10s", "1m"):
        rows = [row for (_, each, _), row in table.items() if each == step]
        assert sum((Counter(row["counts"]) for row in rows), Counter()) == mentions
        assert sum(row["posts"] for row in rows) == len(posts)
    assert len(posts) < len({post["id"] for post in sample()}) < len(sample())  # late, twice


def test_a_minute_is_the_sum_of_its_buckets(count: ModuleType) -> None:
    table = folded(count, [sample()])
    for (part, step, start), row in table.items():
        if step == "1m":
            buckets = [table.get((part, "10s", start + each)) for each in range(0, 60, 10)]
            counts = sum((Counter(one["counts"]) for one in buckets if one), Counter())
            assert counts == Counter(row["counts"])


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b'{"id": "1"}', b'{"id": "", "at": 1, "seen": 1, "text": ""}',
     b'{"id": 7, "at": 1, "seen": 1, "text": ""}', b'{"id": "a", "at": "x", "seen": 1, "text": ""}',
     b'{"id": "a", "at": 1, "seen": 1, "text": 5}'],
)  # fmt: skip
def test_what_is_no_post(count: ModuleType, record: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        count.parse(record)


@settings(deadline=None)
@given(st.integers(0, 800), st.integers(1, 800))
def test_spans_cover_a_window_once(request: pytest.FixtureRequest, since: int, length: int) -> None:
    trends = request.getfixturevalue("trends")
    assert trends.spans(since * 10, since * 10) == []
    found = trends.spans(since * 10, (since + length) * 10)
    assert found[0][1] == since * 10 and found[-1][2] == (since + length) * 10
    assert all(left[2] == right[1] for left, right in pairwise(found))
    assert sum((b - a) / trends.STEPS[step] for step, a, b in found) <= length / 6 + 10
    assert all(a % trends.STEPS[s] == 0 and b % trends.STEPS[s] == 0 for s, a, b in found)


def test_scores(trends: ModuleType) -> None:
    """A tag that is as usual scores 0, whatever its size; what is new scores high."""
    now = Counter(usual=300, doubled=200, new=20, single=1)
    base = Counter(usual=3659, doubled=1219)
    scores = {one.tag: one for one in trends.scored(now, base, 300, 3600)}
    assert scores["usual"].score == 0 and scores["usual"].expected == 300
    assert 9 < scores["doubled"].score < 11 and scores["doubled"].expected == 100
    assert scores["new"].score > scores["doubled"].score
    assert 0 < scores["single"].score < 1


def test_the_sample_is_what_the_generator_makes(load: Load) -> None:
    load("trends", "posts")
    generate = load("trends", "generate")
    crowd = generate.Crowd(1, generate.milliseconds("2026-05-04T18:00:00Z"), 0.75)
    assert list(generate.limited(crowd, 30)) == sample()
    assert SAMPLE.stat().st_size < 200_000
