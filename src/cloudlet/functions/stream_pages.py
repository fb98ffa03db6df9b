"""What is read of a shard, ready to be handed on: filtered, encoded, told which lane it is for.

Lanes that have caught up read the same records: they share the last pages, and the knowledge that
there is nothing more until the stream is touched.
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
"""

import zlib
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

from cloudlet.errors import AwsError
from cloudlet.events.patterns import lenient
from cloudlet.functions.batches import Item
from cloudlet.functions.positions import Progress, order
from cloudlet.functions.records import Document
from cloudlet.functions.running import Running
from cloudlet.functions.sources import StreamRecord, StreamSource
from cloudlet.store.database import View

_KEPT = 4
_READ, _READ_MAX = 100, 10_000  # records at a time

Former = dict[int, list[Progress]]  # lanes of other factors: what is done, too


class Pages:
    def __init__(self, running: Running, source: StreamSource, shard: str, former: Former) -> None:
        config = running.mapping.config
        self._database = running.cloud.database
        self._source = source
        self.shard = shard
        self._place = running.mapping.stream_arn, shard
        self._factor = config["ParallelizationFactor"]
        self._limit = min(_READ_MAX, max(_READ, config["BatchSize"] * self._factor))
        self._former = {
            factor: {row.lane: order(row.after) for row in rows} for factor, rows in former.items()
        }
        self._is_wanted = _wanted(config.get("FilterCriteria") or {})
        self._more = _more(running)
        self._known: dict[str, list[Item]] = {}
        self._dry: str | None = None

    def touch(self) -> None:
        self._dry = None

    def read(self, after: str) -> tuple[list[Item], bool]:
        """Some items behind a position; none and True at the end of the shard."""
        if after in self._known:
            return self._known[after], False
        if after == self._dry:
            return [], False
        with self._database.snapshot() as view:
            found = self._source.read(view, *self._place, after, self._limit)
            is_end = not found and self.closed(view) is not False
        items = [self._item(record) for record in found]
        if not items:
            self._dry = None if is_end else after
        elif self._factor > 1:
            self._known[after] = items
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return items, is_end

    def closed(self, view: View) -> bool | None:
        """None = the shard is not there any more."""
        stream_arn, shard_id = self._place
        found = [each for each in self._source.shards(view, stream_arn) if each.id == shard_id]
        return found[0].closed if found else None

    def _item(self, record: StreamRecord) -> Item:
        mark = zlib.crc32(record.key.encode())
        data = b""
        if not self._is_done(mark, record.sequence_number):
            document = {**record.document, **self._more}
            data = orjson.dumps(document) if self._is_wanted(document) else b""
        lane = mark % self._factor
        return Item(record.sequence_number, record.created_ms, lane, data)

    def _is_done(self, mark: int, number: str) -> bool:
        return any(
            order(number) <= lanes.get(mark % factor, (0, ""))
            for factor, lanes in self._former.items()
        )


def _more(running: Running) -> Document:
    """What the stream does not know about a function's records."""
    mapping = running.mapping
    more: Document = {"eventSourceARN": mapping.source_arn}
    if mapping.source_kind == "kinesis":
        with suppress(AwsError):
            more["invokeIdentityArn"] = running.found().config["Role"]
    return more


def _wanted(criteria: Document) -> Callable[[Document], bool]:
    tests = []
    for item in criteria.get("Filters") or []:
        pattern = orjson.loads(item["Pattern"])
        tests.append((lenient(pattern), "data" in pattern))
    if not tests:
        return lambda document: True

    def is_wanted(document: Document) -> bool:
        seen = document
        if "kinesis" in document:
            seen = {**document, **document["kinesis"]}
            seen["data"] = _decoded(document["kinesis"]["data"])
        return any(
            matches(seen) for matches, is_data in tests if not (is_data and seen["data"] is None)
        )

    return is_wanted


def _decoded(data: str) -> Any:
    """The JSON in a record of Kinesis; None if it isn't."""
    try:
        return orjson.loads(b64decode(data))
    except ValueError:
        return None
