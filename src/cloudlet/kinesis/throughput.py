"""What a shard takes and gives each second; more is refused, as AWS does.

A bucket may run into debt by its last request, so that one large record passes and is paid for
with a pause. Streams in on-demand mode take what comes.
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

import threading

from cloudlet.errors import AwsError
from cloudlet.kinesis.sequences import shard_id
from cloudlet.store.database import Row

WRITES = (1000.0, float(1 << 20))  # records and bytes a second
READS = (5.0, float(2 << 20))  # calls and bytes
_SHARDS_MAX = 10_000  # that are remembered


class Buckets:
    """Of each shard one per rate. Reads come from several threads."""

    def __init__(self, *rates: float) -> None:
        self._rates = rates
        self._levels: dict[int, tuple[int, list[float]]] = {}
        self._lock = threading.Lock()

    def take(self, shard: int, now_ms: int, *amounts: float) -> bool:
        """False, and nothing is taken, if one of them is empty."""
        with self._lock:
            then_ms, old = self._levels.get(shard, (now_ms, list(self._rates)))
            passed_s = max(0, now_ms - then_ms) / 1000
            levels = [
                min(rate, level + rate * passed_s)
                for rate, level in zip(self._rates, old, strict=True)
            ]
            is_open = min(levels) > 0
            if is_open:
                levels = [level - amount for level, amount in zip(levels, amounts, strict=True)]
            if len(self._levels) >= _SHARDS_MAX:
                self._levels.clear()
            self._levels[shard] = (now_ms, levels)
            return is_open

    def charge(self, shard: int, *amounts: float) -> None:
        """For what only turned out afterwards."""
        with self._lock:
            if shard in self._levels:
                then_ms, old = self._levels[shard]
                levels = [level - amount for level, amount in zip(old, amounts, strict=True)]
                self._levels[shard] = (then_ms, levels)


def exceeded(stream: Row, shard: Row) -> AwsError:
    account = stream["arn"].split(":")[4]
    return AwsError(
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard {shard_id(shard['number'])} in stream {stream['name']} under"
        f" account {account}.",
    )
