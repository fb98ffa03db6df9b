"""Streams as event source mappings read them: records exactly as a function receives them."""

from typing import Any

import orjson

from cloudlet.dynamodb import shards, streams
from cloudlet.events.streams import Record, Shard
from cloudlet.store.database import View


class Source:
    """`after` is a sequence number or "" for the oldest record there is."""

    def shards(self, view: View, stream_arn: str) -> list[Shard]:
        stream = streams.find_stream(view, stream_arn)
        return [] if stream is None else [_told(shard) for shard in shards.of(view, stream)]

    def read(
        self, view: View, stream_arn: str, shard_id: str, after: str, limit: int
    ) -> list[Record]:
        """Records behind `after`; those already trimmed are passed over, as Lambda does."""
        shard = _shard(view, stream_arn, shard_id)
        if shard is None:
            return []
        behind = streams.number_of(after) if after else 0
        return [
            _record(number, created_ms, {**document, "eventSourceARN": stream_arn})
            for number, created_ms, document in streams.records(view, shard, behind, limit)
        ]

    def latest(self, view: View, stream_arn: str, shard_id: str) -> str:
        """The position behind the shard's newest record; "" before the first."""
        return self.at(view, stream_arn, shard_id, 1 << 62)

    def at(self, view: View, stream_arn: str, shard_id: str, moment_ms: int) -> str:
        """The position behind the newest record that is older than the moment."""
        shard = _shard(view, stream_arn, shard_id)
        number = shards.newest(view, shard, moment_ms) if shard else 0
        return "" if shard is None or number < shard.first else streams.sequence(number)


def _shard(view: View, stream_arn: str, shard_id: str) -> shards.Shard | None:
    stream = streams.find_stream(view, stream_arn)
    return None if stream is None else shards.find(view, stream, shard_id)


def _told(shard: shards.Shard) -> Shard:
    parents = () if shard.parent_id is None else (shard.parent_id,)
    return Shard(shard.id, parents, shard.last is not None)


def _record(number: int, created_ms: int, document: dict[str, Any]) -> Record:
    own = document["dynamodb"]
    key = orjson.dumps(own["Keys"], option=orjson.OPT_SORT_KEYS).decode()
    moment = float(own["ApproximateCreationDateTime"])  # functions get a float
    document = {**document, "dynamodb": {**own, "ApproximateCreationDateTime": moment}}
    return Record(streams.sequence(number), key, document, created_ms)
