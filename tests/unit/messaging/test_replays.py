"""Archives and replays, step by step; what a crash between two steps leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.messaging.eventbridge import archives, publishing, replays, rules
from tests.harness import Bench

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
ARCHIVE = "arn:aws:events:us-east-1:000000000000:archive/all"
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def archive(bench: Bench) -> str:
    bench.call(archives.create_archive, ArchiveName="all", EventSourceArn=BUS, RetentionDays=1)
    for n in range(250):
        put(bench, n, START + timedelta(seconds=n))
    bench.call(rules.put_rule, Name="again", EventPattern='{"replay-name": [{"exists": true}]}')
    target = {"Id": "1", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}
    bench.call(rules.put_targets, Rule="again", Targets=[target])
    return ARCHIVE


def put(bench: Bench, n: int, moment: datetime) -> None:
    entry = {"Source": "s", "DetailType": "d", "Detail": f'{{"n": {n}}}', "Time": moment}
    bench.call(publishing.put_events, Entries=[entry])


def start(bench: Bench, **members: Any) -> None:
    given: dict[str, Any] = {
        "ReplayName": "r",
        "EventSourceArn": ARCHIVE,
        "Destination": {"Arn": BUS},
        "EventStartTime": START + timedelta(seconds=10),
        "EventEndTime": START + timedelta(seconds=229),
    }
    bench.call(replays.start_replay, **{**given, **members})


def step(bench: Bench) -> bool:
    return bench.database.write_now(lambda tx: replays.step(tx, bench.config)) is not None


def state(bench: Bench) -> str:
    return str(bench.call(replays.describe_replay, ReplayName="r")["State"])


def test_each_event_once_and_in_order(bench: Bench, archive: str) -> None:
    start(bench)
    assert state(bench) == "STARTING"
    put(bench, 1000, START + timedelta(seconds=20))  # too late to be replayed
    assert step(bench) and state(bench) == "RUNNING"
    assert step(bench) and step(bench)
    assert state(bench) == "COMPLETED" and not step(bench)
    seen = [orjson.loads(fact.payload)["detail"]["n"] for fact in bench.facts()]
    assert seen == list(range(10, 230))
    assert bench.call(archives.describe_archive, ArchiveName="all")["EventCount"] == 251


def test_a_replay_can_be_cancelled(bench: Bench, archive: str) -> None:
    start(bench)
    step(bench)
    cancelled = bench.call(replays.cancel_replay, ReplayName="r")
    assert cancelled["State"] == "CANCELLING"
    assert not step(bench) and state(bench) == "CANCELLED"
    assert len(bench.facts()) == 100


def test_an_archive_may_go_meanwhile(bench: Bench, archive: str) -> None:
    start(bench)
    bench.call(archives.delete_archive, ArchiveName="all")
    step(bench)
    assert state(bench) == "FAILED"
    assert bench.database.view().value("SELECT count(*) FROM archived_events") == 0


def test_retention(bench: Bench, archive: str) -> None:
    bench.clock.advance(86_401)
    put(bench, 7, START)
    now_ms = bench.clock.now_ms
    bench.database.write_now(lambda tx: archives.sweep(tx, now_ms))
    found = bench.call(archives.describe_archive, ArchiveName="all")
    assert (found["EventCount"], found["RetentionDays"]) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"EventEndTime": START}, "EventStartTime must be before"),
        ({"Destination": {"Arn": f"{BUS}-other"}}, "Event bus default-other does not exist"),
        ({"Destination": {"Arn": ARCHIVE}}, "Must contain an event bus ARN"),
        ({"EventSourceArn": f"{ARCHIVE}-other"}, "does not exist"),
        ({"EventSourceArn": BUS}, "Must contain an archive ARN"),
    ],
)
def test_wrong_replays(bench: Bench, archive: str, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(AwsError, match=told):
        start(bench, **wrong)
