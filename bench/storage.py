"""Windows of several contenders taken in turn, for DynamoDB (`items`) and S3 (`buckets`)."""

from bench import load
from bench.contenders import Contender
from bench.results import Row

PEERS = ["moto", "ministack"]
ROUNDS = 3
_WARM_S = 1.0


def warm(contenders: list[Contender], requests: dict[str, list[load.Request]]) -> None:
    """Load that is not measured, twice: what a server starts when there is some is there then."""
    for _ in range(2):
        for each in contenders:
            load.run(each.endpoint, requests[each.name], connections=16, seconds=_WARM_S)


def windows(
    what: str,
    contenders: list[Contender],
    requests: dict[str, list[load.Request]],
    *,
    connections: int,
    seconds: float,
) -> dict[str, load.Window]:
    """Medians of rounds in turn: what slows the machine for a while slows all."""
    taken: dict[str, list[load.Window]] = {c.name: [] for c in contenders}
    for _ in range(ROUNDS):
        for each in contenders:
            window = load.run(
                each.endpoint, requests[each.name], connections=connections, seconds=seconds
            )
            taken[each.name].append(window)
    medians = {name: load.median(each) for name, each in taken.items()}
    for name, window in medians.items():
        if window.failed:
            print(f"  {what}: {name} failed {window.failed} times")
    return medians


def rates(
    what: str,
    contenders: list[Contender],
    requests: dict[str, list[load.Request]],
    seconds: float,
    connections: int = 16,
) -> Row:
    medians = windows(what, contenders, requests, connections=connections, seconds=seconds)
    return Row(what, "ops/s", {name: window.rate for name, window in medians.items()})
