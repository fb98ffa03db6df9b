"""A share's page, its files' redirects, and the receipts of those who checked what arrived."""

import os
import re
from typing import Any
from urllib.parse import quote

import download_pages
from botocore.exceptions import ClientError
from lambdashare_core import digests, links, shares, tables
from lambdashare_core.problems import Problem, invalid
from lambdashare_core.shares import Share
from lambdashare_core.tables import Item
from lambdashare_core.web import Answer, Request, json_answer

REDIRECT_S = 300
_SHOWN = re.compile(r"(?:image|audio|video)/[a-z0-9.+-]+|text/plain", re.ASCII)


def page(request: Request) -> Answer:
    share = shares.load(request.parameters["id"])
    view = shares.share_view(share, links.origin(request))
    answer = json_answer(view) if request.wants_json() else download_pages.share_page(view)
    if len(share.files) == 1 and (known := share.files[0].get("digests")):
        answer.headers["repr-digest"] = digests.repr_digest(known)
    return answer


def redirect(request: Request) -> Answer:
    share = shares.load(request.parameters["id"])
    item = share.file(links.file_number(request.parameters["n"]))
    _require_ready(item)
    counts = not request.route.startswith("HEAD")
    if counts:
        _count(share, item)
    else:
        _require_left(share, item)
    headers = {
        "location": _signed_get(item, "inline" in request.query),
        "cache-control": "no-store",
        "accept-ranges": "bytes",
        "content-type": "text/plain; charset=utf-8",
    }
    if item.get("digests"):
        headers["repr-digest"] = digests.repr_digest(item["digests"])
    return Answer(302, "", headers)


def _require_ready(item: Item) -> None:
    if item["phase"] == "quarantined":
        detail = "The sender, S3 and the hasher do not agree on this file: it is not handed out."
        raise Problem(409, "quarantined", detail)
    if item["phase"] == "uploading" or (item["phase"] == "storing" and not _is_there(item)):
        detail = "This file is still being uploaded."
        raise Problem(409, "not-ready", detail, headers={"retry-after": "5"})


def _is_there(item: Item) -> bool:
    try:
        tables.client("s3").head_object(**_object(item))
    except ClientError:
        return False
    return True


def _limit_reached() -> Problem:
    return Problem(410, "download-limit", "This file was downloaded as often as its sender allows.")


def _count(share: Share, item: Item) -> None:
    """One write decides and counts, however many ask at the same time."""
    limit = share.meta.get("max_downloads")
    named: dict[str, Any] = {"one": 1}
    condition = "attribute_exists(#item)"
    if limit is not None:
        condition += " AND (attribute_not_exists(downloads) OR downloads < :limit)"
        named["limit"] = limit
    key = {"share": share.id, "item": item["item"]}
    if tables.update(shares.table(), key, "ADD downloads :one", condition, named) is None:
        raise _limit_reached()


def _require_left(share: Share, item: Item) -> None:
    limit = share.meta.get("max_downloads")
    if limit is not None and item.get("downloads", 0) >= limit:
        raise _limit_reached()


def _object(item: Item) -> dict[str, Any]:
    key = shares.object_key(item["share"], item["n"])
    return {"Bucket": os.environ["UPLOADS_BUCKET"], "Key": key}


def _signed_get(item: Item, inline: bool) -> str:
    how = "inline" if inline and _is_shown(item["type"]) else "attachment"
    name = item["name"].rsplit("/", 1)[-1]
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    disposition = f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    parameters = {
        **_object(item),
        "ResponseContentDisposition": disposition,
        "ResponseContentType": item["type"],
        "ResponseCacheControl": "private, no-store",
    }
    return str(
        tables.signer().generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=REDIRECT_S
        )
    )


def _is_shown(kind: str) -> bool:
    """Only images, sound, film and plain text are shown in place: never a foreign page, which
    would have this page's origin. What a browser could take for two types is not shown either."""
    essence, _, parameters = kind.lower().partition(";")
    shown = _SHOWN.fullmatch(essence.rstrip()) and not essence.rstrip().endswith(("svg", "+xml"))
    return bool(shown) and "," not in parameters


def verification(request: Request) -> Answer:
    share = shares.load(request.parameters["id"])
    item = share.file(links.file_number(request.parameters["n"]))
    claimed = digests.sha256_hex(request.json().get("sha256"))
    if claimed is None:
        raise invalid({"/sha256": "must be a SHA-256 in 64 hex digits"})
    if not item.get("digests"):
        detail = "This file has no sums yet."
        raise Problem(409, "not-ready", detail, headers={"retry-after": "5"})
    match = claimed == item["digests"]["sha256"]
    if match:
        key = {"share": share.id, "item": item["item"]}
        exists = "attribute_exists(#item)"
        tables.update(shares.table(), key, "ADD verifications :one", exists, {"one": 1})
    return json_answer({"match": match})
