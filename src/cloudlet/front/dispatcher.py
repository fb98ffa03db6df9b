"""Runs operation calls: permission first, then the function, where its signature says.

The one way into a service, for requests from the network and for calls inside the process.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from cloudlet.auth.guard import authorize
from cloudlet.call import Call, Caller, Cloud, Output, Params, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.front.light import WRITES
from cloudlet.policy.evaluation import INTERNAL
from cloudlet.wire.service import Operation, Service

_NAMING = frozenset(
    (
        "CreateBucket",
        "CreateDomainName",
        "CreateDistribution",
        "CreateDistributionWithTags",
        "UpdateDistribution",
    )
)


class Neighbours(Protocol):
    """The other accounts of this process."""

    def elsewhere(self, call: Call) -> "Dispatcher | None":
        """Who performs a call on something of another account."""
        ...

    def naming(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Keeps the names of buckets, domains and aliases unique while they are made."""
        ...


class Dispatcher:
    """Knows every service by botocore's name. `cloud` is set once by `app.py`."""

    def __init__(self, neighbours: Neighbours | None = None) -> None:
        self.services: dict[str, Service] = {}
        self.cloud: Cloud | None = None
        self._neighbours = neighbours

    def add(self, *services: Service) -> None:
        for service in services:
            self.services[service.name] = service

    def operation(self, service: str, name: str) -> tuple[Service, Operation]:
        """Raises AWS's not-implemented error for what nobody wrote."""
        known = self.services.get(service)
        operation = known.operations.get(name) if known is not None else None
        if known is None or operation is None:
            raise NotImplementedByCloudlet(f"{service}:{name}")
        return known, operation

    async def perform(self, call: Call, *, trusted: bool = False) -> Result:
        """Raises AwsError. `trusted` skips permissions: cloudlet's own calls, and `--open`."""
        if self._neighbours is not None:
            there = self._neighbours.elsewhere(call)
            if there is not None:
                return await there._perform_for_stranger(call)
            if call.operation in _NAMING:
                async with self._neighbours.naming(call):
                    return await self._perform(call, trusted)
        return await self._perform(call, trusted)

    async def _perform_for_stranger(self, call: Call) -> Result:
        """A call from another account. What that account's cloudlet does is trusted over there
        only: here it is as good as that account's root."""
        assert self.cloud is not None
        caller, account = call.caller, call.config.account
        if caller.kind == "service" and caller.arn == INTERNAL:
            caller = Caller("root", f"arn:aws:iam::{account}:root", account, account)
        moved = replace(call, cloud=self.cloud, caller=caller)
        return await self._perform(moved, self.cloud.config.open_access)

    async def _perform(self, call: Call, trusted: bool) -> Result:
        service, operation = self.operation(call.service, call.operation)
        call.state = service.state
        if service.observe is None:
            return await _run(call, service, operation, trusted)
        began_s = time.perf_counter()
        try:
            result = await _run(call, service, operation, trusted)
        except AwsError as error:
            service.observe(call, error, _ms_since(began_s))
            raise
        service.observe(call, result.output, _ms_since(began_s))
        return result

    async def invoke(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Output:
        """`call.Invoke`: an operation inside the process; without a caller it is trusted."""
        assert self.cloud is not None
        config = self.cloud.config
        acting = caller or Caller("service", INTERNAL, config.account)
        body = params.get("Body")
        if isinstance(body, bytes) and service == "s3":
            params = {**params, "Body": Body.of(body)}
        request = _internal_request(params, config.new_id())
        call = Call(self.cloud, service, operation, params, acting, request)
        return (await self.perform(call, trusted=caller is None)).output


async def _run(call: Call, service: Service, operation: Operation, trusted: bool) -> Result:
    database = call.cloud.database
    if operation.mode == "view":  # permission and reading on one snapshot
        with database.snapshot() as view:
            if not trusted:
                authorize(call, service, view)
            return _result(operation.run(call, view))
    if not trusted:
        with database.snapshot() as view:
            authorize(call, service, view)
    if operation.mode == "async":
        output = await operation.run(call)
    elif operation.mode == "write":
        is_alone = call.request.is_alone and operation.name in WRITES
        output = await database.write(partial(operation.run, call), is_alone=is_alone)
    else:
        output = await asyncio.to_thread(_read, call, operation)
    return _result(output)


def _ms_since(began_s: float) -> float:
    """To the microsecond: of a thousand calls, most have one of few values then."""
    return round((time.perf_counter() - began_s) * 1000, 3)


def _result(output: Output | Result | None) -> Result:
    return output if isinstance(output, Result) else Result(output or {})


def _read(call: Call, operation: Operation) -> Any:
    with call.cloud.database.snapshot() as view:
        return operation.run(call, view)


def _internal_request(params: Mapping[str, Any], request_id: str) -> Request:
    body = params.get("Body")
    return Request(
        "POST", "/", "", {}, body if isinstance(body, Body) else Body.of(b""), id=request_id
    )
