"""Events: from the request that causes one to the start of the function, and how many a second.

The function tells of each event by a datagram with the event's id and the moment it started:
the same for every contender, and nothing that a contender could answer from a cache.
"""

import itertools
import json
import socket
import time
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bench import load
from bench.contenders import Contender
from bench.event_sources import FUNCTION, SOURCES, Source
from bench.functions import TRUST, packed
from bench.results import Row, Table

_WARM = 10
_PINGS = 60
_PATIENCE_S = 10.0
_LOST_MAX = 2
_CLIENTS = 8
_REST_S, _IDLE_S = 10, 20
_REQUESTS = 10_000  # no two alike: an item put twice makes one record
_ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}], "Version": "2012-10-17"}
_LISTENER = """
import base64, os, socket, time
place = ("127.0.0.1", int(os.environ["LISTENER"]))
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def ids(event):
    for record in event.get("Records") or [event]:
        if "s3" in record:
            yield record["s3"]["object"]["key"]
        elif "dynamodb" in record:
            yield record["dynamodb"]["Keys"]["pk"]["S"]
        elif "Sns" in record:
            yield record["Sns"]["Message"]
        elif "kinesis" in record:
            yield base64.b64decode(record["kinesis"]["data"]).decode()
        elif "detail" in record:
            yield record["detail"]["id"]
        elif "body" in record:
            yield record["body"]
def handler(event, context):
    began = time.time()
    for each in ids(event):
        out.sendto(f"{each} {began}".encode(), place)
"""
_Figures = dict[str, dict[str, float]]  # contender → source and figure → value


class Listener:
    """Hears which events reached a function, and when."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def hear(self, seconds: float) -> tuple[str, float] | None:
        self._socket.settimeout(seconds)
        with suppress(TimeoutError):
            event_id, _, began = self._socket.recv(1024).decode().partition(" ")
            return event_id, float(began)
        return None

    def drain(self) -> int:
        """How many wait to be heard."""
        count = 0
        while self.hear(0.001):
            count += 1
        return count

    def close(self) -> None:
        self._socket.close()


def events(seconds: float) -> Table:
    table = Table("Events to functions", ["ministack"])
    listener = Listener()
    contenders = [Contender(name).start() for name in ("cloudlet", "ministack")]
    figures: _Figures = {contender.name: {} for contender in contenders}
    try:
        for contender in contenders:
            _deploy(contender, listener.port)
        for source, contender in itertools.product(SOURCES, contenders):
            found = _measured(contender, source, listener, seconds)
            figures[contender.name] |= {f"{source.name}{key}": value for key, value in found}
        idle = _idle(contenders)
    finally:
        for contender in contenders:
            contender.stop()
        listener.close()
    table.rows = [*_rows(figures), idle]
    table.notes.append(
        f"Latency: from boto3's call (its own cost included) to the handler's first line, {_PINGS}"
        f" events one after the other. Rate: {_CLIENTS} clients send for {seconds:g} s; events over"
        " the time until the last one was handled. Batches: 100 of streams, 10 of the queue."
    )
    return table


def _idle(contenders: list[Contender]) -> Row:
    """What waiting for the next event costs, with all of the sources wired."""
    time.sleep(_REST_S)
    began = {contender.name: contender.cpu_s() for contender in contenders}
    time.sleep(_IDLE_S)
    spent = {c.name: 100 * (c.cpu_s() - began[c.name]) / _IDLE_S for c in contenders}
    return Row("idle afterwards", "% of a core", spent, more_is_better=False)


def _rows(figures: _Figures) -> list[Row]:
    rows = []
    for source in SOURCES:
        for key, unit in ((" → function, p50", "ms"), (" → function, p99", "ms"),
                          (f" → function, {_CLIENTS} clients", "events/s")):  # fmt: skip
            values = {
                name: found[source.name + key]
                for name, found in figures.items()
                if source.name + key in found
            }
            rows.append(Row(source.name + key, unit, values, more_is_better=unit != "ms"))
    return rows


def _deploy(contender: Contender, port: int) -> None:
    iam, client = contender.client("iam"), contender.client("lambda")
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName="bench", PolicyName="all", PolicyDocument=json.dumps(_ALL))
    client.create_function(
        FunctionName=FUNCTION, Runtime="python3.12", Role=role["Arn"], Handler="index.handler",
        Code={"ZipFile": packed(_LISTENER)}, Timeout=30, MemorySize=256,
        Environment={"Variables": {"LISTENER": str(port)}},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=FUNCTION)


def _measured(
    contender: Contender, source: Source, listener: Listener, seconds: float
) -> list[tuple[str, float]]:
    function = contender.client("lambda").get_function(FunctionName=FUNCTION)
    arn = function["Configuration"]["FunctionArn"]
    try:
        place = source.wire(contender, arn)
        latencies = _latencies(contender, source, place, listener)
    except (BotoCoreError, ClientError, KeyError) as error:
        print(f"{contender.name} cannot do {source.name}: {error}")
        return []
    if not latencies:
        print(f"{contender.name} brings no events of {source.name}")
        return []
    found = [
        (" → function, p50", latencies[len(latencies) // 2] * 1000),
        (" → function, p99", latencies[int(0.99 * (len(latencies) - 1))] * 1000),
    ]
    rate = _rate(contender, source, place, listener, seconds)
    return found + ([(f" → function, {_CLIENTS} clients", rate)] if rate else [])


def _latencies(contender: Contender, source: Source, place: str, listener: Listener) -> list[float]:
    """Seconds, sorted; empty where events are lost."""
    client = _Cached(contender)
    found: list[float] = []
    lost = 0
    for number in range(_WARM + _PINGS):
        event_id = f"{source.name.split()[0].lower()}-{number}"
        sent = time.time()
        source.send(client, place, event_id)  # type: ignore[arg-type]
        began = _heard(listener, event_id)
        if began is None:
            lost += 1
            if lost > _LOST_MAX:
                return []
        elif number >= _WARM:
            found.append(began - sent)
    return sorted(found)


def _heard(listener: Listener, event_id: str) -> float | None:
    end = time.time() + _PATIENCE_S
    while (left := end - time.time()) > 0:
        heard = listener.hear(left)
        if heard and heard[0] == event_id:
            return heard[1]
    return None


def _rate(
    contender: Contender, source: Source, place: str, listener: Listener, seconds: float
) -> float:
    """Events a second, until the last one that was sent is handled; 0 where some never were."""
    prefix = source.name.split()[0].lower()
    requests = [source.request(contender, place, f"{prefix}-r{n}") for n in range(_REQUESTS)]
    listener.drain()
    began = time.time()
    window = load.run(contender.endpoint, requests, connections=_CLIENTS, seconds=seconds)
    wanted = round(window.rate * seconds) - window.failed
    heard, last = 0, began
    while heard < wanted and (found := listener.hear(_PATIENCE_S)):
        heard += 1
        last = max(last, found[1])
    if heard < wanted:
        print(f"{contender.name}: {heard} of {wanted} events of {source.name} arrived")
    return heard / (last - began) if heard >= 0.99 * wanted else 0.0


class _Cached:
    """A contender whose clients are made once."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._contender.client(service)
        return self._clients[service]
