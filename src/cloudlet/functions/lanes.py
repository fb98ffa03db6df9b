"""One lane of a shard: a part of its keys, whose records it hands on in their order.

A batch that fails is tried again from the same position, whole or in parts; what is tried and how
often is stored with the position, so that a restart forgets nothing. Memory follows the store: a
lane moves on when the step over a batch is durable.
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import orjson

from cloudlet.errors import AwsError
from cloudlet.functions import discards, names, windows
from cloudlet.functions.batches import PAYLOAD_BYTES_MAX, Batch, Item, fitting, payload
from cloudlet.functions.positions import Attempts, Mapping, Progress, order
from cloudlet.functions.running import Running
from cloudlet.functions.stream_pages import Pages
from cloudlet.functions.windows import Window
from cloudlet.functions.worker_process import Answer

Commit = Callable[[Progress, str, discards.Change | None], Awaitable[None]]
_KEPT_S = 86_400  # what a stream of DynamoDB keeps: older records are gone
_UNCOUNTED = {"TooManyRequestsException", "ServiceException", "ResourceNotFoundException"}
_FAILED = "PROBLEM: Function call failed"
_log = logging.getLogger(__name__)


class Lane:
    def __init__(self, running: Running, pages: Pages, progress: Progress, commit: Commit) -> None:
        self.cursor = progress.after  # read so far
        self.is_at_end = False
        self.wake = asyncio.Event()
        self._progress = progress  # done with
        self._buffer: list[Item] = []  # read and not done with
        self._commit = commit
        self._pages = pages
        self._running = running
        self._config = running.mapping.config
        self._has_dropped = False  # what no filter wants
        self._refusals = 0

    async def run(self) -> None:
        """To the end of the shard or of the mapping."""
        while not (self.is_at_end or self._running.stopping.is_set()):
            try:
                await self._step()
            except Exception:
                if self._running.stopping.is_set():
                    return
                uuid, shard = self._running.mapping.uuid, self._pages.shard
                _log.exception("mapping %s stumbled on shard %s", uuid, shard)
                self.cursor, self._buffer = self.progress.after, []
                await self._running.pause(1)

    @property
    def is_idle(self) -> bool:
        return not (self._buffer or self._progress.attempts)

    @property
    def progress(self) -> Progress:
        """Of an idle lane, that all it has read is done with."""
        return replace(self._progress, after=self.cursor) if self.is_idle else self._progress

    def moved(self, progress: Progress) -> None:
        """The store has it."""
        self._progress = progress
        after = order(progress.after)
        self._buffer = [item for item in self._buffer if order(item.number) > after]

    async def _step(self) -> None:
        """One batch, or one wait for records."""
        self.wake.clear()
        is_end = await self._fill()
        window = self._progress.window
        if window and self._is_over(window, is_end):
            return await self._close(window)
        if self._buffer:
            await self._gather()
            return await self._process(self._next())
        self._progress = replace(self._progress, attempts=[])  # their records were trimmed
        if self._has_dropped:
            self._has_dropped = False
            return await self._commit(self.progress, "", None)
        self.is_at_end = is_end
        if not is_end:
            await self._woken(self._until(window.end_ms + windows.GRACE_MS) if window else None)

    async def _woken(self, within_s: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.wake.wait()

    def _now_ms(self) -> int:
        return self._running.cloud.config.now_ms()

    def _until(self, moment_ms: int) -> float:
        return max(0, moment_ms - self._now_ms()) / 1000

    # reading

    def _is_full(self) -> bool:
        is_many = len(self._buffer) >= self._config["BatchSize"]
        return is_many or sum(len(item.data) for item in self._buffer) > PAYLOAD_BYTES_MAX

    async def _fill(self) -> bool:
        """Reads on until it suffices for a batch; True = the shard has ended before."""
        while not self._is_full():
            items, is_end = self._pages.read(self.cursor)
            if not items:
                return is_end
            own = [item for item in items if item.lane == self._progress.lane]
            wanted = [item for item in own if item.data]
            self._running.count("PolledEventCount", len(own))
            self._running.count("FilteredOutEventCount", len(own) - len(wanted))
            self._has_dropped |= len(own) > len(wanted)
            self._progress = self.progress  # up to here, should it have been idle
            self._buffer += wanted
            self.cursor = items[-1].number
            await asyncio.sleep(0)  # others have a turn between pages
        return False

    async def _gather(self) -> None:
        """Waits for a fuller batch as long as the batching window allows."""
        loop = asyncio.get_running_loop()
        wait_s = self._config["MaximumBatchingWindowInSeconds"] or 0
        window = self._window(self._buffer[0])
        if window:
            wait_s = min(wait_s, self._until(window.end_ms))
        end_s = loop.time() + wait_s
        while not (self._progress.attempts or self._is_full() or self._running.stopping.is_set()):
            left_s = end_s - loop.time()
            if left_s <= 0:
                return
            await self._woken(left_s)
            self.wake.clear()
            if await self._fill():
                return

    def _next(self) -> Batch:
        items = self._buffer[: self._config["BatchSize"]]
        window = self._window(items[0])
        if window:
            items = [item for item in items if item.created_ms < window.end_ms]
        for last, count in self._progress.attempts:
            part = [item for item in items if order(item.number) <= order(last)]
            if part:  # else trimmed meanwhile
                return Batch(fitting(part), count)
        return Batch(fitting(items))

    # handing on

    async def _process(self, batch: Batch) -> None:
        known = self._progress.window
        old = batch.older_than(self._now_ms() - _age_max_s(self._running.mapping) * 1000)
        if old:
            return await self._discard(batch.first(old), known, (discards.AGE, None))
        if batch.size_bytes > PAYLOAD_BYTES_MAX:  # a single record: no function takes it
            return await self._discard(batch, known, (discards.RETRIES, None))
        age_ms = self._now_ms() - batch.items[-1].created_ms
        dimensions = (("FunctionName", names.parse(self._running.mapping.function_arn).name),)
        self._running.cloud.meter.add(
            "AWS/Lambda", "IteratorAge", dimensions, float(age_ms), "Milliseconds"
        )
        window = self._window(batch.items[0])
        answer = await self._ask(batch.payload(self._beside(window, False)), len(batch.items))
        if answer is not None:
            await self._judge(batch, window, answer)

    async def _ask(self, event: bytes, count: int) -> Answer | None:
        """None = refused, which is no failure of the function's."""
        self._running.count("InvokedEventCount", count)
        try:
            answer = await self._running.invoke(self._running.mapping.function_arn, event, "")
        except AwsError as error:
            if error.code in _UNCOUNTED:
                self._refusals += 1
                if self._running.result != _FAILED:
                    await self._commit(self._progress, _FAILED, None)
                await self._running.pause(self._refusals)
                return None
            document = {"errorType": error.code, "errorMessage": error.message}
            answer = Answer(orjson.dumps(document), is_error=True)
        self._refusals = 0
        if answer.is_error:
            self._running.count("FailedInvokeEventCount", count)
        return answer

    async def _judge(self, batch: Batch, window: Window | None, answer: Answer) -> None:
        failed = self._failed_from(batch, answer)
        state = windows.state_of(answer.payload) if window else {}
        if window and failed != 0:
            if state is None:
                failed = 0  # an answer without state fails the invocation
            else:
                window = window.carrying(state)
        if failed is None:
            return await self._commit(self._behind(batch, window), "OK", None)
        rest, count = batch.rest(failed), 1 if failed else batch.failures + 1
        is_split = self._config.get("BisectBatchOnFunctionError")
        parts = batch.bisected(failed) if is_split else []
        if not parts and self._is_too_often(count):
            rest = Batch(rest.items, count - 1)
            return await self._discard(rest, window, (discards.RETRIES, answer))
        attempts = (parts or [(batch.last, count)]) + self._later(batch)
        done = batch.items[failed - 1].number if failed else self._progress.after
        opened = window if failed else self._progress.window
        await self._commit(Progress(self._progress.lane, done, attempts, opened), _FAILED, None)
        if not parts:
            await self._running.pause(count)

    def _is_too_often(self, failures: int) -> bool:
        retries: int = self._config.get("MaximumRetryAttempts", -1)
        return 0 <= retries < failures

    def _failed_from(self, batch: Batch, answer: Answer) -> int | None:
        """The index of the first record that is to be tried again; None = all were taken."""
        if answer.is_error:
            return 0
        if "ReportBatchItemFailures" not in (self._config.get("FunctionResponseTypes") or []):
            return None
        return batch.failed_from(answer.payload)

    async def _discard(
        self, batch: Batch, window: Window | None, reason: tuple[str, Answer | None]
    ) -> None:
        """Hands the batch to the on-failure destination and goes on behind it, at once."""
        change = await discards.discard(self._running, self._pages.shard, batch, *reason)
        await self._commit(self._behind(batch, window), _FAILED, change)

    def _behind(self, batch: Batch, window: Window | None) -> Progress:
        """Behind the last record of the buffer everything that was read is done with."""
        after = self.cursor if batch.last == self._buffer[-1].number else batch.last
        return Progress(self._progress.lane, after, self._later(batch), window)

    def _later(self, batch: Batch) -> Attempts:
        attempts = self._progress.attempts
        return [part for part in attempts if order(part[0]) > order(batch.last)]

    # windows

    def _window(self, item: Item) -> Window | None:
        """The window that a batch which begins with the item belongs to."""
        length_s = self._config.get("TumblingWindowInSeconds")
        if not length_s:
            return None
        return self._progress.window or Window.at(item.created_ms, length_s)

    def _beside(self, window: Window | None, is_final: bool) -> dict[str, object]:
        arn = self._running.mapping.source_arn
        return window.event(self._pages.shard, arn, is_final) if window else {}

    def _is_over(self, window: Window, is_end: bool) -> bool:
        if window.is_early or not self._config.get("TumblingWindowInSeconds"):
            return True
        if self._buffer:
            return self._buffer[0].created_ms >= window.end_ms
        return is_end or self._now_ms() >= window.end_ms + windows.GRACE_MS

    async def _close(self, window: Window) -> None:
        """The window's last invocation."""
        answer = await self._ask(payload([], self._beside(window, True)), 0)
        if answer is None:
            return
        failed, change = window.failed(), None
        is_lost = answer.is_error and self._is_too_often(failed.failures)
        if is_lost:
            after = self._progress.after
            edges = [Item(after, ms, 0, b"") for ms in (window.start_ms, window.end_ms)]
            batch, reason = Batch(edges, window.failures), (discards.RETRIES, answer)
            change = await discards.discard(self._running, self._pages.shard, batch, *reason)
        is_done = is_lost or not answer.is_error
        progress = replace(self._progress, window=None if is_done else failed)
        await self._commit(progress, _FAILED if answer.is_error else "OK", change)
        if not is_done:
            await self._running.pause(failed.failures)


def _age_max_s(mapping: Mapping) -> int:
    wanted: int = mapping.config.get("MaximumRecordAgeInSeconds", -1)
    if mapping.source_kind == "dynamodb":
        return _KEPT_S if wanted < 0 else min(wanted, _KEPT_S)
    return wanted if wanted >= 0 else 1 << 40
