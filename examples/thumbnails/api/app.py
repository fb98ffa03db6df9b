"""api: the gallery's page and what it asks for.

In: requests of the HTTP API. Out: JSON, the page's files, redirects to S3. Bytes of pictures never
pass through here: uploads and downloads go to S3 by presigned URLs, and both buckets stay private.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

import json
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

SITE = Path(__file__).parent / "site"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
ACCEPTED = ("image/jpeg", "image/png", "image/webp", "image/gif")
SIZES = ("web", "tablet", "phone")
BYTES_MAX = 25 * 1024 * 1024
UPLOAD_S = 600
VIEW_S = 3600
ABANDONED_S = 86_400
SHOWN_MAX = 100
Answer = dict[str, Any]


class Problem(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def handler(event: dict[str, Any], _context: Any) -> Answer:
    try:
        return ROUTES[event["routeKey"]](event)
    except Problem as problem:
        return answer(problem.status, {"message": str(problem)})


def create(event: dict[str, Any]) -> Answer:
    """Where to PUT a picture. Its type and its size are part of the signature."""
    name, kind, size = described(event.get("body") or "")
    image = uuid.uuid4().hex
    images().put_item(
        Item={
            "id": image,
            "gallery": "main",
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "name": name,
            "state": "uploading",
            "ttl": int(time.time()) + ABANDONED_S,
        }
    )
    url = s3().generate_presigned_url(
        "put_object",
        Params={
            "Bucket": os.environ["ORIGINALS_BUCKET"],
            "Key": image,
            "ContentType": kind,
            "ContentLength": size,
        },
        ExpiresIn=UPLOAD_S,
    )
    return answer(201, {"id": image, "url": url, "headers": {"Content-Type": kind}})


def described(body: str) -> tuple[str, str, int]:
    try:
        wanted = json.loads(body)
        name, kind, size = str(wanted["name"]), wanted["type"], int(wanted["size"])
    except (ValueError, KeyError, TypeError):
        raise Problem(400, "name, type and size of the picture are needed") from None
    if kind not in ACCEPTED:
        raise Problem(415, "only JPEG, PNG, WebP and GIF are taken")
    if not 0 < size <= BYTES_MAX:
        raise Problem(413, f"a picture may have 1 byte to {BYTES_MAX // 2**20} MB")
    return name[:200], kind, size


def gallery(_event: dict[str, Any]) -> Answer:
    """The newest pictures, of every state."""
    found = images().query(
        IndexName="gallery",
        KeyConditionExpression=Key("gallery").eq("main"),
        ScanIndexForward=False,
        Limit=SHOWN_MAX,
    )
    return answer(200, {"images": [shown(item) for item in found["Items"]]})


def shown(item: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "name", "state", "created", "reason", "format", "width", "height", "bytes")
    sizes = {
        name: {**size, "url": f"images/{item['id']}/{name}"}
        for name, size in item.get("sizes", {}).items()
    }
    return {name: item[name] for name in names if name in item} | {"sizes": sizes}


def look(event: dict[str, Any]) -> Answer:
    """One size of a picture: a redirect that browsers may keep for half of the URL's life."""
    image, size = event["pathParameters"]["id"], event["pathParameters"]["size"]
    if size not in SIZES:
        raise Problem(404, f"sizes are {', '.join(SIZES)}")
    url = s3().generate_presigned_url(
        "get_object",
        Params={"Bucket": os.environ["SIZES_BUCKET"], "Key": f"{image}/{size}.webp"},
        ExpiresIn=VIEW_S,
    )
    kept = f"private, max-age={VIEW_S // 2}"
    return {"statusCode": 302, "headers": {"location": url, "cache-control": kept}}


def delete(event: dict[str, Any]) -> Answer:
    """Deletes the original; the sizes and the item follow by S3's event."""
    image = event["pathParameters"]["id"]
    changed = {"id": image}
    if "Item" not in images().get_item(Key=changed):
        raise Problem(404, "there is no such picture")
    images().update_item(
        Key=changed,
        UpdateExpression="SET #state = :deleted REMOVE gallery",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":deleted": "deleted"},
    )
    s3().delete_object(Bucket=os.environ["ORIGINALS_BUCKET"], Key=image)
    return {"statusCode": 204}


def page(event: dict[str, Any]) -> Answer:
    name = (event.get("pathParameters") or {}).get("file", "index.html")
    file = SITE / name
    if "/" in name or file.suffix not in CONTENT_TYPES or not file.is_file():
        raise Problem(404, "there is nothing here")
    headers = {
        "content-type": CONTENT_TYPES[file.suffix],
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    return {"statusCode": 200, "headers": headers, "body": file.read_text()}


def answer(status: int, document: dict[str, Any]) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(document, default=number)}


def number(value: Any) -> int:
    """DynamoDB's numbers are Decimals; ours are whole."""
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(type(value).__name__)


@cache
def images() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["IMAGES_TABLE"])


@cache
def s3() -> Any:
    """URLs by the bucket's regional name: the global one redirects, which uploads don't survive."""
    settings = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return boto3.client("s3", config=settings)


ROUTES: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "GET /": page,
    "GET /{file}": page,
    "GET /images": gallery,
    "POST /images": create,
    "GET /images/{id}/{size}": look,
    "DELETE /images/{id}": delete,
}
