"""Tumbling windows: what functions are told, and what they carry through."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloudlet.functions import windows
from cloudlet.functions.windows import Window, state_of
from tests.unit.functions.cloud import run, until
from tests.unit.functions.stream_bed import STREAM, StreamBed, streaming

HOUR_MS = 3_600_000
START_MS = 1_795_003_200_000  # on a full minute


def count(event: Any) -> Any:
    """The state is what was seen so far."""
    return {"state": {"seen": event["state"].get("seen", []) + values(event)}}


def values(event: Any) -> list[Any]:
    return [record["value"] for record in event["Records"]]


def told(bed: StreamBed) -> list[tuple[Any, ...]]:
    """Records, state, and whether it is the window's last invocation, of each."""
    return [(values(e), e["state"].get("seen"), e["isFinalInvokeForWindow"]) for e in bed.events]


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "GRACE_MS", 0)


def test_windows_begin_at_multiples_of_their_length() -> None:
    window = Window.at(START_MS + 59_999, 60)
    assert window.event("s", "arn", True) == {
        "window": {"start": "2026-11-18T12:00:00Z", "end": "2026-11-18T12:01:00Z"},
        "state": {},
        "shardId": "s",
        "eventSourceARN": "arn",
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }
    assert Window.at(START_MS + 60_000, 60).start_ms == window.end_ms
    assert Window.of(window.document()) == window and Window.of(None) is None


@pytest.mark.parametrize("payload", [b"", b"null", b"{}", b'{"state": 1}', b"no"])
def test_an_answer_without_state_is_none(payload: bytes) -> None:
    assert state_of(payload) is None


def test_state_is_carried_to_the_end(tmp_path: Path) -> None:
    """A record of a later window ends the one before it; with no record, the clock does."""

    async def test() -> None:
        async with streaming(tmp_path, count, TumblingWindowInSeconds=60, BatchSize=2) as bed:
            now_ms = bed.config.now_ms()
            past_ms = now_ms - now_ms % 60_000 - 10 * 60_000
            await bed.write("a", "b", "c", ms=past_ms)
            await bed.write("d", ms=past_ms + 60_000)
            await until(lambda: len(bed.events) == 5)
            assert told(bed) == [
                (["a", "b"], None, False),
                (["c"], ["a", "b"], False),
                ([], ["a", "b", "c"], True),
                (["d"], None, False),
                ([], ["d"], True),
            ]
            assert bed.events[0]["eventSourceARN"] == STREAM
            await until(lambda: bed.result() == "OK")

    run(test)


def test_the_clock_ends_a_window(tmp_path: Path) -> None:
    async def test() -> None:
        async with streaming(tmp_path, count, TumblingWindowInSeconds=1) as bed:
            await bed.write("a")
            await until(lambda: len(bed.events) == 2)
            assert told(bed) == [(["a"], None, False), ([], ["a"], True)]
            end_ms = Window.at(bed.source.records["s1"][0].created_ms, 1).end_ms
            assert bed.config.now_ms() >= end_ms

    run(test)


def test_a_crash_keeps_the_state(tmp_path: Path) -> None:
    async def test() -> None:
        async with streaming(tmp_path, count, TumblingWindowInSeconds=900) as bed:
            now_ms = bed.config.now_ms() + HOUR_MS  # far from over
            await bed.write("a", ms=now_ms)
            await until(lambda: bed.position() == "000001")
            await bed.crash()
            await bed.write("b", ms=now_ms)
            await until(lambda: bed.position() == "000002")
            await bed.end("s1")
            await until(lambda: len(bed.events) == 3)
            assert told(bed) == [
                (["a"], None, False),
                (["b"], ["a"], False),
                ([], ["a", "b"], True),  # a shard's end is its window's
            ]

    run(test)


def test_too_much_state_ends_a_window_early(tmp_path: Path) -> None:
    def respond(event: Any) -> Any:
        return {"state": {"seen": ["x" * (1 << 20)] if values(event) == ["big"] else []}}

    async def test() -> None:
        async with streaming(tmp_path, respond, TumblingWindowInSeconds=900, BatchSize=1) as bed:
            now_ms = bed.config.now_ms() + HOUR_MS
            await bed.write("big", "c", ms=now_ms)
            await until(lambda: bed.position() == "000002")
            assert [e["isWindowTerminatedEarly"] for e in bed.events] == [False, True, False]
            assert [(v, f) for v, _, f in told(bed)] == [
                (["big"], False), ([], True), (["c"], False),
            ]  # fmt: skip
            assert bed.events[2]["state"] == {}

    run(test)


def test_failures_keep_the_state_of_what_was_taken(tmp_path: Path) -> None:
    """Without a state, an answer is a failure; with item failures, it counts as far as they say."""
    answers: list[Any] = [
        {"state": {"seen": ["a"]}, "batchItemFailures": [{"itemIdentifier": "000002"}]},
        {"no": "state"},
        {"state": {"seen": ["lost"]}, "batchItemFailures": [{"itemIdentifier": "000002"}]},
        {"state": {"seen": ["a", "b"]}},
    ]

    async def test() -> None:
        async with streaming(
            tmp_path, lambda _: answers.pop(0), TumblingWindowInSeconds=900,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        ) as bed:  # fmt: skip
            await bed.write("a", "b", ms=bed.config.now_ms() + HOUR_MS)
            await until(lambda: bed.position() == "000002")
            assert told(bed) == [(["a", "b"], None, False), *[(["b"], ["a"], False)] * 3]
            window = bed.database.view().value("SELECT window FROM mapping_positions")
            assert json.loads(window)["state"] == {"seen": ["a", "b"]}

    run(test)


def test_windows_that_are_given_up_end(tmp_path: Path) -> None:
    """The setting leaves the mapping: the open window is ended, then records come without one."""

    async def test() -> None:
        async with streaming(tmp_path, count, TumblingWindowInSeconds=900) as bed:
            bed.respond = lambda event: count(event) if "state" in event else None
            await bed.write("a", ms=bed.config.now_ms() + HOUR_MS)
            await until(lambda: bed.position() == "000001")
            await bed.change(TumblingWindowInSeconds=0, ParallelizationFactor=3)
            await until(lambda: len(bed.events) == 2)
            await bed.write("b")
            await until(lambda: len(bed.events) == 3)
            assert bed.events[1]["isFinalInvokeForWindow"] and bed.events[2].keys() == {"Records"}

    run(test)


def test_a_last_invocation_that_fails_is_told_of(tmp_path: Path) -> None:
    def respond(event: Any) -> Any:
        if event["isFinalInvokeForWindow"]:
            raise ValueError
        return count(event)

    async def test() -> None:
        queue = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:dead"}}
        settings = {"MaximumRetryAttempts": 1, "DestinationConfig": queue}
        async with streaming(tmp_path, respond, TumblingWindowInSeconds=1, **settings) as bed:
            await bed.write("a", ms=bed.config.now_ms() - 5000)
            sql = "SELECT payload FROM outbox"
            await until(lambda: bed.database.view().value(sql))
            document = json.loads(bed.database.view().value(sql))
            assert document["DDBStreamBatchInfo"]["batchSize"] == 0
            assert [final for _, _, final in told(bed)] == [False, True, True]

    run(test)
