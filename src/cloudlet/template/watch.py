"""Deploys again when the template or a function's code changes, while the process runs.

A deployment that fails is told and forgotten: the next change tries again, and until then the last
good state serves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from cloudlet.errors import AwsError
from cloudlet.template.deploy import Deployment

_DEBOUNCE_MS = 200


class _Filter(DefaultFilter):
    """Source files only: no caches, no editors' temporary files, nothing outside what is asked."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, "__pycache__", "node_modules", ".git", ".cloudlet")

    def __init__(self, watched: Iterable[Path]) -> None:
        super().__init__()
        self._watched = tuple(path.resolve() for path in watched)

    def __call__(self, change: Change, path: str) -> bool:
        changed = Path(path)
        inside = any(changed == each or each in changed.parents for each in self._watched)
        return inside and super().__call__(change, path)


async def watch(
    deployment: Deployment,
    again: Callable[[], Awaitable[Deployment]],
    say: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Until `stop` is set: waits for changes and calls `again`."""
    while not stop.is_set():
        watched = deployment.watched
        # One watcher for as long as it fits: what changes while a deployment runs is not missed.
        async for changes in awatch(
            *_roots(watched), watch_filter=_Filter(watched), debounce=_DEBOUNCE_MS, stop_event=stop
        ):
            names = sorted({path.name for path in _lasting(changes)})
            if not names:
                continue
            say(f"changed: {', '.join(names)}")
            try:
                deployment = await again()
            except AwsError as error:
                say(f"not deployed: {error.message}")
                continue
            say(f"deployed: {_summary(deployment)}")
            if set(deployment.watched) != set(watched):
                break


def _lasting(changes: set[tuple[Change, str]]) -> set[Path]:
    """Without the files that came and went within a moment, as editors and `sed -i` leave them."""
    added = {Path(path) for change, path in changes if change is Change.added}
    return {Path(path) for _, path in changes} - {path for path in added if not path.exists()}


def _summary(deployment: Deployment) -> str:
    steps = [f"{step.logical_id} ({step.action})" for step in deployment.steps]
    return ", ".join(steps) or "nothing to change"


def _roots(watched: Iterable[Path]) -> list[Path]:
    """The folders to watch. A file is watched through its folder: editors replace files."""
    places = {path if path.is_dir() else path.parent for path in watched if path.parent.exists()}
    return [place for place in places if not any(other in place.parents for other in places)]
