"""The life of a share: made, shown, changed, deleted; and curl's short way in."""

import mimetypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import upload_plan as plan
from lambdashare_core import broadcast, links, shares, tables
from lambdashare_core.moments import hour_of, now_ms, parse_rfc3339, rfc3339
from lambdashare_core.problems import Problem, conflict, invalid
from lambdashare_core.shares import Share
from lambdashare_core.tables import Item, attributes_of
from lambdashare_core.web import Answer, Request, json_answer

MAX_SINGLE_PUT = 5 << 30


def create(request: Request) -> Answer:
    document = request.json()
    wanted = plan.wishes(document)
    meta, token = new_share(document)
    with ThreadPoolExecutor(min(8, len(wanted))) as pool:
        numbered = list(enumerate(wanted, 1))
        files = list(pool.map(lambda pair: _file(meta, pair[0], pair[1]), numbered))
    store(meta, files)
    uploads = [_upload(item, wish) for item, wish in zip(files, wanted, strict=True)]
    view = shares.share_view(Share(meta, files, {}), links.origin(request))
    document = view | {"owner_token": token, "uploads": uploads}
    return json_answer(document, 201, location=f"/v1/shares/{meta['share']}")


def new_share(document: dict[str, Any]) -> tuple[Item, str]:
    token, digest = links.new_token()
    expires_at = plan.expiry_ms(document)
    meta: Item = {
        "share": links.new_id(),
        "item": "share",
        "owner": digest,
        "created_at": now_ms(),
        "listed": plan.listed(document),
        **expiry(expires_at),
    }
    limit = plan.max_downloads(document)
    return (meta | {"max_downloads": limit} if limit else meta), token


def expiry(expires_at: int) -> dict[str, Any]:
    """What changes with the expiry: the time, TTL's own (in seconds), the reaper's index."""
    return {
        "expires_at": expires_at,
        "ttl": -(-expires_at // 1000),
        "expires_hour": hour_of(expires_at),
    }


def _file(meta: Item, n: int, wish: plan.Wish) -> Item:
    item = new_file(meta, n, wish.name, wish.type)
    item |= {"size": wish.size, "declared": wish.size, "part_size": wish.part_size}
    if wish.multipart:
        started = tables.client("s3").create_multipart_upload(
            Bucket=os.environ["UPLOADS_BUCKET"],
            Key=shares.object_key(meta["share"], n),
            ContentType=wish.type,
            ChecksumAlgorithm="SHA256",
        )
        item["upload_id"] = started["UploadId"]
    return item


def new_file(meta: Item, n: int, name: str, kind: str) -> Item:
    return {
        "share": meta["share"],
        "item": shares.file_key(n),
        "n": n,
        "name": name,
        "type": kind,
        "size": None,
        "phase": "uploading",
        "created_at": meta["created_at"],
    }


def _upload(item: Item, wish: plan.Wish) -> dict[str, Any]:
    return {
        "n": item["n"],
        "method": "multipart" if wish.multipart else "single",
        "part_size": wish.part_size,
        "parts": plan.part_count(wish.size, wish.part_size),
        "urls": [plan.signed_put(item, part) for part in wish.parts],
    }


def store(meta: Item, files: list[Item]) -> None:
    """Files first: a share that shows is whole. Left-overs of a crash are swept."""
    database = tables.client("dynamodb")
    for start in range(0, len(files), 25):
        puts = [{"PutRequest": {"Item": attributes_of(i)}} for i in files[start : start + 25]]
        waiting: dict[str, Any] = {shares.table(): puts}
        while waiting:
            waiting = database.batch_write_item(RequestItems=waiting)["UnprocessedItems"]
    database.put_item(TableName=shares.table(), Item=attributes_of(meta))


def show(request: Request) -> Answer:
    share = shares.load(request.parameters["id"])
    return json_answer(shares.share_view(share, links.origin(request)))


def owned(request: Request) -> Share:
    share = shares.load(request.parameters["id"])
    links.require_owner(request, share.meta["owner"])
    return share


def change(request: Request) -> Answer:
    share = owned(request)
    document = request.json()
    changes, removed = _changes(document, share.meta["created_at"])
    sets = [f"#{name} = :{name}" for name in changes]
    expression = f"SET {', '.join(sets)}" if sets else ""
    expression += f" REMOVE {', '.join(removed)}" if removed else ""
    if not expression:
        raise invalid({"": "expires_in_s, expires_at, max_downloads or listed is needed"})
    alive = "attribute_exists(#item) AND attribute_not_exists(tombstone)"
    alive += " AND attribute_not_exists(deleted_at)"
    key = {"share": share.id, "item": "share"}
    if tables.update(shares.table(), key, expression, alive, changes) is None:
        raise conflict("The share ended while it was being changed.")
    changed = shares.load(share.id)
    view = shares.share_view(changed, links.origin(request))
    broadcast.publish(f"share:{share.id}", {"type": "share", "share": view})
    return json_answer(view)


def _changes(document: dict[str, Any], created_at: int) -> tuple[dict[str, Any], list[str]]:
    changes: dict[str, Any] = {}
    removed = []
    if "expires_at" in document:
        changes |= expiry(_moment(document["expires_at"]))
    elif "expires_in_s" in document:
        changes |= expiry(plan.expiry_ms(document))
    # the bucket's lifecycle deletes after 31 days, whatever the table says
    if changes.get("expires_at", 0) > created_at + plan.MAX_EXPIRY_S * 1000 + 60_000:
        raise invalid({"/expires_at": "a share lives at most 30 days from its creation"})
    if "max_downloads" in document:
        limit = plan.max_downloads(document)
        if limit is None:
            removed.append("max_downloads")
        else:
            changes["max_downloads"] = limit
    if "listed" in document:
        changes["listed"] = plan.listed(document)
    return changes, removed


def _moment(text: Any) -> int:
    try:
        moment = parse_rfc3339(text)
    except (ValueError, TypeError):
        raise invalid({"/expires_at": "must be an RFC 3339 time"}) from None
    ahead_s = (moment - now_ms()) / 1000
    if not plan.MIN_EXPIRY_S - 5 <= ahead_s <= plan.MAX_EXPIRY_S + 5:
        raise invalid({"/expires_at": "must be 5 minutes to 30 days ahead"})
    return moment


def delete(request: Request) -> Answer:
    """Only says so; the reaper, told by the table's stream, deletes the bytes."""
    try:
        share = owned(request)
    except Problem as problem:
        if problem.kind in ("deleted", "expired"):
            return Answer(204)
        raise
    key = {"share": share.id, "item": "share"}
    named = {"deleted_at": now_ms()}
    tables.update(
        shares.table(), key, "SET deleted_at = :deleted_at", "attribute_exists(#item)", named
    )
    return Answer(204)


def put(request: Request) -> Answer:
    """`curl -LT FILE http://host/NAME`: a share of one file, and where to put it."""
    name = request.parameters["name"]
    if problem := plan.name_problem(name):
        raise invalid({"/name": problem})
    meta, token = new_share(_wishes_of_query(request))
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    item = new_file(meta, 1, name, kind) | {"declared": None, "part_size": MAX_SINGLE_PUT}
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        if int(length) > MAX_SINGLE_PUT:
            raise Problem(413, "too-large", "curl can send at most 5 GiB: use lambdashare send.")
        # not binding: some gateways pass the length of what they have read
        item["size"] = int(length) or None
    store(meta, [item])
    return _redirect(request, meta, token)


def _wishes_of_query(request: Request) -> dict[str, Any]:
    numbers = {
        name: int(text)
        for name in ("expires_in_s", "max_downloads")
        if (text := request.query.get(name, "")).isascii() and text.isdigit()
    }
    given = {name for name in ("expires_in_s", "max_downloads") if name in request.query}
    if wrong := given - set(numbers):
        raise invalid({f"/{name}": "must be a whole number" for name in wrong})
    return dict(numbers)


def _redirect(request: Request, meta: Item, token: str) -> Answer:
    parameters = {
        "Bucket": os.environ["UPLOADS_BUCKET"],
        "Key": shares.object_key(meta["share"], 1),
    }
    target = tables.signer().generate_presigned_url(
        "put_object", Params=parameters, ExpiresIn=plan.URL_S
    )
    url = links.share_url(links.origin(request), meta["share"])
    body = f"{url}\nexpires {rfc3339(meta['expires_at'])}\n"
    headers = {
        "location": target,
        "link": f'<{url}>; rel="alternate"',
        "x-share-url": url,
        "x-share-id": meta["share"],
        "x-share-token": token,
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
    }
    return Answer(307, body, headers)
