"""Tumbling windows: which one a record belongs to, and what a function carries through it.

Windows follow each other without a gap and begin at multiples of their length; a record belongs to
that of its arrival. The function's answer to one batch is the state it gets with the next. When a
window is over - a record of a later one has come, its time is up, the shard has ended or the state
has outgrown its limit - the function is invoked once more, without records.
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
"""

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

_STATE_BYTES_MAX = 1 << 20
GRACE_MS = 1000  # after its end: what arrived in time may be stored a little later


@dataclass(frozen=True, slots=True)
class Window:
    start_ms: int
    end_ms: int
    state: dict[str, Any] = field(default_factory=dict)
    is_early: bool = False  # ended by its state
    failures: int = 0  # of the last invocation

    @classmethod
    def at(cls, moment_ms: int, length_s: int) -> "Window":
        start_ms = moment_ms - moment_ms % (length_s * 1000)
        return cls(start_ms, start_ms + length_s * 1000)

    @classmethod
    def of(cls, document: dict[str, Any] | None) -> "Window | None":
        return cls(**document) if document else None

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def carrying(self, state: dict[str, Any]) -> "Window":
        return replace(self, state=state, is_early=len(orjson.dumps(state)) > _STATE_BYTES_MAX)

    def failed(self) -> "Window":
        return replace(self, failures=self.failures + 1)

    def event(self, shard: str, source_arn: str, is_final: bool) -> dict[str, Any]:
        """What is in the event beside the records."""
        return {
            "window": {"start": _moment(self.start_ms), "end": _moment(self.end_ms)},
            "state": self.state,
            "shardId": shard,
            "eventSourceARN": source_arn,
            "isFinalInvokeForWindow": is_final,
            "isWindowTerminatedEarly": self.is_early,
        }


def state_of(payload: bytes) -> dict[str, Any] | None:
    """The state in a function's answer; None = there is none, which fails the invocation."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    state = answer.get("state") if isinstance(answer, dict) else None
    return state if isinstance(state, dict) else None


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
