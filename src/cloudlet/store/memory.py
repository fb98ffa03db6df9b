"""What was read of tables that hardly ever change and that every request reads.

A schema has such a table *watched*: triggers tell the writer of each change, and with the commit
the generation rises. A connection's `Memory` holds for one generation. Unlike `remembered`, it
outlives commits that change other tables, so it serves busy writers, transactions too. Values are
shared: remember what nobody can change, texts and tuples.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
_MAX = 4096


def watched(*tables: str) -> str:
    """SQL that follows the tables' own in a service's schema."""
    return "".join(
        f"CREATE TEMP TRIGGER IF NOT EXISTS watched_{table}_{event} AFTER {event} ON main.{table}"
        " BEGIN SELECT watched_change(); END;\n"
        for table in tables
        for event in ("INSERT", "UPDATE", "DELETE")
    )


class Memory:
    """Of one connection, used by one thread at a time. Errors are not kept, and nothing at all
    while the generation is None: nobody watches then."""

    def __init__(self, generation: Callable[[], int | None]) -> None:
        self._generation = generation
        self._of: int | None = -1
        self._known: dict[Hashable, Any] = {}
        self.was_changed = False
        self.is_held = False  # by a snapshot: its state may be older than the generation

    def refresh(self) -> None:
        if self.is_held:
            return
        generation = self._generation()
        if generation != self._of:
            self._known.clear()
            self._of = generation

    def of(self, key: Hashable, read: Callable[[], T]) -> T:
        if self._of is None:
            return read()
        try:
            value: T = self._known[key]
        except KeyError:
            value = read()
            if len(self._known) >= _MAX:
                self._known.clear()
            self._known[key] = value
        return value

    def forget(self) -> None:
        """The writer changed something, or took it back."""
        self._known.clear()
        self.was_changed = True
