"""resize: an original was uploaded; its sizes appear as WebP, its item in Images is `ready`.

In: SQS messages, each an S3 event. Out: three objects, a changed item, and the messages that
failed (partial batch response), so that one broken file holds up no other.

A file that cannot be read is `failed` with the reason on its item. Its message is shown again at
once instead of after the visibility timeout, and so goes to the dead-letter queue within a moment.

At least once is enough: the same upload (key and ETag) gives the same objects and the same item.
`deleted` is the end of an item: sizes that were made too late are removed again.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import boto3
from botocore.exceptions import ClientError
from pictures import Picture, Refused, render

BYTES_MAX = 25 * 1024 * 1024
NAMES = re.compile(r"#\w+")
ATTEMPTS = int(os.environ.get("MAX_RECEIVES", "3"))

log = logging.getLogger()
log.setLevel(logging.INFO)


class Upload(NamedTuple):
    bucket: str
    key: str  # the item's id
    etag: str
    bytes: int
    created: str


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    failed = [message["messageId"] for message in event["Records"] if not succeeded(message)]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def succeeded(message: dict[str, Any]) -> bool:
    for upload in uploads_in(message["body"]):
        try:
            resize(upload)
        except Refused as refusal:
            log.warning("%s refused: %s", upload.key, refusal)
            settle(upload, "failed", reason=str(refusal))
            show_again(message)
            return False
        except Exception:
            log.exception("%s failed", upload.key)
            if int(message["attributes"]["ApproximateReceiveCount"]) >= ATTEMPTS:
                settle(upload, "failed", reason="it could not be processed; see the function's log")
            return False
    return True


def uploads_in(body: str) -> Iterator[Upload]:
    """S3 sends a test event without records when notifications are set up."""
    for record in json.loads(body).get("Records", []):
        thing = record["s3"]["object"]
        key = unquote_plus(thing["key"])
        yield Upload(
            record["s3"]["bucket"]["name"], key, thing["eTag"], thing["size"], record["eventTime"]
        )


def resize(upload: Upload) -> None:
    if not begin(upload):
        return
    if upload.bytes > BYTES_MAX:
        raise Refused(f"{upload.bytes / 1e6:,.0f} MB; {BYTES_MAX // 1_000_000} MB are the limit")
    content = original(upload)
    if content is None:
        return
    picture = render(content)
    for name, size in picture.sizes.items():
        s3().put_object(
            Bucket=os.environ["SIZES_BUCKET"],
            Key=f"{upload.key}/{name}.webp",
            Body=size.content,
            ContentType="image/webp",
            CacheControl="private, max-age=86400",
        )
    if not settle(upload, "ready", **described(picture)):
        remove_sizes(upload, picture)


def original(upload: Upload) -> bytes | None:
    """None if it is gone or has been replaced: another event tells of that."""
    try:
        found = s3().get_object(Bucket=upload.bucket, Key=upload.key, IfMatch=upload.etag)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "PreconditionFailed"):
            return None
        raise
    content: bytes = found["Body"].read()
    return content


def begin(upload: Upload) -> bool:
    """False if the picture was deleted. A repetition leaves `ready` and `failed` as they are."""
    is_new = change(
        upload,
        "SET #state = :processing, etag = :etag, #bytes = :bytes,"
        # for a picture that was put into the bucket without asking the API
        " #name = if_not_exists(#name, :id), gallery = if_not_exists(gallery, :main),"
        " created = if_not_exists(created, :created)"
        " REMOVE #ttl, reason",
        "(attribute_not_exists(etag) OR etag <> :etag)",
        {
            ":processing": "processing",
            ":bytes": upload.bytes,
            ":id": upload.key,
            ":main": "main",
            ":created": upload.created,
        },
    )
    if is_new:
        return True
    item = images().get_item(Key={"id": upload.key}, ConsistentRead=True).get("Item", {})
    return bool(item.get("state") != "deleted")


def settle(upload: Upload, state: str, **values: Any) -> bool:
    """False if the picture was deleted or replaced in the meantime."""
    values["state"] = state
    changes = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    return change(upload, changes, "etag = :etag", {f":{n}": v for n, v in values.items()})


def change(upload: Upload, changes: str, condition: str, values: dict[str, Any]) -> bool:
    """Changes the item on a condition, and never one that is `deleted`."""
    condition += " AND (attribute_not_exists(id) OR #state <> :deleted)"
    names = NAMES.findall(changes + condition)
    try:
        images().update_item(
            Key={"id": upload.key},
            UpdateExpression=changes,
            ConditionExpression=condition,
            ExpressionAttributeNames={name: name[1:] for name in names},
            ExpressionAttributeValues={**values, ":etag": upload.etag, ":deleted": "deleted"},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def described(picture: Picture) -> dict[str, Any]:
    sizes = {
        name: {"width": size.width, "height": size.height, "bytes": len(size.content)}
        for name, size in picture.sizes.items()
    }
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "sizes": sizes,
    }


def remove_sizes(upload: Upload, picture: Picture) -> None:
    keys = [{"Key": f"{upload.key}/{name}.webp"} for name in picture.sizes]
    s3().delete_objects(Bucket=os.environ["SIZES_BUCKET"], Delete={"Objects": keys})


def show_again(message: dict[str, Any]) -> None:
    boto3.client("sqs").change_message_visibility(
        QueueUrl=os.environ["QUEUE_URL"],
        ReceiptHandle=message["receiptHandle"],
        VisibilityTimeout=0,
    )


@cache
def s3() -> Any:
    return boto3.client("s3")


@cache
def images() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["IMAGES_TABLE"])
