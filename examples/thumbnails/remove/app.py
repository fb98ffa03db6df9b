"""remove: an original was deleted; its sizes go, and its item ends as `deleted`.

In: S3's ObjectRemoved events. The item stays for a day as a tombstone, out of the gallery: a resize
that is still at work, or an event that comes late or twice, finds it and does not bring the picture
back. Doing it twice changes nothing. What fails three times ends in the dead-letter queue.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/NotificationHowTo.html
"""

import os
import time
from typing import Any
from urllib.parse import unquote_plus

import boto3

SIZES = ("web", "tablet", "phone")
TOMBSTONE_S = 86_400


def handler(event: dict[str, Any], _context: Any) -> None:
    for record in event["Records"]:
        remove(unquote_plus(record["s3"]["object"]["key"]))


def remove(key: str) -> None:
    """The tombstone first: from then on, nobody keeps sizes that he makes."""
    boto3.resource("dynamodb").Table(os.environ["IMAGES_TABLE"]).update_item(
        Key={"id": key},
        UpdateExpression="SET #state = :deleted, #ttl = :ttl REMOVE gallery",
        ExpressionAttributeNames={"#state": "state", "#ttl": "ttl"},
        ExpressionAttributeValues={
            ":deleted": "deleted",
            ":ttl": int(time.time()) + TOMBSTONE_S,
        },
    )
    keys = [{"Key": f"{key}/{size}.webp"} for size in SIZES]
    boto3.client("s3").delete_objects(Bucket=os.environ["SIZES_BUCKET"], Delete={"Objects": keys})
