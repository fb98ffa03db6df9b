"""One object's hashing: where to start, reading, progress, checkpoints, and when to stop.

Idempotent: the same object (by ETag) is never hashed twice, an object that is gone or was replaced
is left to its own event. The sums appear in one transaction (`hasher_record`).
"""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import hasher_record as record
from botocore.exceptions import ClientError
from hasher_storage import storage_witness
from lambdashare_core import broadcast, shares, tables
from lambdashare_core.engine import libcrypto
from lambdashare_core.engine.pipeline import Pipeline, States
from lambdashare_core.engine.ranges import BLOCK_BYTES, read_ahead
from lambdashare_core.tables import Item
from lambdashare_core.web import log

SMALL_BYTES = 32 << 20  # done before a first progress report would be of use
PROGRESS_S = 0.25
CHECKPOINT_S = 3.0
# A continuation must read all before its checkpoint again for BLAKE3, which exports no state;
# beyond this, that would not fit in an invocation, and the file goes without a BLAKE3 sum.
BLAKE3_REREAD_BYTES = 256 << 30
GONE = ("NoSuchKey", "404", "NotFound", "PreconditionFailed", "412", "InvalidRange")


@dataclass(frozen=True, slots=True)
class Job:
    bucket: str
    share: str
    n: int
    etag: str
    stored_at: int

    @property
    def key(self) -> str:
        return shares.object_key(self.share, self.n)

    @property
    def topic(self) -> str:
        return f"share:{self.share}"

    def document(self) -> dict[str, Any]:
        return asdict(self)


def run(job: Job, remaining_ms: Callable[[], int]) -> str:
    """`hashed`, `stale` (nothing to do any more), `known` (done already) or `continue`."""
    item = record.load(job)
    if item is None:
        return "stale"
    written_again = item.get("etag") == job.etag and item.get("stored_at") != job.stored_at
    if item.get("digests") and not written_again:
        return record.already_hashed(job, item)
    try:
        head = tables.client("s3").head_object(
            Bucket=job.bucket, Key=job.key, ChecksumMode="ENABLED"
        )
        if head["ETag"].strip('"') != job.etag:
            return "stale"
        if item.get("digests"):
            return _check_again(job, item, head["ContentLength"])
        return _hash(job, item, head, remaining_ms)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            log.info("%s went away or was replaced", job.key)
            return "stale"
        raise


def _check_again(job: Job, item: Item, size: int) -> str:
    """The URL of a single PUT can be used twice, and two files can be made to have one ETag, which
    is their MD5: an equal ETag alone says nothing about a second write."""
    sha256 = hashlib.sha256()
    for _, block in read_ahead(partial(fetch, job), 0, size):
        sha256.update(block)
    if sha256.hexdigest() == item["digests"]["sha256"]:
        return "known"
    return record.replaced(job)


def _hash(job: Job, item: Item, head: dict[str, Any], remaining_ms: Callable[[], int]) -> str:
    size = head["ContentLength"]
    witness = storage_witness(head, item)
    run_of = Run(job, size, witness.lanes)
    if size > SMALL_BYTES and not record.begin(job, size):
        return "stale"
    margin_ms = int(os.environ.get("CONTINUE_MARGIN_MS", "30000"))
    try:
        if not run_of.through(lambda: remaining_ms() < margin_ms):
            return "continue"
        sums = run_of.finish()
    finally:
        run_of.close()
    storage = witness.compare(sums)
    digests = {name: value for name, value in sums.items() if ":" not in name}
    return record.finish(job, size, digests, storage)


class Run:
    """Reads one object from its checkpoint on."""

    def __init__(self, job: Job, size: int, extra: tuple[str, ...]) -> None:
        self.job, self.size = job, size
        self.offset, states = record.checkpoint(job, extra)
        self._blake3 = self.offset <= BLAKE3_REREAD_BYTES
        self._pipeline = Pipeline(states, extra, () if self._blake3 else ("blake3",))
        self._fetch = partial(fetch, job)
        self._asked: tuple[int, Future[States]] | None = None
        self._reported_at = self._saved_at = time.monotonic()
        self._reported_offset = self.offset

    def through(self, time_is_up: Callable[[], bool]) -> bool:
        """False if time ran out: a checkpoint is left then."""
        if self._blake3:
            self._catch_up()
        for offset, block in read_ahead(self._fetch, self.offset, self.size):
            self._pipeline.feed(block)
            self.offset = offset
            self._report()
            self._save()
            if offset < self.size and time_is_up() and libcrypto.version():
                self._ask()
                self._save(wait=True)
                return False
        return True

    def _catch_up(self) -> None:
        """BLAKE3 exports no state: read again for it alone (see `lanes`)."""
        for _, block in read_ahead(self._fetch, 0, self.offset):
            self._pipeline.feed_only("blake3", block)

    def _report(self) -> None:
        now = time.monotonic()
        passed = now - self._reported_at
        if self.size <= SMALL_BYTES or passed < PROGRESS_S:
            return
        message = {
            "type": "progress",
            "n": self.job.n,
            "hashed_bytes": self.offset,
            "size": self.size,
            "bytes_per_s": round((self.offset - self._reported_offset) / passed),
        }
        broadcast.publish(self.job.topic, message)
        self._reported_at, self._reported_offset = now, self.offset

    def _ask(self) -> None:
        if self._asked is None:
            self._asked = (self.offset, self._pipeline.states())

    def _save(self, wait: bool = False) -> None:
        """Ask for the states now and then, store them once they have come through."""
        if self._asked and (wait or self._asked[1].done()):
            offset, future = self._asked
            record.save_checkpoint(self.job, offset, future.result())
            self._asked, self._saved_at = None, time.monotonic()
        due = time.monotonic() - self._saved_at > CHECKPOINT_S
        if due and self.offset < self.size and self.offset % BLOCK_BYTES == 0:
            self._ask()

    def finish(self) -> dict[str, str]:
        return self._pipeline.finish()

    def close(self) -> None:
        self._pipeline.close()


def fetch(job: Job, first: int, end: int) -> bytes:
    answer = tables.client("s3").get_object(
        Bucket=job.bucket,
        Key=job.key,
        Range=f"bytes={first}-{end - 1}",
        IfMatch=f'"{job.etag}"',
    )
    return bytes(answer["Body"].read())
