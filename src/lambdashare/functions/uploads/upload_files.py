"""One file of a share on its way up: URLs for parts, what is there, completion, the witness."""

import os
from typing import Any

import upload_plan as plan
from botocore.exceptions import ClientError
from lambdashare_core import broadcast, digests, links, shares, tables
from lambdashare_core.problems import conflict, invalid, malformed
from lambdashare_core.shares import Share
from lambdashare_core.tables import Item
from lambdashare_core.web import Answer, Request, json_answer
from upload_shares import owned

PAGE = 1000
CALLERS_FAULT = (
    "BadDigest",
    "EntityTooSmall",
    "InvalidArgument",
    "InvalidPart",
    "InvalidPartOrder",
    "InvalidRequest",
)


def part_urls(request: Request) -> Answer:
    _, item = _addressed(request)
    _require(item, "uploading")
    errors: dict[str, str] = {}
    wanted = request.json().get("parts")
    declared = item["declared"]
    if declared is None:
        raise conflict("This file was announced by PUT: send it there.")
    parts = plan.asked_parts(wanted, declared, item["part_size"], "/parts", errors)
    if not parts and not errors:
        errors["/parts"] = "must name at least one part"
    if errors:
        raise invalid(errors)
    return json_answer({"urls": [plan.signed_put(item, part) for part in parts]})


def parts_done(request: Request) -> Answer:
    _, item = _addressed(request)
    after = request.query.get("after", "0")
    if not after.isascii() or not after.isdigit():
        raise malformed("'after' must be a part number.")
    document: dict[str, Any] = {
        "method": "multipart" if item.get("upload_id") else "single",
        "part_size": item["part_size"],
        "count": plan.part_count(item["declared"] or 0, item["part_size"]),
        "phase": item["phase"],
        "parts": [],
        "next": None,
    }
    if item.get("upload_id") and item["phase"] == "uploading":
        page = _list(item, int(after))
        document["parts"] = [_part_view(part) for part in page.get("Parts", [])]
        document["next"] = page["NextPartNumberMarker"] if page["IsTruncated"] else None
    return json_answer(document)


def _part_view(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": part["PartNumber"],
        "size": part["Size"],
        "etag": part["ETag"],
        "sha256": part.get("ChecksumSHA256"),
    }


def complete(request: Request) -> Answer:
    share, item = _addressed(request)
    if item["phase"] == "uploading":
        given = request.json().get("parts")
        if item.get("upload_id"):
            _complete_multipart(item, given)
        else:
            _require_object(item)
        _now_storing(share, item)
    return _view(request, share, item, announce=True)


def _complete_multipart(item: Item, given: Any) -> None:
    parts = _given(given) if given is not None else _listed(item)
    count = plan.part_count(item["declared"], item["part_size"])
    missing = sorted(set(range(1, count + 1)) - {part["PartNumber"] for part in parts})
    if missing:
        raise conflict(f"{len(missing)} parts are missing.", missing=missing[:1000])
    parts.sort(key=lambda part: part["PartNumber"])
    try:
        tables.client("s3").complete_multipart_upload(
            **_upload(item), MultipartUpload={"Parts": parts}
        )
    except ClientError as error:
        _explain(item, error)


def _explain(item: Item, error: ClientError) -> None:
    """S3's refusals that are the caller's; a repeated completion is none."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "NoSuchUpload":
        _require_object(item)  # completed by an earlier try whose answer was lost
    elif code in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest") or code in (
        "InvalidRequest",
        "InvalidArgument",
    ):
        raise conflict(f"S3 refuses to complete: {message}", code=code)
    else:
        raise error


def _given(parts: Any) -> list[dict[str, Any]]:
    errors: dict[str, str] = {}
    found = []
    if not isinstance(parts, list) or len(parts) > plan.MAX_PARTS:
        raise invalid({"/parts": f"must be a list of at most {plan.MAX_PARTS} parts"})
    for i, part in enumerate(parts):
        at = f"/parts/{i}"
        if not isinstance(part, dict) or not plan.is_count(part.get("number")):
            errors[f"{at}/number"] = "must be a part number"
        elif not isinstance(part.get("etag"), str) or not part["etag"]:
            errors[f"{at}/etag"] = "must be the ETag that S3 answered"
        elif digests.sha256_base64(part.get("sha256")) is None:
            errors[f"{at}/sha256"] = "must be the part's SHA-256 in base64"
        else:
            found.append(_s3_part(part["number"], part["etag"], part["sha256"]))
    if errors:
        raise invalid(errors)
    return found


def _s3_part(number: int, etag: str, sha256: str | None) -> dict[str, Any]:
    part = {"PartNumber": number, "ETag": etag}
    return part | {"ChecksumSHA256": sha256} if sha256 else part


def _listed(item: Item) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after, more = 0, True
    while more:
        page = _list(item, after)
        for part in page.get("Parts", []):
            found.append(_s3_part(part["PartNumber"], part["ETag"], part.get("ChecksumSHA256")))
        more = page["IsTruncated"]
        after = page.get("NextPartNumberMarker", 0)
    return found


def _list(item: Item, after: int) -> dict[str, Any]:
    try:
        page = tables.client("s3").list_parts(
            **_upload(item), MaxParts=PAGE, PartNumberMarker=after
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        return {"Parts": [], "IsTruncated": False}
    return dict(page)


def _upload(item: Item) -> dict[str, Any]:
    return _object(item) | {"UploadId": item["upload_id"]}


def _object(item: Item) -> dict[str, Any]:
    return {
        "Bucket": os.environ["UPLOADS_BUCKET"],
        "Key": shares.object_key(item["share"], item["n"]),
    }


def _require_object(item: Item) -> None:
    try:
        head = tables.client("s3").head_object(**_object(item))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            raise conflict("The file has not been uploaded.", missing=[1]) from None
        raise
    declared = item["declared"]
    if declared is not None and head["ContentLength"] != declared:
        size = head["ContentLength"]
        raise conflict(f"{declared} bytes were announced, {size} are there.")


def _now_storing(share: Share, item: Item) -> None:
    """The hasher may have been faster: its phase stays."""
    key = {"share": share.id, "item": item["item"]}
    named = {"new": "storing", "old": "uploading"}
    tables.update(shares.table(), key, "SET phase = :new", "phase = :old", named)


def witness(request: Request) -> Answer:
    """The sender's own sum. Whoever is last, this or the hasher, judges."""
    share, item = _addressed(request)
    claimed = digests.sha256_hex(request.json().get("sha256"))
    if claimed is None:
        raise invalid({"/sha256": "must be a SHA-256 in 64 hex digits"})
    key = {"share": share.id, "item": item["item"]}
    for _ in range(4):
        if item.get("witness") == claimed:
            break
        if item.get("witness"):
            raise conflict("Another digest was given before.")
        if _give_witness(key, item, claimed):
            break
        item = shares.load(share.id).file(item["n"])
    else:
        raise conflict("The file keeps changing: try again.")
    return _view(request, share, item, announce=True)


def _give_witness(key: dict[str, Any], item: Item, claimed: str) -> bool:
    change, condition = "SET witness = :witness", "attribute_not_exists(witness) AND "
    named: dict[str, Any] = {"witness": claimed}
    sums = item.get("digests")
    if sums:
        condition += "phase = :before"
        change += ", phase = :phase"
        verdict = shares.judge(sums, claimed, item.get("storage"))
        quarantined = item["phase"] == "quarantined"
        named |= {"before": item["phase"], "phase": "quarantined" if quarantined else verdict}
    else:
        condition += "attribute_exists(#item) AND attribute_not_exists(digests)"
    return tables.update(shares.table(), key, change, condition, named) is not None


def _addressed(request: Request) -> tuple[Share, Item]:
    share = owned(request)
    return share, share.file(links.file_number(request.parameters["n"]))


def _require(item: Item, phase: str) -> None:
    if item["phase"] != phase:
        raise conflict(f"The file is in phase {item['phase']}, not {phase}.")


def _view(request: Request, share: Share, item: Item, announce: bool) -> Answer:
    now = shares.load(share.id)
    view = shares.file_view(now, now.file(item["n"]), links.origin(request))
    if announce:
        broadcast.publish(f"share:{share.id}", {"type": "file", "file": view})
    return json_answer(view)
