"""What was read and made of it, kept until anybody writes.

For what every request reads and hardly anybody changes (a function's configuration, its policy).
Not for transactions, which see their own writes.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from cloudlet.store.database import View

T = TypeVar("T")
_MAX = 4096


class Remembered:
    """Used by one thread alone, with that thread's view. Values are shared: read them only."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._version = -1

    def of(self, view: View, key: Hashable, read: Callable[[], T]) -> T:
        """The value of `key`, by `read` if there was a commit since; errors are not kept."""
        version = view.version()
        if version != self._version or len(self._known) >= _MAX:
            self._known.clear()
            self._version = version
        if key not in self._known:
            self._known[key] = read()
        value: T = self._known[key]
        return value
