"""Runs operation calls: permission first, then the function, where its signature says.

The one way into a service, for requests from the network and for calls inside the process.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from cloudlet.auth.guard import authorize
from cloudlet.call import Call, Caller, Cloud, Output, Params, Result
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.wire.service import Operation, Service


class Dispatcher:
    """Knows every service by botocore's name. `cloud` is set once by `app.py`."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        self.cloud: Cloud | None = None

    def add(self, *services: Service) -> None:
        for service in services:
            self.services[service.name] = service

    def operation(self, service: str, name: str) -> tuple[Service, Operation]:
        """Raises AWS's not-implemented error for what nobody wrote."""
        known = self.services.get(service)
        if known is None:
            raise NotImplementedByCloudlet(f"The service {service!r}")
        operation = known.operations.get(name)
        if operation is None:
            raise NotImplementedByCloudlet(f"{service}:{name}")
        return known, operation

    async def perform(self, call: Call, *, trusted: bool = False) -> Result:
        """Raises AwsError. `trusted` skips permissions: cloudlet's own calls, and `--open`."""
        assert self.cloud is not None
        service, operation = self.operation(call.service, call.operation)
        call.state = service.state
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
            output = await database.write(lambda tx: operation.run(call, tx))
        else:
            output = await asyncio.to_thread(_read, call, operation)
        return _result(output)

    async def invoke(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Output:
        """`call.Invoke`: an operation inside the process; without a caller it is trusted."""
        assert self.cloud is not None
        config = self.cloud.config
        acting = caller or Caller("service", "cloudlet.internal", config.account)
        body = params.get("Body")
        if isinstance(body, bytes) and service == "s3":
            params = {**params, "Body": Body.of(body)}
        request = _internal_request(params, config.new_id())
        call = Call(self.cloud, service, operation, params, acting, request)
        return (await self.perform(call, trusted=caller is None)).output


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
