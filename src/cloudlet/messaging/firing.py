"""Fires rules and schedules when they are due.

Each has its next turn in the store. Firing is one transaction: the facts for the targets and the
next turn, so that a crash loses and doubles nothing. Turns that fell into a time when nothing ran
are fired once, late, however many they were. One timer waits for the earliest turn.
"""

import asyncio
from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.events.timers import Timers
from cloudlet.messaging import expressions, publishing
from cloudlet.messaging.rules import TOPIC
from cloudlet.messaging.scheduler import in_time
from cloudlet.store.database import Database, Transaction, View

Document = dict[str, Any]
_RETRY_MS = 5_000
_RETRY = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}


class Firing:
    """`start` after the schema is prepared, on the event loop; stops with the timers."""

    def __init__(self, config: Config, database: Database, timers: Timers) -> None:
        self._config = config
        self._database = database
        self._timers = timers
        self._armed_ms: int | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def announce(_: str) -> None:
            loop.call_soon_threadsafe(self._arm)

        self._database.subscribe(TOPIC, announce)
        self._arm()

    def _arm(self) -> None:
        due_ms = next_due_ms(self._database.view())
        if due_ms is not None and (self._armed_ms is None or due_ms < self._armed_ms):
            self._armed_ms = due_ms
            self._timers.at(due_ms, self._fire)

    async def _fire(self) -> None:
        try:
            await self._database.write(lambda tx: fire_due(tx, self._config))
        except Exception:
            self._timers.at(self._config.now_ms() + _RETRY_MS, self._fire)
            raise  # the timers log it
        self._armed_ms = None
        self._arm()


def next_due_ms(view: View) -> int | None:
    value: int | None = view.value(
        "SELECT min(due_ms) FROM (SELECT min(due_ms) AS due_ms FROM event_rules"
        " WHERE due_ms IS NOT NULL UNION ALL SELECT min(due_ms) FROM schedules"
        " WHERE due_ms IS NOT NULL)"
    )
    return value


def fire_due(tx: Transaction, config: Config) -> None:
    now_ms = config.now_ms()
    for row in tx.all("SELECT document, due_ms FROM event_rules WHERE due_ms <= ?", (now_ms,)):
        _fire_rule(tx, config, orjson.loads(row["document"]), row["due_ms"])
    for row in tx.all("SELECT document, due_ms FROM schedules WHERE due_ms <= ?", (now_ms,)):
        _fire_schedule(tx, config, orjson.loads(row["document"]), row["due_ms"])


def _fire_rule(tx: Transaction, config: Config, rule: Document, due_ms: int) -> None:
    entry = {
        "Source": "aws.events",
        "DetailType": "Scheduled Event",
        "Resources": [rule["Arn"]],
        "Detail": {},
    }
    event = publishing.event_of(config, entry)
    publishing.fire(tx, config, rule, event)
    following_ms = expressions.next_ms(rule["ScheduleExpression"], "UTC", due_ms, config.now_ms())
    tx.run(
        "UPDATE event_rules SET due_ms = ? WHERE bus = ? AND name = ?",
        (following_ms, rule["EventBusName"], rule["Name"]),
    )


def _fire_schedule(tx: Transaction, config: Config, schedule: Document, due_ms: int) -> None:
    target = schedule["Target"]
    payload = _payload(config, schedule, due_ms)
    outbox.put(
        tx,
        schedule["Arn"],
        payload,
        source=schedule["Arn"],
        now_ms=config.now_ms(),
        attributes={
            "target": target["Arn"],
            "principal": "scheduler.amazonaws.com",
            "role": target["RoleArn"],
            "sqs": target.get("SqsParameters"),
            "dead_letter": (target.get("DeadLetterConfig") or {}).get("Arn"),
            "retry": _RETRY | (target.get("RetryPolicy") or {}),
        },
    )
    key = (schedule["GroupName"], schedule["Name"])
    following_ms = in_time(
        schedule,
        expressions.next_ms(
            schedule["ScheduleExpression"],
            schedule["ScheduleExpressionTimezone"],
            due_ms,
            config.now_ms(),
        ),
    )
    if following_ms is None and schedule["ActionAfterCompletion"] == "DELETE":
        tx.run("DELETE FROM schedules WHERE group_name = ? AND name = ?", key)
        return
    tx.run(
        "UPDATE schedules SET due_ms = ? WHERE group_name = ? AND name = ?", (following_ms, *key)
    )


def _payload(config: Config, schedule: Document, due_ms: int) -> bytes:
    """The schedule's input with its context attributes, or Scheduler's own event."""
    entry = {"Source": "aws.scheduler", "DetailType": "Scheduled Event", "Detail": {}}
    event = publishing.event_of(config, entry | {"Resources": [schedule["Arn"]]})
    text = schedule["Target"].get("Input")
    if not text:
        return orjson.dumps(event | {"detail": "{}"})
    due_s = due_ms // 1000
    moment = publishing.timestamp(due_s)
    for name, value in (
        ("schedule-arn", schedule["Arn"]),
        ("scheduled-time", moment),
        ("execution-id", event["id"]),
        ("attempt-number", "1"),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return str(text).encode()
