"""The only file that knows everybody: builds one cloudlet, starts and stops it in order.

Up: lock the data directory, open the store, start the services, go on with what was left over,
listen, deploy the template, say ready. Down, on the first signal: stop listening, let running
invocations end within a bound, close the store. What a kill leaves behind, the next start sorts
out.
"""

import asyncio
import errno
import gc
import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from cloudlet.call import Caller, Cloud
from cloudlet.config import Config
from cloudlet.dynamodb import service as dynamodb_service
from cloudlet.dynamodb import sweep as dynamodb_sweep
from cloudlet.dynamodb import transfer_runs as dynamodb_transfer_runs
from cloudlet.dynamodb import transfers as dynamodb_transfers
from cloudlet.dynamodb.schema import SCHEMA as DYNAMODB_SCHEMA
from cloudlet.dynamodb.source import Source
from cloudlet.errors import AwsError
from cloudlet.events.delivery import Delivery
from cloudlet.events.timers import Job, Timers
from cloudlet.front import relay
from cloudlet.front.accounts import Accounts
from cloudlet.front.aws import AwsDoor
from cloudlet.front.buckets import Buckets
from cloudlet.front.channel import Channel
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.front.doors import Doors
from cloudlet.front.readers import Readers
from cloudlet.front.server import Listener
from cloudlet.functions import service as functions_service
from cloudlet.functions.failures import Failures
from cloudlet.functions.pool import PoolSettings
from cloudlet.functions.sources import StreamSource
from cloudlet.functions.state import Functions, FunctionsSettings
from cloudlet.gateway import service as gateway_service
from cloudlet.gateway.http_apis.function_urls import FunctionUrls
from cloudlet.gateway.rest import service as rest_service
from cloudlet.gateway.rest.schema import SCHEMA as REST_SCHEMA
from cloudlet.gateway.schema import SCHEMA as GATEWAY_SCHEMA
from cloudlet.gateway.service import GatewayState
from cloudlet.iam import service as iam_service
from cloudlet.iam.credentials import Credentials
from cloudlet.iam.schema import SCHEMA as IAM_SCHEMA
from cloudlet.kinesis import service as kinesis_service
from cloudlet.kinesis.schema import SCHEMA as KINESIS_SCHEMA
from cloudlet.kinesis.state import Kinesis
from cloudlet.kms import rotation as kms_rotation
from cloudlet.kms import service as kms_service
from cloudlet.kms.schema import SCHEMA as KMS_SCHEMA
from cloudlet.messaging import service as messaging_service
from cloudlet.messaging.schema import SCHEMA as MESSAGING_SCHEMA
from cloudlet.messaging.service import MessagingState
from cloudlet.monitoring import service as monitoring_service
from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.meter import Series
from cloudlet.monitoring.state import Monitoring
from cloudlet.registry import service as registry_service
from cloudlet.registry.schema import SCHEMA as REGISTRY_SCHEMA
from cloudlet.s3 import access_logs as s3_access_logs
from cloudlet.s3 import archive as s3_archive
from cloudlet.s3 import encryption as s3_encryption
from cloudlet.s3 import inventory as s3_inventory
from cloudlet.s3 import metrics as s3_metrics
from cloudlet.s3 import replicas as s3_replicas
from cloudlet.s3 import request_metrics as s3_request_metrics
from cloudlet.s3 import service as s3_service
from cloudlet.s3 import sweep as s3_sweep
from cloudlet.s3.records import known_blobs
from cloudlet.s3.schema import SCHEMA as S3_SCHEMA
from cloudlet.s3.scrub import Scrubber, tell_replica
from cloudlet.sns import service as sns_service
from cloudlet.sns.schema import SCHEMA as SNS_SCHEMA
from cloudlet.sns.service import SnsState
from cloudlet.store import lineage
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database
from cloudlet.store.holding import hold
from cloudlet.store.pulse import CREDENTIALS
from cloudlet.store.replica import Replica
from cloudlet.template import service as template_service
from cloudlet.template import watch
from cloudlet.template.addresses import addresses, front
from cloudlet.template.deploy import SCHEMA as TEMPLATE_SCHEMA
from cloudlet.template.deploy import Deployment, deploy
from cloudlet.template.operations import Operations
from cloudlet.template.progress import Progress, summary
from cloudlet.wire import models

Say = Callable[[str], None]
_log = logging.getLogger(__name__)
_SCHEMAS = (
    IAM_SCHEMA,
    S3_SCHEMA,
    DYNAMODB_SCHEMA,
    GATEWAY_SCHEMA,
    REST_SCHEMA,
    MESSAGING_SCHEMA,
    SNS_SCHEMA,
    KINESIS_SCHEMA,
    KMS_SCHEMA,
    REGISTRY_SCHEMA,
    TEMPLATE_SCHEMA,
)
_SWEEP_TTL_S = 10
_SWEEP_S = 300
_MEASURE_S = 3600
_STOP_S = 5  # for a deployment to end when a signal comes
_ABLE_S = 2.0
_SETTLE_S = 10.0  # for a second directory to catch up before the first request
_FILES = 1 << 16  # that may be open at once
_COLLECTED_AT = 10_000  # objects: requests leave hardly any cycles
_SWITCH_S = 0.001  # the writer thread waits so long for a busy loop's GIL; Python's 5 ms are felt


class App:
    """All of one account. The ports of `config` are final: listeners are bound before.

    The default account's brings the doors, and the other accounts as they are asked for.
    """

    def __init__(self, config: Config, accounts: Accounts | None = None) -> None:
        self.config = config
        self.accounts: Accounts = accounts or Accounts(config, self._neighbour)
        self.replica = _replica(config)
        self.database = Database(config.data, self.replica)
        for schema in _SCHEMAS:
            self.database.prepare(schema)
        self.blobs = Blobs(config.data / "blobs", config.new_id, self.replica)
        self.dispatcher = Dispatcher(self.accounts)
        self.cloud = Cloud(config, self.database, self.blobs, self.dispatcher.invoke)
        self.dispatcher.cloud = self.cloud
        self.delivery = Delivery(config, self.database)
        self.delivery.pass_on = self.accounts.pass_on
        self.timers = Timers(config)
        self._transferring = asyncio.Lock()  # one run at a time
        self.credentials = Credentials(config, self.database)
        self.credentials.on_forget = partial(self.database.pulse.beat, CREDENTIALS)
        self.cloud.caller_of = self._caller_of
        self.scrubber = Scrubber(self.cloud)
        self.monitoring = Monitoring(self.cloud)
        lender = accounts.default.functions.pool.staff if accounts else None
        pool = PoolSettings(launcher=lender.launcher if lender else None)
        settings = FunctionsSettings(pool, retry_s=(config.retry_s, 2 * config.retry_s))
        self.kinesis = Kinesis(self.cloud)
        sources: dict[str, StreamSource] = {"dynamodb": Source(), "kinesis": self.kinesis.source}
        self.functions = Functions(self.cloud, sources, settings)
        self.gateway = GatewayState.of(self.cloud)
        self.messaging = MessagingState.of(self.cloud, self.timers)
        self.topics = SnsState(self.cloud)
        self.replicas = s3_replicas.Replicas(self.cloud)
        self.access_logs = s3_access_logs.AccessLogs(self.cloud)
        self.request_metrics = s3_request_metrics.RequestMetrics(self.cloud)
        self.stacks = Operations(self.cloud, self.presign)
        self._add_services()
        self.accounts.opened.setdefault(self.accounts.default_id, self)
        aws = AwsDoor(config, self.accounts)
        self.cloud.authenticate = aws.caller
        self.doors = self._doors(aws)

    def _add_services(self) -> None:
        self.dispatcher.add(
            *s3_service.service(),
            *dynamodb_service.service(),
            *functions_service.service(self.functions),
            *monitoring_service.service(self.monitoring),
            *gateway_service.service(self.gateway),
            rest_service.service(self.gateway.gateway.rest),
            *messaging_service.service(self.messaging),
            sns_service.service(),
            kinesis_service.service(self.kinesis),
            kms_service.service(),
            *iam_service.service(self.credentials),
            *registry_service.service(),
            template_service.service(self.stacks),
        )
        self.delivery.register("lambda", self.functions.deliver, self.functions.room)
        self.delivery.register("s3", self.replicas.deliver, self.replicas.room)
        self.messaging.register(self.delivery)
        self.kinesis.register(self.delivery)
        self.topics.register(self.delivery)

    def _neighbour(self, config: Config) -> "App":
        return App(config, self.accounts)

    def relayed(self, head: dict[str, Any], data: bytes, to: Channel) -> None:
        """What a reader passes on: a write of items."""
        _, operation = self.dispatcher.operation("dynamodb", head["operation"])
        relay.perform(self.cloud, operation, (head, data), to)

    def reported(self, report: dict[str, Any]) -> None:
        """What a reader has measured and noted."""
        self.credentials.add_uses(report["uses"])
        for key, text in report["metrics"]:
            namespace, name, dimensions, *rest = key
            series = Series(namespace, name, tuple(map(tuple, dimensions)), *rest)
            self.monitoring.meter.put(series, Summary.loads(text))

    def _caller_of(self, access_key: str) -> Caller | None:
        found = self.credentials.find(access_key)
        return found.caller if found else None

    def _doors(self, aws: AwsDoor) -> Doors:
        buckets = Buckets(self.accounts.cloud_of_bucket)
        own_pages = FunctionUrls(self._function_url).answer, self.topics.certificate
        aws.specials += [*own_pages, buckets.website]
        aws.preflight = buckets.preflight
        aws.decorate = buckets.decorate
        return Doors(self.config, aws, self.accounts)

    def _function_url(
        self, url_id: str
    ) -> tuple[Cloud, dict[str, Any], list[Mapping[str, Any]]] | None:
        """Of whichever account."""
        every = (each.functions.url(url_id) for each in self.accounts.opened.values())
        return next((found for found in every if found is not None), None)

    async def start(self, runtime_api_port: int) -> None:
        """Whoever asks can be answered from now on; nothing is done without being asked."""
        with self.database.snapshot() as view:
            self.blobs.collect(known_blobs(view))
        if self.replica is not None:
            self.replica.on_change = partial(tell_replica, self.cloud)
            self.replica.start(self.database)
            await asyncio.to_thread(self.replica.settled.wait, _SETTLE_S)
        await self.database.write(lambda tx: s3_encryption.check_master(tx, self.blobs))
        self.monitoring.start(self.timers)
        await self.functions.start(runtime_api_port)

    async def resume(self) -> None:
        """Goes on with what was left over, and does by itself what is due. To be called before
        anybody may ask; what it begins runs when it returns."""
        self.functions.resume()
        self.messaging.start()
        self.topics.start(self.timers)
        self.kinesis.start(self.timers)
        self.timers.every(_SWEEP_TTL_S, lambda: dynamodb_sweep.sweep_ttl(self.cloud))
        self.timers.every(_SWEEP_S, lambda: dynamodb_sweep.trim_streams(self.cloud))
        self.timers.every(_SWEEP_S, lambda: s3_sweep.sweep_lifecycle(self.cloud))
        self.timers.every(_SWEEP_S, self._restore)
        self.timers.every(_MEASURE_S, lambda: s3_metrics.measure(self.cloud), first_s=60)
        self.timers.every(60, lambda: s3_replicas.measure(self.cloud))
        self.timers.every(s3_inventory.CHECK_S, lambda: s3_inventory.report(self.cloud))
        self.timers.every(s3_access_logs.DELIVERY_S, self.access_logs.deliver)
        self.timers.every(_SWEEP_S, self.credentials.collect)
        self.timers.every(_SWEEP_S, lambda: kms_rotation.sweep(self.cloud))
        self._when_asked(dynamodb_sweep.BACKFILL_TOPIC, self._backfill)
        self._when_asked(dynamodb_transfers.TOPIC, self._transfer)
        self._when_asked(s3_archive.TOPIC, self._restore)
        self.scrubber.start()
        self.timers.start()
        self.delivery.start()
        await self.stacks.start()

    def _when_asked(self, topic: str, job: Job) -> None:
        """Now, and whenever the topic is touched."""
        loop = asyncio.get_running_loop()

        def wake(_: str) -> None:
            loop.call_soon_threadsafe(self.timers.at, 0, job)

        self.database.subscribe(topic, wake)
        self.timers.at(0, job)

    async def _restore(self) -> None:
        due_ms = await s3_archive.progress(self.cloud)
        if due_ms is not None and due_ms < self.config.now_ms() + _SWEEP_S * 1000:
            self.timers.at(due_ms, self._restore)  # what is later, a sweep comes across

    async def _transfer(self) -> None:
        async with self._transferring:
            await dynamodb_transfer_runs.progress(self.cloud)

    async def _backfill(self) -> None:
        await dynamodb_sweep.backfill(self.cloud)

    async def stop(self) -> None:
        await self.stacks.stop()
        await self.timers.stop()
        await self.access_logs.deliver()
        with suppress(AwsError):  # the store cannot be written: all else ends in order
            await self.credentials.keep_uses()
        await self.delivery.stop()
        await self.gateway.stop()
        await self.functions.stop()
        await self.monitoring.stop()
        await asyncio.to_thread(self.scrubber.stop)
        if self.replica is not None:
            await asyncio.to_thread(self.replica.stop)

    async def close(self) -> None:
        """Stops, and leaves the store."""
        await self.stop()
        self.database.close()

    def presign(self, method: str, bucket: str, key: str) -> str:
        """A URL with the root key's signature, for answers of custom resources."""
        import botocore.session
        from botocore.config import Config as ClientConfig

        root = self.credentials.root
        client: Any = botocore.session.Session().create_client(
            "s3",
            region_name=self.config.region,
            endpoint_url=self.config.aws_endpoint,
            aws_access_key_id=root.access_key,
            aws_secret_access_key=root.secret_key,
            config=ClientConfig(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        operation = {"PUT": "put_object", "GET": "get_object"}[method]
        url: str = client.generate_presigned_url(
            operation, Params={"Bucket": bucket, "Key": key}, ExpiresIn=3600
        )
        return url


def serve(
    config: Config,
    template: Path | None,
    parameters: dict[str, str],
    *,
    watch: bool = True,
    say: Say = print,
    ready: Callable[[Config], None] | None = None,
    shows_addresses: bool = False,
) -> int:
    """Runs until a signal; returns the exit code. Raises OSError (port, lock) and AwsError."""
    if config.replica is not None:
        lineage.check_apart(config.data, config.replica)
    _make_private(config.data)
    held = [hold(config.data), *_hold_replica(config)]
    told = _Told(watch, say, ready, shows_addresses)
    sys.setswitchinterval(_SWITCH_S)
    _allow_connections()
    try:
        return uvloop.run(_serve(config, template, parameters, told))
    finally:
        for each in held:
            os.close(each)


def _hold_replica(config: Config) -> list[int]:
    """One that cannot be reached is no reason not to start."""
    if config.replica is None:
        return []
    try:
        config.replica.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [hold(config.replica)]
    except OSError:
        return []


def _replica(config: Config) -> Replica | None:
    def new_run() -> str:
        return config.new_secret(8)

    if config.replica is not None:
        return Replica(config.data, config.replica, new_run)
    lineage.alone(config.data, new_run)
    return None


@dataclass(frozen=True, slots=True)
class _Told:
    """How a run tells of itself."""

    watch: bool
    say: Say
    ready: Callable[[Config], None] | None
    shows_addresses: bool


def services_table() -> dict[str, tuple[list[str], list[str]]]:
    """Service → (operations we answer, all its operations), for the coverage table."""
    services = [
        *s3_service.service(),
        *dynamodb_service.service(),
        *functions_service.service(),
        *monitoring_service.service(),
        *gateway_service.service(),
        rest_service.service(),
        *messaging_service.service(),
        sns_service.service(),
        kinesis_service.service(),
        kms_service.service(),
        *iam_service.service(),
        *registry_service.service(),
        template_service.service(),
    ]
    return {
        service.name: (sorted(service.operations), models.operation_names(service.name))
        for service in services
    }


def _allow_connections() -> None:
    """Each connection and each worker takes a file or two: as many as the system grants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _make_private(data: Path) -> None:
    """Secrets and other people's files are in it: nobody else on this machine reads along. Who
    opens a folder in use to others, for backups say, keeps it so."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (data / "cloudlet.db").exists():
        data.chmod(0o700)


def _listener(host: str, port: int, option: str) -> Listener:
    try:
        return Listener(host, port)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            text = f"{error.strerror} ({option} names another port)"
            raise OSError(error.errno, text) from error
        raise


class _Ports:
    """The three listeners: AWS's protocols, the application's front door, the workers' API."""

    def __init__(self, config: Config) -> None:
        if config.aws_port == config.door_port != 0:
            text = f"--port and --aws-port are both {config.aws_port}: each needs a port of its own"
            raise AwsError("SamePort", text)
        self.aws = _listener(config.host, config.aws_port, "--aws-port")
        self.front = _listener(config.host, config.door_port, "--port")
        self.runtime = Listener("127.0.0.1", 0)
        self.readers: Readers | None = None
        self.config = replace(config, aws_port=self.aws.port, door_port=self.front.port)

    async def listen(self, app: App) -> None:
        """Connections that come before wait in the kernel: only then all has started."""
        self.readers = Readers(self.config, app)
        self.readers.listener = self.aws
        await self.aws.start(app.doors.aws, app.doors.aws_socket, self.readers)
        await self.front.start(app.doors.front, app.doors.front_socket)

    async def close(self) -> None:
        ending = [self.readers.stop()] if self.readers else []
        await asyncio.gather(*ending, self.front.stop(), self.aws.stop())

    async def close_runtime(self) -> None:
        await self.runtime.stop()


async def _serve(
    config: Config, template: Path | None, parameters: dict[str, str], told: _Told
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ports = _Ports(config)
    app = App(ports.config)
    stack = _Stack(app, template, parameters, told)
    app.functions.on_error = Failures(told.say, config.now_ms).tell
    try:
        stack.lead()
        await ports.runtime.start(app.accounts.runtime_api)
        _write_endpoint(app.config)
        await app.start(ports.runtime.port)
        await app.accounts.start(ports.runtime.port)
        await app.resume()
        await app.accounts.resume()
        await ports.listen(app)
        run = loop.create_task(_run(app, stack, told, stop))
        await asyncio.wait(
            (run, loop.create_task(stop.wait())), return_when=asyncio.FIRST_COMPLETED
        )
        if stop.is_set():  # perhaps in the middle of a deployment: the next start resumes it
            told.say("stopping …")
            run.cancel()
            await asyncio.wait((run,), timeout=_STOP_S)
        else:
            await run
    finally:
        for each in app.accounts.opened.values():
            each.monitoring.hang_up()
            each.kinesis.subscriptions.hang_up()
        await ports.close()
        await app.accounts.stop()
        await app.stop()
        await ports.close_runtime()
        app.database.close()
    return 0


async def _run(app: App, stack: "_Stack", told: _Told, stop: asyncio.Event) -> None:
    """Deploys, says ready, deploys again on changes; until it is cancelled or fails."""
    deployment = await stack.deploy() if stack.template else None
    app.doors.is_ready = True
    gc.freeze()  # what is loaded stays: later collections needn't look at it
    gc.set_threshold(_COLLECTED_AT)
    await _tell_isolation(app, told.say)
    if deployment is not None and told.shows_addresses:
        for name, url in addresses(app.cloud, deployment.stack.name):
            told.say(f"{name}: {url}")
    told.say(_ready_line(app.config, stack.template))
    if told.ready:
        told.ready(app.config)
    if deployment is not None and told.watch:
        await watch.watch(deployment, stack.deploy, told.say, stop)
    await stop.wait()


async def _tell_isolation(app: App, say: Say) -> None:
    """What functions could do to this machine that cloudlet cannot prevent on it."""
    with suppress(TimeoutError):  # workers do not start: the log says why
        async with asyncio.timeout(_ABLE_S):
            for line in await app.functions.missing_isolation():
                say(f"warning: {line}")


class _Stack:
    """The template that this run keeps deployed."""

    def __init__(
        self, app: App, template: Path | None, parameters: dict[str, str], told: _Told
    ) -> None:
        self._app = app
        self.template = template
        self._parameters = parameters
        self._told = told
        folder = template.resolve().parent.name if template else ""
        self._name = re.sub(r"[^A-Za-z0-9-]+", "-", folder).strip("-") or "app"

    def lead(self) -> None:
        """The front door is this stack's, if it has anything to show there."""
        if self.template:
            self._app.gateway.edge.lead(*front(self._app.cloud, self._name))

    async def deploy(self) -> Deployment:
        assert self.template is not None
        name, told = self._name, Progress(self._told.say)
        try:
            deployment = await deploy(
                self._app.cloud,
                self.template,
                self._parameters,
                stack_name=name,
                presign=self._app.presign,
                say=told,
            )
        finally:
            told.close()
        self.lead()
        if done := summary(deployment.steps):
            self._told.say(f"Stack {name}: {done}")
        for warning in deployment.warnings:
            self._told.say(f"warning: {warning}")
        return deployment


def _write_endpoint(config: Config) -> None:
    """Tells `cloudlet env` and its like where this data directory is served."""
    document = {"aws_port": config.aws_port, "door_port": config.door_port}
    path = config.data / "endpoint.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def _ready_line(config: Config, template: Path | None) -> str:
    name = "localhost" if config.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else config.host
    if template is None:
        return f"Ready: AWS's protocols at http://{name}:{config.aws_port}"
    url = config.public_url or f"http://{name}:{config.door_port}"
    return f"Ready: {url} (AWS's protocols at http://{name}:{config.aws_port})"
