"""What people post: tags by Zipf's law, in six languages, and trends that rise and fade.

The same seed and start give the same posts. They come in the order in which a collector gets them,
which is not the order in which they were written: most within two seconds, some within a minute,
a few much too late; some come twice, because a sender that got no answer sends again.
"""

import heapq
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

WORDS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
LANGUAGES: dict[str, dict[str, Any]] = WORDS["languages"]
EVENTS: list[str] = WORDS["events"]
SECOND = 1000
TWICE = 0.005  # of the posts
BURST_EVERY_S = 420
LOUDEST = 0.35  # of all posts, at a burst's peak


@dataclass(frozen=True, slots=True)
class Burst:
    """A tag's interest: it doubles every `rise_s` until the peak, then halves every `fade_s`."""

    tag: str
    peak_ms: int
    share: float
    rise_s: float
    fade_s: float

    def at(self, moment: int) -> float:
        seconds = (moment - self.peak_ms) / SECOND
        return self.share * 2 ** (seconds / self.rise_s if seconds < 0 else -seconds / self.fade_s)


class Crowd:
    """Endless posts from `start_ms` on, `rate` a second."""

    def __init__(self, seed: int, start_ms: int, rate: float) -> None:
        self.random = Random(f"{seed}/{start_ms}")
        self.seed = seed
        self.name = f"{start_ms // SECOND:x}.{seed}"
        self.start_ms = start_ms
        self.rate = rate
        self.shares = [each["share"] for each in LANGUAGES.values()]
        self.weights = [1 / rank**1.1 for rank in range(1, 21)]

    def posts(self) -> Iterator[dict[str, Any]]:
        """In order of arrival."""
        waiting: list[tuple[int, int, dict[str, Any]]] = []
        number, moment = 0, float(self.start_ms)
        while True:
            moment += self.random.expovariate(self.rate) * SECOND
            while waiting and waiting[0][0] <= moment:
                yield heapq.heappop(waiting)[2]
            post = self.post(number, int(moment))
            copies = 2 if self.random.random() < TWICE else 1
            for copy in range(copies):
                number += 1
                heapq.heappush(waiting, (post["seen"] + 3 * SECOND * copy, number, post))

    def post(self, number: int, at: int) -> dict[str, Any]:
        lang = self.random.choices(list(LANGUAGES), self.shares)[0]
        sentence = self.random.choice(LANGUAGES[lang]["sentences"])
        tags = " ".join(f"#{self.spelled(tag)}" for tag in self.tags(lang, at))
        seen = at + self.delay()
        text = sentence.format(tags)
        return {"id": f"{self.name}-{number}", "at": at, "seen": seen, "lang": lang, "text": text}

    def tags(self, lang: str, at: int) -> list[str]:
        amount = self.random.choice((1, 1, 2))
        tags = self.random.choices(LANGUAGES[lang]["tags"], self.weights, k=amount)
        for burst in self.bursts(at):
            if self.random.random() < burst.at(at):
                tags.append(burst.tag)
        return tags

    def bursts(self, at: int) -> Iterator[Burst]:
        """Those that are heard of now: one begins every seven minutes, give or take."""
        now = (at - self.start_ms) // (BURST_EVERY_S * SECOND)
        for number in range(max(now - 4, 0), now + 2):
            random = Random(f"{self.seed}/burst/{number}")
            peak_s = number * BURST_EVERY_S + random.uniform(60, BURST_EVERY_S)
            tag = EVENTS[(number + self.seed) % len(EVENTS)]
            share, rise_s = random.uniform(0.1, LOUDEST), random.uniform(8, 30)
            peak_ms = self.start_ms + int(peak_s * SECOND)
            yield Burst(tag, peak_ms, share, rise_s, random.uniform(40, 150))

    def spelled(self, tag: str) -> str:
        """As people type: in capitals, or with letters that a keyboard puts together."""
        chance = self.random.random()
        if chance < 0.05:
            return tag.upper()
        if chance < 0.1:
            return unicodedata.normalize("NFD", tag)
        return tag

    def delay(self) -> int:
        chance = self.random.random()
        if chance < 0.9:
            return self.random.randrange(20, 2 * SECOND)
        if chance < 0.99:
            return self.random.randrange(2 * SECOND, 60 * SECOND)
        return self.random.randrange(200 * SECOND, 900 * SECOND)
