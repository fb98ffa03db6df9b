"""Streams as event source mappings read them: records exactly as a function receives them.

A mapping may name a consumer (enhanced fan-out): it reads the consumer's stream.
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

from base64 import b64encode
from typing import Any

from cloudlet.config import Config
from cloudlet.events.streams import Record, Shard
from cloudlet.kinesis import lookup, records, shards
from cloudlet.kinesis.records import Place, Records
from cloudlet.kinesis.sequences import parsed, sequence, shard_id, shard_number
from cloudlet.store.database import Row, View

_PAGE_BYTES = 6 << 20  # no invocation takes more


class Source:
    """`after` is a sequence number or "" for the oldest record there is."""

    def __init__(self, config: Config, stored: Records) -> None:
        self._config = config
        self._records = stored

    def shards(self, view: View, stream_arn: str) -> list[Shard]:
        stream = lookup.find(view, stream_arn)
        return [
            Shard(shard_id(row["number"]), tuple(shards.parents(row)), not shards.is_open(row))
            for row in (shards.every(view, stream) if stream else ())
        ]

    def read(
        self, view: View, stream_arn: str, shard_id: str, after: str, limit: int
    ) -> list[Record]:
        """Records behind `after`; those that are gone already are passed over, as Lambda does."""
        stream, shard = _place(view, stream_arn, shard_id)
        if stream is None or shard is None:
            return []
        position = parsed(after)
        if position and position.epoch_s != shard["epoch_s"]:
            position = None  # of a stream of the same name that was deleted
        oldest_ms = records.horizon_ms(stream, self._config.now_ms())
        place = Place(position.number if position else 0, limit, _PAGE_BYTES, oldest_ms)
        head = {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "awsRegion": self._config.region,
            "eventSourceARN": stream_arn,
        }
        return [_record(shard, found, head) for found in self._records.read(view, shard, place)]

    def latest(self, view: View, stream_arn: str, shard_id: str) -> str:
        """The position behind the newest record; "" before the first."""
        _, shard = _place(view, stream_arn, shard_id)
        return sequence(shard, shard["last"]) if shard and shard["last"] else ""

    def at(self, view: View, stream_arn: str, shard_id: str, moment_ms: int) -> str:
        """The position behind the newest record that is older than the moment."""
        _, shard = _place(view, stream_arn, shard_id)
        number = records.before(view, shard, moment_ms) if shard else 0
        return sequence(shard, number) if shard and number else ""


def _place(view: View, stream_arn: str, name: str) -> tuple[Row | None, Row | None]:
    stream = lookup.find(view, stream_arn)
    if stream is None:
        return None, None
    sql = "SELECT * FROM kinesis_shards WHERE stream = ? AND number = ?"
    return stream, view.one(sql, (stream["id"], shard_number(name)))


def _record(shard: Row, found: records.Record, head: dict[str, Any]) -> Record:
    number = sequence(shard, found.number)
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": found.partition_key,
        "sequenceNumber": number,
        "data": b64encode(found.data).decode(),
        "approximateArrivalTimestamp": found.created_ms / 1000,
    }
    document = {"kinesis": kinesis, **head, "eventID": f"{shard_id(shard['number'])}:{number}"}
    return Record(number, found.partition_key, document, found.created_ms)
