"""Lanes of a shard: batches at a time, what holds one up and what does not."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.functions import positions
from tests.unit.functions.cloud import run, until
from tests.unit.functions.stream_bed import streaming

KEYS = [f"key-{number}" for number in range(12)]


def of(event: Any) -> list[Any]:
    return [record["value"] for record in event["Records"]]


def test_poison_holds_up_its_own_lane_alone(tmp_path: Path) -> None:
    """Records without end behind it, many times what a batch or a page takes."""

    def respond(event: Any) -> None:
        if "poison" in of(event):
            raise ValueError

    async def test() -> None:
        async with streaming(tmp_path, respond, ParallelizationFactor=4, BatchSize=5) as bed:
            await bed.write((KEYS[0], "poison"), *[(key, key) for key in KEYS * 50])

            def taken() -> set[str]:
                return {value for batch in bed.batches if "poison" not in batch for value in batch}

            await until(lambda: len(taken()) >= 6)
            count = {key: sum(batch.count(key) for batch in bed.batches) for key in taken()}
            await until(lambda: all(sum(b.count(k) for b in bed.batches) == 50 for k in count))
            assert KEYS[0] not in taken() and bed.position() == ""

    run(test)


def test_as_many_batches_as_the_factor_says(tmp_path: Path) -> None:
    running: list[str] = []
    most = 0
    are_three = asyncio.Event()

    async def respond(event: Any) -> None:
        nonlocal most
        running.append(event)
        most = max(most, len(running))
        if most == 3:
            are_three.set()
        await are_three.wait()
        running.remove(event)

    async def test() -> None:
        async with streaming(tmp_path, respond, ParallelizationFactor=3, BatchSize=1) as bed:
            await bed.write(*[(key, key) for key in KEYS * 2])
            await until(lambda: len(bed.events) == 24)
            assert most == 3

    run(test)


def test_refusals_are_no_failures(tmp_path: Path) -> None:
    refusals = [AwsError("TooManyRequestsException", "Rate Exceeded.", 429)] * 3

    def respond(event: Any) -> None:
        if refusals:
            raise refusals.pop()

    async def test() -> None:
        async with streaming(tmp_path, respond, MaximumRetryAttempts=0) as bed:
            await bed.write("a")
            await until(lambda: bed.position() == "000001")
            assert bed.batches == [["a"]] * 4 and bed.result() == "OK"

    run(test)


def test_a_window_of_time_fills_batches(tmp_path: Path) -> None:
    async def test() -> None:
        settings = {"MaximumBatchingWindowInSeconds": 300, "BatchSize": 3}
        async with streaming(tmp_path, **settings) as bed:
            for value in ("a", "b", "c", "d"):
                await bed.write(value)
            await until(lambda: bed.position() == "000003")
            assert bed.batches == [["a", "b", "c"]]
            await bed.change(MaximumBatchingWindowInSeconds=0)  # what is there need not wait
            await until(lambda: bed.batches[1:] == [["d"]])

    run(test)


def test_a_store_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [sqlite3.OperationalError("disk I/O error")] * 2
    save = positions.save

    def failing(*given: Any) -> None:
        if errors:
            raise errors.pop()
        save(*given)

    monkeypatch.setattr(positions, "save", failing)

    async def test() -> None:
        async with streaming(tmp_path, ParallelizationFactor=2, BatchSize=2) as bed:
            await bed.write(("k", 1), ("k", 2), ("k", 3))
            await until(lambda: bed.position() == "000003")
            assert bed.batches == [[1, 2], [1, 2], [1, 2], [3]]

    run(test)


def test_what_is_done_survives_other_factors(tmp_path: Path) -> None:
    """A lane that waits keeps the others' positions, whatever the factor becomes."""
    is_open = False

    async def respond(event: Any) -> None:
        if KEYS[0] in of(event) and not is_open:
            raise ValueError

    async def test() -> None:
        nonlocal is_open
        async with streaming(tmp_path, respond, ParallelizationFactor=4) as bed:
            await bed.write(*[(key, key) for key in KEYS])
            rows = "SELECT count(*) FROM mapping_lanes WHERE after <> ''"
            await until(lambda: bed.database.view().value(rows) >= 2)
            for factor in (7, 1, 4, 2):
                count = len(bed.events)
                await bed.change(ParallelizationFactor=factor)
                await until(lambda count=count: len(bed.events) > count + 1)
            is_open = True
            await until(lambda: bed.position() == "000012")
            held = {key for batch in bed.batches if KEYS[0] in batch for key in batch}
            assert len(held) < len(KEYS)
            for key in set(KEYS) - held:
                assert sum(batch.count(key) for batch in bed.batches) == 1

    run(test)
