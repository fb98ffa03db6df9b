"""Event source mappings as rows: what there are, and how far each has come in which shard."""

from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.functions.records import Document
from cloudlet.store.database import Transaction, View

TOPIC = "event-source-mappings"


@dataclass(frozen=True, slots=True)
class Mapping:
    uuid: str
    function_arn: str
    source_arn: str
    config: Document

    @property
    def source_kind(self) -> str:
        return self.source_arn.split(":")[2]


def load_all(view: View) -> list[Mapping]:
    rows = view.all("SELECT * FROM event_source_mappings ORDER BY uuid")
    return [
        Mapping(r["uuid"], r["function_arn"], r["source_arn"], orjson.loads(r["config"]))
        for r in rows
    ]


def is_enabled(mapping: Mapping) -> bool:
    return bool(mapping.config["State"] == "Enabled")


def settings_of(mapping: Mapping | None) -> Document | None:
    """What a running mapping depends on."""
    return None if mapping is None else mapping.config


def done_shards(view: View, uuid: str) -> set[str]:
    rows = view.all("SELECT shard FROM mapping_positions WHERE uuid = ? AND is_done", (uuid,))
    return {row["shard"] for row in rows}


def load_position(view: View, uuid: str, shard: str) -> tuple[str, list[list[Any]]]:
    row = view.one("SELECT * FROM mapping_positions WHERE uuid = ? AND shard = ?", (uuid, shard))
    return (row["after"], orjson.loads(row["attempts"])) if row else ("", [])


def save_position(tx: Transaction, uuid: str, shard: str, after: str) -> None:
    tx.run(
        "INSERT INTO mapping_positions (uuid, shard, after)"
        " SELECT uuid, ?, ? FROM event_source_mappings WHERE uuid = ?"
        " ON CONFLICT (uuid, shard) DO UPDATE SET after = excluded.after",
        (shard, after, uuid),
    )
