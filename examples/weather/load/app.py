"""load: a CSV of observations was put into the bucket; its rows are in the table.

In: S3's ObjectCreated events, keys `<station>/<any name>.csv`. Two kinds of files are known by
their columns: days (`temp_max`, `temp_min`, `precipitation`, …) and hours (`temp`). Hours are
summed up to days, too. The object's metadata tells the station's name and the unit of temperature.

Out: items `hour#…`, `day#…` of the station. Each has its place by station and time, so loading a
file again, after a failure or on purpose, writes the same items. The file is streamed.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadWriteCapacityMode.html
"""

import csv
import logging
import os
import random
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

import boto3

BATCH = 25  # the most that BatchWriteItem takes
ATTEMPTS = 8
CENT = Decimal("0.01")
NUMBERS = ("temp_max", "temp_min", "precipitation", "wind")
Item = dict[str, Any]

log = logging.getLogger()
log.setLevel(logging.INFO)


def handler(event: dict[str, Any], _context: Any) -> dict[str, int]:
    loaded = {}
    for record in event["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        loaded[key] = load(record["s3"]["bucket"]["name"], key)
        log.info("%s: %s rows", key, loaded[key])
    return loaded


def load(bucket: str, key: str) -> int:
    """How many rows the file has."""
    station = key.partition("/")[0]
    found = boto3.client("s3").get_object(Bucket=bucket, Key=key)
    about = found["Metadata"]
    lines = (line.decode() for line in found["Body"].iter_lines())
    days: dict[str, Item] = {}
    rows = items_of(csv.DictReader(lines), station, about.get("unit", "celsius"), days)
    count = store(rows)
    store(days.values())
    name(station, about.get("name", station))
    return count


def items_of(
    rows: Iterable[dict[str, str]], station: str, unit: str, days: dict[str, Item]
) -> Iterator[Item]:
    """The rows' items; what hours say of their day gathers in `days`."""
    for row in rows:
        moment = row["date"].replace("/", "-").replace(" ", "T")[:16]
        if "temp" in row:
            temp = celsius(row["temp"], unit)
            yield {"station": station, "time": f"hour#{moment}", "temp": temp}
            widen(days, station, moment[:10], temp)
        else:
            numbers = {each: celsius_or_same(each, row[each], unit) for each in NUMBERS}
            item = {"station": station, "time": f"day#{moment[:10]}", **numbers}
            yield {**item, "weather": row["weather"]}


def celsius(text: str, unit: str) -> Decimal:
    value = Decimal(text)
    return ((value - 32) * 5 / 9 if unit == "fahrenheit" else value).quantize(CENT)


def celsius_or_same(name: str, text: str, unit: str) -> Decimal:
    return celsius(text, unit if name.startswith("temp") else "")


def widen(days: dict[str, Item], station: str, date: str, temp: Decimal) -> None:
    day = days.setdefault(
        date,
        {
            "station": station,
            "time": f"day#{date}",
            "temp_max": temp,
            "temp_min": temp,
            "hours": 0,
        },
    )
    day["temp_max"] = max(day["temp_max"], temp)
    day["temp_min"] = min(day["temp_min"], temp)
    day["hours"] += 1


def store(items: Iterable[Item]) -> int:
    """How many there were."""
    table, count, rest = os.environ["TABLE"], 0, iter(items)
    while batch := list(islice(rest, BATCH)):
        # two rows of one moment may not be in one batch: the last one counts
        latest = {item["time"]: {"PutRequest": {"Item": item}} for item in batch}
        write({table: list(latest.values())})
        count += len(batch)
    return count


def write(requests: dict[str, Any]) -> None:
    """BatchWriteItem may leave some unprocessed (throttled): these again, after a while."""
    for attempt in range(ATTEMPTS):
        requests = dynamodb().batch_write_item(RequestItems=requests)["UnprocessedItems"]
        if not requests:
            return
        time.sleep(random.uniform(0.02, 0.05) * 2**attempt)
    raise RuntimeError("DynamoDB left items unprocessed")  # Lambda tries the file again


def name(station: str, text: str) -> None:
    dynamodb().Table(os.environ["TABLE"]).update_item(
        Key={"station": "stations", "time": station},
        UpdateExpression="SET #name = :name",
        ExpressionAttributeNames={"#name": "name"},
        ExpressionAttributeValues={":name": text},
    )


@cache
def dynamodb() -> Any:
    return boto3.resource("dynamodb")
