"""Streams as event source mappings read them: records exactly as a function receives them."""

from typing import Any

import orjson

from cloudlet.dynamodb import streams
from cloudlet.events.streams import Record, Shard
from cloudlet.store.database import View


class Source:
    """`after` is a sequence number or "" for the oldest record there is."""

    def shards(self, view: View, stream_arn: str) -> list[Shard]:
        stream = streams.find_stream(view, stream_arn)
        if stream is None:
            return []
        return [Shard(streams.shard_id(stream), (), stream["closed_ms"] is not None)]

    def read(
        self, view: View, stream_arn: str, shard_id: str, after: str, limit: int
    ) -> list[Record]:
        """Records behind `after`; those already trimmed are passed over, as Lambda does."""
        stream = streams.find_stream(view, stream_arn)
        if stream is None or streams.shard_id(stream) != shard_id:
            return []
        behind = streams.number_of(after) if after else 0
        return [
            _record(number, created_ms, {**document, "eventSourceARN": stream_arn})
            for number, created_ms, document in streams.records(view, stream["id"], behind, limit)
        ]

    def latest(self, view: View, stream_arn: str, shard_id: str) -> str:
        """The position behind the newest record; "" before the first."""
        stream = streams.find_stream(view, stream_arn)
        if stream is None:
            return ""
        number = streams.last_number(view, stream["id"])
        return streams.sequence(number) if number else ""

    def at(self, view: View, stream_arn: str, shard_id: str, moment_ms: int) -> str:
        """The position behind the newest record that is older than the moment."""
        stream = streams.find_stream(view, stream_arn)
        number = stream and streams.last_number(view, stream["id"], moment_ms)
        return streams.sequence(number) if number else ""


def _record(number: int, created_ms: int, document: dict[str, Any]) -> Record:
    own = document["dynamodb"]
    key = orjson.dumps(own["Keys"], option=orjson.OPT_SORT_KEYS).decode()
    moment = float(own["ApproximateCreationDateTime"])  # functions get a float
    document = {**document, "dynamodb": {**own, "ApproximateCreationDateTime": moment}}
    return Record(streams.sequence(number), key, document, created_ms)
