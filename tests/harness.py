"""A cloud without a network: calls operation functions as the dispatcher would."""

import asyncio
import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudlet.call import Call, Caller, Cloud, Params, Result
from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.exchange import Body, Request
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database

ROOT = Caller("root", "arn:aws:iam::000000000000:root", "000000000000")


class Clock:
    """A clock that tests move, or that moves on with each look (`pace_ms`)."""

    def __init__(self, now_ms: int = 1_795_000_000_000) -> None:
        self.now_ms = now_ms
        self.pace_ms = 0

    def __call__(self) -> int:
        self.now_ms += self.pace_ms
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


class Bench:
    """One throw-away cloud. `call(put_item, TableName=…)` runs an operation and returns output."""

    def __init__(self, folder: Path, *schemas: str, state: Any = None) -> None:
        self.clock = Clock()
        numbers = itertools.count(1)
        self.config = Config(data=folder, now_ms=self.clock, new_id=lambda: f"{next(numbers):032x}")
        self.database = Database(folder)
        self.blobs = Blobs(folder / "blobs", self.config.new_id)
        self.state = state
        self.invoked: list[tuple[str, str, Params]] = []
        self.answers: dict[str, Any] = {}  # operation name → output of `cloud.invoke`
        self.cloud = Cloud(self.config, self.database, self.blobs, self._invoke)
        for schema in (outbox.SCHEMA, *schemas):
            self.database.prepare(schema)

    async def _invoke(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Params:
        self.invoked.append((service, operation, params))
        answer = self.answers.get(operation, {})
        return answer(params) if callable(answer) else answer

    def call(
        self,
        operation: Callable[..., Any],
        body: bytes = b"",
        caller: Caller = ROOT,
        headers: dict[str, str] | None = None,
        **params: Any,
    ) -> Any:
        request = Request("POST", "/", "", headers or {}, Body.of(body), id="test-request")
        call = Call(self.cloud, "", operation.__name__, params, caller, request, self.state)
        if asyncio.iscoroutinefunction(operation):
            output = asyncio.run(operation(call))
        elif "tx" in inspect.signature(operation).parameters:
            output = self.database.write_now(lambda tx: operation(call, tx))
        else:
            with self.database.snapshot() as view:
                output = operation(call, view)
        return output.output if isinstance(output, Result) else (output or {})

    def facts(self) -> list[outbox.Fact]:
        return [outbox.Fact.of(row) for row in self.database.view().all("SELECT * FROM outbox")]

    def close(self) -> None:
        self.database.close()
