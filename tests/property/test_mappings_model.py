"""Mappings of streams under anything: what is delivered, and in which order."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cloudlet.functions.running import Running
from tests.unit.functions.cloud import run, until
from tests.unit.functions.stream_bed import BUCKET, StreamBed, role, streaming

RECORDS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(["", "", "", "flaky", "poison"])),
    min_size=1, max_size=8,
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        RECORDS,
        st.just("crash"),
        st.integers(1, 4),  # the new factor
        st.just("pause"),
    ),
    min_size=1,
    max_size=8,
)


class Function:
    """Says what it was given; notes what it must never see."""

    def __init__(self, reports: bool) -> None:
        self.reports = reports
        self.bed: StreamBed | None = None
        self.taken: Counter[int] = Counter()
        self.tried: Counter[int] = Counter()
        self.running: set[str] = set()
        self.written: list[tuple[str, str]] = []  # key and kind by number

    def dead(self) -> set[int]:
        assert self.bed is not None
        documents = [json.loads(each["payload"]) for each in self.bed.objects.values()]
        return {record["value"] for each in documents for record in each["Records"]}

    async def __call__(self, event: dict[str, Any]) -> Any:
        numbers = [record["value"] for record in event["Records"]]
        keys = {self.written[number][0] for number in numbers}
        assert not keys & self.running, "a key in two batches at a time"
        assert numbers == sorted(numbers)
        settled = self.dead() | self.taken.keys()
        for at, number in enumerate(numbers):
            key = self.written[number][0]
            before = {n for n in range(number) if self.written[n][0] == key}
            assert before <= settled | set(numbers[:at]), f"{number} overtook {before}"
        self.running |= keys
        try:
            await asyncio.sleep(0.001)
        finally:
            self.running -= keys
        self.tried.update(numbers)
        for at, number in enumerate(numbers):
            kind = self.written[number][1]
            if kind == "poison" or (kind == "flaky" and self.tried[number] < 2):
                if not self.reports:
                    raise ValueError
                self.taken.update(numbers[:at])
                failed = f"{number + 1:06d}"
                return {"batchItemFailures": [{"itemIdentifier": failed}]}
        self.taken.update(numbers)
        return None

    async def play(self, steps: list[Any], bed: StreamBed) -> int:
        self.bed = bed
        crashes = 0
        for step in steps:
            if step == "crash":
                crashes += 1
                await bed.crash()
                self.running.clear()
            elif step == "pause":
                await asyncio.sleep(0.002)
            elif isinstance(step, int):
                await bed.change(ParallelizationFactor=step)
            else:
                first = len(self.written)
                self.written += step
                pairs = [(key, first + at) for at, (key, _) in enumerate(step)]
                await bed.write(*pairs)
        await self._all()
        await bed.change(ParallelizationFactor=5)  # all positions are stored, and looked up again
        self.written.append(("a", ""))
        await bed.write(("a", len(self.written) - 1))
        await self._all()
        return crashes

    async def _all(self) -> None:
        everything = set(range(len(self.written)))
        await until(lambda: self.taken.keys() | self.dead() == everything)


@settings(
    phases=(Phase.reuse, Phase.generate),
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(STEPS, st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 2))
def test_every_record_is_taken_or_set_aside_in_order(
    steps: list[Any], size: int, bisects: bool, reports: bool, retries: int
) -> None:
    function = Function(reports)

    async def test() -> None:
        options: dict[str, Any] = {
            "BatchSize": size, "BisectBatchOnFunctionError": bisects,
            "MaximumRetryAttempts": retries, "DestinationConfig": BUCKET,
            "FunctionResponseTypes": ["ReportBatchItemFailures"] if reports else [],
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            async with streaming(Path(folder), function, **options) as bed:
                crashes = await function.play(steps, bed)
        poison = {n for n, (_, kind) in enumerate(function.written) if kind == "poison"}
        assert function.dead() >= poison and not poison & function.taken.keys()
        assert max(function.taken.values(), default=0) <= 1 + crashes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Running, "role", role)
        run(test)
