"""ingest: at every turn of the schedule, what the stations observe now.

In: EventBridge Scheduler's event. The weather service is not asked directly but through a resource
of our own API, an HTTP proxy integration: one address, logs and limits for all that goes out.

Out: the observation as item `hour#…` (the service's own time is the key, so asking twice stores
once), its day made anew from its hours, and how it went on the station's item. When the service is
down, that is what the page shows, the invocation fails (metric Errors), and the next turn of the
schedule is the retry.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

TIMEOUT_S = 10
CENT = Decimal("0.01")
KMH_PER_MS = Decimal("3.6")

log = logging.getLogger()
log.setLevel(logging.INFO)


class Unanswered(Exception):
    """The service gave no observation; says why."""


def handler(_event: dict[str, Any], _context: Any) -> dict[str, str]:
    stations: dict[str, str] = json.loads(os.environ["STATIONS"])  # station → the service's code
    outcomes = {station: ingest(station, code) for station, code in stations.items()}
    log.info(json.dumps(outcomes))
    if failed := [station for station, outcome in outcomes.items() if outcome != "ok"]:
        raise Unanswered(f"no observation of {', '.join(failed)}")
    return outcomes


def ingest(station: str, code: str) -> str:
    try:
        observation = observed(ask(code))
    except Unanswered as failure:
        report(station, str(failure))
        return str(failure)
    moment = observation.pop("moment")
    table().put_item(
        Item={"station": station, "time": f"hour#{moment}", "source": code, **observation}
    )
    renew_day(station, moment[:10])
    report(station, "ok")
    return "ok"


def ask(code: str) -> dict[str, Any]:
    url = f"{os.environ['API_URL']}/observations/{code}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            document: dict[str, Any] = json.load(answer, parse_float=Decimal)
    except urllib.error.HTTPError as error:
        raise Unanswered(f"the service answered {error.code}") from error
    except OSError as error:
        raise Unanswered(f"the service cannot be reached: {error}") from error
    except ValueError as error:
        raise Unanswered("the service answered something that is not JSON") from error
    return document


def observed(document: dict[str, Any]) -> dict[str, Any]:
    """Of GeoJSON as api.weather.gov speaks it; the wind comes in km/h."""
    try:
        facts = document["properties"]
        moment = datetime.fromisoformat(facts["timestamp"]).astimezone(UTC)
        temp = Decimal(facts["temperature"]["value"]).quantize(CENT)
    except (KeyError, TypeError, ValueError) as error:
        raise Unanswered("the service told no temperature") from error
    observation = {"moment": f"{moment:%Y-%m-%dT%H:%M}", "temp": temp}
    wind = (facts.get("windSpeed") or {}).get("value")
    if wind is not None:
        observation["wind"] = (Decimal(wind) / KMH_PER_MS).quantize(CENT)
    if facts.get("textDescription"):
        observation["weather"] = facts["textDescription"]
    return observation


def renew_day(station: str, date: str) -> None:
    """Lowest and highest of its hours; this is what `climate` hears of."""
    hours = Key("station").eq(station) & Key("time").begins_with(f"hour#{date}")
    found = table().query(KeyConditionExpression=hours, ConsistentRead=True)["Items"]
    temps = [hour["temp"] for hour in found]
    table().update_item(
        Key={"station": station, "time": f"day#{date}"},
        UpdateExpression="SET temp_max = :max, temp_min = :min, hours = :hours",
        ExpressionAttributeValues={
            ":max": max(temps),
            ":min": min(temps),
            ":hours": len(temps),
        },
    )


def report(station: str, outcome: str) -> None:
    table().update_item(
        Key={"station": "stations", "time": station},
        UpdateExpression="SET ingested = :outcome",
        ExpressionAttributeValues={
            ":outcome": {"at": datetime.now(UTC).isoformat(timespec="seconds"), "outcome": outcome}
        },
    )


@cache
def table() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["TABLE"])
