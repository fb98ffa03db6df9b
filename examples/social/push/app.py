"""push: tells phones what is new in their owner's feed.

In come the feeds' new items, from the table's stream; out go SNS messages to the endpoints of the
feed's owner. Endpoints are addressed one by one: a topic per user would save a call for who has two
devices, and cost a topic and its subscriptions for who has one.

The stream may bring an item twice. A phone should not buzz twice, so each push is claimed first by
a conditional write; a push that fails gives its claim back and is tried again.
https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html
"""

import json
import logging
import os
import time
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

CLAIM_S = 2 * 86400  # a stream keeps its records for one
LETTERS_MAX = 120
GONE = ("(EndpointDisabled", "(NotFound", "No endpoint found")  # in SNS's errors

log = logging.getLogger()
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
sns = boto3.client("sns")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    posts: dict[str, dict[str, Any] | None] = {}  # one post is in many feeds
    for record in event["Records"]:
        keys = record["dynamodb"]["Keys"]
        user, post = keys["pk"]["S"].partition("#")[2], keys["sk"]["S"]
        try:
            if post not in posts:
                posts[post] = table.get_item(Key={"pk": f"POST#{post}", "sk": "POST"}).get("Item")
            if found := posts[post]:  # not deleted in the meantime
                tell(user, found)
        except Exception:
            log.exception("%s %s", user, post)
            failed = record["dynamodb"]["SequenceNumber"]
            return {"batchItemFailures": [{"itemIdentifier": failed}]}
    return {"batchItemFailures": []}


def tell(user: str, post: dict[str, Any]) -> None:
    found = table.query(
        IndexName="by-owner", KeyConditionExpression=Key("owner").eq(f"DEVICES#{user}")
    )
    for device in found["Items"]:
        claim = {"pk": f"PUSHED#{device['place']}", "sk": post["place"]}
        if not claimed(claim):
            continue
        try:
            sns.publish(
                TargetArn=device["endpoint"],
                MessageStructure="json",
                Message=json.dumps(message(post)),
            )
        except Exception as error:
            if isinstance(error, ClientError) and any(word in str(error) for word in GONE):
                forget(device)
                continue
            table.delete_item(Key=claim)
            raise


def claimed(claim: dict[str, str]) -> bool:
    try:
        table.put_item(
            Item={**claim, "ttl": int(time.time()) + CLAIM_S},
            ConditionExpression="attribute_not_exists(pk)",
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def message(post: dict[str, Any]) -> dict[str, str]:
    """In the words of each platform; a phone shows the beginning only, anyway."""
    title, text = f"@{post['author']}", post["text"]
    if len(text) > LETTERS_MAX:
        text = text[:LETTERS_MAX] + "…"
    apple = {"aps": {"alert": {"title": title, "body": text}}, "post": post["place"]}
    firebase = {"notification": {"title": title, "body": text}, "data": {"post": post["place"]}}
    return {
        "default": f"{title}: {text}",
        "GCM": json.dumps(firebase),
        "APNS": json.dumps(apple),
        "APNS_SANDBOX": json.dumps(apple),
    }


def forget(device: dict[str, Any]) -> None:
    """The app was removed, or its token is over. It registers again when it starts again."""
    log.info("%s is gone", device["place"])
    sns.delete_endpoint(EndpointArn=device["endpoint"])
    try:
        table.delete_item(
            Key={"pk": device["pk"], "sk": device["sk"]},
            ConditionExpression="endpoint = :gone",
            ExpressionAttributeValues={":gone": device["endpoint"]},
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        log.info("%s has registered again", device["place"])
