"""site: copies the built page, bundled beside this file in `dist/`, into the site bucket.

A custom resource: CloudFormation calls it when the stack is made, when the bundle changes (its
`Version` property) and when the stack goes, and waits for the answer at the URL it gives.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html
"""

import json
import mimetypes
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lambdashare_core import tables
from lambdashare_core.web import log

DIST = Path(__file__).parent / "dist"
# names that never change are asked for again; the others carry a hash of their content
FIXED = ("assets/app.js", "assets/app.css")
YEAR = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"
MISSING = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>λShare</title>'
    "<h1>λShare</h1><p>The service runs, but its page has not been built:"
    " run <code>npm run build</code> in <code>src/lambdashare/web</code> and deploy again.</p>"
)


def handler(event: dict[str, Any], context: Any) -> None:
    bucket = event["ResourceProperties"]["Bucket"]
    data: dict[str, Any] = {}
    try:
        if event["RequestType"] == "Delete":
            empty(bucket)
        else:
            data = {"Files": publish(bucket)}
        answer(event, context, "SUCCESS", data)
    except Exception as error:
        log.exception("the site could not be copied")
        answer(event, context, "FAILED", {}, f"{type(error).__name__}: {error}")


def publish(bucket: str) -> int:
    """New files first, pages last, then what is no longer part of it goes."""
    wanted = dict(objects())
    s3 = tables.client("s3")
    for key in sorted(wanted, key=lambda key: (is_page(key), key)):
        content, kind = wanted[key]
        cached = YEAR if key.startswith("assets/") and key not in FIXED else REVALIDATE
        s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=kind, CacheControl=cached)
    delete(bucket, [key for key in keys(bucket) if key not in wanted])
    return len(wanted)


def objects() -> Iterator[tuple[str, tuple[bytes, str]]]:
    """Key → content and type. `verify.html` is stored as `verify` too: that is its address."""
    page = "text/html; charset=utf-8"
    files = sorted(path for path in DIST.rglob("*") if path.is_file()) if DIST.is_dir() else []
    if DIST / "index.html" not in files:
        yield "index.html", (MISSING.encode(), page)
    for path in files:
        key = path.relative_to(DIST).as_posix()
        kind = content_type(key)
        yield key, (path.read_bytes(), kind)
        if kind == page and "/" not in key and key != "index.html":
            yield key.removesuffix(".html"), (path.read_bytes(), kind)


def is_page(key: str) -> bool:
    return "." not in key or key.endswith(".html")


def content_type(key: str) -> str:
    own = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
    suffix = Path(key).suffix
    kind = own.get(suffix) or mimetypes.guess_type(key)[0] or "application/octet-stream"
    textual = kind.startswith("text/") or kind in ("application/json", "image/svg+xml")
    return f"{kind}; charset=utf-8" if textual else kind


def keys(bucket: str) -> list[str]:
    pages = tables.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [thing["Key"] for page in pages for thing in page.get("Contents", [])]


def delete(bucket: str, names: list[str]) -> None:
    for start in range(0, len(names), 1000):
        some = [{"Key": name} for name in names[start : start + 1000]]
        tables.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})


def empty(bucket: str) -> None:
    delete(bucket, keys(bucket))


def answer(
    event: dict[str, Any], context: Any, status: str, data: dict[str, Any], reason: str = ""
) -> None:
    """CloudFormation takes a PUT without a content type at the URL it gave."""
    document = {
        "Status": status,
        "Reason": reason or f"See log stream {context.log_stream_name}",
        "PhysicalResourceId": event.get("PhysicalResourceId") or "site",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    body = json.dumps(document).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    request.add_header("content-type", "")
    with urllib.request.urlopen(request, timeout=10):
        pass
