"""Objects as rows: loading, storing and removing them, and who holds which blob.

A row holds its blobs by counting in `s3_blob`; the file goes after the commit that drops the last
hold. So copies share bytes, and completed uploads take over those of their parts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from awscrt.checksums import crc32c

from cloudlet.store.blobs import Blobs, Segment
from cloudlet.store.database import Row, Transaction, View
from cloudlet.store.integrity import Damaged
from cloudlet.store.sealing import Wrapper

Checksum = tuple[str, str, str]  # algorithm, type, value
Part = tuple[int, int, str]  # number, size, checksum value
Inline = tuple[bytes, str]  # a small object's bytes, sealed, and their wrapped key
COLUMNS = (
    "bucket, key, size, etag, modified_ms, version, checksum, content, tags, upload, headers,"
    " metadata, parts, segments, version_id, encryption, traits"
)
_NAMES = COLUMNS.split(", ")
_PUT = (  # unlike REPLACE, it leaves the index of keys as it is
    f"INSERT INTO s3_object ({COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
    " ON CONFLICT (bucket, key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NAMES[2:])
)

_AT_ONCE = 64  # numbers of versions
_WHOLE = (
    "SELECT s3_object.*, data AS inline_data, s3_content.key AS inline_key FROM s3_object"
    " LEFT JOIN s3_content ON s3_content.id = content WHERE bucket = ? AND s3_object.key = ?"
)


@dataclass(slots=True)
class Record:
    """One version of an object. `etag` has no quotes ("" = a delete marker), `version_id` is ""
    for the null version; `content` or `segments` say where the bytes are."""

    bucket: int
    key: str
    size: int
    etag: str
    modified_ms: int
    checksum: Checksum
    tags: dict[str, str] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    content: int | None = None
    upload: str = ""
    version: int = 0
    version_id: str = ""
    encryption: dict[str, Any] = field(default_factory=dict)  # output members; {} = SSE-S3
    traits: dict[str, Any] = field(default_factory=dict)  # what few objects have; see `traits`
    inline: Inline | None = None  # where it was read along

    @property
    def is_marker(self) -> bool:
        return not self.etag

    @classmethod
    def of(cls, row: Row) -> "Record":
        algorithm, kind, value = orjson.loads(row["checksum"])
        return cls(
            row["bucket"],
            row["key"],
            row["size"],
            row["etag"],
            row["modified_ms"],
            (algorithm, kind, value),
            object_of(row["tags"]),
            object_of(row["headers"]),
            object_of(row["metadata"]),
            [(number, size, checksum) for number, size, checksum in _array(row["parts"])],
            segments_of(row["segments"]),
            row["content"],
            row["upload"],
            row["version"],
            row["version_id"],
            object_of(row["encryption"]),
            object_of(row["traits"]),
        )


def object_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {} if text == "{}" else orjson.loads(text)  # mostly there is nothing
    return found


def _array(text: str) -> list[Any]:
    found: list[Any] = [] if text == "[]" else orjson.loads(text)
    return found


def _text(value: Any) -> str:
    if not value:
        return "[]" if isinstance(value, list) else "{}"
    return orjson.dumps(value, default=tuple).decode()  # of named tuples


def segments_of(text: str) -> list[Segment]:
    return [Segment(*each) for each in _array(text)]


def load(view: View, bucket: int, key: str) -> Record | None:
    row = view.one("SELECT * FROM s3_object WHERE bucket = ? AND key = ?", (bucket, key))
    return None if row is None else Record.of(row)


def of_version(view: View, bucket: int, key: str, version: int) -> Record | None:
    """The version with that place in the order of writes."""
    for table in ("s3_object", "s3_version"):
        row = view.one(
            f"SELECT * FROM {table} WHERE bucket = ? AND key = ? AND version = ?",
            (bucket, key, version),
        )
        if row is not None:
            return Record.of(row)
    return None


def load_whole(view: View, bucket: int, key: str) -> Record | None:
    """With the bytes of a small object, by one statement: it needs no snapshot."""
    row = view.one(_WHOLE, (bucket, key))
    if row is None:
        return None
    record = Record.of(row)
    if record.content is not None:
        record.inline = row["inline_data"], row["inline_key"]
    return record


def is_there(view: View, record: Record) -> bool:
    """Whether what was read is still kept: as the current version or as another."""
    where = "bucket = ? AND key = ? AND version = ?"
    place = (record.bucket, record.key, record.version)
    return any(
        view.value(f"SELECT 1 FROM {table} WHERE {where}", place)
        for table in ("s3_object", "s3_version")
    )


def next_version(tx: Transaction) -> int:
    """Some are taken at a time. The writer forgets them when a change fails: with its transaction
    the taking may be undone, too. What is left over then is never used."""
    taken: list[int] = tx.remembered("s3_sequence", list)
    if not taken:
        last: int = tx.value(f"UPDATE s3_sequence SET value = value + {_AT_ONCE} RETURNING value")
        taken.extend(range(last, last - _AT_ONCE, -1))
    return taken.pop()


def data(view: View, record: Record, wrapper: Wrapper) -> bytes:
    """The bytes of a small object."""
    if record.content is None:
        return b""
    kept = record.inline
    if kept is None:
        row = view.one("SELECT data, key FROM s3_content WHERE id = ?", (record.content,))
        if row is None:
            raise Damaged("is not there")
        kept = row["data"], row["key"]
    sealed, key = kept
    return wrapper.unwrap(key).open(0, sealed) if key else bytes(sealed)


def sealed(data: bytes, wrapper: Wrapper) -> Inline | None:
    """A small object's bytes as they are kept; nothing is kept of nothing."""
    if not data:
        return None
    key = wrapper.new_key()
    return key.seal(0, data), key.wrapped


def store(tx: Transaction, record: Record, inline: Inline | None, spare: int | None = None) -> None:
    """Makes the record its key's current version. Its segments must be held already. `spare` is
    the place of small contents that nobody needs any more."""
    record.content = _keep(tx, inline, spare)
    tx.run(
        _PUT,
        (
            record.bucket,
            record.key,
            record.size,
            record.etag,
            record.modified_ms,
            record.version,
            _text(record.checksum),
            record.content,
            _text(record.tags),
            record.upload,
            _text(record.headers),
            _text(record.metadata),
            _text(record.parts),
            _text(record.segments),
            record.version_id,
            _text(record.encryption),
            _text(record.traits),
        ),
    )


def put_traits(tx: Transaction, record: Record) -> None:
    """Keeps the record's traits as they are now, wherever the version is."""
    for table in ("s3_object", "s3_version"):
        tx.run(
            f"UPDATE {table} SET traits = ? WHERE bucket = ? AND key = ? AND version = ?",
            (_text(record.traits), record.bucket, record.key, record.version),
        )


def _keep(tx: Transaction, inline: Inline | None, spare: int | None) -> int | None:
    if inline is None:
        if spare is not None:
            tx.run("DELETE FROM s3_content WHERE id = ?", (spare,))
        return None
    kept = (*inline, crc32c(inline[0]))
    change = "UPDATE s3_content SET data = ?, key = ?, sum = ? WHERE id = ?"
    if spare is not None and tx.run(change, (*kept, spare)).rowcount:
        return spare
    return tx.run("INSERT INTO s3_content (data, key, sum) VALUES (?, ?, ?)", kept).lastrowid


def replaced(tx: Transaction, blobs: Blobs, bucket: int, key: str) -> int | None:
    """Frees what the current version consists of, whose row is replaced next; its place of small
    contents is to be used again."""
    row = tx.one(
        "SELECT content, segments FROM s3_object WHERE bucket = ? AND key = ?", (bucket, key)
    )
    if row is None:
        return None
    release(tx, blobs, segments_of(row["segments"]))
    content: int | None = row["content"]
    return content


def free(tx: Transaction, blobs: Blobs, content: int | None, segments: Sequence[Segment]) -> None:
    _keep(tx, None, content)
    release(tx, blobs, segments)


def hold(tx: Transaction, segments: Sequence[Segment]) -> None:
    if not segments:
        return
    uses = Counter(segment.blob for segment in segments)
    tx.run_many(
        "INSERT INTO s3_blob (blob, uses) VALUES (?, ?)"
        " ON CONFLICT (blob) DO UPDATE SET uses = uses + excluded.uses",
        list(uses.items()),
    )


def release(tx: Transaction, blobs: Blobs, segments: Sequence[Segment]) -> None:
    """Gives up holds; blobs that nobody holds any more are deleted after the commit."""
    if not segments:
        return
    gone = []
    for blob, count in Counter(segment.blob for segment in segments).items():
        left = tx.value(
            "UPDATE s3_blob SET uses = uses - ? WHERE blob = ? RETURNING uses", (count, blob)
        )
        if left is not None and left <= 0:
            tx.run("DELETE FROM s3_blob WHERE blob = ?", (blob,))
            gone.append(blob)
    if gone:
        tx.after_commit(lambda: blobs.delete(gone))


def known_blobs(view: View) -> Callable[[str], bool]:
    """For `Blobs.collect`: whether an object or a part refers to a blob."""
    return lambda blob: view.value("SELECT 1 FROM s3_blob WHERE blob = ?", (blob,)) is not None
