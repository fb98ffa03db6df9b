"""Documents in tables: JSON in a row's first column, with the member names of AWS's answers."""

from typing import Any

import orjson

from cloudlet.store.database import Transaction, View

Document = dict[str, Any]


def find(view: View, sql: str, values: tuple[Any, ...]) -> Document | None:
    text = view.value(sql, values)
    document: Document | None = None if text is None else orjson.loads(text)
    return document


def every(view: View, sql: str, values: tuple[Any, ...] = ()) -> list[Document]:
    return [orjson.loads(row[0]) for row in view.all(sql, values)]


def text(document: Document) -> str:
    """What is None is not there."""
    return orjson.dumps({k: v for k, v in document.items() if v is not None}).decode()


def save(
    tx: Transaction, table: str, key: dict[str, str], document: Document, **first: Any
) -> None:
    """Makes the row with this key, or changes its document; `first`: what only a new row gets."""
    row = {**key, **first, "document": text(document)}
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    tx.run(
        f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET document = excluded.document",
        tuple(row.values()),
    )
