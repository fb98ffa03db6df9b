"""desk: the dealer's parts desk, a subscriber of the topic, accepts orders.

In: messages of the queue, as the topic delivers them raw. Out: the order's state, `accepted`.

A message that came before finds an order that is accepted or fitted by now, and changes nothing.
"""

import json
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

ORDERS = boto3.resource("dynamodb").Table(os.environ["ORDERS_TABLE"])


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    failed = []
    for record in event["Records"]:
        try:
            accept(json.loads(record["body"]))
        except (ClientError, ValueError, KeyError) as error:
            print(f"could not accept {record['messageId']}: {error!r}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def accept(message: dict[str, Any]) -> bool:
    """True if it is news."""
    try:
        ORDERS.update_item(
            Key={"part": message["part"], "installation": message["installation"]},
            UpdateExpression="SET #state = :accepted",
            ConditionExpression="#state = :ordered",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":accepted": "accepted", ":ordered": "ordered"},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    print(f"accepted {message['id']}")
    return True
