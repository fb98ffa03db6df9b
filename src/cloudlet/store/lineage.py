"""Which of two directories is the newer one: each run of a store has a name, and each directory
keeps the names of all runs that its contents come from, in `lineage.json`.

A directory whose last run is among the other's is an ancestor of it, and may be brought up to
date. If neither is the other's ancestor, both were written to on their own: nobody but a person can
tell which to keep. A store that never had a second directory has no such file.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cloudlet.errors import AwsError
from cloudlet.store.integrity import save

FILE = "lineage.json"
DATABASE = "cloudlet.db"
_RUNS_MAX = 2000  # a start or a failure each; a directory that is older is copied by hand


@dataclass(frozen=True, slots=True)
class Lineage:
    """`other` is where the second directory was; `is_clean`: the last run ended in order, with
    both directories alike."""

    runs: tuple[str, ...] = ()
    other: str = ""
    is_clean: bool = False
    mark: tuple[int, ...] = ()  # of the database as the run left it, without its WAL

    @property
    def run(self) -> str:
        return self.runs[-1] if self.runs else ""

    def then(self, run: str, other: Path | None) -> "Lineage":
        return Lineage((*self.runs, run)[-_RUNS_MAX:], str(other or ""))

    def marked(self, folder: Path) -> "Lineage":
        return replace(self, mark=_mark(folder))

    def is_as_left(self, folder: Path) -> bool:
        """Whether nobody put another database there since."""
        return self.mark == _mark(folder)


def _mark(folder: Path) -> tuple[int, ...]:
    found = (folder / DATABASE).stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def read(folder: Path) -> Lineage | None:
    try:
        document = json.loads((folder / FILE).read_text())
        runs, mark = tuple(map(str, document["runs"])), tuple(document.get("mark") or ())
        return Lineage(runs, str(document["other"]), document["is_clean"] is True, mark)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"{folder / FILE} is damaged: move {folder} away") from error


def write(folder: Path, lineage: Lineage) -> None:
    save(folder / FILE, json.dumps(asdict(lineage)))


def other(data: Path) -> Path | None:
    """Where the second directory is, or was last: its paths are like those of the first."""
    known = read(data)
    return Path(known.other) if known and known.other else None


def check_apart(data: Path, other: Path) -> None:
    if data.resolve() == other.resolve():
        raise _refused(f"{other} is the data folder itself: a replica is another")


def alone(data: Path, new_run: Callable[[], str]) -> None:
    """A run without a second directory: what is there of one is out of date from now on."""
    known = read(data)
    if known is not None:
        write(data, known.then(new_run(), None))


def check(data: Path, other: Path) -> None:
    """Refuses a pair of which `other` may hold something that `data` lacks."""
    if not (other / DATABASE).exists():
        return
    ours, theirs = read(data) or Lineage(), read(other) or Lineage()
    if not (data / DATABASE).exists():
        raise _refused(
            f"{data} is empty, and {other} holds a store. Bring it back with `cloudlet scrub "
            f"--repair --data {data} --replica {other}`, or go on with `--data {other}`"
        )
    if not theirs.run:
        raise _refused(f"{other} holds a store that is no replica of {data}")
    if theirs.run in ours.runs:
        return
    if ours.run in theirs.runs:
        raise _refused(
            f"{other} is newer than {data}: it was used on its own since. Go on with `--data "
            f"{other} --replica {data}`"
        )
    raise _refused(
        f"{data} and {other} were each used on their own: move away the one that is not wanted"
    )


def _refused(message: str) -> AwsError:
    return AwsError("ReplicaRefused", message, 409)
