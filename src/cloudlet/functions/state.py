"""Lambda's live state: the worker pool and the mappings. `app.py` makes the one.

Start it with the port on which `runtime_api` answers; `stop` lets running invocations finish.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.events.delivery import Outcome
from cloudlet.events.outbox import Fact
from cloudlet.exchange import Request, Response
from cloudlet.functions import (
    asynchronous,
    code,
    grants,
    isolation,
    layers,
    limits,
    measurements,
    names,
    node_packages,
    provisioned,
    records,
    traces,
    urls,
)
from cloudlet.functions.credentials import RoleCredentials
from cloudlet.functions.mappings import Mappings
from cloudlet.functions.pool import Pool, PoolSettings
from cloudlet.functions.records import Found
from cloudlet.functions.schema import SCHEMA
from cloudlet.functions.sources import StreamSource
from cloudlet.functions.worker_process import Answer, Invocation, Spec, WorkerProcess
from cloudlet.store.database import View
from cloudlet.store.remembered import Remembered

_FRESH_S = 0.5  # folders edited in place are looked at this often at most
_FRESH_FACTOR = 50  # … and not more than this part of the time


@dataclass(frozen=True, slots=True)
class FunctionsSettings:
    pool: PoolSettings = field(default_factory=PoolSettings)
    retry_s: tuple[float, ...] = (60, 120)  # AWS: after one minute, then after two
    fresh_s: float = _FRESH_S


class Functions:
    def __init__(
        self,
        cloud: Cloud,
        sources: Mapping[str, StreamSource] | None = None,
        settings: FunctionsSettings | None = None,
    ) -> None:
        """`sources` by the service part of the source's ARN ("dynamodb")."""
        self.cloud = cloud
        self.settings = settings or FunctionsSettings()
        cloud.database.prepare(SCHEMA)
        credentials = RoleCredentials(cloud)
        self.pool = Pool(cloud.config, credentials.of, self._log, self.settings.pool)
        self.mappings = Mappings(cloud, dict(sources or {}), self.invoke_reference)
        self.on_error: Callable[[str, bytes], None] = lambda name, payload: None
        self._known = Remembered()
        self._fresh: dict[str, tuple[int, float]] = {}  # folder → fingerprint, next look
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self, runtime_api_port: int) -> None:
        self._loop = asyncio.get_running_loop()
        store = self.cloud.config.data / "functions"
        await self.cloud.database.write(lambda tx: records.relocate(tx, store))
        code.collect(store, records.known_folders(self.cloud.database.view()))
        await self.pool.start(runtime_api_port)

    def resume(self) -> None:
        """Begins what needs nobody to ask for it."""
        self.provision()
        self.mappings.start()

    async def stop(self) -> None:
        await self.mappings.stop()
        await self.pool.stop()

    def _log(self, worker: WorkerProcess, text: str) -> None:
        self.cloud.journal.line(worker.spec.log_group, worker.stream, text)

    async def runtime_api(self, request: Request) -> Response:
        """Answers workers; to be served on the loopback port given to `start`."""
        return await self.pool.runtime_api.answer(request)

    def has_worker(self, request: Request) -> bool:
        """Whether a request to the runtime API is one of this account's workers'."""
        return self.pool.runtime_api.knows(request)

    async def deliver(self, fact: Fact) -> Outcome:
        """The outbox's handler for "lambda": one attempt of an asynchronous invocation."""
        return await asynchronous.deliver(self, fact)

    def room(self, target: str) -> int:
        """How many events a function takes at once; of one that may never run, all are dropped."""
        view = self.cloud.database.view()
        reserved = self._known.of(view, ("room", target), lambda: _reserved(view, target))
        return reserved or limits.ACCOUNT_CONCURRENCY

    def recycle(self, function_arn: str, version: str = "") -> None:
        """Workers of the function are replaced; running invocations finish first."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.pool.recycle, function_arn, version)

    async def equip(self, name: str) -> None:
        """What the function's code takes for granted is there before anybody invokes it."""
        spec = spec_of(self.cloud, self.find(name))
        data = self.cloud.config.data
        await asyncio.to_thread(node_packages.provide, data, spec, insists=True)

    def provision(self) -> None:
        """Keeps as many workers as provisioned concurrency asks for."""
        with self.cloud.database.snapshot() as view:
            found = list(provisioned.wanted(view, self.cloud.config))
            self.pool.provision({spec_of(self.cloud, each): count for each, count in found})

    def provision_soon(self) -> None:
        """The same, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.provision)

    def provisioned(self, found: Found) -> tuple[int, int, str]:
        return self.pool.provisioned(spec_of(self.cloud, found))

    def isolation_report(self) -> dict[str, bool]:
        """What shuts workers in on this machine; what is false is missing."""
        return dict(self.pool.staff.launcher.abilities)

    async def missing_isolation(self) -> list[str]:
        """The same in words, a line for each danger; waits until it is known."""
        return isolation.missing(await self.pool.staff.launcher.able())

    @property
    def retry_s(self) -> tuple[float, ...]:
        return self.settings.retry_s

    def find(self, reference: str, qualifier: str | None = None) -> Found:
        name, found = names.parse(reference, qualifier)
        config = self.cloud.config
        view = self.cloud.database.view()
        if found:  # an alias may have weights
            roll = int(config.new_secret(4), 16) / 2**32
            return records.find(view, config, name, found, roll)
        return self._known.of(view, name, lambda: records.find(view, config, name))

    def policy(self, view: View, reference: names.Reference) -> records.Document | None:
        return self._known.of(view, reference, lambda: grants.policy(view, *reference))

    def url(self, url_id: str) -> tuple[Cloud, records.Document, list[Mapping[str, Any]]] | None:
        """Whose a function URL is, its configuration, the resource policies that decide on it."""
        view = self.cloud.database.view()
        config = urls.find(view, url_id)
        if config is None:
            return None
        policy = grants.policy(view, *names.parse(config["FunctionArn"]))
        return self.cloud, config, [policy] if policy else []

    async def invoke_reference(self, reference: str, payload: bytes, trace_id: str = "") -> Answer:
        """For mappings: a synchronous invocation without a caller to check. `trace_id`: the trace
        header that came with what is handed over, if any, so that recursion shows."""
        found = self.find(reference)
        arn = names.function_arn(self.cloud.config, found.name, found.qualifier)
        invocation = Invocation(self.cloud.config.new_id(), arn, payload, trace_id=trace_id)
        return await self.run(found, invocation)

    async def run(self, found: Found, invocation: Invocation) -> Answer:
        """Runs one invocation to its end. Raises TooManyRequestsException over the limits."""
        if found.code.in_place:
            found = await self._freshened(found)
        view = self.cloud.database.view()
        spec = spec_of(self.cloud, found)
        running = self.pool.running
        try:
            limits.check_concurrency(view, found, running[spec.arn], running.total())
            self._trace(found, spec, invocation)
            answer = await self.pool.invoke(spec, invocation)
        except AwsError as error:
            if error.status == 429:
                self._measure(found, {"Throttles": 1.0})
            raise
        if answer.is_error:
            self.on_error(found.name, answer.payload)
        duration_ms = (time.monotonic() - invocation.started_s) * 1000
        concurrency = running[spec.arn] + 1
        self._measure(
            found,
            {
                "Invocations": 1.0,
                "Errors": float(answer.is_error),
                "Duration": duration_ms,
                "ConcurrentExecutions": float(concurrency),
            },
        )
        return answer

    def _measure(self, found: Found, values: Mapping[str, float]) -> None:
        measurements.add(self.cloud.meter, found, values)

    def _trace(self, found: Found, spec: Spec, invocation: Invocation) -> None:
        """Completes the trace header; stops a function that keeps on invoking itself."""
        if not invocation.trace_id:
            is_sampled = found.config.get("TracingConfig", {}).get("Mode") == "Active"
            invocation.trace_id = traces.made(self.cloud.config, is_sampled)
        invocation.trace_id, count = traces.descended(invocation.trace_id, spec.arn)
        if count >= traces.RECURSION_MAX:
            limits.check_recursion(self.cloud.database.view(), found.name)

    async def _freshened(self, found: Found) -> Found:
        """An edited folder is new code: its digest changes and so do its workers."""
        folder = found.code.folder
        mark, next_s = self._fresh.get(folder, (0, 0.0))
        began_s = time.monotonic()
        if began_s < next_s:
            return found
        self._fresh[folder] = (mark, began_s + self.settings.fresh_s)
        now_mark = await asyncio.to_thread(code.fingerprint, Path(folder))
        end_s = time.monotonic()
        pause_s = max(self.settings.fresh_s, (end_s - began_s) * _FRESH_FACTOR)
        self._fresh[folder] = (now_mark, end_s + pause_s)
        if now_mark == mark:
            return found
        new = await asyncio.to_thread(code.of_folder, Path(folder))
        if new.digest == found.code.digest:
            return found
        document = {**found.config, "CodeSha256": new.digest, "CodeSize": new.size_bytes}
        await self.cloud.database.write(
            lambda tx: records.save_version(tx, found.name, document, new)
        )
        self.pool.recycle(names.function_arn(self.cloud.config, found.name))
        return Found(found.name, found.qualifier, found.version, document, new, found.reserved)


def spec_of(cloud: Cloud, found: Found) -> Spec:
    document = found.config
    environment = dict(document.get("Environment", {}).get("Variables", {}))
    logging = document["LoggingConfig"]
    if logging["LogFormat"] == "JSON":
        environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        environment["AWS_LAMBDA_LOG_LEVEL"] = logging["ApplicationLogLevel"]
    entries = document.get("Layers") or []
    return Spec(
        arn=names.function_arn(cloud.config, found.name),
        name=found.name,
        version=found.version,
        handler=document["Handler"],
        runtime=document["Runtime"],
        folder=found.code.folder,
        layers=layers.folders(cloud.database.view(), entries) if entries else (),
        digest=found.code.digest,
        environment=tuple(sorted(environment.items())),
        memory_mb=document["MemorySize"],
        timeout_s=document["Timeout"],
        tmp_mb=document["EphemeralStorage"]["Size"],
        role=document["Role"],
        log_group=logging["LogGroup"],
    )


def _reserved(view: View, target: str) -> int | None:
    reserved: int | None = None
    with suppress(AwsError):
        sql = "SELECT reserved FROM functions WHERE name = ?"
        reserved = view.value(sql, (names.parse(target).name,))
    return reserved
