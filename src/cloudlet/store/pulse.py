"""Counters in memory that processes share: what has changed that others keep in mind.

One process raises them, before it tells anybody of the change; the others compare. A temporary
file without a name carries them; its descriptor goes to the children.
"""

import mmap
import os
import tempfile
import threading

WATCHED, CREDENTIALS = range(2)  # tables that `memory` keeps in mind; IAM's, of credentials
_BYTES = 16


class Pulse:
    """`descriptor`: of another process's pulse; without one it begins anew."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
            os.ftruncate(descriptor, _BYTES)
        self.descriptor = descriptor
        self._lock = threading.Lock()
        self._numbers = memoryview(mmap.mmap(descriptor, _BYTES)).cast("Q")

    def of(self, what: int) -> int:
        return self._numbers[what]

    def beat(self, what: int) -> None:
        with self._lock:
            self._numbers[what] += 1
