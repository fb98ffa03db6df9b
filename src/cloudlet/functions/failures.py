"""Functions' errors in the terminal: a line each, and not more than a person reads.

The whole story is in the function's log.
"""

from collections.abc import Callable

import orjson

_LINES_MAX = 20  # …
_SPAN_MS = 10_000  # … in this time; the rest is counted
_WIDTH = 600


class Failures:
    def __init__(self, say: Callable[[str], None], now_ms: Callable[[], int]) -> None:
        self._say = say
        self._now_ms = now_ms
        self._since_ms = 0
        self._lines = 0
        self._unsaid = 0

    def tell(self, name: str, payload: bytes) -> None:
        now_ms = self._now_ms()
        if now_ms - self._since_ms >= _SPAN_MS:
            if self._unsaid:
                self._say(f"error: {self._unsaid} more errors of functions since then")
            self._since_ms, self._lines, self._unsaid = now_ms, 0, 0
        if self._lines >= _LINES_MAX:
            self._unsaid += 1
            return
        self._lines += 1
        self._say(f"error: {name}: {_cause(payload)}")


def _cause(payload: bytes) -> str:
    try:
        document = orjson.loads(payload)
        parts = [document.get("errorType"), document.get("errorMessage")]
    except (ValueError, AttributeError):
        return "it failed without an error document"
    text = " ".join(": ".join(str(part) for part in parts if part).split())
    printable = "".join(letter if letter.isprintable() else "�" for letter in text[:_WIDTH])
    return printable or "it failed"
