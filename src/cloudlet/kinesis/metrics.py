"""Kinesis' own metrics: of streams, of shards where they are asked for, of what is pushed.

https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
"""

from contextlib import suppress
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import lookup, tokens
from cloudlet.kinesis.sequences import shard_id

_NAMESPACE = "AWS/Kinesis"
_THROTTLED = "ProvisionedThroughputExceededException"
_UNITS = {"Bytes": "Bytes", "Latency": "Milliseconds", "Milliseconds": "Milliseconds"}


class _Gauge:
    """Adds what was measured to a stream's metrics, and to a shard's if those are switched on."""

    def __init__(self, call: Call, arn: str) -> None:
        self._call = call
        self.dimensions: tuple[tuple[str, str], ...] = (("StreamName", arn.rpartition("/")[2]),)
        stream = lookup.find(call.cloud.database.view(), arn)
        self._of_shards = orjson.loads(stream["metrics"]) if stream is not None else []

    def add(self, name: str, value: float = 1, shard: str = "") -> None:
        self._measure(name, value, self.dimensions)
        self.of_shard(name.removeprefix("GetRecords."), value, shard)

    def of_shard(self, name: str, value: float, shard: str) -> None:
        if shard and name in self._of_shards:
            self._measure(name, value, (*self.dimensions, ("ShardId", shard)))

    def _measure(self, name: str, value: float, dimensions: tuple[tuple[str, str], ...]) -> None:
        unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "Count")
        self._call.cloud.meter.add(_NAMESPACE, name, dimensions, float(value), unit)


def observe(call: Call, outcome: Output | AwsError, duration_ms: float) -> None:
    measure = {"PutRecord": _put, "PutRecords": _put, "GetRecords": _got}.get(call.operation)
    if measure is None:
        return
    with suppress(AwsError):  # an iterator that nobody made belongs to no stream
        gauge = _Gauge(call, lookup.arn(call))
        is_error = isinstance(outcome, AwsError)
        gauge.add(f"{call.operation}.Success", not is_error)
        if not isinstance(outcome, AwsError):
            gauge.add(f"{call.operation}.Latency", duration_ms)
            measure(call, gauge, outcome)
        elif outcome.code == _THROTTLED:
            what = "Read" if call.operation == "GetRecords" else "Write"
            gauge.add(f"{what}ProvisionedThroughputExceeded")


def _put(call: Call, gauge: _Gauge, output: Output) -> None:
    given = call.params.get("Records") or [call.params]
    results = output.get("Records") or [output]
    sizes = [len(entry["Data"]) for entry in given]
    throttled = sum(each.get("ErrorCode") == _THROTTLED for each in results)
    stored = 0
    for size, result in zip(sizes, results, strict=True):
        if "ShardId" in result:
            stored += 1
            gauge.add("IncomingBytes", size, result["ShardId"])
            gauge.add("IncomingRecords", 1, result["ShardId"])
    gauge.add(f"{call.operation}.Bytes", sum(sizes))
    gauge.add("WriteProvisionedThroughputExceeded", throttled)
    if call.operation == "PutRecords":
        counts = {"Total": len(given), "Successful": stored, "Throttled": throttled}
        counts["Failed"] = len(given) - stored - throttled
        for kind, count in counts.items():
            gauge.add(f"PutRecords.{kind}Records", count)


def _got(call: Call, gauge: _Gauge, output: Output) -> None:
    view = call.cloud.database.view()
    number = tokens.opened(view, "ShardIterator", call.params["ShardIterator"])[1][0]
    shard, found = shard_id(number), output["Records"]
    size = sum(len(each["Data"]) for each in found)
    gauge.add("GetRecords.Bytes", size)
    gauge.add("GetRecords.Records", len(found))
    gauge.of_shard("OutgoingBytes", size, shard)
    gauge.of_shard("OutgoingRecords", len(found), shard)
    gauge.add("GetRecords.IteratorAgeMilliseconds", output["MillisBehindLatest"], shard)
    gauge.add("ReadProvisionedThroughputExceeded", 0, shard)


def pushed(call: Call, consumer_arn: str, event: dict[str, Any]) -> None:
    stream, _, name = consumer_arn.partition("/consumer/")
    gauge = _Gauge(call, stream)
    gauge.dimensions += (("ConsumerName", name.partition(":")[0]),)
    gauge.add("SubscribeToShardEvent.Success")
    gauge.add("SubscribeToShardEvent.Bytes", sum(len(each["Data"]) for each in event["Records"]))
    gauge.add("SubscribeToShardEvent.Records", len(event["Records"]))
    gauge.add("SubscribeToShardEvent.MillisBehindLatest", event["MillisBehindLatest"])
