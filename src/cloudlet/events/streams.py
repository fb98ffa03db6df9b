"""What streams of any kind tell event source mappings: their shards and their records."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shard:
    id: str
    parents: tuple[str, ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class Record:
    sequence_number: str
    key: str  # order is kept by it
    document: dict[str, Any]  # as functions receive it
    created_ms: int
