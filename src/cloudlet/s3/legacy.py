"""Blobs from before their names told their sums: what still tells whether they are whole.

Sealed ones have tags, which the master key opens (not those under other keys: they are verified
when they are read). Plain ones are compared with the checksum of the object that they are.
"""

import json

from cloudlet.s3 import checksums
from cloudlet.s3.records import Record
from cloudlet.store import integrity
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import View
from cloudlet.store.integrity import Damaged
from cloudlet.store.scrub import Finding


def findings(blobs: Blobs, view: View, blob: str) -> list[Finding]:
    if integrity.expected(blob) is not None:
        return []
    for table in ("s3_object", "s3_version"):
        row = view.one(f"SELECT * FROM {table} WHERE instr(segments, ?) LIMIT 1", (blob,))
        if row is not None:
            how = _fault(blobs, Record.of(row))
            return [Finding(blob, blobs.directory, how)] if how else []
    return []


def _fault(blobs: Blobs, record: Record) -> str:
    is_plain = not any(segment.key for segment in record.segments)
    if not is_plain and json.dumps(record.encryption) != "{}":
        return ""
    algorithm, kind, value = record.checksum
    digest = checksums.new(algorithm)
    reader = blobs.reader(record.segments)
    try:
        while data := reader.read():
            digest.update(data)
    except Damaged as damage:
        return damage.how
    finally:
        reader.close()
    is_same = kind != checksums.FULL or checksums.encode(digest.digest()) == value
    return "" if is_same else "is damaged"
