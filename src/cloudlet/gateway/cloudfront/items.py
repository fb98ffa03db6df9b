"""Stored CloudFront items: each kind has ids, ETags and If-Match in common."""

import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.gateway.configuration import new_id
from cloudlet.store.database import Row, Transaction, View

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    kind: str
    id: str
    etag: str
    created_ms: int
    modified_ms: int
    document: Document
    tags: dict[str, str]

    @classmethod
    def of(cls, row: Row) -> "Item":
        document, tags = orjson.loads(row["document"]), orjson.loads(row["tags"])
        moments = row["created_ms"], row["modified_ms"]
        return cls(row["kind"], row["id"], row["etag"], *moments, document, tags)


def find(view: View, kind: str, identifier: str) -> Item | None:
    row = view.one("SELECT * FROM cloudfront_items WHERE kind = ? AND id = ?", (kind, identifier))
    return None if row is None else Item.of(row)


def every(view: View, kind: str) -> list[Item]:
    """Oldest first."""
    rows = view.all(
        "SELECT * FROM cloudfront_items WHERE kind = ? ORDER BY created_ms, id", (kind,)
    )
    return [Item.of(row) for row in rows]


def add(
    tx: Transaction, kind: str, document: Document, now_ms: int, tags: dict[str, str] | None = None
) -> Item:
    letter = "I" if kind == "invalidation" else "E"
    own = f"{letter}{new_id(13).upper()}"
    identifier = str(uuid.uuid4()) if kind.endswith("-policy") else own
    item = Item(kind, identifier, _etag(), now_ms, now_ms, document, tags or {})
    tx.run(
        "INSERT INTO cloudfront_items (kind, id, etag, created_ms, modified_ms, document, tags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (kind, item.id, item.etag, now_ms, now_ms, _text(document), _text(item.tags)),
    )
    return item


def change(tx: Transaction, item: Item, document: Document, now_ms: int) -> Item:
    etag = _etag()
    tx.run(
        "UPDATE cloudfront_items SET document = ?, etag = ?, modified_ms = ?"
        " WHERE kind = ? AND id = ?",
        (_text(document), etag, now_ms, item.kind, item.id),
    )
    return Item(item.kind, item.id, etag, item.created_ms, now_ms, document, item.tags)


def tag(tx: Transaction, item: Item, tags: dict[str, str]) -> None:
    tx.run(
        "UPDATE cloudfront_items SET tags = ? WHERE kind = ? AND id = ?",
        (_text(tags), item.kind, item.id),
    )


def remove(tx: Transaction, item: Item) -> None:
    tx.run("DELETE FROM cloudfront_items WHERE kind = ? AND id = ?", (item.kind, item.id))


def check_etag(item: Item, if_match: str | None) -> None:
    if not if_match:
        raise AwsError(
            "InvalidIfMatchVersion",
            "The If-Match version is missing or not valid for the resource.",
        )
    if if_match != item.etag:
        raise AwsError(
            "PreconditionFailed",
            "The request failed because it didn't meet the preconditions in one or more "
            "request-header fields.",
            412,
        )


def changed(call: Call, tx: Transaction) -> None:
    """The edge forgets what it has compiled."""
    forget = getattr(call.state, "forget_distributions", None)
    if forget is not None:
        tx.after_commit(forget)


def page(entries: list[Document], params: Document) -> Document:
    """One page of a list operation: what comes after the Id that `Marker` is."""
    marker, size = params.get("Marker") or "", int(params.get("MaxItems") or 100)
    ids = [entry["Id"] for entry in entries]
    start = ids.index(marker) + 1 if marker in ids else 0
    shown = entries[start : start + size]
    is_truncated = len(entries) > start + size
    output: Document = {
        "Marker": marker,
        "MaxItems": size,
        "IsTruncated": is_truncated,
        "Quantity": len(shown),
        "Items": shown,
    }
    if is_truncated:
        output["NextMarker"] = shown[-1]["Id"]
    return output


def members(value: Any) -> list[Any]:
    """The items of CloudFront's `{Quantity, Items}`; an absent list is empty."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    return value.get("Items") or []


def _etag() -> str:
    return f"E{new_id(12).upper()}"


def _text(document: Document) -> str:
    return orjson.dumps(document).decode()
