"""analytics and rollup: exactly once, whatever is delivered how often and at the same time."""

import copy
import random
import threading
from typing import Any

import boto3
import pytest

from tests.apps.lambdashare_local import Context, LocalShare, function


def image(**changes: Any) -> dict[str, Any]:
    from lambdashare_core import tables

    item = {"share": "s", "item": "file#00001", "n": 1, "type": "image/png", "size": 10}
    return dict(tables.attributes_of({"phase": "uploading", **item, **changes}))


def record(number: int, old: dict[str, Any], new: dict[str, Any], at: float) -> dict[str, Any]:
    change = {"OldImage": image(**old), "NewImage": image(**new)}
    return {
        "eventID": f"event-{number}",
        "eventName": "MODIFY",
        "dynamodb": {
            **change,
            "SequenceNumber": str(number),
            "ApproximateCreationDateTime": at,
        },
    }


def events(count: int, at: float) -> list[dict[str, Any]]:
    """Uploads, hashes and downloads in turn."""
    stored = {"stored_at": 1, "phase": "hashing"}
    hashed = stored | {"digests": {}, "latency_ms": 120, "phase": "verified"}
    found = []
    for number in range(0, count * 3, 3):
        found += [
            record(number, {}, stored, at),
            record(number + 1, stored, hashed, at),
            record(number + 2, hashed, hashed | {"downloads": 2}, at),
        ]
    return found


def totals(share: LocalShare, span: str = "hour") -> dict[str, Any]:
    found: dict[str, Any] = share.request("GET", f"/v1/stats?range={span}").json()["totals"]
    return found


@pytest.fixture
def now() -> float:
    from lambdashare_core.moments import now_ms

    return now_ms() / 1000


def test_repeated_events_count_once(share: LocalShare, now: float) -> None:
    analytics = function("analytics")
    batch = events(20, now)
    order = random.Random(1)
    for _ in range(4):
        some = copy.deepcopy(batch)
        order.shuffle(some)
        assert analytics.handler({"Records": some[:45]}, None) == {"batchItemFailures": []}
    analytics.handler({"Records": batch}, None)
    found = totals(share)
    assert (found["uploads"], found["bytes"], found["downloads"]) == (20, 200, 40)
    assert (found["hashes"], found["verifications"]) == (20, 0)  # the sender's own are no copies
    assert found["types"] == {"image": 20}
    assert found["latency"] == {"p50_ms": 200, "p99_ms": 200, "histogram": {"200": 20}}


def test_concurrent_deliveries_count_once(share: LocalShare, now: float) -> None:
    batch = events(5, now)
    threads = [
        threading.Thread(target=function("analytics").handler, args=({"Records": batch}, None))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(share)["downloads"] == 10


def test_what_cannot_be_counted_is_brought_again(
    share: LocalShare, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_TABLE", "Nowhere")
    batch = events(1, now)
    answer = function("analytics").handler({"Records": batch}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}


def test_items_that_are_no_files_do_not_count(share: LocalShare, now: float) -> None:
    meta = record(1, {"item": "share"}, {"item": "share", "downloads": 3}, now)
    removed = record(2, {"downloads": 1}, {}, now)
    del removed["dynamodb"]["NewImage"]
    assert function("analytics").handler({"Records": [meta, removed]}, None)
    assert totals(share)["downloads"] == 0


def test_rollup_folds_once_and_takes_late_counts(share: LocalShare, now: float) -> None:
    analytics, rollup = function("analytics"), function("rollup")
    batch = events(8, now)
    analytics.handler({"Records": batch[:12]}, None)
    for _ in range(3):
        rollup.handler({}, Context())
    assert totals(share, "day")["uploads"] == 4 and totals(share, "month")["uploads"] == 4
    analytics.handler({"Records": batch}, None)  # the second half is late
    threads = [threading.Thread(target=rollup.handler, args=({}, None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollup.handler({"full": True}, Context())
    for span in ("hour", "day", "month"):
        assert totals(share, span)["downloads"] == 16, span
    assert rollup.handler({}, Context()) == {"minutes": 0, "hours": 0}


def test_subscribers_of_stats_get_increments(
    share: LocalShare, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from lambdashare_core import broadcast

    sent: list[dict[str, Any]] = []
    gone = threading.Event()

    def post(connection: str, data: bytes) -> bool:
        sent.append(json.loads(data))
        return not gone.is_set()

    monkeypatch.setattr(broadcast, "_post", post)
    row = {"topic": {"S": "stats"}, "connection": {"S": "c"}}
    boto3.client("dynamodb").put_item(TableName="Connections", Item=row)
    function("analytics").handler({"Records": events(1, now)}, None)
    (bucket,) = sent[0]["buckets"]
    assert sent[0]["type"] == "stats" and bucket["downloads"] == 2
    function("analytics").handler({"Records": events(1, now)}, None)
    assert len(sent) == 1  # repeated: nothing new to tell
    row["topic"]["S"] = "share:s"
    boto3.client("dynamodb").put_item(TableName="Connections", Item=row)
    before = {"stored_at": 1, "digests": {}, "phase": "verified"}
    used = {"downloads": 1}, {"downloads": 2}, {"downloads": 2, "verifications": 1}
    seen = [record(9 + n, before | used[n], before | used[n + 1], now) for n in range(2)]
    function("analytics").handler({"Records": seen}, None)
    counts = {"type": "counts", "topic": "share:s", "n": 1, "downloads": 2, "verifications": 1}
    assert [each for each in sent if each["type"] == "counts"] == [counts]
    assert totals(share)["verifications"] == 1
    gone.set()
    broadcast.publish("stats", {"type": "stats"})
    assert broadcast.subscribers("stats") == []
