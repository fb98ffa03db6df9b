"""Streams as event source mappings read them; whoever has a stream fills this contract."""

from collections.abc import Sequence
from typing import Any, Protocol

from cloudlet.store.database import View


class StreamShard(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def parents(self) -> Sequence[str]: ...
    @property
    def closed(self) -> bool: ...


class StreamRecord(Protocol):
    @property
    def sequence_number(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def document(self) -> dict[str, Any]: ...
    @property
    def created_ms(self) -> int: ...


class StreamSource(Protocol):
    """A stream as mappings read it. Positions are sequence numbers; "" is before the first.

    A shard's sequence numbers rise, as numbers without leading zeros do. Records of one `key` are
    never handled at the same time; a shard is read when all its parents are done that are still
    known. A write to the stream, and the end of a shard, touch the topic `stream:<arn>`.
    """

    def shards(self, view: View, stream_arn: str) -> Sequence[StreamShard]: ...

    def read(
        self, view: View, stream_arn: str, shard_id: str, after: str, limit: int
    ) -> Sequence[StreamRecord]: ...

    def latest(self, view: View, stream_arn: str, shard_id: str) -> str: ...

    def at(self, view: View, stream_arn: str, shard_id: str, moment_ms: int) -> str:
        """The position just before the first record created at the moment or later."""
        ...
