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
from cloudlet.events.outbox import Fact
from cloudlet.events.timers import Timers
from cloudlet.messaging.eventbridge import expressions, publishing
from cloudlet.messaging.eventbridge.rules import TOPIC
from cloudlet.messaging.eventbridge.scheduler import due_of, in_time, window_ms
from cloudlet.store.database import Database, Transaction, View

Document = dict[str, Any]
_RETRY_MS = 5_000


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
    for row in tx.all("SELECT * FROM schedules WHERE due_ms <= ? ORDER BY due_ms", (now_ms,)):
        turn_ms = row["due_ms"] if row["turn_ms"] is None else row["turn_ms"]
        _fire_schedule(tx, config, orjson.loads(row["document"]), turn_ms)


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


def _fire_schedule(tx: Transaction, config: Config, schedule: Document, turn_ms: int) -> None:
    target, now_ms = schedule["Target"], config.now_ms()
    execution_id = config.new_id()
    attributes = {
        "target": target,
        "principal": "scheduler.amazonaws.com",
        "turn_ms": turn_ms,
        "execution_id": execution_id,
    }
    payload = target["Input"].encode() if target.get("Input") else _event(config, schedule)
    arn = schedule["Arn"]
    outbox.put(tx, arn, payload, source=arn, now_ms=now_ms, attributes=attributes)
    key = (schedule["GroupName"], schedule["Name"])
    following_ms = in_time(
        schedule,
        expressions.next_ms(
            schedule["ScheduleExpression"],
            schedule["ScheduleExpressionTimezone"],
            turn_ms,
            now_ms - window_ms(schedule),  # what is late within its window has not been missed
        ),
    )
    if following_ms is None and schedule["ActionAfterCompletion"] == "DELETE":
        tx.run("DELETE FROM schedules WHERE group_name = ? AND name = ?", key)
        return
    tx.run(
        "UPDATE schedules SET due_ms = ?, turn_ms = ? WHERE group_name = ? AND name = ?",
        (due_of(schedule, following_ms), following_ms, *key),
    )


def _event(config: Config, schedule: Document) -> bytes:
    """What a target without input gets: Scheduler's own event."""
    entry = {"Source": "aws.scheduler", "DetailType": "Scheduled Event", "Detail": {}}
    event = publishing.event_of(config, entry | {"Resources": [schedule["Arn"]]})
    return orjson.dumps(event | {"detail": "{}"})


def filled(text: str, fact: Fact) -> bytes:
    """An input with its context attributes, of one attempt."""
    for name, value in (
        ("schedule-arn", fact.source),
        ("scheduled-time", publishing.timestamp(fact.attributes["turn_ms"] // 1000)),
        ("execution-id", fact.attributes["execution_id"]),
        ("attempt-number", str(fact.attempts + 1)),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text.encode()
