"""What event source mappings of streams are asked for when they are made or changed.

`stream_reader` runs them. Lambda reads in the name of the function's role, which must be able to.
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
"""

from collections.abc import Awaitable, Callable

from cloudlet.call import Caller, Cloud, Output, Params, Requirement
from cloudlet.errors import AwsError
from cloudlet.functions import names, positions
from cloudlet.functions.positions import stream_of
from cloudlet.functions.queue_mappings import role_of
from cloudlet.functions.records import Document, Found
from cloudlet.functions.sources import StreamSource
from cloudlet.policy.evaluation import evaluate
from cloudlet.store.database import Transaction

SETTINGS: Document = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "TumblingWindowInSeconds": 0,
    "FunctionResponseTypes": [],
}
_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
_TARGETS = ("sqs", "sns", "s3")
_BUSY = ("ProvisionedThroughputExceededException", "LimitExceededException")
_Ask = Callable[[str, Params], Awaitable[Output]]


def is_stream(arn: str) -> bool:
    kind, resource = arn.split(":")[2], arn.split(":", 5)[5]
    is_kinesis = kind == "kinesis" and resource.startswith("stream/")
    return is_kinesis or (kind == "dynamodb" and "/stream/" in resource)


def check_start(params: Params, arn: str, now_ms: int) -> None:
    position, moment = params.get("StartingPosition"), params.get("StartingPositionTimestamp")
    if position not in _POSITIONS:
        raise names.invalid("1 validation error detected: Value 'null' at 'startingPosition'"
                            " failed to satisfy constraint: Member must not be null.")  # fmt: skip
    if position != "AT_TIMESTAMP":
        if moment is not None:
            raise names.invalid("StartingPositionTimestamp goes with AT_TIMESTAMP alone.")
        return
    if arn.split(":")[2] != "kinesis":
        raise names.invalid(f"Unsupported starting position for arn type: {arn}")
    if moment is None:
        raise names.invalid("Need to specify a timestamp")
    if moment.timestamp() * 1000 > now_ms:
        raise names.invalid("StartingPositionTimestamp cannot be in the future.")


async def check_access(cloud: Cloud, found: Found, arn: str) -> None:
    role = await role_of(cloud, found)
    kind, stream_arn = arn.split(":")[2], stream_of(arn)
    service = "dynamodbstreams" if kind == "dynamodb" else kind

    async def ask(operation: str, params: Params) -> Output:
        return await cloud.invoke(service, operation, params, role)

    if arn != stream_arn and not _may_subscribe(cloud, role, arn):
        raise names.invalid(
            f"Cannot access stream {arn}. Please ensure the role can perform the SubscribeToShard"
            " Action on your stream consumer in IAM."
        )
    try:
        await (_read_table(ask, arn) if kind == "dynamodb" else _read_kinesis(ask, stream_arn))
        if arn != stream_arn:
            await cloud.invoke(kind, "DescribeStreamConsumer", {"ConsumerARN": arn})
    except AwsError as error:
        if error.code in _BUSY:
            return  # it may read, if not now
        if not error.code.startswith("AccessDenied"):
            raise names.invalid(f"Stream not found: {arn}") from error
        lists = "ListStreams" if kind == "dynamodb" else "ListShards, and ListStreams"
        raise names.invalid(
            f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords,"
            f" GetShardIterator, DescribeStream, {'and ' if kind == 'dynamodb' else ''}{lists}"
            " Actions on your stream in IAM."
        ) from error


async def _read_table(ask: _Ask, arn: str) -> None:
    described = await ask("DescribeStream", {"StreamArn": arn, "Limit": 1})
    shard = described["StreamDescription"]["Shards"][0]["ShardId"]
    place = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "LATEST"}
    found = await ask("GetShardIterator", place)
    await ask("GetRecords", {"ShardIterator": found["ShardIterator"], "Limit": 1})


async def _read_kinesis(ask: _Ask, arn: str) -> None:
    stream = {"StreamARN": arn}
    try:
        await ask("DescribeStreamSummary", stream)
    except AwsError as error:  # either will do
        if not error.code.startswith("AccessDenied"):
            raise
        await ask("DescribeStream", stream)
    listed = await ask("ListShards", stream)
    place = {"ShardId": listed["Shards"][0]["ShardId"], "ShardIteratorType": "LATEST"}
    found = await ask("GetShardIterator", stream | place)
    await ask("GetRecords", stream | {"ShardIterator": found["ShardIterator"], "Limit": 1})


def _may_subscribe(cloud: Cloud, role: Caller, arn: str) -> bool:
    needed = Requirement("kinesis:SubscribeToShard", arn)
    return cloud.config.open_access or evaluate(role, needed, {}).is_allowed


def start(tx: Transaction, source: StreamSource, document: Document) -> None:
    """LATEST is the moment of creation: what is written from now on is not missed. Shards that
    come later are read from their beginning."""
    position, stream_arn = document["StartingPosition"], stream_of(document["EventSourceArn"])
    if position == "TRIM_HORIZON":
        return
    for shard in source.shards(tx, stream_arn):
        if position == "LATEST":
            after = source.latest(tx, stream_arn, shard.id)
        else:
            moment_ms = int(document["StartingPositionTimestamp"] * 1000)
            after = source.at(tx, stream_arn, shard.id, moment_ms)
        positions.save(tx, document["UUID"], shard.id, after)


def change(params: Params, document: Document) -> None:
    """Checks what goes together with a stream; `document` has the common settings already."""
    if params.get("ScalingConfig"):
        raise names.invalid("ScalingConfig is valid for SQS event sources alone.")
    if 0 <= document["MaximumRecordAgeInSeconds"] < 60:
        raise names.invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.")
    if document.get("TumblingWindowInSeconds") and document["ParallelizationFactor"] > 1:
        raise names.invalid(
            "Tumbling windows are not supported with a ParallelizationFactor greater than 1."
        )
    destinations = params.get("DestinationConfig")
    if destinations is not None:
        if (destinations.get("OnSuccess") or {}).get("Destination"):
            raise names.invalid("OnSuccess is not supported for event source mappings.")
        failure = destinations.get("OnFailure") or {}
        check_target(failure.get("Destination"))
        document["DestinationConfig"] = {"OnFailure": failure}


def check_target(arn: str | None) -> None:
    if arn and (arn.count(":") < 5 or arn.split(":")[2] not in _TARGETS):
        raise names.invalid(f"The provided destination config DestinationArn {arn} is invalid.")
    if arn and arn.endswith(".fifo"):
        raise names.invalid(
            f"The provided destination config DestinationArn {arn} is invalid: FIFO queues and"
            " topics are not supported."
        )
