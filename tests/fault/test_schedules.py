"""kill -9 while schedules, rules and a replay are due: each fires at least once, none is lost."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.building import allow, arn, eventually, make_queue
from tests.conformance.test_buses import make_role
from tests.conformance.test_schedules import OFF
from tests.server import Server

pytestmark = pytest.mark.fault
SCHEDULES = 40
EVENTS = 150
KILLS = 2


class Heard:
    """What came into a queue, by what it says."""

    def __init__(self, server: Server, url: str) -> None:
        self._server = server
        self._url = url
        self.bodies: Counter[str] = Counter()

    def listen(self) -> int:
        sqs = self._server.client("sqs")
        found = sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for message in found.get("Messages", []):
            body = json.loads(message["Body"])
            self.bodies[str(body["n"] if "n" in body else body["detail"]["n"])] += 1
            sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return len(self.bodies)

    def all(self, wanted: int) -> None:
        eventually(lambda: self.listen() >= wanted)


def put_events(server: Server, moment: datetime) -> None:
    events = server.client("events")
    for start in range(0, EVENTS, 10):
        entries: list[Any] = [
            {
                "Source": "fault", "DetailType": "d", "Detail": json.dumps({"n": start + n}),
                "Time": moment + timedelta(seconds=start + n),
            }
            for n in range(10)
        ]  # fmt: skip
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0


def test_no_turn_and_no_event_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    may = allow("sqs:SendMessage")
    role = make_role(server, "turns", "scheduler.amazonaws.com", may)
    turns_url, turns = make_queue(server, "turns")
    replayed_url, replayed = make_queue(server, "replayed", "events.amazonaws.com")
    events, scheduler = server.client("events"), server.client("scheduler")
    bus = arn("events", "event-bus/default")
    archive = events.create_archive(ArchiveName="all", EventSourceArn=bus)["ArchiveArn"]
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    put_events(server, moment)
    pattern = {"source": ["fault"], "replay-name": [{"exists": True}]}
    events.put_rule(Name="again", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="again", Targets=[{"Id": "q", "Arn": replayed}])
    due = datetime.now(UTC) + timedelta(seconds=2)
    for n in range(SCHEDULES):
        scheduler.create_schedule(
            Name=f"s{n}",
            ScheduleExpression=f"at({due + timedelta(seconds=n % 3):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=OFF,
            ActionAfterCompletion="DELETE",
            Target={"Arn": turns, "RoleArn": role, "Input": json.dumps({"n": n})},
        )
    events.start_replay(
        ReplayName="r", EventSourceArn=archive, Destination={"Arn": bus},
        EventStartTime=moment, EventEndTime=moment + timedelta(seconds=EVENTS),
    )  # fmt: skip
    first, second = Heard(server, turns_url), Heard(server, replayed_url)
    for kill in range(KILLS):
        second.all(1 + kill * EVENTS // 5)
        server.kill()
        server.start()
    first.all(SCHEDULES)
    second.all(EVENTS)
    assert set(first.bodies) == {str(n) for n in range(SCHEDULES)}
    assert set(second.bodies) == {str(n) for n in range(EVENTS)}
    left = server.client("scheduler").list_schedules()["Schedules"]
    assert left == []
    events = server.client("events")
    eventually(lambda: events.describe_replay(ReplayName="r")["State"] == "COMPLETED")
    assert server.client("events").describe_archive(ArchiveName="all")["EventCount"] == EVENTS
    assert server.stop() == 0
