"""The store as another process than its owner sees it: reads, on what the owner has committed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cloudlet.errors import AwsError
from cloudlet.store.database import Reads, Transaction
from cloudlet.store.pulse import WATCHED, Pulse

T = TypeVar("T")


class ReadOnly(Reads):
    """Stands in for a `Database`; what would write raises AwsError."""

    def __init__(self, directory: Path, pulse: Pulse) -> None:
        super().__init__(directory, pulse)
        self._seen = 0

    def look(self) -> None:
        """Wakes all subscribers after a change of watched tables: which ones nobody knows."""
        now = self.pulse.of(WATCHED)
        if now != self._seen:
            self._seen = now
            for topic, wake in self._subscribers:
                wake(topic)

    def prepare(self, schema: str) -> None:
        """Its owner did that."""

    def write(self, change: Callable[[Transaction], T]) -> "asyncio.Future[T]":
        raise AwsError("ServiceUnavailable", "This process only reads.", 503)

    def write_now(self, change: Callable[[Transaction], T]) -> T:
        raise AwsError("ServiceUnavailable", "This process only reads.", 503)
