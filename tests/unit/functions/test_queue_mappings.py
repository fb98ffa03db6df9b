"""Event source mappings of queues, on a queue in memory: what is deleted, and what stays."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Call, Caller, Cloud, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.functions import queue_mappings, queue_reader
from cloudlet.functions.positions import Mapping
from cloudlet.functions.running import Running
from cloudlet.functions.worker_process import Answer
from cloudlet.messaging.schema import SCHEMA
from cloudlet.messaging.sqs import bodies, messages, queues
from cloudlet.messaging.sqs.arrivals import Arrivals
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database
from tests.unit.functions.cloud import run, until

QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:worker"
REQUEST = Request("POST", "/", "", {}, Body.of(b""))
Respond = Callable[[dict[str, Any], str], Any]
SQS = {
    "CreateQueue": queues.create_queue,
    "GetQueueAttributes": queues.get_queue_attributes,
    "SendMessage": messages.send_message,
    "ReceiveMessage": messages.receive_message,
    "DeleteMessageBatch": messages.delete_message_batch,
}


class Bed:
    """A queue, and a function that is a Python function; `seen` are its events."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, respond: Respond) -> None:
        self.ahead_s = 0.0
        config = Config(data=folder, now_ms=lambda: int((time.time() + self.ahead_s) * 1000))
        self.database = Database(folder)
        self.database.prepare(SCHEMA)
        self.cloud = Cloud(config, self.database, Blobs(folder / "b", config.new_id), self.invoke)
        self.arrivals = Arrivals(self.database)
        self.respond = respond
        self.seen: list[list[str]] = []
        self.events: list[dict[str, Any]] = []
        self.running = self.most = 0
        self.kept: list[str] = []

        async def role(_: Running) -> Caller:
            return ANONYMOUS

        monkeypatch.setattr(Running, "role", role)

    async def invoke(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Any:
        function: Any = SQS[operation]
        call = Call(self.cloud, "sqs", operation, params, ANONYMOUS, REQUEST, self.arrivals)
        if operation == "ReceiveMessage":
            return await function(call)
        if operation == "GetQueueAttributes":
            return function(call, self.database.view())
        return await self.database.write(lambda tx: function(call, tx))

    async def send(self, *bodies: str, queue: str = "jobs", **members: Any) -> None:
        for body in bodies:
            params = {"QueueUrl": queue, "MessageBody": body, **members}
            await self.invoke("sqs", "SendMessage", params)

    async def skip(self, queue: str, seconds: float) -> None:
        """Time passes, and who waits for messages looks again."""
        self.ahead_s += seconds
        await self.database.write(lambda tx: tx.touch(f"queue:{queue}"))

    async def function(self, arn: str, payload: bytes, trace_id: str) -> Answer:
        self.events.append(event := json.loads(payload))
        self.seen.append([record["body"] for record in event["Records"]])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            answer = self.respond(event, trace_id)
            answer = await answer if isinstance(answer, Awaitable) else answer
        finally:
            self.running -= 1
        if isinstance(answer, AwsError):
            raise answer
        if isinstance(answer, Answer):
            return answer
        return Answer(json.dumps(answer).encode(), is_error=False)

    def left(self) -> list[str]:
        rows = self.database.view().all("SELECT body FROM queue_messages ORDER BY id")
        return [bodies.opened(self.cloud.blobs.master, row["body"]) for row in rows]


def play(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    respond: Respond,
    scene: Callable[[Bed], Awaitable[None]],
    **settings: Any,
) -> Bed:
    """`queue`: the queue's attributes; the other settings are the mapping's."""
    queue = settings.pop("queue", None)
    bed = Bed(folder, monkeypatch, respond)

    async def test() -> None:
        bed.arrivals.start()
        name = "jobs.fifo" if queue and "FifoQueue" in queue else "jobs"
        await bed.invoke("sqs", "CreateQueue", {"QueueName": name, "Attributes": queue or {}})
        config = queue_mappings.SETTINGS | settings
        arn = QUEUE.replace("jobs", name)
        batches: set[asyncio.Task[None]] = set()
        mapping = Mapping("uuid", FUNCTION, arn, config)
        running = Running(bed.cloud, mapping, bed.function, 0.01)
        reader = queue_reader.QueueReader(running, batches)
        reading = asyncio.create_task(reader.run())
        await scene(bed)
        await until(lambda: not batches)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    run(test)
    bed.kept = bed.left()
    bed.database.close()
    return bed


def test_the_event_is_awss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {
        "color": {"DataType": "String", "StringValue": "red"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\0"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}

    async def scene(bed: Bed) -> None:
        await bed.send("hi", MessageAttributes=attributes, MessageSystemAttributes=trace)
        await until(lambda: bed.seen and not bed.left())

    traces: list[str] = []
    bed = play(tmp_path, monkeypatch, lambda event, trace_id: traces.append(trace_id), scene)
    (record,) = bed.events[0]["Records"]
    assert record.pop("receiptHandle") and record.pop("messageId")
    assert set(record.pop("attributes")) == {
        "ApproximateReceiveCount", "SentTimestamp", "SenderId", "AWSTraceHeader",
        "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip
    empty: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert record == {
        "body": "hi",
        "md5OfBody": "49f68a5c8493ec2c0bf489821c21fc3b",
        "messageAttributes": {
            "color": {"stringValue": "red", "dataType": "String", **empty},
            "raw": {"binaryValue": "AA==", "dataType": "Binary", **empty},
        },
        "md5OfMessageAttributes": record["md5OfMessageAttributes"],
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE,
        "awsRegion": "us-east-1",
    }
    assert traces == ["Root=1-2-3"]


BAD = {"batchItemFailures": [{"itemIdentifier": "<bad>"}]}


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (BAD, ["bad"]),
        (None, []),
        ({}, []),
        ({"batchItemFailures": []}, []),
        ({"batchItemFailures": None}, []),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, ["good", "bad"]),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, ["good", "bad"]),
        ({"batchItemFailures": [{"item": "<bad>"}]}, ["good", "bad"]),
        ({"batchItemFailures": [{"itemIdentifier": "another"}]}, ["good", "bad"]),
        (Answer(b"not JSON", is_error=False), ["good", "bad"]),
        (Answer(b'{"errorType": "ValueError"}', is_error=True), ["good", "bad"]),
    ],
)
def test_what_a_partial_answer_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, left: list[str]
) -> None:
    def respond(event: dict[str, Any], trace_id: str) -> Any:
        if answer is not BAD:
            return answer
        found = next(each for each in event["Records"] if each["body"] == "bad")
        return json.loads(json.dumps(answer).replace("<bad>", found["messageId"]))

    async def scene(bed: Bed) -> None:
        await bed.send("good", "bad")
        await until(lambda: bed.seen)

    types = ["ReportBatchItemFailures"]
    window = {"MaximumBatchingWindowInSeconds": 20, "BatchSize": 2}  # both in one batch
    bed = play(tmp_path, monkeypatch, respond, scene, FunctionResponseTypes=types, **window)
    assert bed.seen == [["good", "bad"]]
    assert bed.kept == left


def test_what_no_filter_wants_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(bed: Bed) -> None:
        await bed.send('{"n": 1}', '{"n": 2}', "text", "plain")
        await until(lambda: not bed.left())

    filters = [{"Pattern": '{"body": {"n": [2]}}'}, {"Pattern": '{"body": ["plain"]}'}]
    criteria = {"FilterCriteria": {"Filters": filters}}
    bed = play(tmp_path, monkeypatch, lambda *_: None, scene, **criteria)
    assert sorted(body for batch in bed.seen for body in batch) == ["plain", '{"n": 2}']


def test_a_throttled_function_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [AwsError("TooManyRequestsException", "Rate Exceeded.", 429)] * 3

    async def scene(bed: Bed) -> None:
        await bed.send("x")
        await until(lambda: not bed.left())

    bed = play(tmp_path, monkeypatch, lambda *_: refusals.pop() if refusals else None, scene)
    assert bed.seen == [["x"]] * 4
    counts = {each["Records"][0]["attributes"]["ApproximateReceiveCount"] for each in bed.events}
    assert counts == {"1"}


def test_no_more_batches_at_a_time_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    are_two = asyncio.Event()

    async def respond(*_: Any) -> None:
        await are_two.wait()

    async def scene(bed: Bed) -> None:
        await bed.send(*map(str, range(8)))
        await until(lambda: bed.running == 2)
        are_two.set()
        await until(lambda: not bed.left())

    scaling = {"ScalingConfig": {"MaximumConcurrency": 2}, "BatchSize": 1}
    bed = play(tmp_path, monkeypatch, respond, scene, **scaling)
    assert bed.most == 2
    assert sorted(body for (body,) in bed.seen) == list("01234567")


def test_slow_batches_get_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_reader, "_GROW_S", 0.01)
    monkeypatch.setattr(queue_reader, "_CONCURRENT_MAX", 7)
    all_are_here = asyncio.Event()

    async def respond(*_: Any) -> None:
        await all_are_here.wait()

    async def scene(bed: Bed) -> None:
        await bed.send(*map(str, range(8)))
        await until(lambda: bed.running == 7)
        await asyncio.sleep(0.05)
        all_are_here.set()
        await until(lambda: not bed.left())

    assert play(tmp_path, monkeypatch, respond, scene, BatchSize=1).most == 7


def test_payloads_keep_to_lambdas_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(bed: Bed) -> None:
        await bed.send(*("x" * 1_000_000 for _ in range(8)))
        await until(lambda: not bed.left())

    settings = {"BatchSize": 8, "MaximumBatchingWindowInSeconds": 1}
    bed = play(tmp_path, monkeypatch, lambda *_: None, scene, **settings)
    assert sum(map(len, bed.seen)) == 8 and max(map(len, bed.seen)) <= 6


def test_groups_stay_in_order_over_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails keeps its group waiting, and no other's."""
    failures = [Answer(b"{}", is_error=True)]

    def respond(event: dict[str, Any], trace_id: str) -> Any:
        is_first = event["Records"][0]["body"] == "a1"
        return failures.pop() if is_first and failures else None

    async def scene(bed: Bed) -> None:
        for body in ("a1", "b1", "a2", "a3", "b2"):
            own = {"MessageGroupId": body[0], "MessageDeduplicationId": body}
            await bed.send(body, queue="jobs.fifo", **own)
        await until(lambda: bed.left() == ["a1", "a2", "a3"] and not failures)
        await bed.skip("jobs.fifo", 300)
        await until(lambda: not bed.left())

    queue = {"FifoQueue": "true", "VisibilityTimeout": "300"}
    bed = play(tmp_path, monkeypatch, respond, scene, queue=queue, BatchSize=1)
    bodies = [body for (body,) in bed.seen]
    assert [body for body in bodies if body[0] == "a"] == ["a1", "a1", "a2", "a3"]
    assert [body for body in bodies if body[0] == "b"] == ["b1", "b2"]
    assert bodies.index("b2") < bodies.index("a2")


def test_a_batch_in_parts_keeps_its_groups_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mappings-002: what does not fit with what failed waits for it."""
    monkeypatch.setattr(queue_reader, "PAYLOAD_BYTES_MAX", 9000)
    gate = asyncio.Event()
    failures = [Answer(b"{}", is_error=True)]

    async def respond(event: dict[str, Any], trace_id: str) -> Any:
        await gate.wait()
        return failures.pop() if len(event["Records"]) > 1 and failures else None

    async def scene(bed: Bed) -> None:
        for number in range(9):
            own = {"MessageGroupId": "a", "MessageDeduplicationId": str(number)}
            await bed.send(str(number) * 2000, queue="jobs.fifo", **own)
        gate.set()
        await until(lambda: not failures and not bed.running)
        await bed.skip("jobs.fifo", 300)
        await until(lambda: not bed.left())

    queue = {"FifoQueue": "true", "VisibilityTimeout": "300"}
    bed = play(tmp_path, monkeypatch, respond, scene, queue=queue, BatchSize=10)
    firsts = ["".join(body[0] for body in batch) for batch in bed.seen]
    failed = next(batch for batch in firsts if len(batch) > 1)  # how many, is a matter of time
    assert "".join(firsts) == "012345678".replace(failed, failed * 2)
