"""Orders, their stream, the lake and the marks in memory: what the functions do, without waiting.

Only what they use of S3 and DynamoDB: conditional puts, lists, a batch writer.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

Document = dict[str, Any]
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
FIRST_DAY = date(2026, 3, 1)


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "PutObject")


class Bucket:
    """The part of an S3 client that lake.py uses."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def put_object(self, Key: str, Body: bytes, **settings: str) -> None:
        if "IfNoneMatch" in settings and Key in self.objects:
            raise _refused("PreconditionFailed")
        if "IfMatch" in settings and self.etag(Key) != settings["IfMatch"]:
            raise _refused("PreconditionFailed")
        self.objects[Key] = Body

    def get_object(self, Key: str, **_: str) -> Document:
        if Key not in self.objects:
            raise _refused("NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Key]), "ETag": self.etag(Key)}

    def head_object(self, Key: str, **_: str) -> Document:
        if Key not in self.objects:
            raise _refused("404")
        return {"ETag": self.etag(Key)}

    def delete_objects(self, Delete: Document, **_: str) -> None:
        for named in Delete["Objects"]:
            self.objects.pop(named["Key"], None)

    def get_paginator(self, _name: str) -> Any:
        return self

    def paginate(self, Prefix: str, **_: str) -> list[Document]:
        return [{"Contents": [{"Key": key} for key in self.keys(Prefix)]}]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))


class State:
    """The part of the State table that capture and transform use."""

    def __init__(self) -> None:
        self.marks: dict[str, Document] = {}

    @contextmanager
    def batch_writer(self) -> Iterator["State"]:
        yield self

    def put_item(self, Item: Document) -> None:
        self.marks[Item["name"]] = Item

    def delete_item(self, Key: Document) -> None:
        self.marks.pop(Key["name"], None)

    def update_item(self, **_: Any) -> None:
        pass

    def query(self, **_: Any) -> Document:
        return {"Items": list(self.marks.values())}


class Shop:
    """Orders, and the stream records that its changes make."""

    def __init__(self) -> None:
        self.orders: dict[str, Document] = {}
        self.records: list[Document] = []

    def put(self, order: Document) -> Document:
        old = self.orders.get(order["order_id"])
        self.orders[order["order_id"]] = order
        return self._record("MODIFY" if old else "INSERT", old, order)

    def remove(self, order_id: str) -> Document:
        return self._record("REMOVE", self.orders.pop(order_id), None)

    def _record(self, event: str, old: Document | None, new: Document | None) -> Document:
        change: Document = {
            "SequenceNumber": f"{100 + len(self.records)}",
            "ApproximateCreationDateTime": 1_772_000_000 + len(self.records),
        }
        for name, image in (("OldImage", old), ("NewImage", new)):
            if image is not None:
                change[name] = {k: TypeSerializer().serialize(v) for k, v in image.items()}
        record = {"eventName": event, "eventSource": "aws:dynamodb", "dynamodb": change}
        self.records.append(record)
        return record


class Warehouse:
    """The functions, on a lake in memory."""

    def __init__(self, lake: ModuleType, capture: ModuleType, transform: ModuleType) -> None:
        self.lake, self.transform_app, self.capture_app = lake, transform, capture
        self.clear()

    def clear(self) -> None:
        self.bucket, self.state = Bucket(), State()
        self.lake._client = lambda: self.bucket  # type: ignore[attr-defined]
        self.capture_app.state = self.transform_app.state = lambda: self.state

    def capture(self, *records: Document) -> list[str]:
        """Sequence numbers that were reported as failed."""
        answer = self.capture_app.handler({"Records": list(records)}, None)
        return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]

    def transform(self, *dates: str) -> list[str]:
        rebuilt: list[str] = self.transform_app.handler({"dates": list(dates)}, CONTEXT)["rebuilt"]
        return rebuilt

    def rows(self, table: str, day: str = "") -> list[Document]:
        prefix = self.lake.place(table) + (f"date={day}/" if day else "")
        found: list[Document] = []
        for key in self.bucket.keys(prefix):
            partition = key.split("date=")[1].split("/")[0] if "date=" in key else ""
            rows = pq.read_table(io.BytesIO(self.bucket.objects[key])).to_pylist()
            found += [row | {"date": partition} for row in rows]
        return found

    def schema(self, table: str) -> pa.Schema:
        (key, *_) = self.bucket.keys(self.lake.place(table))
        return pq.read_schema(io.BytesIO(self.bucket.objects[key])).remove_metadata()


def line(sku: str = "P-1", quantity: int = 1, cents: int = 100, discount: int = 0) -> Document:
    return {
        "sku": sku, "name": f"Product {sku}", "category": "Things", "quantity": quantity,
        "unit_price_cents": cents, "discount_cents": discount,
    }  # fmt: skip


def customer(since: str = "2026-01-01", **changed: str) -> Document:
    return {"id": "C-1", "segment": "private", "city": "Wien", "since": since} | changed


def order(order_id: str = "O-1", day: int = 0, **changed: Any) -> Document:
    """As recorded a minute after it was made, `day` days after the first."""
    ordered = (FIRST_DAY + timedelta(days=day)).isoformat()
    return {
        "order_id": order_id, "order_date": ordered, "version": 1, "status": "placed",
        "ordered_at": f"{ordered}T10:00:00Z", "recorded_at": f"{ordered}T10:01:00Z",
        "customer": customer(), "store": {"id": "S-1", "name": "Mitte", "city": "Wien"},
        "lines": [line()],
    } | changed  # fmt: skip


def corrected(old: Document, **changed: Any) -> Document:
    at = old["ordered_at"].replace("T10", "T15")
    return old | {"version": old["version"] + 1, "corrected_at": at} | changed
