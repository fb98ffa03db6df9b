"""deliver: writes posts into feeds.

In come SQS messages of `fanout`: posts of an author, and a chunk of feeds. An item of a feed has
the feed and the post as its key and depends on nothing else, so writing it again changes nothing:
the stream, which tells `push` of new items, then has nothing to tell.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import boto3

KEPT_S = 90 * 86400
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

log = logging.getLogger()
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    failed = []
    for record in event["Records"]:
        try:
            deliver(json.loads(record["body"]))
        except Exception:
            log.exception("%s", record["messageId"])
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def deliver(message: dict[str, Any]) -> None:
    with table.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as batch:
        for item in items(message):
            batch.put_item(Item=item)


def items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for feed in message["feeds"]:
        for post in message["posts"]:
            yield {
                "pk": f"FEED#{feed}",
                "sk": post,
                "kind": message["kind"],
                "author": message["author"],
                "ttl": posted_s(post) + KEPT_S,
            }


def posted_s(post: str) -> int:
    """An id begins with the time, in milliseconds."""
    number = 0
    for letter in post[:10]:
        number = number * 32 + LETTERS.index(letter)
    return number // 1000
