"""Verifies all that S3 keeps, again and again, before anybody asks for it.

Once in a while each blob and each small content in a row is compared with the sum that was taken
when it was written; neither needs a key, so objects under clients' own keys are verified as well.
A thread does it, with long rests; where it is stands in the store, so that a restart goes on there.
What it finds is healed from the replica where there is one, and told: in the log group
`/cloudlet/store` and as metrics of `Cloudlet/Store`.
"""

import json
import logging
import threading
from collections.abc import Iterator
from typing import NamedTuple

from awscrt.checksums import crc32c

from cloudlet.call import Cloud
from cloudlet.s3 import legacy
from cloudlet.s3.records import known_blobs
from cloudlet.store.database import Transaction, View
from cloudlet.store.scrub import Finding, Pace, Scrub, Stopped

GROUP = "/cloudlet/store"
_NAMESPACE = "Cloudlet/Store"
_DAY_MS = 86_400_000
_EVERY_MS = 7 * _DAY_MS
_LOOK_S = 60.0
_SHARE = 0.05  # of one core, and of the disk
_PAGE = 50
_FAULTS_MAX = 100  # that are remembered of a round
_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """Where a round is: behind this blob, then behind this content; `ended_ms` 0 in a round."""

    blob: str = ""
    content: int = 0
    begun_ms: int = 0
    ended_ms: int = 0
    checked: int = 0
    damaged: tuple[str, ...] = ()


def position(view: View) -> Position:
    text = view.value("SELECT document FROM s3_scrub")
    if not text:
        return Position()
    document = json.loads(text)
    return Position(**{**document, "damaged": tuple(document["damaged"])})


def _keep(tx: Transaction, where: Position) -> None:
    tx.run("DELETE FROM s3_scrub")
    tx.run("INSERT INTO s3_scrub VALUES (?)", (json.dumps(where._asdict()),))


def blobs(view: View, after: str = "") -> list[str]:
    """A page of names, in order."""
    rows = view.all("SELECT blob FROM s3_blob WHERE blob > ? ORDER BY blob LIMIT ?", (after, _PAGE))
    return [row["blob"] for row in rows]


def all_blobs(view: View) -> Iterator[str]:
    after = ""
    while page := blobs(view, after):
        yield from page
        after = page[-1]


def contents(view: View, after: int = 0) -> list[tuple[int, str]]:
    """A page of small contents: ids, and what is wrong with each ("" = nothing)."""
    rows = view.all(
        "SELECT id, data, sum FROM s3_content WHERE id > ? ORDER BY id LIMIT ?", (after, _PAGE)
    )
    return [
        (row["id"], "" if row["sum"] in (None, crc32c(row["data"])) else "is damaged")
        for row in rows
    ]


def owners(view: View, blob: str = "", content: int | None = None) -> list[str]:
    """Who loses by the damage, for people: s3://bucket/key. Reads all rows; damage is rare."""
    test, value = ("content = ?", content) if content is not None else ("instr(segments, ?)", blob)
    rows = [
        row
        for table in ("s3_object", "s3_version")
        for row in view.all(
            f"SELECT name, key, version_id FROM {table} JOIN s3_bucket ON s3_bucket.id = bucket"
            f" WHERE {test}",
            (value,),
        )
    ]
    found = [
        f"s3://{row['name']}/{row['key']}"
        + (f" (version {row['version_id']})" if row["version_id"] else "")
        for row in rows
    ]
    if content is None:
        found += [
            f"s3://{row['name']}/{row['key']} (part {row['number']} of upload {row['id']})"
            for row in view.all(
                "SELECT name, key, number, s3_upload.id FROM s3_part JOIN s3_upload"
                " ON s3_upload.id = upload JOIN s3_bucket ON s3_bucket.id = bucket"
                " WHERE instr(segments, ?)",
                (blob,),
            )
        ]
    return found


def report(cloud: Cloud, blob: str, how: str, is_healed: bool) -> None:
    """Damage that anybody met: `Blobs.on_damage`."""
    if not known_blobs(cloud.database.view())(blob):  # deleted before its reader pinned it
        return
    outcome = "healed from the replica" if is_healed else "refused to readers"
    text = f"blob {blob} {how}: {outcome}"
    _log.error("%s", text)
    cloud.journal.line(GROUP, "damage", text)
    name = "BlobsHealed" if is_healed else "BlobsDamaged"
    cloud.meter.add(_NAMESPACE, name, ())


def tell_replica(cloud: Cloud, why: str) -> None:
    """The second directory fell behind, or is whole again (""): `Replica.on_change`."""
    text = f"the replica is behind: {why}" if why else "the replica is whole"
    cloud.journal.line(GROUP, "replica", text)
    cloud.meter.add(_NAMESPACE, "ReplicaBehind", (), 1.0 if why else 0.0)


class Scrubber:
    """The thread. `stop` ends it within a moment, and before the store is closed."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="s3-scrub", daemon=True)

    def start(self) -> None:
        self._cloud.blobs.on_damage = lambda *found: report(self._cloud, *found)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pace = Pace(_SHARE, self._stop)
        while not self._stop.wait(_LOOK_S):
            try:
                self.round(pace)
            except Stopped:
                return
            except Exception:  # the next look goes on from the last page
                _log.exception("scrubbing failed")

    def round(self, pace: Pace) -> None:
        """Goes on with the round, or begins one if it is time."""
        now_ms = self._cloud.config.now_ms()
        where = position(self._cloud.database.view())
        if where.ended_ms:
            if now_ms < where.begun_ms + _EVERY_MS:
                return
            where = Position()
        if not where.begun_ms:
            where = where._replace(begun_ms=now_ms)
        while not where.ended_ms:
            where = self._page(where, pace)
            kept = where
            self._cloud.database.write_now(lambda tx, kept=kept: _keep(tx, kept))  # type: ignore[misc]

    def _page(self, where: Position, pace: Pace) -> Position:
        view, found = self._cloud.database.view(), list(where.damaged)
        page = blobs(view, where.blob)
        for blob in page:
            found += self._blob(view, blob, pace)
        small = [] if page else contents(view, where.content)
        for content, how in small:
            if how:
                text = f"content {content} {how}: {', '.join(owners(view, content=content))}"
                found.append(text)
                self._tell(text, is_healed=False)
            pace()
        checked = len(page) + len(small)
        if checked:
            self._cloud.meter.add(_NAMESPACE, "BlobsScrubbed", (), checked)
        return where._replace(
            blob=page[-1] if page else where.blob,
            content=small[-1][0] if small else where.content,
            checked=where.checked + checked,
            damaged=tuple(found[:_FAULTS_MAX]),
            ended_ms=0 if checked else self._cloud.config.now_ms(),
        )

    def _blob(self, view: View, blob: str, pace: Pace) -> list[str]:
        replica, directory = self._cloud.blobs.replica, self._cloud.blobs.directory
        both = (
            (directory, replica.other / "blobs") if replica and replica.is_whole else (directory,)
        )
        scrub = Scrub(*both, heals=True, pace=pace)
        findings = scrub.blob(blob) or legacy.findings(self._cloud.blobs, view, blob)
        if not findings or not known_blobs(view)(blob):  # or deleted meanwhile
            return []
        return [self._told(view, each) for each in findings]

    def _told(self, view: View, finding: Finding) -> str:
        text = f"{told(finding)}: {', '.join(owners(view, finding.name))}"
        self._tell(text, finding.is_healed)
        return text

    def _tell(self, text: str, is_healed: bool) -> None:
        _log.error("%s", text)
        self._cloud.journal.line(GROUP, "scrub", text)
        name = "BlobsHealed" if is_healed else "BlobsDamaged"
        self._cloud.meter.add(_NAMESPACE, name, ())


def told(finding: Finding) -> str:
    healed = "; healed from the other directory" if finding.is_healed else ""
    return f"blob {finding.name} in {finding.where} {finding.how}{healed}"
