"""Log groups, streams and events."""

import pytest

from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.monitoring import ingestion, log_api
from cloudlet.monitoring.schema import SCHEMA
from tests.harness import Bench


@pytest.fixture
def logs(bench: Bench) -> Bench:
    bench.database.prepare(SCHEMA)
    return bench


def test_logs(logs: Bench) -> None:
    group = {"logGroupName": "/g"}
    logs.call(log_api.create_log_group, **group)
    stream = {**group, "logStreamName": "s"}
    logs.call(log_api.create_log_stream, **stream)
    now_ms = logs.clock.now_ms
    events = [{"timestamp": now_ms + n, "message": f"line {n}"} for n in range(5)]
    logs.call(log_api.put_log_events, **stream, logEvents=events)
    first = logs.call(log_api.get_log_events, **stream, limit=2, startFromHead=True)
    assert [event["message"] for event in first["events"]] == ["line 0", "line 1"]
    rest = logs.call(log_api.get_log_events, **stream, nextToken=first["nextForwardToken"])
    assert len(rest["events"]) == 3
    last = logs.call(log_api.get_log_events, **stream, limit=2)
    assert [event["message"] for event in last["events"]] == ["line 3", "line 4"]
    found = logs.call(log_api.filter_log_events, **group, filterPattern='"line" -3 ?1 ?2')
    assert [event["message"] for event in found["events"]] == ["line 1", "line 2"]
    with pytest.raises(NotImplementedByCloudlet):
        logs.call(log_api.filter_log_events, **group, filterPattern="{ $.a = 1 }")
    logs.call(log_api.put_retention_policy, **group, retentionInDays=1)
    logs.database.write_now(lambda tx: ingestion.sweep(tx, now_ms + 3 * 86_400_000))
    assert logs.call(log_api.filter_log_events, **group)["events"] == []


def test_log_rows_are_bounded(logs: Bench) -> None:
    lines = [ingestion.Line("/g", "s", n, f"line {n}") for n in range(50)]
    logs.database.write_now(lambda tx: ingestion.write_lines(tx, lines, 50))
    logs.database.write_now(lambda tx: ingestion.sweep(tx, 50, rows_max=10))
    assert logs.database.view().value("SELECT count(*) FROM log_events") == 10
