"""Batches of stream records: their parts, and what a function's answer says of them.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.functions.positions import Mapping
from cloudlet.functions.records import timestamp
from cloudlet.functions.sources import StreamRecord
from cloudlet.functions.worker_process import Answer


@dataclass(frozen=True, slots=True)
class Batch:
    records: list[StreamRecord]
    failures: int

    @classmethod
    def of(cls, records: list[StreamRecord], failures: int) -> "Batch":
        assert records, "a batch is never empty"
        return cls(records, failures)

    @property
    def last(self) -> str:
        return self.records[-1].sequence_number

    def first(self, count: int) -> "Batch":
        return Batch(self.records[:count], self.failures)

    def rest(self, start: int) -> "Batch":
        return Batch(self.records[start:], self.failures)

    def older_than(self, moment_ms: int) -> int:
        """How many of the leading records are."""
        count = 0
        for record in self.records:
            if record.created_ms >= moment_ms:
                break
            count += 1
        return count


def failed_from(batch: Batch, payload: bytes) -> int | None:
    """The index of the first record the function reports as failed; None = all were taken."""
    numbers = [record.sequence_number for record in batch.records]
    return min(failures(numbers, payload), default=None)


def failures(identifiers: list[str], payload: bytes) -> list[int]:
    """The indexes of the items the function reports as failed.

    An answer that is not as AWS documents it fails the whole batch.
    """
    everything = list(range(len(identifiers)))
    try:
        answer = orjson.loads(payload) if payload else None
    except orjson.JSONDecodeError:
        return everything
    failed = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    try:
        return [identifiers.index(item["itemIdentifier"]) for item in failed or ()]
    except (KeyError, TypeError, ValueError):
        return everything


def failure_document(
    config: Config, mapping: Mapping, shard: str, batch: Batch, answer: Answer | None
) -> dict[str, Any]:
    """What the on-failure destination gets, but for the condition: where the records are, not
    the records."""
    document: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _moment(config.now_ms()),
        "requestContext": {
            "requestId": config.new_id(),
            "functionArn": mapping.function_arn,
            "approximateInvokeCount": batch.failures + (answer is not None),
        },
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": batch.records[0].sequence_number,
            "endSequenceNumber": batch.last,
            "approximateArrivalOfFirstRecord": _moment(batch.records[0].created_ms),
            "approximateArrivalOfLastRecord": _moment(batch.records[-1].created_ms),
            "batchSize": len(batch.records),
            "streamArn": mapping.source_arn,
        },
    }
    if answer is not None:
        document["responseContext"] = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
    return document


def _moment(time_ms: int) -> str:
    return timestamp(time_ms).replace("+0000", "Z")
