"""Finding files by any of their sums, and lines for `sha256sum -c`."""

import os
from collections.abc import Iterable
from typing import Any

import download_pages
from lambdashare_core import digests, links, shares, tables
from lambdashare_core.moments import rfc3339
from lambdashare_core.problems import Problem, conflict, malformed, not_found
from lambdashare_core.tables import Item
from lambdashare_core.web import Answer, Request, json_answer

MAX_ROWS = 200  # of one digest, looked at in one request
MAX_FILES = 50  # shown


def show(request: Request) -> Answer:
    return json_answer(_found(request, digests.parse(request.parameters["digest"])))


def page(request: Request) -> Answer:
    """`<digest>`, or `<digest>.<algorithm>` for a checksum file."""
    text, dot, algorithm = request.parameters["digest"].rpartition(".")
    if dot:
        return _checksum_file(request, text, algorithm)
    found = _found(request, digests.parse(request.parameters["digest"]))
    answer = json_answer(found) if request.wants_json() else download_pages.hash_page(found)
    answer.headers["repr-digest"] = digests.repr_digest(found["digests"])
    return answer


def _checksum_file(request: Request, text: str, algorithm: str) -> Answer:
    if algorithm not in digests.LENGTHS:
        raise malformed(f"The algorithms are {', '.join(digests.LENGTHS)}.")
    found = _found(request, digests.parse(text))
    if algorithm not in found["digests"]:
        raise not_found(f"There is no {algorithm} of this file.")
    value = found["digests"][algorithm]
    names = dict.fromkeys(file["name"].rsplit("/", 1)[-1] for file in found["files"])
    lines = "".join(_line(value, name) for name in names)
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    return Answer(200, lines, headers)


def _line(value: str, name: str) -> str:
    """GNU's format: a backslash in front says that the name is escaped."""
    escaped = name.replace("\\", "\\\\")
    mark = "\\" if escaped != name else ""
    return f"{mark}{value}  {escaped}\n"


def _found(request: Request, digest: str) -> dict[str, Any]:
    rows = _rows(digest)
    live = [row for row in rows if not row.get("gone_at")]
    files = list(_live_files(live))
    if not files:
        raise _absent(rows, digest)
    contents = {item["digests"]["sha256"] for _, item in files}
    if len(contents) > 1:
        raise conflict("Several different files have this digest: give more digits, or a SHA-256.")
    meta, first = files[0]
    base = links.origin(request)
    return {
        "digest": next(row["digest"] for row in live if row["share"] == meta["share"]),
        "algorithms": sorted({row["algorithm"] for row in live}),
        "size": first["size"],
        "digests": first["digests"],
        "files": [_file(meta, item, base) for meta, item in files[:MAX_FILES]],
    }


def _rows(digest: str) -> list[Item]:
    """Of the sums that equal the digest; where none does, of those that begin with it."""
    exact = _rows_from(f"{digest}#") if digests.algorithms_of(digest) else []
    return exact or (_rows_from(digest) if len(digest) >= digests.MIN_PREFIX else [])


def _rows_from(entry: str) -> list[Item]:
    names = {"prefix": entry[: digests.PARTITION], "entry": entry}
    condition = "prefix = :prefix AND begins_with(entry, :entry)"
    found = tables.query(os.environ["HASHSUMS_TABLE"], condition, names)
    rows: list[Item] = []
    living = 0
    for row in found:  # tombstones do not use up the places of the living
        alive = not row.get("gone_at")
        if alive or not rows:
            rows.append(row)
        living += alive
        if living == MAX_ROWS:
            break
    return rows


def _live_files(rows: Iterable[Item]) -> Iterable[tuple[Item, Item]]:
    """Share and file of each row whose share lives, is listed, and is not quarantined."""
    wanted = list(dict.fromkeys((row["share"], row["n"]) for row in rows))
    for start in range(0, len(wanted), 50):
        some = wanted[start : start + 50]
        items = _items(some)
        for share, n in some:
            meta, item = items.get((share, "share")), items.get((share, shares.file_key(n)))
            if meta and item and _is_public(meta, item):
                yield meta, item


def _is_public(meta: Item, item: Item) -> bool:
    hashed = bool(item.get("digests")) and item["phase"] != "quarantined"
    return hashed and bool(meta["listed"]) and not shares.over(meta)


def _items(wanted: list[tuple[str, int]]) -> dict[tuple[str, str], Item]:
    keys = {(share, "share") for share, _ in wanted}
    keys |= {(share, shares.file_key(n)) for share, n in wanted}
    found: dict[tuple[str, str], Item] = {}
    waiting: Any = {
        shares.table(): {
            "Keys": [tables.attributes_of({"share": s, "item": i}) for s, i in sorted(keys)]
        }
    }
    while waiting:
        answer = tables.client("dynamodb").batch_get_item(RequestItems=waiting)
        for item in map(tables.item_of, answer["Responses"].get(shares.table(), [])):
            found[item["share"], item["item"]] = item
        waiting = answer["UnprocessedKeys"]
    return found


def _absent(rows: list[Item], digest: str) -> Problem:
    """410 if there was such a file, and 404 for what is not listed: it must not show."""
    for row in rows:
        if row.get("gone_at"):
            return _gone(row, row["gone_at"])
        meta = tables.get(shares.table(), share=row["share"], item="share")
        if meta and meta.get("listed", True) and shares.over(meta):
            return _gone(row, meta.get("deleted_at") or meta["expires_at"])
    return not_found(f"No file here has the digest {digest}.")


def _gone(row: Item, at: int) -> Problem:
    tombstone = {
        "digest": row["digest"],
        "algorithm": row["algorithm"],
        "size": row["size"],
        "created_at": rfc3339(row["created_at"]),
        "expired_at": rfc3339(at),
    }
    detail = "A file with this digest was here; it has expired."
    return Problem(410, "expired", detail, tombstone=tombstone)


def _file(meta: Item, item: Item, base: str) -> dict[str, Any]:
    return {
        "share": meta["share"],
        "n": item["n"],
        "name": item["name"],
        "size": item["size"],
        "type": item["type"],
        "url": links.file_url(base, meta["share"], item["n"], item["name"]),
        "share_url": links.share_url(base, meta["share"]),
        "expires_at": rfc3339(meta["expires_at"]),
    }
