"""What a table is: keys, indexes, stream, expiry; read from its stored definition.

A definition is JSON in AWS's member names with a few of our own (index ids, statuses). `load` keeps
parsed definitions by their bytes; views remember them by name, the SQL table being watched.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.dynamodb.values import Item, text_size
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View
from cloudlet.wire.table_requests import check_name


@dataclass(frozen=True, slots=True)
class Index:
    id: int
    name: str
    is_global: bool
    hash_keys: tuple[str, ...]  # one to four
    range_keys: tuple[str, ...]  # none to four
    projection: str  # "ALL", "KEYS_ONLY" or "INCLUDE"
    included: frozenset[str]  # what entries hold unless ALL: all keys and what is INCLUDEd
    status: str
    sql_table: str

    @property
    def hash_key(self) -> str:
        return self.hash_keys[0]

    def key_names(self) -> tuple[str, ...]:
        return self.hash_keys + self.range_keys

    def entry(self, item: Item) -> Item:
        """The item as the index sees it."""
        if self.projection == "ALL":
            return item
        return {name: value for name, value in item.items() if name in self.included}


@dataclass(frozen=True, slots=True)
class Stream:
    id: int
    arn: str
    view_type: str


@dataclass(frozen=True, slots=True)
class Table:
    id: int
    name: str
    arn: str
    types: dict[str, str]  # of key attributes of table and indexes
    hash_key: str
    range_key: str | None
    indexes: tuple[Index, ...]
    stream: Stream | None
    expiry: str | None  # the TTL attribute
    sql_table: str
    document: dict[str, Any]  # the whole definition; never changed in place

    def key_names(self) -> tuple[str, ...]:
        return (self.hash_key,) if self.range_key is None else (self.hash_key, self.range_key)

    def index(self, name: str) -> Index:
        for index in self.indexes:
            if index.name == name and index.status == "ACTIVE":
                return index
        if any(index.name == name for index in self.indexes):
            raise AwsError(
                "ValidationException",
                f"Cannot read from backfilling global secondary index: {name}",
            )
        raise AwsError(
            "ValidationException", f"The table does not have the specified index: {name}"
        )


def key_names(schema: list[dict[str, str]]) -> tuple[str, str | None]:
    """The hash key's and the range key's attribute names of a KeySchema."""
    names = [element["AttributeName"] for element in schema]
    return names[0], names[1] if len(names) > 1 else None


@lru_cache(maxsize=1024)
def load(table_id: int, definition: bytes) -> Table:
    document = orjson.loads(definition)
    hash_key, range_key = key_names(document["KeySchema"])
    stream = document.get("Stream")
    expiry = document.get("Expiry") or {}
    types = {
        each["AttributeName"]: each["AttributeType"] for each in document["AttributeDefinitions"]
    }
    table_keys = {hash_key, range_key} - {None}
    return Table(
        table_id,
        document["TableName"],
        document["TableArn"],
        types,
        hash_key,
        range_key,
        tuple(_index(table_id, table_keys, index) for index in document["Indexes"]),
        Stream(stream["Id"], stream["Arn"], stream["ViewType"]) if stream else None,
        expiry.get("AttributeName"),
        f"dynamodb_items_{table_id}",
        document,
    )


def _index(table_id: int, table_keys: set[Any], index: dict[str, Any]) -> Index:
    by_type: dict[str, list[str]] = {"HASH": [], "RANGE": []}
    for element in index["KeySchema"]:
        by_type[element["KeyType"]].append(element["AttributeName"])
    hash_keys, range_keys = tuple(by_type["HASH"]), tuple(by_type["RANGE"])
    projection = index["Projection"]
    included = {*table_keys, *hash_keys, *range_keys, *projection.get("NonKeyAttributes", ())}
    return Index(
        index["Id"],
        index["IndexName"],
        index["IsGlobal"],
        hash_keys,
        range_keys,
        projection["ProjectionType"],
        frozenset(included - {None}),
        index["Status"],
        f"dynamodb_index_{table_id}_{index['Id']}",
    )


def name_of(config: Config, name_or_arn: str) -> str:
    """A table's name, which may have been given as its ARN."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    prefix = config.arn("dynamodb", "table/")
    if not name_or_arn.startswith(prefix):
        raise AwsError("AccessDeniedException", f"No access to resource: {name_or_arn}", 400)
    return name_or_arn[len(prefix) :].split("/")[0]


def find(view: View, config: Config, name_or_arn: str) -> Table | None:
    name = name_of(config, name_or_arn)
    return view.remembered(("dynamodb_tables", name), lambda: _read(view, name))


def _read(view: View, name: str) -> Table | None:
    row = view.one("SELECT id, definition FROM dynamodb_tables WHERE name = ?", (name,))
    return None if row is None else load(row[0], row[1])


def save(tx: Transaction, table: Table, document: dict[str, Any]) -> Table:
    definition = orjson.dumps(document)
    tx.run("UPDATE dynamodb_tables SET definition = ? WHERE id = ?", (definition, table.id))
    return load(table.id, definition)


def get(view: View, config: Config, name_or_arn: str) -> Table:
    """For the data plane; raises as reads and writes of items do."""
    table = find(view, config, name_or_arn)
    if table is None:
        check_name(name_of(config, name_or_arn))
        raise AwsError("ResourceNotFoundException", "Requested resource not found")
    return table


def get_described(view: View, config: Config, name_or_arn: str) -> Table:
    """For the control plane, which names the table in its refusal."""
    table = find(view, config, name_or_arn)
    if table is None:
        name = name_of(config, name_or_arn)
        raise AwsError(
            "ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"
        )
    return table


def all_tables(view: View) -> list[Table]:
    rows = view.all("SELECT id, definition FROM dynamodb_tables ORDER BY id")
    return [load(row[0], row[1]) for row in rows]


def item_size(item: Item, sizes: dict[str, int]) -> int:
    return sum(text_size(name) + sizes[name] for name in item)
