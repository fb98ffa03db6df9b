"""A cloud of functions alone: real workers, a real Runtime API port, nothing else."""

import asyncio
import io
import socket
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from cloudlet.call import Call, Caller, Cloud, Params, Result
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Delivery, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.exchange import Body, Request
from cloudlet.functions.pool import PoolSettings
from cloudlet.functions.service import service
from cloudlet.functions.state import Functions, FunctionsSettings
from cloudlet.monitoring.state import Monitoring
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database, Transaction

ROOT = Caller("root", "arn:aws:iam::000000000000:root", "000000000000")
CLOUDLET = Caller("service", "cloudlet.internal", "000000000000")
ROLE = "arn:aws:iam::000000000000:role/tester"


def zipped(**files: str) -> bytes:
    """A zip; `handler="…"` becomes handler.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


class Bed:
    def __init__(self, folder: Path, sources: Any = None, **pool: Any) -> None:
        self.config = Config(data=folder, aws_port=1)
        self.database = Database(folder)
        self.blobs = Blobs(folder / "blobs", self.config.new_id)
        self.cloud = Cloud(self.config, self.database, self.blobs, self.invoke)
        settings = FunctionsSettings(
            PoolSettings(**{"stop_s": 1, **pool}), retry_s=(0.05, 0.05), fresh_s=0
        )
        self.delivery = Delivery(self.config, self.database)
        self.monitoring = Monitoring(self.cloud)
        self.functions = Functions(self.cloud, sources, settings)
        self.functions.mappings.back_off_s = 0.01
        self.delivered: list[Fact] = []
        for name in ("sqs", "sns", "events"):
            self.delivery.register(name, self._deliver)
        self.delivery.register("lambda", self.functions.deliver)
        self.services = {item.name: item for item in service(self.functions)}
        self.session_s = 3600
        self.may_read = True

    async def _deliver(self, fact: Fact) -> Outcome:
        self.delivered.append(fact)
        return DONE

    async def invoke(
        self, name: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Any:
        if operation == "AssumeRole":
            return {
                "Credentials": {
                    "AccessKeyId": "ASIATEST",
                    "SecretAccessKey": "secret",
                    "SessionToken": "token",
                    "Expiration": time.time() + self.session_s,
                }
            }
        if name == "dynamodbstreams":
            return self._stream(operation)
        if name == "s3":
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        if name in ("sqs", "sns", "events"):
            return {}
        found = self.services[name].operations[operation]
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(
            self.cloud, name, operation, dict(params), caller or CLOUDLET, request, self.functions
        )
        if found.mode == "async":
            output = await found.run(call)
            return output.output if isinstance(output, Result) else output or {}
        if found.mode == "write":
            return await self.database.write(lambda tx: found.run(call, tx)) or {}
        with self.database.snapshot() as view:
            return found.run(call, view) or {}

    def _stream(self, operation: str) -> Any:
        """A stream that the role may read unless `may_read` says otherwise."""
        if not self.may_read:
            raise AwsError("AccessDeniedException", "no", 400)
        if operation == "DescribeStream":
            return {"StreamDescription": {"Shards": [{"ShardId": "shard"}]}}
        return {"ShardIterator": "iterator"}

    async def operate(self, operation: str, **params: Any) -> Any:
        return await self.invoke("lambda", operation, params, ROOT)

    async def create(self, name: str, source: str, **settings: Any) -> Any:
        return await self.operate(
            "CreateFunction",
            **{
                "FunctionName": name,
                "Runtime": "python3.12",
                "Handler": "handler.handler",
                "Role": ROLE,
                "MemorySize": 256,
                "Timeout": 60,
                "Code": {"ZipFile": zipped(handler=source)},
                **settings,
            },
        )

    async def run(self, name: str, payload: bytes = b"{}", **params: Any) -> Any:
        return await self.operate("Invoke", FunctionName=name, Payload=payload, **params)

    async def log(self, name: str) -> list[str]:
        await self.monitoring.journal.flush()
        rows = self.database.view().all(
            "SELECT message FROM log_events JOIN log_streams AS s ON s.id = stream"
            " WHERE log_group = ? ORDER BY log_events.id",
            (f"/aws/lambda/{name}",),
        )
        return [row["message"] for row in rows]

    async def write(self, change: Callable[[Transaction], Any]) -> Any:
        return await self.database.write(change)


@asynccontextmanager
async def running(folder: Path, sources: Any = None, **pool: Any) -> AsyncIterator[Bed]:
    bed = Bed(folder, sources, **pool)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        is_more = True

        async def chunk() -> bytes:
            nonlocal is_more
            if not is_more:
                return b""
            message = await receive()
            is_more = message.get("more_body", False)
            return bytes(message.get("body", b""))

        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        length = headers.get("content-length")
        request = Request(
            scope["method"], scope["path"], "", headers, Body(chunk, int(length or 0))
        )
        request.client_port = scope["client"][1]
        with suppress(AssertionError):  # it may ask before its process is known
            await until(lambda: bed.functions.has_worker(request), 20)
        response = await bed.functions.runtime_api(request)
        assert isinstance(response.body, bytes)
        lines = [(name.encode(), value.encode()) for name, value in response.headers]
        lines.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": lines})
        await send({"type": "http.response.body", "body": response.body})

    config = uvicorn.Config(app, log_level="critical", lifespan="off", http="httptools",
                            access_log=False, timeout_keep_alive=3600, ws="none",
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started)
    await bed.functions.start(listener.getsockname()[1])
    bed.functions.resume()
    bed.delivery.start()
    try:
        yield bed
    finally:
        await bed.delivery.stop()
        await bed.functions.stop()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
        listener.close()
        bed.database.close()


async def until(condition: Callable[[], Any], timeout_s: float = 60) -> None:
    """Waits for a condition; the tests' only way to wait."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), 240))
