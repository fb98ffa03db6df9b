"""What the hasher writes: the phase, checkpoints, and all sums in one transaction."""

import base64
import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from lambdashare_core import broadcast, digests, links, shares, tables
from lambdashare_core.engine import libcrypto
from lambdashare_core.engine.pipeline import States
from lambdashare_core.moments import now_ms
from lambdashare_core.problems import Problem
from lambdashare_core.tables import Item, attributes_of

if TYPE_CHECKING:
    from hasher_job import Job

ATTEMPTS = 8


def load(job: "Job") -> Item | None:
    """The file's item; None if its share is over or never was."""
    try:
        return shares.load(job.share).file(job.n)
    except Problem:
        return None


def already_hashed(job: "Job", item: Item) -> str:
    """The same object again is nothing; another one under a hashed name is not what was sent."""
    if item.get("etag") == job.etag:
        return "known"
    head = _head(job)
    if head is None or head["ETag"].strip('"') == item.get("etag"):
        return "stale"
    return replaced(job)


def replaced(job: "Job") -> str:
    """What lies there is not what the sums are of."""
    _update(job, "SET phase = :phase", "attribute_exists(#item)", phase="quarantined")
    announce(job)
    return "replaced"


def _head(job: "Job") -> dict[str, Any] | None:
    try:
        return dict(tables.client("s3").head_object(Bucket=job.bucket, Key=job.key))
    except ClientError:
        return None


def begin(job: "Job", size: int) -> bool:
    """Show that hashing has begun; False if the file has gone meanwhile."""
    change = "SET phase = :phase, stored_at = :at, etag = :etag, #size = :size"
    fresh = "attribute_exists(#item) AND attribute_not_exists(digests)"
    named = {"phase": "hashing", "at": job.stored_at, "etag": job.etag, "size": size}
    if not _update(job, change, fresh, **named):
        return False
    announce(job)
    return True


def finish(job: "Job", size: int, sums: dict[str, str], storage: dict[str, Any] | None) -> str:
    """All sums become visible at once, in Files and in HashSums."""
    for attempt in range(ATTEMPTS):
        item = load(job)
        if item is None:
            return "stale"
        if item.get("digests"):
            return already_hashed(job, item)
        try:
            _record(job, item, size, sums, storage)
        except ClientError as error:
            if not (tables.failed_condition(error) or tables.contended(error)):
                raise
            time.sleep(0.02 * 2**attempt)
            continue
        announce(job)
        return "hashed"
    raise RuntimeError("the file's item kept changing")


def _record(
    job: "Job", item: Item, size: int, sums: dict[str, str], storage: dict[str, Any] | None
) -> None:
    """Refused if the sender's digest arrived since `item` was read: who is last judges."""
    hashed_at = now_ms()
    witness = item.get("witness")
    phase = shares.judge(sums, witness, storage)
    if item.get("declared") not in (None, size):
        phase = "quarantined"
    unchanged = "witness = :witness" if witness else "attribute_not_exists(witness)"
    named = {
        "phase": phase,
        "digests": sums,
        "storage": storage,
        "size": size,
        "etag": job.etag,
        "stored": job.stored_at,
        "hashed": hashed_at,
        "latency": max(0, hashed_at - job.stored_at),
    }
    if witness:
        named["witness"] = witness
    update = tables.updating(
        shares.table(),
        {"share": job.share, "item": shares.file_key(job.n)},
        "SET phase = :phase, digests = :digests, #storage = :storage, #size = :size,"
        " etag = :etag, stored_at = :stored, hashed_at = :hashed, latency_ms = :latency",
        f"attribute_exists(#item) AND attribute_not_exists(digests) AND {unchanged}",
        named,
    )
    mark = {"share": job.share, "item": shares.mark_key(job.n)}
    rows = [_row(job, size, name, value, hashed_at) for name, value in sums.items()]
    tables.client("dynamodb").transact_write_items(
        TransactItems=[
            {"Update": update},
            {"Delete": {"TableName": shares.table(), "Key": attributes_of(mark)}},
            *rows,
        ]
    )


def _row(job: "Job", size: int, algorithm: str, digest: str, at: int) -> dict[str, Any]:
    row = digests.row_key(digest, algorithm, job.share, job.n) | {
        "digest": digest,
        "algorithm": algorithm,
        "share": job.share,
        "n": job.n,
        "size": size,
        "created_at": at,
    }
    return {"Put": {"TableName": os.environ["HASHSUMS_TABLE"], "Item": attributes_of(row)}}


def checkpoint(job: "Job", extra: tuple[str, ...]) -> tuple[int, dict[str, bytes | None]]:
    """Where to go on; the start if the last one was left by another library or object."""
    mark = tables.get(shares.table(), share=job.share, item=shares.mark_key(job.n))
    usable = (
        mark is not None
        and mark["etag"] == job.etag
        and mark["library"] == libcrypto.version()
        and set(extra) <= set(mark["states"])
    )
    if mark is None or not usable:
        return 0, {}
    return mark["offset"], {k: base64.b64decode(v) for k, v in mark["states"].items()}


def save_checkpoint(job: "Job", offset: int, states: States) -> None:
    known = {k: base64.b64encode(v).decode() for k, v in states.items() if v is not None}
    if "sha256" not in known:
        return
    mark = {
        "share": job.share,
        "item": shares.mark_key(job.n),
        "n": job.n,
        "offset": offset,
        "etag": job.etag,
        "library": libcrypto.version(),
        "states": known,
    }
    tables.client("dynamodb").put_item(TableName=shares.table(), Item=attributes_of(mark))


def announce(job: "Job") -> None:
    """Tell those who watch the share what its file looks like now."""
    listeners = broadcast.subscribers(job.topic)
    if not listeners:
        return
    try:
        share = shares.load(job.share)
        view = shares.file_view(share, share.file(job.n), links.origin(None))
    except Problem:
        return
    broadcast.publish(job.topic, {"type": "file", "file": view}, listeners)


def _update(job: "Job", change: str, condition: str, **named: Any) -> bool:
    key = {"share": job.share, "item": shares.file_key(job.n)}
    return tables.update(shares.table(), key, change, condition, named) is not None
