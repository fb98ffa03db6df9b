"""Has the kernel write to the disk what was just written, without waiting for it.

By default it begins long after, or with the fsync that then has everything left to do. So a big
file's fsync is short, and the disk works while hashes are computed. A hint: durability is fsync's.
https://man7.org/linux/man-pages/man2/sync_file_range.2.html
"""

import ctypes
from collections.abc import Callable

STEP_BYTES = 8 << 20
_WRITE = 2  # SYNC_FILE_RANGE_WRITE


def _function() -> Callable[[int, int, int, int], int] | None:
    """Python has no name for it; only Linux has it."""
    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found


_sync_file_range = _function()


class Writeback:
    """Of one file that is written from its start to its end."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._begun = self._written = 0

    def note(self, size_bytes: int) -> None:
        """So much was appended."""
        self._written += size_bytes
        waiting = self._written - self._begun
        if waiting >= STEP_BYTES and _sync_file_range is not None:
            _sync_file_range(self._file, self._begun, waiting, _WRITE)
            self._begun = self._written
