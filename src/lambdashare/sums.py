"""Hash sums of local files, by the same engine that the hasher uses (`layer/`)."""

import sys
from collections.abc import Iterable
from pathlib import Path

_LAYER = str(Path(__file__).parent / "layer" / "python")
if _LAYER not in sys.path:
    sys.path.append(_LAYER)

from lambdashare_core import digests  # noqa: E402
from lambdashare_core.engine.lanes import Lane, lane  # noqa: E402
from lambdashare_core.problems import Problem  # noqa: E402

BLOCK_BYTES = 1 << 20
LENGTHS = digests.LENGTHS


def parse(text: str) -> str:
    """Any spelling of a digest → hex. ValueError if it is none."""
    try:
        return digests.parse(text)
    except Problem as problem:
        raise ValueError(problem.detail) from None


def algorithms_of(digest: str) -> list[str]:
    """SHA-256 and BLAKE3 have the same length: there may be two."""
    return digests.algorithms_of(digest)


def lanes(names: Iterable[str]) -> dict[str, Lane]:
    return {name: lane(name) for name in names}


def of_file(path: Path, names: Iterable[str]) -> dict[str, str]:
    running = lanes(names)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            for each in running.values():
                each.update(block)
    return {name: each.hexdigest() for name, each in running.items()}
