"""count: posts from Kinesis become counts of hashtags, each post once.

In: posts `{id, at, seen, lang, text}`; `at` is when one was written, `seen` when the collector got
it, both in milliseconds. Out: rows of the table Counts (see the layer `buckets`).

Nothing here depends on our clock, or on how the stream cuts its batches:
- A post counts in the bucket of `at`. Whether it came too late says its own `seen`.
- A row of ten seconds keeps the ids it has counted. It and its minute are written in one
  transaction, on condition that nobody wrote them since they were read. So a batch that comes
  again, a post that its sender sent twice, a kill at any moment: nothing counts twice.
"""

import base64
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError
from buckets import STEPS, part_of, row, start_of
from hashtags import hashtags

LATENESS_MS = 120_000
KEEP_S = 7 * 86400
ATTEMPTS = 10
CONTENDED = ("TransactionCanceledException", "TransactionConflictException")

SQS = boto3.client("sqs")
DYNAMODB = boto3.client("dynamodb")
TABLE = os.environ["COUNTS_TABLE"]

Post = dict[str, Any]
Row = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> None:
    for (part, minute), posts in grouped(posts_of(event["Records"])).items():
        count(part, minute, posts)


def posts_of(records: list[dict[str, Any]]) -> Iterator[Post]:
    for record in records:
        try:
            yield parse(base64.b64decode(record["kinesis"]["data"]))
        except (ValueError, KeyError, TypeError) as error:
            set_aside(record, error)


def set_aside(record: dict[str, Any], error: Exception) -> None:
    """What is no post will never be one: retries would only keep the others waiting."""
    message = {
        "error": repr(error),
        "event": record["eventID"],
        "data": record["kinesis"]["data"],
    }
    SQS.send_message(QueueUrl=os.environ["FAILURES_QUEUE"], MessageBody=json.dumps(message))


def parse(data: bytes) -> Post:
    sent = json.loads(data)
    post = {"id": sent["id"], "at": int(sent["at"]), "seen": int(sent["seen"])}
    if not isinstance(post["id"], str) or not 0 < len(post["id"]) <= 64:
        raise ValueError("a post needs an id of at most 64 letters")
    return post | {"tags": hashtags(sent["text"])}


def grouped(posts: Iterable[Post]) -> dict[tuple[int, int], list[Post]]:
    """By part and minute; without those that came too late."""
    groups: defaultdict[tuple[int, int], list[Post]] = defaultdict(list)
    for post in posts:
        if post["seen"] - post["at"] <= LATENESS_MS:
            minute = start_of("1m", post["at"] // 1000)
            groups[part_of(post["id"]), minute].append(post)
    return groups


def count(part: int, minute: int, posts: list[Post]) -> None:
    for attempt in range(ATTEMPTS):
        rows = read(part, minute, posts)
        versions = {key: found["version"] for key, found in rows.items()}
        if not merge(rows, minute, posts):
            return
        try:
            return write(part, rows, versions)
        except ClientError as error:
            if error.response["Error"]["Code"] not in CONTENDED or attempt == ATTEMPTS - 1:
                raise
        time.sleep(random.uniform(0, 0.02) * 2**attempt)


def merge(rows: dict[tuple[str, int], Row], minute: int, posts: list[Post]) -> int:
    """Adds the posts that are news to their rows; says how many were."""
    news = 0
    for post in posts:
        bucket = rows["10s", start_of("10s", post["at"] // 1000)]
        if post["id"] in bucket["ids"]:
            continue
        news += 1
        bucket["ids"].add(post["id"])
        for each in (bucket, rows["1m", minute]):
            each["posts"] += 1
            each["counts"].update(post["tags"])
    return news


def read(part: int, minute: int, posts: list[Post]) -> dict[tuple[str, int], Row]:
    """The minute and those of its buckets that the posts are in, as they are now."""
    starts = {start_of("10s", post["at"] // 1000) for post in posts}
    wanted = [("1m", minute), *(("10s", start) for start in sorted(starts))]
    gets = [{"Get": {"TableName": TABLE, "Key": key(part, *each)}} for each in wanted]
    found = DYNAMODB.transact_get_items(TransactItems=gets)["Responses"]
    return {each: row_of(answer.get("Item")) for each, answer in zip(wanted, found, strict=True)}


def row_of(item: dict[str, Any] | None) -> Row:
    if item is None:
        return {"version": 0, "posts": 0, "counts": Counter(), "ids": set()}
    values = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
    return {
        "version": int(values["version"]),
        "posts": int(values["posts"]),
        "counts": Counter(json.loads(values["counts"])),
        "ids": set(json.loads(values.get("ids", "[]"))),
    }


def write(
    part: int, rows: dict[tuple[str, int], Row], versions: dict[tuple[str, int], int]
) -> None:
    DYNAMODB.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": TABLE,
                    "Item": key(part, *each) | item_of(found, versions[each] + 1),
                    "ConditionExpression": "attribute_not_exists(version) OR version = :version",
                    "ExpressionAttributeValues": {":version": {"N": str(versions[each])}},
                }
            }
            for each, found in rows.items()
        ]
    )


def item_of(found: Row, version: int) -> dict[str, Any]:
    values = {
        "version": version,
        "posts": found["posts"],
        "counts": json.dumps(found["counts"], ensure_ascii=False, sort_keys=True),
        "ttl": int(time.time()) + KEEP_S,
    }
    if found["ids"]:
        values["ids"] = json.dumps(sorted(found["ids"]))
    return {name: TypeSerializer().serialize(value) for name, value in values.items()}


def key(part: int, step: str, start: int) -> dict[str, Any]:
    assert start % STEPS[step] == 0
    return {"row": {"S": row(step, part)}, "start": {"N": str(start)}}
