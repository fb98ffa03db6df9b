"""Delivery: each fact at least once, again after failures, in order per key, and none lost."""

import asyncio
from pathlib import Path

from cloudlet.config import Config
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
        await asyncio.wait_for(complete.wait(), 10)
        await delivery.stop()

    asyncio.run(run())
    assert got == [b"0", b"1", b"2", b"3", b"4"]
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
        await asyncio.wait_for(tried.wait(), 10)
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
        await asyncio.wait_for(complete.wait(), 10)
        while database.view().value("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.001)
        await delivery.stop()

    asyncio.run(run())
    assert seen == ["queue", "topic"]
    database.close()


def test_timers_run_in_time_and_outlive_failures(tmp_path: Path) -> None:
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

    async def run() -> None:
        timers = Timers(config)
        timers.start()
        timers.every(0.01, every)
        timers.at(config.now_ms() + 5, once)
        await asyncio.wait_for(enough.wait(), 10)
        await timers.stop()

    asyncio.run(run())
    assert runs.count("once") == 1
