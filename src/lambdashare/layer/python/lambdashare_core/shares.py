"""A share as the Files table keeps it and as the API shows it.

One partition per share: `share` (the only item that knows expiry and limits, so that changing
them is one write), `file#00001`…, `mark#00001`… (the hasher's checkpoints). Once a share is over,
`share` alone is left, as a tombstone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lambdashare_core import links, tables
from lambdashare_core.moments import now_ms, rfc3339
from lambdashare_core.problems import Problem, not_found
from lambdashare_core.tables import Item

PHASES = ("uploading", "storing", "hashing", "hashed", "verified")  # least advanced first
MAX_FILES = 500


def table() -> str:
    return os.environ["FILES_TABLE"]


def file_key(n: int) -> str:
    return f"file#{n:05d}"


def mark_key(n: int) -> str:
    return f"mark#{n:05d}"


def object_key(share: str, n: int) -> str:
    return f"shares/{share}/{n}"


def of_object_key(key: str) -> tuple[str, int] | None:
    """The share and file number of an object's key; None if it is no upload's."""
    parts = key.split("/")
    if len(parts) != 3 or parts[0] != "shares":
        return None
    try:
        return links.share_id(parts[1]), links.file_number(parts[2])
    except Problem:
        return None


@dataclass(frozen=True, slots=True)
class Share:
    meta: Item
    files: Sequence[Item]
    marks: dict[int, Item]

    @property
    def id(self) -> str:
        return str(self.meta["share"])

    def file(self, n: int) -> Item:
        for item in self.files:
            if item["n"] == n:
                return item
        raise not_found("There is no such file in this share.")

    def phase(self) -> str:
        phases = [item["phase"] for item in self.files]
        if "quarantined" in phases:
            return "quarantined"
        return min(phases, key=PHASES.index)


def load(share: str) -> Share:
    """A live share; 404 if there was never one, 410 if it is over (TTL deletes late)."""
    links.share_id(share)
    meta: Item | None = None
    files: list[Item] = []
    marks: dict[int, Item] = {}
    names = {"share": share}
    for item in tables.query(table(), "#share = :share", names, ConsistentRead=True):
        if item["item"] == "share":
            meta = item
        elif item["item"].startswith("file#"):
            files.append(item)
        else:
            marks[item["n"]] = item
    if meta is None and not files:
        raise not_found("There is no such share.")
    if meta is None:  # TTL was faster than the reaper
        raise Problem(410, "expired", "This share has expired.")
    require_live(meta)
    return Share(meta, files, marks)


def over(meta: Item) -> str:
    """Why a share is over: `deleted`, `expired`, or nothing while it lives."""
    if meta.get("deleted_at"):
        return "deleted"
    if meta["expires_at"] <= now_ms() or meta.get("tombstone"):
        return str(meta.get("reason") or "expired")
    return ""


def require_live(meta: Item) -> None:
    reason = over(meta)
    if reason == "deleted":
        raise Problem(410, "deleted", "This share was deleted.", tombstone=tombstone_view(meta))
    if reason:
        detail = f"This share expired at {rfc3339(meta['expires_at'])}."
        raise Problem(410, "expired", detail, tombstone=tombstone_view(meta))


def tombstone_view(meta: Item) -> dict[str, Any]:
    return {
        "created_at": rfc3339(meta["created_at"]),
        "expired_at": rfc3339(meta.get("deleted_at") or meta["expires_at"]),
        "files": meta.get("buried", []),
    }


def share_view(share: Share, base: str) -> dict[str, Any]:
    meta = share.meta
    files = [file_view(share, item, base) for item in share.files]
    return {
        "id": share.id,
        "url": links.share_url(base, share.id),
        "phase": share.phase(),
        "created_at": rfc3339(meta["created_at"]),
        "expires_at": rfc3339(meta["expires_at"]),
        "max_downloads": meta.get("max_downloads"),
        "listed": meta["listed"],
        "size": sum(item["size"] or 0 for item in share.files),
        "files": files,
    }


def file_view(share: Share, item: Item, base: str) -> dict[str, Any]:
    mark = share.marks.get(item["n"], {})
    digests = item.get("digests") or {}
    hashed = item["size"] if digests else mark.get("offset", 0)
    return {
        "n": item["n"],
        "name": item["name"],
        "size": item["size"],
        "type": item["type"],
        "phase": item["phase"],
        "url": links.file_url(base, share.id, item["n"], item["name"]),
        "downloads": item.get("downloads", 0),
        "verifications": item.get("verifications", 0),
        "hashed_bytes": hashed,
        "digests": digests,
        "witnesses": {
            "browser": item.get("witness"),
            "storage": item.get("storage"),
            "function": digests.get("sha256"),
        },
        "stored_at": _time(item.get("stored_at")),
        "hashed_at": _time(item.get("hashed_at")),
        "hash_latency_ms": item.get("latency_ms"),
    }


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def judge(digests: dict[str, str], witness: str | None, storage: dict[str, Any] | None) -> str:
    """The phase that the three witnesses leave a hashed file in."""
    if storage and not storage["agrees"]:
        return "quarantined"
    if witness is None:
        return "hashed"
    return "verified" if witness == digests["sha256"] else "quarantined"
