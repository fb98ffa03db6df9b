"""Looking for damage before somebody needs the bytes: blobs against the sums in their names.

What is damaged in one directory is taken from the other, if it is whole there. Blobs never change
under their names, so a good file may take a bad one's place at any time, under readers, too.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cloudlet.store import integrity

_SLICE_S = 0.02


class Finding(NamedTuple):
    """`where` is the directory, `how` the damage ("is not there")."""

    name: str
    where: Path
    how: str
    is_healed: bool = False


class Pace:
    """Rests in proportion to the time worked; called often. It ends the work by raising."""

    def __init__(self, share: float, stop: threading.Event) -> None:
        self._rest = 1 / share - 1
        self._stop = stop
        self._since_s = time.monotonic()

    def __call__(self) -> None:
        worked_s = time.monotonic() - self._since_s
        if worked_s >= _SLICE_S:
            if self._stop.wait(worked_s * self._rest):
                raise Stopped
            self._since_s = time.monotonic()


class Stopped(Exception):
    """Raised by a pace when there is no more time."""


class Scrub:
    """Of the blobs' directory and its replica, if that one has all of them."""

    def __init__(self, *directories: Path, heals: bool, pace: Callable[[], None]) -> None:
        self._directories = directories
        self._heals = heals
        self.pace = pace

    def blob(self, name: str) -> list[Finding]:
        faults = {
            each: integrity.fault(integrity.place(each, name), name, self.pace)
            for each in self._directories
        }
        whole = [each for each, how in faults.items() if not how]
        return [
            Finding(name, each, how, self._heal(name, whole, each))
            for each, how in faults.items()
            if how
        ]

    def _heal(self, name: str, whole: list[Path], directory: Path) -> bool:
        if not (self._heals and whole):
            return False
        try:
            return integrity.copy_blob(whole[0], directory, name)
        except OSError:
            return False
