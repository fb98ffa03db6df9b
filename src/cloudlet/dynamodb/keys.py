"""Primary keys: taken from items or `Key` parameters, checked, and turned into bytes.

A partition key's bytes begin with two bytes of a hash, so that a scan's order and its segments
spread over partitions; equal keys have equal bytes, and sort keys are in the order of their values.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

from cloudlet.dynamodb.definitions import Index, Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Item, Value, canonical, key_bytes, type_of
from cloudlet.errors import AwsError

_WRONG = "One or more parameter values were invalid: "
_NOT_VALID = "One or more parameter values are not valid. "
MISMATCH = "The provided key element does not match the schema"
_HASH_MAX_BYTES = 2048
_RANGE_MAX_BYTES = 1024
HASH_SPACE = 1 << 16
END = b"\0\1"  # of one attribute of several


class KeyMismatch(AwsError):
    """The item or key doesn't fit the table's key schema."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class Key(NamedTuple):
    pk: bytes
    sk: bytes


def partition(raw: bytes) -> bytes:
    return (crc32(raw) & 0xFFFF).to_bytes(2, "big") + raw


def of_item(table: Table, item: Item) -> Key:
    """The key of a whole, canonical item; also checks the keys of its index entries."""
    for name in table.key_names():
        value = item.get(name)
        if value is None:
            raise KeyMismatch(f"{_WRONG}Missing the key {name} in the item")
        if type_of(value) != table.types[name]:
            raise KeyMismatch(
                f"{_WRONG}Type mismatch for key {name} expected: {table.types[name]}"
                f" actual: {type_of(value)}"
            )
    key = _key(table, item)
    for index in table.indexes:
        check_index_keys(table, index, item)
    return key


def of_key(table: Table, given: dict[str, Any]) -> tuple[Key, Item]:
    """The key that a `Key` parameter gives, and the parameter in canonical spelling."""
    item = {name: canonical(value)[0] for name, value in given.items()}
    names = table.key_names()
    if len(item) != len(names) or any(
        name not in item or type_of(item[name]) != table.types[name] for name in names
    ):
        raise KeyMismatch(MISMATCH)
    return _key(table, item), item


def _key(table: Table, item: Item) -> Key:
    raw = bytes_of(table.hash_key, item[table.hash_key])
    if len(raw) > _HASH_MAX_BYTES:
        raise invalid(
            f"{_WRONG}Size of hashkey has exceeded the maximum size limit of{_HASH_MAX_BYTES} bytes"
        )
    if table.range_key is None:
        return Key(partition(raw), b"")
    sort = bytes_of(table.range_key, item[table.range_key])
    if len(sort) > _RANGE_MAX_BYTES:
        raise invalid(
            f"{_WRONG}Aggregated size of all range keys has exceeded the size limit of"
            f" {_RANGE_MAX_BYTES} bytes"
        )
    return Key(partition(raw), sort)


def bytes_of(name: str, value: Value) -> bytes:
    raw = key_bytes(value)
    if not raw:
        kind = "string" if "S" in value else "binary"
        raise invalid(
            f"{_NOT_VALID}The AttributeValue for a key attribute cannot contain an empty {kind}"
            f" value. Key: {name}"
        )
    return raw


def check_index_keys(table: Table, index: Index, item: Item) -> None:
    for name in index.key_names():
        value = item.get(name)
        if value is None:
            continue
        if type_of(value) != table.types[name]:
            raise invalid(
                f"{_WRONG}Type mismatch for Index Key {name} Expected: {table.types[name]}"
                f" Actual: {type_of(value)} IndexName: {index.name}"
            )
        raw = key_bytes(value)
        limit = _HASH_MAX_BYTES if name in index.hash_keys else _RANGE_MAX_BYTES
        if not raw:
            kind = "string" if "S" in value else "binary"
            raise invalid(
                f"{_NOT_VALID}A value specified for a secondary index key is not supported. The"
                f" AttributeValue for a key attribute cannot contain an empty {kind} value."
                f" IndexName: {index.name}, IndexKey: {name}"
            )
        if len(raw) > limit:
            which = "hashkey" if name in index.hash_keys else "rangekey"
            raise invalid(
                f"{_WRONG}Size of {which} has exceeded the maximum size limit of{limit} bytes"
            )


def of_index(table: Table, index: Index, item: Item) -> Key | None:
    """Where the item stands in the index; None where it has no entry (a key of it is missing)."""
    values = [item.get(name) for name in index.key_names()]
    if any(
        value is None or type_of(value) != table.types[name]
        for name, value in zip(index.key_names(), values, strict=True)
    ):
        return None
    raw = [key_bytes(value) for value in values if value is not None]
    count = len(index.hash_keys)
    limits = [_HASH_MAX_BYTES] * count + [_RANGE_MAX_BYTES] * (len(raw) - count)
    if not all(0 < len(part) <= limit for part, limit in zip(raw, limits, strict=True)):
        return None  # such items can only be older than the index
    return Key(partition(joined(raw[:count])), joined(raw[count:]))


def joined(parts: Sequence[bytes]) -> bytes:
    """Several attributes as one key, in the order of the first, then of the second, …; one alone
    is itself. Zeros inside of a part are escaped, so that its end sorts before all that goes on."""
    if len(parts) < 2:
        return parts[0] if parts else b""
    return b"".join(map(delimited, parts))


def delimited(part: bytes) -> bytes:
    return escaped(part) + END


def escaped(part: bytes) -> bytes:
    return part.replace(b"\0", b"\0\xff")


def picture(item: Item, names: tuple[str, ...]) -> Item:
    """The key attributes of an item."""
    return {name: item[name] for name in names}
