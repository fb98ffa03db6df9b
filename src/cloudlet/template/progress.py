"""How a deployment tells of itself: one line for all steps, not one for each.

On a terminal the line changes with every step; elsewhere a step is told only when it takes long.
Whatever isn't a step (warnings, failures, what is kept) is always told.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable

from cloudlet.template.plan import Step

_SLOW_S = 2.0
_STEPS = ("create ", "update ", "replace ", "delete ")
_PAST = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}


class Progress:
    """Stands in for `say` while a deployment runs; `close` ends the line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_terminal = sys.stdout.isatty()
        self._count = 0
        self._slow: asyncio.TimerHandle | None = None

    def __call__(self, message: str) -> None:
        self._end_step()
        if not message.startswith(_STEPS):
            self._say(message)
            return
        self._count += 1
        if self._is_terminal:
            sys.stdout.write(f"{self._count}: {message}"[:100])
            sys.stdout.flush()
        else:
            self._slow = asyncio.get_running_loop().call_later(_SLOW_S, self._say, f"{message} …")

    def close(self) -> None:
        self._end_step()

    def _end_step(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if self._is_terminal:
            sys.stdout.write("\r\x1b[K")


def summary(steps: Iterable[Step]) -> str:
    """As "12 resources created, 1 updated"; "" if there was nothing to do."""
    counts = Counter(step.action for step in steps)
    parts = [f"{counts[action]} {past}" for action, past in _PAST.items() if counts[action]]
    if not parts:
        return ""
    number, past = parts[0].split(" ")
    noun = "resource" if number == "1" else "resources"
    return ", ".join([f"{number} {noun} {past}", *parts[1:]])
