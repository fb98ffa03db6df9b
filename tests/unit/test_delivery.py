"""Delivery: each fact at least once, again after failures, in order per key, and none lost."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.events.delivery import DONE, Delivery, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.events.timers import Timers
from cloudlet.store.database import Database, Transaction


def _put(tx: Transaction, config: Config, payload: bytes, key: str = "") -> int:
    target = config.arn("sqs", "q")
    return outbox.put(tx, target, payload, source="s", now_ms=config.now_ms(), key=key)


def test_order_per_key_survives_failures(tmp_path: Path) -> None:
    config, database = Config(data=tmp_path), Database(tmp_path)
    delivery = Delivery(config, database)
    got: list[bytes] = []
    complete = asyncio.Event()

    async def handler(fact: Fact) -> Outcome:
        if fact.attempts == 0 and fact.payload in (b"0", b"3"):
            return Later(0.01)
        got.append(fact.payload)
        if len(got) == 5:
            complete.set()
        return DONE

    async def run() -> None:
        delivery.register("sqs", handler)
        delivery.start()
        for number in range(5):
            await database.write(lambda tx, n=number: _put(tx, config, b"%d" % n, "k"))
        await asyncio.wait_for(complete.wait(), 60)
        await delivery.stop()

    asyncio.run(run())
    assert got == [b"0", b"1", b"2", b"3", b"4"]
    database.close()


def test_targets_that_do_not_answer_keep_no_others_waiting(tmp_path: Path) -> None:
    """Each has half of what the others leave at most, and what it says it has room for."""
    config, database = Config(data=tmp_path), Database(tmp_path)
    delivery = Delivery(config, database)
    begun: Counter[str] = Counter()
    delivered = asyncio.Event()

    async def handler(fact: Fact) -> Outcome:
        begun[fact.target] += 1
        if fact.target == targets[-1]:
            delivered.set()
            return DONE
        await asyncio.Event().wait()
        raise AssertionError

    targets = [config.arn("sqs", "one"), config.arn("lambda", "two"), config.arn("sqs", "last")]

    def put(tx: Transaction) -> None:
        for target in targets:
            for _ in range(1100 if target != targets[-1] else 1):
                outbox.put(tx, target, b"", source="s", now_ms=config.now_ms())

    async def run() -> None:
        delivery.register("sqs", handler)
        delivery.register("lambda", handler, lambda target: 3)
        await database.write(put)
        delivery.start()
        await asyncio.wait_for(delivered.wait(), 60)
        await delivery.stop()

    asyncio.run(run())
    assert begun == {targets[0]: 500, targets[1]: 3, targets[2]: 1}
    database.close()


async def _delivers_again(
    config: Config, database: Database, later_s: float, meanwhile: Callable[[], Awaitable[None]]
) -> None:
    """The first fact, which its handler wants `later_s` later; others at once."""
    delivery = Delivery(config, database)
    again = asyncio.Event()

    async def handler(fact: Fact) -> Outcome:
        if fact.attempts:
            again.set()
        return DONE if fact.attempts or fact.payload != b"first" else Later(later_s)

    delivery.register("sqs", handler)
    delivery.start()
    await database.write(lambda tx: _put(tx, config, b"first"))
    await meanwhile()
    await asyncio.wait_for(again.wait(), 60)
    await delivery.stop()


def test_what_becomes_due_between_two_looks_at_the_clock(tmp_path: Path) -> None:
    looks = itertools.count(1_800_000_000_000, 100)
    config, database = Config(data=tmp_path, now_ms=lambda: next(looks)), Database(tmp_path)
    asyncio.run(_delivers_again(config, database, 0.15, partial(asyncio.sleep, 0)))
    database.close()


def test_a_wake_that_comes_before_the_timer_whose_time_it_is(tmp_path: Path) -> None:
    now = [1_800_000_000_000]
    config, database = Config(data=tmp_path, now_ms=lambda: now[0]), Database(tmp_path)

    async def meanwhile() -> None:
        while not database.view().value("SELECT attempts FROM outbox"):
            await asyncio.sleep(0.001)
        await database.write(lambda tx: _put(tx, config, b"second"))
        while database.view().value("SELECT count(*) FROM outbox") > 1:
            await asyncio.sleep(0.001)
        now[0] += 30_000
        await database.write(lambda tx: _put(tx, config, b"third"))

    asyncio.run(_delivers_again(config, database, 30, meanwhile))
    database.close()


def test_a_raising_handler_keeps_the_fact(tmp_path: Path) -> None:
    config, database = Config(data=tmp_path), Database(tmp_path)
    delivery = Delivery(config, database)
    tried = asyncio.Event()

    async def handler(fact: Fact) -> Outcome:
        tried.set()
        raise RuntimeError("target is broken")

    async def run() -> None:
        delivery.register("sqs", handler)
        delivery.start()
        await database.write(lambda tx: _put(tx, config, b"x"))
        await asyncio.wait_for(tried.wait(), 60)
        while not database.view().value("SELECT attempts FROM outbox"):
            await asyncio.sleep(0.001)
        await delivery.stop()

    asyncio.run(run())
    assert database.view().value("SELECT attempts FROM outbox") == 1
    database.close()


def test_a_follow_up_commits_with_the_removal(tmp_path: Path) -> None:
    config, database = Config(data=tmp_path), Database(tmp_path)
    delivery = Delivery(config, database)
    seen: list[str] = []
    complete = asyncio.Event()

    async def queue(fact: Fact) -> Outcome:
        seen.append("queue")
        return Done(lambda tx: outbox.put(tx, config.arn("sns", "t"), b"", source="s", now_ms=0))

    async def topic(fact: Fact) -> Outcome:
        seen.append("topic")
        complete.set()
        return DONE

    async def run() -> None:
        delivery.register("sqs", queue)
        delivery.register("sns", topic)
        delivery.start()
        await database.write(lambda tx: _put(tx, config, b"x"))
        await asyncio.wait_for(complete.wait(), 60)
        while database.view().value("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.001)
        await delivery.stop()

    asyncio.run(run())
    assert seen == ["queue", "topic"]
    database.close()


def test_timers_run_in_time_and_outlive_failures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is full is told of in a line, what nobody expected with its traceback."""
    config = Config(data=tmp_path)
    runs: list[str] = []
    enough = asyncio.Event()

    async def every() -> None:
        runs.append("every")
        if runs.count("every") == 3:
            enough.set()
        raise RuntimeError("a job that fails keeps its turn")

    async def once() -> None:
        runs.append("once")
        raise AwsError("ServiceUnavailable", "The store cannot write", 503)

    async def run() -> None:
        timers = Timers(config)
        timers.start()
        timers.every(0.01, every)
        timers.at(config.now_ms() + 5, once)
        await asyncio.wait_for(enough.wait(), 60)
        await timers.stop()

    asyncio.run(run())
    assert runs.count("once") == 1
    traced = {
        record.getMessage().split(": ", 1)[1]: bool(record.exc_info) for record in caplog.records
    }
    assert traced == {
        "a job that fails keeps its turn": True,
        "ServiceUnavailable: The store cannot write": False,
    }


@pytest.mark.parametrize("turns", range(4))
def test_a_stop_that_comes_with_a_wake_stops(tmp_path: Path, turns: int) -> None:
    """Python's wait_for can swallow a cancellation that meets what it waits for."""
    config, database = Config(data=tmp_path), Database(tmp_path)
    delivery, timers = Delivery(config, database), Timers(config)

    async def run() -> None:
        far_ms = config.now_ms() + 100_000
        target = config.arn("sqs", "q")
        await database.write(lambda tx: outbox.put(tx, target, b"x", source="s", now_ms=far_ms))
        timers.every(100, _nothing)
        delivery.start()
        timers.start()
        await asyncio.sleep(0.01)
        timers.every(100, _nothing)
        delivery._wake.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await asyncio.gather(delivery.stop(), timers.stop())

    asyncio.run(run())
    database.close()


async def _nothing() -> None: ...
