"""detect: telemetry from Kinesis becomes windows, and a worn part becomes an order. Exactly one.

In: readings and replacements, in order per machine (its partition key). Out: items in the tables
Machines (state), Windows (what the page draws) and Orders.

Everything may come again, so everything may be done again: windows are puts of the same item, an
order is put only where there is none for this part's installation, and the state, which says what
was seen, is written last. Its version keeps a slower twin of this batch from taking it back.
"""

import base64
import json
import os
import time
from collections import defaultdict
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import boto3
from botocore.exceptions import ClientError
from windows import WINDOW_S, Window, fold, new_state

KEEP_S = 7 * 86400

SQS = boto3.client("sqs")
DYNAMODB = boto3.resource("dynamodb")
MACHINES = DYNAMODB.Table(os.environ["MACHINES_TABLE"])
WINDOWS = DYNAMODB.Table(os.environ["WINDOWS_TABLE"])
ORDERS = DYNAMODB.Table(os.environ["ORDERS_TABLE"])

Record = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> None:
    for machine, records in by_machine(event["Records"]).items():
        digest(machine, records)


def by_machine(records: list[dict[str, Any]]) -> dict[str, list[Record]]:
    machines: defaultdict[str, list[Record]] = defaultdict(list)
    for each in records:
        try:
            record = parse(each["kinesis"]["data"])
            machines[record["machine"]].append(record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            set_aside(each, error)
    return machines


def set_aside(record: dict[str, Any], error: Exception) -> None:
    """What is no reading will never be one: retries would only keep the others waiting."""
    message = {
        "error": repr(error),
        "event": record["eventID"],
        "data": record["kinesis"]["data"],
    }
    SQS.send_message(QueueUrl=os.environ["FAILURES_QUEUE"], MessageBody=json.dumps(message))


def parse(data: str) -> Record:
    """A record is what a machine's state can take in; `NaN` is no number."""
    record: Record = json.loads(base64.b64decode(data), parse_constant=float.fromhex)
    fold(new_state(), record)
    if not isinstance(record["machine"], str) or not record["machine"]:
        raise ValueError("a record needs a machine")
    return record


def digest(machine: str, records: list[Record]) -> None:
    state, version = load(machine)
    for record in records:
        closed = fold(state, record)
        keep(machine, closed)
        for window in closed:
            if window.worn:
                order(machine, window)
        if record["type"] == "replaced":
            fitted(machine, record)
    save(machine, state, version)


def load(machine: str) -> tuple[dict[str, Any], int]:
    item = MACHINES.get_item(Key={"machine": machine}, ConsistentRead=True).get("Item")
    if item is None:
        return new_state(), 0
    return json.loads(item["state"]), int(item["version"])


def save(machine: str, state: dict[str, Any], version: int) -> None:
    """The state is one JSON text: read and written as a whole, by this function alone."""
    MACHINES.put_item(
        Item={"machine": machine, "version": version + 1, "state": json.dumps(state)},
        ConditionExpression="attribute_not_exists(machine) OR version = :version",
        ExpressionAttributeValues={":version": version},
    )


def keep(machine: str, closed: list[Window]) -> None:
    if not closed:
        return
    ttl = int(time.time()) + KEEP_S
    with WINDOWS.batch_writer() as batch:
        for window in closed:
            values = json.loads(json.dumps(asdict(window)), parse_float=Decimal)
            batch.put_item(Item=values | {"part": f"{machine}#{window.part}", "ttl": ttl})


def order(machine: str, window: Window) -> bool:
    """True if it is new: a part's installation is ordered for once, whoever asks how often."""
    item = {
        "part": f"{machine}#{window.part}",
        "installation": window.installation,
        "id": f"{machine}-{window.part}-{window.installation}",
        "machine": machine,
        "name": window.part,
        "ordered_at": window.start + WINDOW_S,
        "deviation": Decimal(str(window.middle)),
        "state": "ordered",
    }
    try:
        ORDERS.put_item(Item=item, ConditionExpression="attribute_not_exists(part)")
    except ClientError as error:
        return not expected(error)
    print(f"ordered {item['id']}")
    return True


def fitted(machine: str, record: Record) -> None:
    """The order for the part that was taken out is done, if there was one."""
    key = {"part": f"{machine}#{record['part']}", "installation": record["installation"] - 1}
    try:
        ORDERS.update_item(
            Key=key,
            UpdateExpression="SET #state = :fitted, fitted_at = :at",
            ConditionExpression="attribute_exists(part)",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":fitted": "fitted", ":at": record["at"]},
        )
    except ClientError as error:
        expected(error)


def expected(error: ClientError) -> bool:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    return True
