"""Event source mappings of SQS queues: messages → functions, in the name of the function's role.

Theory of operation. A mapping waits for messages with one long poll; every batch is then handled
on its own, some at a time: more while all of them are busy and the function is not throttled, as
many at most as `MaximumConcurrency` says. What the function has taken is deleted.
What it has not is left alone: it comes again when its visibility timeout ends, and goes to the
dead-letter queue at last. All state is the queue's: a crash forgets nothing.
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import base64
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson

from cloudlet.call import ANONYMOUS, Output, Params
from cloudlet.errors import AwsError
from cloudlet.events.patterns import lenient
from cloudlet.functions import names, traces
from cloudlet.functions.batches import PAYLOAD_BYTES_MAX, failures
from cloudlet.functions.queue_mappings import queue_url
from cloudlet.functions.running import Running
from cloudlet.functions.worker_process import Answer

Document = dict[str, Any]
_POLL_S = 20
_CONCURRENT = 5  # batches at a time to begin with, as on AWS …
_CONCURRENT_MAX = 20  # … and what they grow to without a MaximumConcurrency: this is one machine
_GROW_S = 1.0
_ROLE_S = 900  # for which credentials are used before new ones
_BACK_OFF_MAX_S = 60.0
_log = logging.getLogger(__name__)


class QueueReader:
    """Reads one queue for one mapping. Batches go on when it is stopped: they are in `batches`,
    the mappings' own."""

    def __init__(self, running: Running, batches: set[asyncio.Task[None]]) -> None:
        self._running = running
        self._cloud = running.cloud
        self._mapping = mapping = running.mapping
        self._batches = batches
        self._back_off_s = running.back_off_s
        self._polling: asyncio.Task[None] | None = None
        self._url = queue_url(running.cloud.config, mapping.source_arn)
        self._access_key = ""  # of the role's credentials
        self._role_end_s = 0.0
        scaling = mapping.config.get("ScalingConfig") or {}
        self._most = scaling.get("MaximumConcurrency") or _CONCURRENT_MAX
        self._size = min(_CONCURRENT, self._most)
        self._slots = asyncio.Semaphore(self._size)
        self._throttled = 0  # batches that wait for the function
        criteria = mapping.config.get("FilterCriteria") or {}
        patterns = [orjson.loads(item["Pattern"]) for item in criteria.get("Filters") or []]
        self._filters = [
            (lenient(pattern), isinstance(pattern.get("body"), dict)) for pattern in patterns
        ]

    def wake(self) -> None:
        """Queues wake their readers by themselves."""

    def stop(self) -> None:
        self._running.stopping.set()
        if self._polling is not None:
            self._polling.cancel()

    async def run(self) -> None:
        self._polling = asyncio.create_task(self._poll())
        try:
            await asyncio.wait([self._polling])
        finally:
            self._polling.cancel()

    async def _poll(self) -> None:
        pause_s = self._back_off_s
        while not self._running.stopping.is_set():
            await self._slot()
            try:
                messages = await self._gather()
                pause_s = self._back_off_s
            except Exception as error:  # the queue is gone, the role may not: until that is mended
                if not isinstance(error, AwsError):
                    _log.exception("mapping %s stumbled", self._mapping.uuid)
                else:
                    _log.error(
                        "mapping %s cannot read %s: %s", self._mapping.uuid, self._url, error
                    )
                self._slots.release()
                self._role_end_s = 0.0
                await asyncio.sleep(pause_s)
                pause_s = min(_BACK_OFF_MAX_S, pause_s * 2)
                continue
            task = asyncio.create_task(self._handle(messages))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
            task.add_done_callback(lambda _: self._slots.release())

    async def _slot(self) -> None:
        """Waits for a place among the batches; makes one when that takes long."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GROW_S):
                    await self._slots.acquire()
                    return
            if self._size < self._most and not self._throttled:
                self._size += 1
                self._slots.release()

    async def _gather(self) -> list[Output]:
        """The first messages that come; more of them for as long as the batching window allows."""
        size = self._mapping.config["BatchSize"]
        messages = await self._receive(size, _POLL_S)
        end_s = time.monotonic() + (self._mapping.config["MaximumBatchingWindowInSeconds"] or 0)
        while messages and (left := size - len(messages)) > 0:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or sum(len(m["Body"]) for m in messages) >= PAYLOAD_BYTES_MAX:
                break
            messages += await self._receive(left, min(_POLL_S, left_s))
        return messages

    async def _receive(self, count: int, wait_s: float) -> list[Output]:
        params = {
            "MaxNumberOfMessages": min(10, count),
            "WaitTimeSeconds": wait_s,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        output = await self._call("ReceiveMessage", params)
        return list(output.get("Messages") or [])

    async def _call(self, operation: str, params: Params) -> Output:
        now_s = time.monotonic()
        if now_s >= self._role_end_s:
            self._access_key = (await self._running.role()).access_key
            self._role_end_s = now_s + _ROLE_S
        role = self._cloud.caller_of(self._access_key)  # with the policies it has by now
        params = {"QueueUrl": self._url, **params}
        return await self._cloud.invoke("sqs", operation, params, role or ANONYMOUS)

    async def _handle(self, messages: list[Output]) -> None:
        try:
            wanted: list[Document] = []
            unwanted: list[Document] = []
            for message in messages:
                event = self._event(message)
                (wanted if self._is_wanted(event) else unwanted).append(event)
            self._running.count("PolledEventCount", len(messages))
            self._running.count("FilteredOutEventCount", len(unwanted))
            await self._delete(unwanted)
            for part in _parts(wanted):
                taken = await self._taken(part)
                await self._delete(taken)
                if len(taken) < len(part) and self._url.endswith(".fifo"):
                    break  # mappings-002: what comes later in its group must not overtake it
        except AwsError as error:
            _log.error("mapping %s leaves a batch in its queue: %s", self._mapping.uuid, error)
        except Exception:
            _log.exception("mapping %s leaves a batch in its queue", self._mapping.uuid)

    def _event(self, message: Output) -> Document:
        event = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {
                name: _attribute(value)
                for name, value in (message.get("MessageAttributes") or {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
        }
        if "MD5OfMessageAttributes" in message:
            event["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
        return event | {
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping.source_arn,
            "awsRegion": self._cloud.config.region,
        }

    def _is_wanted(self, event: Document) -> bool:
        """A pattern with fields in `body` looks into bodies of JSON; any other sees the text."""
        for matches, is_json in self._filters:
            seen = event
            if is_json:
                try:
                    seen = {**event, "body": orjson.loads(event["body"])}
                except orjson.JSONDecodeError:
                    continue
            if matches(seen):
                return True
        return not self._filters

    async def _taken(self, part: list[Document]) -> list[Document]:
        """The messages that the function is done with."""
        self._running.count("InvokedEventCount", len(part))
        answer = await self._ask(part)
        if answer is None or answer.is_error:
            self._running.count("FailedInvokeEventCount", len(part))
            return []
        if "ReportBatchItemFailures" not in self._mapping.config["FunctionResponseTypes"]:
            return part
        failed = set(failures([event["messageId"] for event in part], answer.payload))
        return [event for number, event in enumerate(part) if number not in failed]

    async def _ask(self, part: list[Document]) -> Answer | None:
        """A throttled function is asked again for as long as the messages are not shown anew."""
        arn, payload = self._mapping.function_arn, orjson.dumps({"Records": part})
        headers = [event["attributes"].get("AWSTraceHeader", "") for event in part]
        # of the messages' chains the one that came by most often: a loop is seen in any company
        plain_arn = names.function_arn(self._cloud.config, names.parse(arn).name)
        trace_id = max(headers, key=lambda header: traces.descended(header, plain_arn)[1])
        began_s, pause_s = time.monotonic(), self._back_off_s
        while True:
            try:
                return await self._running.invoke(arn, payload, trace_id)
            except AwsError as error:
                if error.code != "TooManyRequestsException":
                    _log.error("%s does not take messages: %s", arn, error)
                    return None
            wanted = {"AttributeNames": ["VisibilityTimeout"]}
            found = await self._call("GetQueueAttributes", wanted)
            visible_s = int(found["Attributes"]["VisibilityTimeout"])
            if time.monotonic() + pause_s - began_s >= visible_s:
                return None
            self._throttled += 1
            try:
                await asyncio.sleep(pause_s)
            finally:
                self._throttled -= 1
            pause_s = min(_BACK_OFF_MAX_S, pause_s * 2)

    async def _delete(self, events: list[Document]) -> None:
        self._running.count("DeletedEventCount", len(events))
        for start in range(0, len(events), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": event["receiptHandle"]}
                for number, event in enumerate(events[start : start + 10])
            ]
            await self._call("DeleteMessageBatch", {"Entries": entries})


def _attribute(value: Document) -> Document:
    document: Document = {"stringListValues": [], "binaryListValues": []}
    if value.get("StringValue") is not None:
        document["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        document["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return document | {"dataType": value["DataType"]}


def _parts(events: list[Document]) -> Iterator[list[Document]]:
    """The events in as many payloads as Lambda's limit demands."""
    part: list[Document] = []
    size = 0
    for event in events:
        more = len(orjson.dumps(event)) + 1
        if part and size + more > PAYLOAD_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(event)
        size += more
    if part:
        yield part
