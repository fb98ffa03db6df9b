"""Event source mappings as rows: what there are, and how far each has come in which shard.

A shard is read in lanes, as many as the mapping's ParallelizationFactor. Each lane has a position
of its own: all of its records up to there are done with. The shard's position, a prefix that is
done in all lanes, is what remains true when the factor changes; so do the lanes of the former
factor, until that prefix has come past them.
"""

from dataclasses import dataclass, field

import orjson

from cloudlet.functions.records import Document
from cloudlet.functions.windows import Window
from cloudlet.store.database import Row, Transaction, View

TOPIC = "event-source-mappings"
NOTHING_YET = "No records processed"
Attempts = list[tuple[str, int]]  # parts in retry: the last sequence number, how often it failed


@dataclass(frozen=True, slots=True)
class Mapping:
    uuid: str
    function_arn: str
    source_arn: str
    config: Document
    last_result: str = NOTHING_YET

    @classmethod
    def of(cls, row: Row) -> "Mapping":
        config = orjson.loads(row["config"])
        return cls(row["uuid"], row["function_arn"], row["source_arn"], config, row["last_result"])

    def output(self) -> Document:
        """As AWS shows it: only streams have a last result."""
        if "StartingPosition" not in self.config:
            return self.config
        return {**self.config, "LastProcessingResult": self.last_result}

    @property
    def source_kind(self) -> str:
        return self.source_arn.split(":")[2]

    @property
    def stream_arn(self) -> str:
        return stream_of(self.source_arn)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a lane has come; the first has the tumbling window that is open, if any."""

    lane: int
    after: str
    attempts: Attempts = field(default_factory=list)
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Position:
    after: str
    window: Window | None
    lanes: dict[int, list[Progress]]  # by factor


def order(number: str) -> tuple[int, str]:
    """Sequence numbers in the order of their records."""
    return len(number), number


def stream_of(source_arn: str) -> str:
    """A consumer's ARN begins with its stream's."""
    return source_arn.partition("/consumer/")[0]


def load_all(view: View) -> list[Mapping]:
    return [
        Mapping.of(row) for row in view.all("SELECT * FROM event_source_mappings ORDER BY uuid")
    ]


def find(view: View, uuid: str) -> Mapping | None:
    row = view.one("SELECT * FROM event_source_mappings WHERE uuid = ?", (uuid,))
    return Mapping.of(row) if row else None


def is_enabled(mapping: Mapping) -> bool:
    return bool(mapping.config["State"] == "Enabled")


def settings_of(mapping: Mapping | None) -> Document | None:
    """What a running mapping depends on."""
    if mapping is None:
        return None
    return {key: value for key, value in mapping.config.items() if key not in _IDLE}


_IDLE = ("LastModified", "Tags", "StateTransitionReason")


def done_shards(view: View, uuid: str) -> set[str]:
    rows = view.all("SELECT shard FROM mapping_positions WHERE uuid = ? AND is_done", (uuid,))
    return {row["shard"] for row in rows}


def load(view: View, uuid: str, shard: str) -> Position:
    where = "WHERE uuid = ? AND shard = ?"
    row = view.one(f"SELECT after, window FROM mapping_positions {where}", (uuid, shard))
    lanes: dict[int, list[Progress]] = {}
    for each in view.all(f"SELECT * FROM mapping_lanes {where} ORDER BY lane", (uuid, shard)):
        attempts = [(last, failures) for last, failures in orjson.loads(each["attempts"])]
        lanes.setdefault(each["factor"], []).append(Progress(each["lane"], each["after"], attempts))
    if row is None:
        return Position("", None, lanes)
    return Position(row["after"], Window.of(orjson.loads(row["window"] or "null")), lanes)


def save(tx: Transaction, uuid: str, shard: str, after: str, window: Window | None = None) -> None:
    """The shard's position; of a mapping that is gone, nothing. Lanes behind it tell no more."""
    text = None if window is None else orjson.dumps(window.document()).decode()
    tx.run(
        "INSERT INTO mapping_positions (uuid, shard, after, window)"
        " SELECT uuid, ?, ?, ? FROM event_source_mappings WHERE uuid = ?"
        " ON CONFLICT (uuid, shard) DO UPDATE SET"
        " after = excluded.after, window = excluded.window, is_done = 0",
        (shard, after, text, uuid),
    )
    tx.run(
        "DELETE FROM mapping_lanes WHERE uuid = ? AND shard = ? AND"
        " ((length(after), after) < (length(?), ?) OR (after = ? AND attempts = '[]'))",
        (uuid, shard, after, after, after),
    )


def save_lanes(tx: Transaction, uuid: str, shard: str, factor: int, rows: list[Progress]) -> None:
    tx.run_many(
        "INSERT INTO mapping_lanes (uuid, shard, factor, lane, after, attempts)"
        " SELECT uuid, ?, ?, ?, ?, ? FROM event_source_mappings WHERE uuid = ?"
        " ON CONFLICT (uuid, shard, factor, lane) DO UPDATE SET"
        " after = excluded.after, attempts = excluded.attempts",
        [
            (shard, factor, row.lane, row.after, orjson.dumps(row.attempts).decode(), uuid)
            for row in rows
        ],
    )


def finish(tx: Transaction, uuid: str, shard: str) -> None:
    """A closed shard, read to its end."""
    tx.run("UPDATE mapping_positions SET is_done = 1 WHERE uuid = ? AND shard = ?", (uuid, shard))


def forget(tx: Transaction, uuid: str, shard: str) -> None:
    for table in ("mapping_positions", "mapping_lanes"):
        tx.run(f"DELETE FROM {table} WHERE uuid = ? AND shard = ?", (uuid, shard))


def note_result(tx: Transaction, uuid: str, result: str) -> None:
    tx.run("UPDATE event_source_mappings SET last_result = ? WHERE uuid = ?", (result, uuid))
