"""capture: changes of Orders, from the table's stream, become Parquet in the lake's raw part.

Event: DynamoDB stream records. Out: one object per batch and order date, then a mark per object
that says "this date is to be rebuilt". Streams deliver at least once. The name of an object comes
from the first and the last sequence number in it, so a repeated batch writes the same object again;
a batch that is cut differently the second time leaves a change twice, which `transform` sees by its
sequence number. A record that is no order stops the batch: what is before it has been stored, the
mapping isolates it and sends word of it to the failures queue.
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

import logging
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
import lake
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError
from orders import NoOrder, order_of

Row = dict[str, Any]
log = logging.getLogger(__name__)
WRITERS = 8


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    partitions, failed = partitioned(event["Records"])
    store(partitions)
    if partitions:
        remember(event["Records"], partitions)
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


def partitioned(records: list[dict[str, Any]]) -> tuple[dict[str, list[Row]], str]:
    """Order date → changes, up to the first record that is no order (its sequence number)."""
    partitions: defaultdict[str, list[Row]] = defaultdict(list)
    for record in records:
        try:
            rows = rows_of(record)
        except NoOrder:
            number = record["dynamodb"]["SequenceNumber"]
            log.exception("change %s is no order", number)
            return partitions, number
        for day, row in rows.items():
            partitions[day].append(row)
    return partitions, ""


def rows_of(record: dict[str, Any]) -> dict[str, Row]:
    """The change, by day that it concerns: two when a correction moved the order to another."""
    change = record["dynamodb"]
    old = known(change.get("OldImage"))
    image = order_of(plain(change["NewImage"])) if "NewImage" in change else old
    if image is None:  # what was no order is gone
        return {}
    sequence = change["SequenceNumber"].zfill(40)
    row = {"sequence": sequence, "event": record["eventName"], **image}
    return {order["order_date"].isoformat(): row for order in (image, old) if order}


def known(image: dict[str, Any] | None) -> Row | None:
    """The order before the change. One that was none has never been captured."""
    try:
        return order_of(plain(image)) if image else None
    except NoOrder:
        return None


def plain(image: dict[str, Any]) -> Row:
    return {name: TypeDeserializer().deserialize(value) for name, value in image.items()}


def key_of(day: str, rows: list[Row]) -> str:
    """Sequence numbers are unique in a stream: the first says of which shard they are."""
    return f"{lake.place('raw')}date={day}/{rows[0]['sequence']}-{rows[-1]['sequence']}.parquet"


def store(partitions: dict[str, list[Row]]) -> None:
    def write(day: str) -> None:
        rows = partitions[day]
        lake.write(key_of(day, rows), lake.table_of("raw", rows))

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, partitions))


@cache
def state() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["STATE_TABLE"])


def remember(records: list[dict[str, Any]], partitions: dict[str, list[Row]]) -> None:
    """After the objects are there, for `transform` may come at once."""
    with state().batch_writer() as batch:
        for day, rows in partitions.items():
            batch.put_item(Item={"kind": "pending", "name": key_of(day, rows), "date": day})
    seen = max(record["dynamodb"]["ApproximateCreationDateTime"] for record in records)
    try:
        state().update_item(
            Key={"kind": "freshness", "name": "orders"},
            UpdateExpression="SET changed_at = :now",
            ConditionExpression="attribute_not_exists(changed_at) OR changed_at < :now",
            ExpressionAttributeValues={":now": Decimal(str(seen))},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
