"""Functions that misbehave, bursts on them, and kills while their queue is full."""

import asyncio
import errno
import json
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloudlet.functions import namespaces
from tests.conformance.building import allow, make_function, make_queue, zipped
from tests.conformance.test_gateway import Api
from tests.fault.sharing import all_have_ended, descendants, eventually
from tests.server import Server

pytestmark = pytest.mark.fault
BURST = 1000
HAS_TMP = namespaces.works("plain") or namespaces.works("user")
EVENTS = 200
PLAIN_LIMIT = 1024  # of open files, as most systems grant it

HEALTHY = """
import time
def handler(event, context):
    time.sleep(0.02)
    return {"statusCode": 200, "body": "fine"}
"""
BAD = """
import ctypes, http.client, os, signal, sys, threading, time

API, _, PREFIX = os.environ["AWS_LAMBDA_RUNTIME_API"].partition("/")
PREFIX = f"/{PREFIX}/2018-06-01/runtime/invocation"
if os.environ.get("AT_IMPORT") == "raise":
    raise RuntimeError("at import")
if os.environ.get("AT_IMPORT") == "hang":
    threading.Event().wait()

def leak(context):
    kept = []
    while True:
        kept.append(bytearray(b"x" * (1 << 24)))

def spin(context):
    while True:
        pass

def mute(context):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    threading.Event().wait()

def bomb(context):
    for _ in range(3000):
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
    time.sleep(60)

def fill(context):
    written = 0
    try:
        with open("/tmp/full", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        return [error.errno, written >> 20]

def leave(context):
    os._exit(0)

def crash(context):
    ctypes.string_at(0)

def shout(context):
    for _ in range(100):
        os.write(1, b"x" * 99 + b"\\n" + b"y" * (1 << 20))
    return "printed"

def garbage(context):
    os.write(1, bytes(range(256)) * 64)
    os.write(2, b"\\xff\\0\\r\\n\\xed\\xa0\\x80")
    return "printed"

def close(context):
    os.closerange(1, 1024)
    return "closed"

def half(context):
    peer = http.client.HTTPConnection(API)
    peer.putrequest("POST", f"{PREFIX}/{context.aws_request_id}/response")
    peer.putheader("Content-Length", "1000")
    peer.endheaders(b"{")
    os._exit(7)

def ask(context):
    peer = http.client.HTTPConnection(API)
    peer.request("GET", f"{PREFIX}/next")
    answer = peer.getresponse()
    return [answer.status, answer.read().decode()]

def answer_for_others(context):
    peer = http.client.HTTPConnection(API)
    peer.request("POST", f"{PREFIX}/{'0' * 32}/response", b"1")
    return peer.getresponse().status

def handler(event, context):
    return globals()[event["do"]](context) if "do" in event else "well"
"""
TURNS = """
import boto3
sqs = boto3.client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="turns")["QueueUrl"], MessageBody="x")
"""
RECORDS = """
import boto3
def handler(event, context):
    boto3.client("dynamodb").put_item(TableName="seen", Item={"id": {"S": str(event["n"])}})
    if event["n"] % 5 == 0: raise ValueError("one of five")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("functions") / "data", None, "--retry-seconds", "0.2")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(PLAIN_LIMIT, hard), hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def healthy(server: Server) -> str:
    make_function(server, "healthy", HEALTHY)
    return "healthy"


def invoke(server: Server, name: str, event: Any = None) -> Any:
    """What the function answered, or said of its failure."""
    answer = server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}))
    document = json.loads(answer["Payload"].read())
    assert ("FunctionError" in answer) == (isinstance(document, dict) and "errorType" in document)
    return document


# Functions that misbehave


@pytest.fixture(scope="module")
def bad(server: Server) -> str:
    make_function(server, "bad", BAD, Timeout=30, MemorySize=512)
    client = server.client("lambda")
    role = client.get_function_configuration(FunctionName="bad")["Role"]
    for name, settings in (
        ("stuck", {"Timeout": 2}),
        ("raises", {"Environment": {"Variables": {"AT_IMPORT": "raise"}}}),
        ("hangs", {"Timeout": 900, "Environment": {"Variables": {"AT_IMPORT": "hang"}}}),
    ):
        client.create_function(
            FunctionName=name, Runtime="python3.12", Handler="app.handler", Role=role,
            Code={"ZipFile": zipped(BAD)}, **settings,
        )  # fmt: skip
    return "bad"


def failed(kind: str, text: str = "") -> Callable[[Any], bool]:
    return lambda found: found["errorType"] == kind and text in found["errorMessage"]


@pytest.mark.parametrize(
    ("name", "deed", "is_expected"),
    [
        ("bad", "leak", failed("Runtime.ExitError", "signal: killed")),
        ("stuck", "spin", failed("Sandbox.Timedout", "timed out after 2.00 seconds")),
        ("stuck", "mute", failed("Sandbox.Timedout", "timed out after 2.00 seconds")),
        ("bad", "bomb", lambda found: "errorType" in found),
        pytest.param(
            "bad", "fill", lambda found: found[0] == errno.ENOSPC and 500 <= found[1] <= 512,
            marks=pytest.mark.skipif(not HAS_TMP, reason="no mounts here"),
        ),
        ("bad", "leave", failed("Runtime.ExitError", "exited without providing a reason")),
        ("bad", "crash", failed("Runtime.ExitError", "segmentation fault")),
        ("bad", "shout", "printed".__eq__),
        ("bad", "garbage", "printed".__eq__),
        ("bad", "close", lambda found: found == "closed" or "ExitError" in found["errorType"]),
        ("bad", "half", failed("Runtime.ExitError", "exit status 7")),
        ("bad", "ask", lambda found: found[0] == 403 and "InvalidStateTransition" in found[1]),
        ("bad", "answer_for_others", (400).__eq__),
        ("raises", "", failed("RuntimeError", "at import")),
    ],
)  # fmt: skip
def test_hurts_only_its_own_invocation(
    server: Server, healthy: str, bad: str, name: str, deed: str, is_expected: Callable[[Any], Any]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        deeds = [pool.submit(invoke, server, name, {"do": deed}) for _ in range(2)]
        others = [pool.submit(invoke, server, healthy) for _ in range(8)]
        if name == bad:
            others.append(pool.submit(invoke, server, name))
        for other in others:
            assert other.result() in ("well", {"statusCode": 200, "body": "fine"})
        for each in deeds:
            assert is_expected(each.result()) is True, each.result()
    if name == bad:
        assert invoke(server, name) == "well"


def test_imports_that_hang_keep_no_other_function_from_starting(server: Server, bad: str) -> None:
    make_function(server, "late", HEALTHY)
    client, count = server.client("lambda"), 12
    for _ in range(count):
        client.invoke(FunctionName="hangs", InvocationType="Event")
    eventually(lambda: len(descendants(server.pid)) >= 4)
    assert invoke(server, "late")["body"] == "fine"
    client.delete_function(FunctionName="hangs")


# Bursts


async def burst(port: int, request: bytes) -> list[tuple[int, bytes]]:
    """The same request on so many connections at once; statuses and heads of the answers."""
    gate = asyncio.Event()
    ready = [asyncio.create_task(ask(port, request, gate)) for _ in range(BURST)]
    gate.set()
    return await asyncio.gather(*ready)


async def ask(port: int, request: bytes, gate: asyncio.Event) -> tuple[int, bytes]:
    await gate.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read(-1)
    finally:
        writer.close()
    assert answer, "dropped"
    return int(answer.split(b" ", 2)[1]), answer


def invocation(server: Server, name: str) -> bytes:
    path = f"/2015-03-31/functions/{name}/invocations"
    request = AWSRequest("POST", f"{server.endpoint}{path}", data=b"{}")
    key = Credentials(*server.credentials().values())
    SigV4Auth(key, "lambda", "us-east-1").add_auth(request)
    return raw("POST", server, path, dict(request.headers), b"{}")


def raw(method: str, server: Server, path: str, headers: dict[str, str], body: bytes) -> bytes:
    headers = {
        "Host": f"127.0.0.1:{server.aws_port}", **headers,
        "Content-Length": str(len(body)), "Connection": "close",
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@pytest.fixture(scope="module")
def requests(server: Server) -> dict[str, bytes]:
    """Of both kinds, to one function."""
    function = make_function(server, "busy", HEALTHY, Timeout=30)
    client = server.client("apigatewayv2")
    api = Api(client.create_api(Name="busy", ProtocolType="HTTP")["ApiId"], server)
    api.route("GET /", api.integrate(function, "2.0"))
    client.create_stage(ApiId=api.id, StageName="$default", AutoDeploy=True)
    path = f"/_aws/execute-api/{api.id}/"
    assert api.request("GET", "/").status == 200
    return {"api": raw("GET", server, path, {}, b""), "invoke": invocation(server, "busy")}


@pytest.mark.parametrize(("kind", "refusal"), [("invoke", 429), ("api", 503)])
def test_a_burst_is_served(
    server: Server, requests: dict[str, bytes], kind: str, refusal: int
) -> None:
    """A machine that is too slow throttles; nothing else happens."""
    resident: list[int] = []
    for _ in range(3):
        answers = asyncio.run(burst(server.aws_port, requests[kind]))
        statuses = Counter(status for status, _ in answers)
        assert statuses.keys() <= {200, refusal} and statuses[200] > BURST / 2, statuses
        resident.append(resident_mb(server.pid))
    assert resident[-1] < resident[0] + 32, resident


@pytest.mark.parametrize(
    ("kind", "refusal", "words"),
    [
        ("invoke", 429, b"ReservedFunctionConcurrentInvocationLimitExceeded"),
        ("api", 503, b'{"message":"Service Unavailable"}'),
    ],
)
@pytest.mark.parametrize("reserved", [0, 1])
def test_a_burst_is_throttled(
    server: Server, requests: dict[str, bytes], kind: str, refusal: int, words: bytes, reserved: int
) -> None:
    client = server.client("lambda")
    client.put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=reserved)
    try:
        answers = asyncio.run(burst(server.aws_port, requests[kind]))
    finally:
        client.delete_function_concurrency(FunctionName="busy")
    served = [answer for status, answer in answers if status == 200]
    refused = [answer for status, answer in answers if status == refusal]
    assert len(served) + len(refused) == BURST and bool(served) == bool(reserved)
    assert all(words in answer for answer in refused) and refused
    assert invoke(server, "busy")["body"] == "fine"


def test_events_wait_for_their_turn(server: Server) -> None:
    """However few may run at once, all events are handled, one after the other."""
    client = server.client("lambda")
    make_function(server, "turns", TURNS, allow("*"))
    server.client("sqs").create_queue(QueueName="turns")
    client.put_function_concurrency(FunctionName="turns", ReservedConcurrentExecutions=1)
    for _ in range(40):
        client.invoke(FunctionName="turns", InvocationType="Event")
    url = server.client("sqs").get_queue_url(QueueName="turns")["QueueUrl"]

    def count() -> int:
        names = ["ApproximateNumberOfMessages"]
        found = server.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return int(found["Attributes"][names[0]])

    eventually(lambda: count() >= 40)


def resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() >> 20


# Kills


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", None, "--retry-seconds", "0.2").start()
    yield server
    server.stop()


def test_a_kill_loses_no_event_of_a_full_queue(own: Server) -> None:
    own.client("dynamodb").create_table(
        TableName="seen",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    (failed_url, failed_arn), (dead_url, dead_arn) = (make_queue(own, n) for n in ("f", "d"))
    make_function(own, "records", RECORDS, allow("*"), DeadLetterConfig={"TargetArn": dead_arn})
    own.client("lambda").put_function_event_invoke_config(
        FunctionName="records", DestinationConfig={"OnFailure": {"Destination": failed_arn}}
    )

    def send(number: int) -> None:
        payload = json.dumps({"n": number})
        own.client("lambda").invoke(FunctionName="records", InvocationType="Event", Payload=payload)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(EVENTS)))

    def seen(wanted: int) -> bool:
        found = own.client("dynamodb").scan(TableName="seen", Select="COUNT", ConsistentRead=True)
        return bool(found["Count"] >= wanted)

    for wanted in (0, 10, EVENTS // 2):
        eventually(partial(seen, wanted), 180)
        own.kill()
        own.start()
    eventually(partial(seen, EVENTS), 180)
    expected = set(range(0, EVENTS, 5))
    events = messages(own, failed_url, expected, lambda body: body["requestPayload"]["n"])
    assert events == messages(own, dead_url, expected, lambda body: body["n"]) == expected


def messages(server: Server, url: str, wanted: set[int], number: Callable[[Any], int]) -> set[int]:
    """Receives until all that are wanted have come."""
    found: set[int] = set()

    def are_all() -> bool:
        got = server.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2, VisibilityTimeout=600
        )
        found.update(number(json.loads(each["Body"])) for each in got.get("Messages", ()))
        return found >= wanted

    eventually(are_all, 180)
    return found


def test_a_kill_while_workers_start_leaves_no_process(own: Server) -> None:
    make_function(own, "kept", HEALTHY, Publish=True)
    own.client("lambda").put_provisioned_concurrency_config(
        FunctionName="kept", Qualifier="1", ProvisionedConcurrentExecutions=6
    )
    for wanted in (1, 3, 6):  # the process that workers are forked from, and some of them
        found = eventually(partial(below, own, wanted))
        own.kill()
        eventually(partial(all_have_ended, found))
        own.start()

    def status() -> bool:
        config = own.client("lambda").get_provisioned_concurrency_config(
            FunctionName="kept", Qualifier="1"
        )
        return bool(config["Status"] == "READY")

    eventually(status)
    assert invoke(own, "kept")["body"] == "fine"


def below(server: Server, wanted: int) -> list[int]:
    found = descendants(server.pid)
    return found if len(found) >= wanted else []
