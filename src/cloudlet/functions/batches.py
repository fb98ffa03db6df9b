"""Batches of stream records: their parts, and what a function's answer says of them.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import orjson

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024 - 1024  # Lambda's limit, with room for what is around records


@dataclass(frozen=True, slots=True)
class Item:
    """A record as it is handed on."""

    number: str
    created_ms: int
    lane: int
    data: bytes  # JSON; empty when it is not to be handed on


@dataclass(frozen=True, slots=True)
class Batch:
    """Never empty. `failures`: how often it was tried in vain."""

    items: list[Item]
    failures: int = 0

    @property
    def last(self) -> str:
        return self.items[-1].number

    @property
    def size_bytes(self) -> int:
        return sum(len(item.data) + 1 for item in self.items)

    def first(self, count: int) -> "Batch":
        return Batch(self.items[:count], self.failures)

    def rest(self, start: int) -> "Batch":
        return Batch(self.items[start:], self.failures)

    def older_than(self, moment_ms: int) -> int:
        """How many of the leading records are."""
        return len(list(takewhile(lambda item: item.created_ms < moment_ms, self.items)))

    def failed_from(self, answer: bytes) -> int | None:
        """The index of the first record that a function's answer reports as failed."""
        return min(failures([item.number for item in self.items], answer), default=None)

    def bisected(self, failed: int) -> list[tuple[str, int]]:
        """The parts to go on with, which is no retry: from where it failed, or the halves."""
        if len(self.items) == 1:
            return []
        if failed:
            return [(self.last, 0)]
        middle = self.items[len(self.items) // 2 - 1].number
        return [(middle, self.failures), (self.last, self.failures)]

    def payload(self, more: dict[str, Any]) -> bytes:
        return payload(self.items, more)


def payload(items: list[Item], more: dict[str, Any]) -> bytes:
    """The event: the records as they are, and `more` beside them."""
    rest = b"," + orjson.dumps(more)[1:-1] if more else b""
    return b'{"Records":[' + b",".join(item.data for item in items) + b"]" + rest + b"}"


def fitting(items: list[Item]) -> list[Item]:
    """As many of the leading items as an invocation takes, one at least."""
    size_bytes = 0
    for number, item in enumerate(items):
        size_bytes += len(item.data) + 1
        if size_bytes > PAYLOAD_BYTES_MAX:
            return items[: max(1, number)]
    return items


def failures(identifiers: list[str], payload: bytes) -> list[int]:
    """The indexes of the items the function reports as failed.

    An answer that is not as AWS documents it fails the whole batch.
    """
    everything = list(range(len(identifiers)))
    try:
        answer = orjson.loads(payload) if payload else None
    except orjson.JSONDecodeError:
        return everything
    failed = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    try:
        return [identifiers.index(item["itemIdentifier"]) for item in failed or ()]
    except (KeyError, TypeError, ValueError):
        return everything
