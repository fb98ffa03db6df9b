"""Numbers and names in a stream: sequence numbers, shard ids, hash keys, ids of records.

A sequence number has 56 digits and tells, from the top: the time of its shard's creation, the
record's number in the shard, the shard's number. So numbers rise within a shard, those of a shard's
children are above all of its own, and of equal length they compare as text does.
https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
"""

import hashlib
from typing import NamedTuple

from cloudlet.store.database import Row

HASH_KEYS = 1 << 128
_KEY_DIGITS = 39
_TOP = 2 << 184
_EPOCH, _NUMBER, _SHARD = 148, 84, 4  # where the parts begin, in bits
_VERSION = 2
_RECORD_BITS = 40


class Sequence(NamedTuple):
    epoch_s: int
    number: int
    shard: int


def sequence(shard: Row, number: int) -> str:
    top = _TOP | shard["epoch_s"] << _EPOCH | number << _NUMBER
    return str(top | shard["number"] << _SHARD | _VERSION)


def parsed(text: str) -> Sequence | None:
    """None for what no stream of ours ever gave out."""
    value = int(text) if len(text) == len(str(_TOP)) and text.isdecimal() else 0
    found = Sequence(
        (value ^ _TOP) >> _EPOCH, value >> _NUMBER & (1 << 64) - 1, value >> _SHARD & (1 << 32) - 1
    )
    again = _TOP | found.epoch_s << _EPOCH | found.number << _NUMBER | found.shard << _SHARD
    return found if value == again | _VERSION else None


def shard_id(number: int) -> str:
    return f"shardId-{number:012d}"


def shard_number(name: str) -> int:
    """-1 for names that no shard has."""
    digits = name.removeprefix("shardId-")
    number = int(digits) if digits.isascii() and digits.isdecimal() else -1
    return number if shard_id(number) == name else -1


def record_id(shard: Row, number: int) -> int:
    return int(shard["id"] << _RECORD_BITS | number)


def number_of(record: int) -> int:
    return record & (1 << _RECORD_BITS) - 1


def hash_key(partition_key: str) -> int:
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())


def padded(key: int) -> str:
    return f"{key:0{_KEY_DIGITS}d}"
