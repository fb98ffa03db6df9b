"""climate: days have changed; the months of their stations are what all days together say.

In: records of the table's stream, filtered to items `day#…`. Out: twelve items `climate#MM` per
station, and how many days of which years the station has.

Everything is computed anew from the days, nothing is added up from events: records that come twice
change nothing. All of a station's records are in one shard, so two runs never race for a station.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.html
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

TENTH, CENT = Decimal("0.1"), Decimal("0.01")
WET_MM = Decimal("1.0")  # what climatologists call a wet day
Day = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> None:
    stations = {record["dynamodb"]["Keys"]["station"]["S"] for record in event["Records"]}
    for station in sorted(stations):
        renew(station)


def renew(station: str) -> None:
    days = days_of(station)
    with table().batch_writer() as batch:
        for month, climate in climates(days).items():
            batch.put_item(Item={"station": station, "time": f"climate#{month}", **climate})
    if days:
        years = Counter(day["time"][4:8] for day in days)
        table().update_item(
            Key={"station": "stations", "time": station},
            UpdateExpression="SET days = :days, years = :years",
            ExpressionAttributeValues={":days": len(days), ":years": dict(years)},
        )


def days_of(station: str) -> list[Day]:
    found: list[Day] = []
    question: dict[str, Any] = {
        "KeyConditionExpression": Key("station").eq(station) & Key("time").begins_with("day#"),
        "ConsistentRead": True,
    }
    while True:
        page = table().query(**question)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        question["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def climates(days: Iterable[Day]) -> dict[str, dict[str, Any]]:
    """By month ("01")."""
    months: defaultdict[str, list[Day]] = defaultdict(list)
    for day in days:
        months[day["time"][9:11]].append(day)
    return {month: climate(some) for month, some in sorted(months.items())}


def climate(days: list[Day]) -> dict[str, Any]:
    """Of one month in all its years. Without any rain gauge there is nothing about rain."""
    summary = {
        "days": len(days),
        "temp_max": mean([day["temp_max"] for day in days], CENT),
        "temp_min": mean([day["temp_min"] for day in days], CENT),
        "record_high": max(day["temp_max"] for day in days),
        "record_low": min(day["temp_min"] for day in days),
    }
    rain = [(day["time"][4:11], day["precipitation"]) for day in days if "precipitation" in day]
    if rain:
        years = len({month for month, _ in rain})
        summary["precipitation"] = (sum(mm for _, mm in rain) / years).quantize(TENTH)
        wet = sum(1 for _, mm in rain if mm >= WET_MM)
        summary["wet_days"] = (Decimal(wet) / years).quantize(TENTH)
    return summary


def mean(values: list[Decimal], unit: Decimal) -> Decimal:
    return (sum(values, Decimal()) / len(values)).quantize(unit)


@cache
def table() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["TABLE"])
