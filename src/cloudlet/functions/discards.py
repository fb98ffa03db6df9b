"""What a stream's mapping gives up on goes to its on-failure destination.

Queues and topics are told where the records are; a bucket gets them, too, in an object of their
own, which is there before the mapping goes on.
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.errors import AwsError
from cloudlet.exchange import Body
from cloudlet.functions import names
from cloudlet.functions.batches import Batch
from cloudlet.functions.destinations import put_result
from cloudlet.functions.records import Document, timestamp
from cloudlet.functions.running import Running
from cloudlet.functions.worker_process import Answer
from cloudlet.store.database import Transaction

RETRIES = "RetryAttemptsExhausted"
AGE = "RecordAgeExceeded"
_INFO = {"dynamodb": "DDBStreamBatchInfo", "kinesis": "KinesisBatchInfo"}
_log = logging.getLogger(__name__)

Change = Callable[[Transaction], object]


async def discard(
    running: Running, shard: str, batch: Batch, condition: str, answer: Answer | None
) -> Change | None:
    """What is to be done together with the step over the batch."""
    mapping, config = running.mapping, running.cloud.config
    failure = (mapping.config.get("DestinationConfig") or {}).get("OnFailure") or {}
    target = failure.get("Destination")
    count = len(batch.items)
    if not target:
        _log.error("mapping %s discards %d records: %s", mapping.uuid, count, condition)
        running.count("DroppedEventCount", count)
        return None
    document = _document(running, shard, batch, answer)
    document["requestContext"]["condition"] = condition
    if target.split(":")[2] == "s3":
        document["payload"] = batch.payload({}).decode()
        await _store(running, shard, target.rpartition(":")[2], document)
        return None
    running.count("OnFailureDestinationDeliveredEventCount", count)
    return lambda tx: put_result(tx, config.now_ms(), target, mapping.function_arn, document)


async def _store(running: Running, shard: str, bucket: str, document: Document) -> None:
    """In the role's name. What is refused for good is lost, as it is on AWS."""
    cloud, uuid = running.cloud, running.mapping.uuid
    moment = datetime.fromtimestamp(cloud.config.now_ms() / 1000, UTC)
    name = f"{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{cloud.config.new_id()}"
    key, data, failures = f"aws/lambda/{uuid}/{shard}/{name}", orjson.dumps(document), 0
    while True:
        try:
            params = {"Bucket": bucket, "Key": key, "Body": Body.of(data)}
            params["ContentType"] = "application/json"
            await cloud.invoke("s3", "PutObject", params, await running.role())
        except AwsError as error:
            if error.status < 500 and error.status != 429:
                _log.error("mapping %s cannot write to %s: %s", uuid, bucket, error)
                name = names.parse(running.mapping.function_arn).name
                dimensions = (("FunctionName", name),)
                cloud.meter.add("AWS/Lambda", "DestinationDeliveryErrors", dimensions)
                return
            if running.stopping.is_set():
                raise
            failures += 1
            await running.pause(failures)
        else:
            count = document[_INFO[running.mapping.source_kind]]["batchSize"]
            return running.count("OnFailureDestinationDeliveredEventCount", count)


def _document(running: Running, shard: str, batch: Batch, answer: Answer | None) -> Document:
    """Where the records are, not the records; but for the condition."""
    mapping, config = running.mapping, running.cloud.config
    first, last = batch.items[0], batch.items[-1]
    arrival = _moment if mapping.source_kind == "kinesis" else _second
    document: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _moment(config.now_ms()),
        "requestContext": {
            "requestId": config.new_id(),
            "functionArn": mapping.function_arn,
            "approximateInvokeCount": max(1, batch.failures + (answer is not None)),  # AWS: never 0
        },
        _INFO[mapping.source_kind]: {
            "shardId": shard,
            "startSequenceNumber": first.number,
            "endSequenceNumber": last.number,
            "approximateArrivalOfFirstRecord": arrival(first.created_ms),
            "approximateArrivalOfLastRecord": arrival(last.created_ms),
            "batchSize": sum(1 for item in batch.items if item.data),
            "streamArn": mapping.stream_arn,
        },
    }
    if answer is not None:
        context = {"statusCode": 200, "executedVersion": "$LATEST"}
        with suppress(AwsError):
            context["executedVersion"] = running.found().version
        context["functionError"] = "Unhandled" if answer.is_error else None
        document["responseContext"] = context
    return document


def _moment(time_ms: int) -> str:
    return timestamp(time_ms).replace("+0000", "Z")


def _second(time_ms: int) -> str:
    """DynamoDB's times are whole seconds."""
    return f"{_moment(time_ms)[:19]}Z"
