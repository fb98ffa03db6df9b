"""fanout: for whom is this news? Messages with chunks of followers say it to `deliver`.

In come new posts, new follows and deleted posts, from the table's stream; out go messages of at
most CHUNK feeds each, so that an author with a million followers is work for many. A record that
comes twice sends its messages twice: the feeds' items have the same keys then.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.html
"""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

CHUNK = 100  # feeds per message
MESSAGES = 10  # per request: a limit of SQS
BACKLOG = 20  # posts that a new follower finds in the feed

log = logging.getLogger()
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
sqs = boto3.client("sqs")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Stops at the first record that fails: the stream brings it and the rest again."""
    for record in event["Records"]:
        try:
            handle(record)
        except Exception:
            log.exception("%s", record["eventID"])
            failed = record["dynamodb"]["SequenceNumber"]
            return {"batchItemFailures": [{"itemIdentifier": failed}]}
    return {"batchItemFailures": []}


def handle(record: dict[str, Any]) -> None:
    change = record["dynamodb"]
    item = {name: value.get("S") for name, value in change.get("NewImage", {}).items()}
    if record["eventName"] == "REMOVE":
        tidy_up(change["Keys"]["pk"]["S"])
    elif item["kind"] == "post":
        announce(item["author"], item["place"])
    else:
        catch_up(item["user"], item["followed"])


def announce(author: str, post: str) -> None:
    """The news is for all followers."""
    chunks: list[dict[str, Any]] = []
    for feeds in followers(author):
        chunks.append({"kind": "news", "author": author, "posts": [post], "feeds": feeds})
        if len(chunks) == MESSAGES:
            send(chunks)
            chunks = []
    send(chunks)


def catch_up(user: str, author: str) -> None:
    """A new follower finds the author's last posts; they are no news, so nothing is pushed.

    One made at this moment may be among them: it is announced, too, and becomes news.
    """
    found = table.query(
        IndexName="by-owner",
        KeyConditionExpression=Key("owner").eq(f"POSTS#{author}"),
        ScanIndexForward=False,
        Limit=BACKLOG,
    )["Items"]
    if found:
        posts = [item["place"] for item in found]
        send([{"kind": "old", "author": author, "posts": posts, "feeds": [user]}])


def tidy_up(partition: str) -> None:
    """The likes of a deleted post. Feeds forget it when they are read, and in the end by TTL."""
    with table.batch_writer() as batch:
        for item in pages(KeyConditionExpression=Key("pk").eq(partition)):
            batch.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})


def followers(author: str) -> Iterator[list[str]]:
    """By CHUNK."""
    chunk: list[str] = []
    for item in pages(KeyConditionExpression=Key("pk").eq(f"FOLLOWERS#{author}")):
        chunk.append(item["sk"])
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def pages(**query: Any) -> Iterator[dict[str, Any]]:
    """All that a query finds; DynamoDB answers a megabyte at a time."""
    while True:
        found = table.query(**query)
        yield from found["Items"]
        if "LastEvaluatedKey" not in found:
            return
        query["ExclusiveStartKey"] = found["LastEvaluatedKey"]


def send(chunks: list[dict[str, Any]]) -> None:
    if not chunks:
        return
    entries = [{"Id": str(n), "MessageBody": json.dumps(chunk)} for n, chunk in enumerate(chunks)]
    answer = sqs.send_message_batch(QueueUrl=os.environ["QUEUE"], Entries=entries)
    if answer.get("Failed"):
        raise RuntimeError(answer["Failed"])
