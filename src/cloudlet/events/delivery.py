"""Outbox → targets: at least once, in order per key, with as many at once as a target allows.

A handler is registered per service (the third part of the target's ARN). It returns an `Outcome`:
`DONE`, `Done(change)` where the change must commit together with the fact's removal (a dead
letter, a follow-up fact), or `Later(seconds)`. How often and how long to try is the handler's
policy; `Fact.attempts` and `created_ms` tell it what it needs. A handler that raises is a bug or an
unreachable target: the fact is kept and tried again with back-off. A target that is slow to take
its facts keeps them waiting in the store, never those of others.

The outbox is looked through from its beginning only when something that was passed over may go
now (its time has come, its predecessor is done, its target has room); new facts are behind all
others.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from cloudlet.config import Config
from cloudlet.errors import is_odd
from cloudlet.events import outbox
from cloudlet.events.outbox import Fact
from cloudlet.store.database import Database, Transaction

_log = logging.getLogger(__name__)
_BATCH = 200
_IN_FLIGHT_MAX = 1000
_BACK_OFF_MAX_S = 300


@dataclass(frozen=True, slots=True)
class Done:
    change: Callable[[Transaction], object] | None = None


@dataclass(frozen=True, slots=True)
class Later:
    seconds: float


DONE = Done()
Outcome = Done | Later
Handler = Callable[[Fact], Awaitable[Outcome]]
Room = Callable[[str], int]  # how many facts the target takes at once
PassOn = Callable[[Fact, str], Awaitable[None]]  # a fact for another account, from this one


class Delivery:
    """Start after all handlers are registered; `stop` leaves undelivered facts in the store."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        self._handlers: dict[str, Handler] = {}
        self._rooms: dict[str, Room] = {}
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()  # facts in flight by target
        self._full: set[str] = set()  # targets whose facts were passed over
        self._seen_id = 0  # up to which facts were looked at
        self._is_stale = True  # one that was passed over may go now
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self.pass_on: PassOn | None = None  # where there are other accounts
        database.prepare(outbox.SCHEMA)

    def register(self, service: str, handler: Handler, room: Room | None = None) -> None:
        self._handlers[service] = handler
        if room is not None:
            self._rooms[service] = room

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def wake(_: str) -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._database.subscribe(outbox.TOPIC, wake)
        self._loop_task = loop.create_task(self._run())

    async def stop(self) -> None:
        tasks = list(self._in_flight.values())
        if self._loop_task is not None:
            tasks.append(self._loop_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        due_ms: int | None = None
        while True:
            self._wake.clear()
            # One look at the clock for both questions, or what becomes due in between is in
            # neither answer; a wake may come just before the timer whose time it already is.
            now_ms = self._config.now_ms()
            self._is_stale |= due_ms is not None and due_ms <= now_ms
            self._dispatch(now_ms)
            due_ms = outbox.next_due_ms(self._database.view(), now_ms)
            wait_s = None if due_ms is None else (due_ms - now_ms) / 1000
            with suppress(TimeoutError):  # wait_for would swallow a `stop` that comes with a wake
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    def _dispatch(self, now_ms: int) -> None:
        view = self._database.view()
        if self._is_stale:
            self._seen_id = 0
            self._full = {target for target in self._busy if not self._has_room(target)}
        self._is_stale = False
        while len(self._in_flight) < _IN_FLIGHT_MAX:
            rows = outbox.due(view, now_ms, self._seen_id, _BATCH, self._full)
            for row in rows:
                self._seen_id = row["id"]
                if row["id"] not in self._in_flight:
                    self._begin(Fact.of(row))
            if len(rows) < _BATCH:
                return

    def _begin(self, fact: Fact) -> None:
        if not self._has_room(fact.target):
            self._full.add(fact.target)
            return
        task = asyncio.get_running_loop().create_task(self._deliver(fact))
        self._in_flight[fact.id] = task
        self._busy[fact.target] += 1

    def _has_room(self, target: str) -> bool:
        """A target has half of what others leave at most, so that there is always some left."""
        own = self._busy[target]
        room = self._rooms.get(target.split(":", 3)[2] if target.count(":") > 2 else "")
        fair = (_IN_FLIGHT_MAX - len(self._in_flight) + own) // 2
        return own < max(1, fair if room is None else min(fair, room(target)))

    async def _deliver(self, fact: Fact) -> None:
        is_gone = False
        try:
            outcome = await self._outcome(fact)
            await self._database.write(lambda tx: self._settle(tx, fact, outcome))
            is_gone = isinstance(outcome, Done)
        except Exception as error:
            told = "fact %d for %s stays in the outbox: %s"
            _log.error(told, fact.id, fact.target, error, exc_info=is_odd(error))
            await asyncio.sleep(1)  # the store itself fails: don't spin
        finally:
            if not is_gone or fact.key or fact.target in self._full:
                self._is_stale = True
            del self._in_flight[fact.id]
            self._busy[fact.target] -= 1
            if not self._busy[fact.target]:
                del self._busy[fact.target]
            self._wake.set()

    async def _outcome(self, fact: Fact) -> Outcome:
        parts = fact.target.split(":")
        if self.pass_on is not None and len(parts) > 5 and parts[4] != self._config.account:
            await self.pass_on(fact, self._config.account)
            return DONE
        handler = self._handlers.get(parts[2] if len(parts) > 2 else fact.target)
        if handler is None:
            _log.error("no deliverer for %s: fact %d dropped", fact.target, fact.id)
            return DONE
        try:
            return await handler(fact)
        except Exception:
            _log.exception("delivery to %s failed, attempt %d", fact.target, fact.attempts + 1)
            return Later(min(_BACK_OFF_MAX_S, 2**fact.attempts))

    def _settle(self, tx: Transaction, fact: Fact, outcome: Outcome) -> None:
        if isinstance(outcome, Later):
            due_ms = self._config.now_ms() + int(outcome.seconds * 1000)
            outbox.postpone(tx, fact.id, due_ms)
            return
        if outcome.change is not None:
            outcome.change(tx)
        outbox.remove(tx, fact.id)
