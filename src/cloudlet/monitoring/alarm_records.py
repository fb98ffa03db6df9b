"""Alarms as they are stored, and what is read off them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.store.database import Row

ACTIONS = {
    "OK": "OKActions",
    "ALARM": "AlarmActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}


@dataclass(frozen=True, slots=True)
class State:
    value: str
    reason: str
    data: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str
    kind: str
    config: dict[str, Any]
    state: str
    reason: str
    reason_data: str
    put_ms: int
    updated_ms: int
    changed_ms: int

    @classmethod
    def of(cls, row: Row) -> "Alarm":
        return cls(
            row["name"], row["kind"], orjson.loads(row["config"]), row["state"], row["reason"],
            row["reason_data"], row["put_ms"], row["updated_ms"], row["changed_ms"],
        )  # fmt: skip


def queries(config: dict[str, Any]) -> list[dict[str, Any]]:
    """An alarm on one metric is one on a query of it."""
    if config.get("Metrics"):
        found: list[dict[str, Any]] = config["Metrics"]
        return found
    metric = {name: config.get(name) for name in ("Namespace", "MetricName", "Dimensions")}
    stat = {
        "Metric": metric,
        "Period": config["Period"],
        "Stat": config.get("Statistic") or config["ExtendedStatistic"],
        "Unit": config.get("Unit"),
    }
    return [{"Id": "m1", "MetricStat": stat, "ReturnData": True}]


def iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}+0000"
