"""Event source mappings: create, read, change, delete. `mappings` runs them.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events.patterns import InvalidPattern, compile_pattern
from cloudlet.functions import limits, names, positions, queue_mappings, records
from cloudlet.functions.records import Document, page
from cloudlet.store.database import Transaction, View

_REFUSED = ("Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource",
            "TumblingWindowInSeconds", "KMSKeyArn", "MetricsConfig",
            "ProvisionedPollerConfig", "DocumentDBEventSourceConfig", "StartingPositionTimestamp",
            "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig",
            "LoggingConfig")  # fmt: skip
_STREAM = {
    "StateTransitionReason": "User action",
    "LastProcessingResult": "No records processed",
}
_SETTINGS: Document = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "BisectBatchOnFunctionError": False,
    "FunctionResponseTypes": [],
}
_RANGES = {
    "BatchSize": (1, 10_000),
    "MaximumBatchingWindowInSeconds": (0, 300),
    "MaximumRecordAgeInSeconds": (-1, 604_800),
    "MaximumRetryAttempts": (-1, 10_000),
}


async def create_event_source_mapping(call: Call) -> Output:
    """The function's role must be able to read the stream: whoever maps it reads in its name."""
    _check_source(call.params)
    await _check_access(call)
    return await call.cloud.database.write(lambda tx: _create(call, tx))


def _check_source(params: Params) -> None:
    source_arn = params.get("EventSourceArn") or ""
    kind = _kind(source_arn)
    if kind != "sqs" and not (kind == "dynamodb" and "/stream/" in source_arn):
        raise NotImplementedByCloudlet(f"An event source mapping for {source_arn or 'no ARN'}")
    if kind != "sqs" and params.get("StartingPosition") not in ("LATEST", "TRIM_HORIZON"):
        raise names.invalid("1 validation error detected: Value 'null' at 'startingPosition'"
                            " failed to satisfy constraint: Member must not be null.")  # fmt: skip


def _kind(source_arn: str) -> str:
    return source_arn.split(":")[2] if source_arn.count(":") >= 5 else ""


async def _check_access(call: Call) -> None:
    cloud, arn = call.cloud, call.params.get("EventSourceArn") or ""
    name, qualifier = names.parse(call.params["FunctionName"])
    found = records.find(cloud.database.view(), call.config, name, qualifier)
    if _kind(arn) == "sqs":
        return await queue_mappings.check_access(cloud, found, arn)
    role = await queue_mappings.role_of(cloud, found)
    try:
        stream = {"StreamArn": arn, "Limit": 1}
        described = await cloud.invoke("dynamodbstreams", "DescribeStream", stream, role)
        shard = described["StreamDescription"]["Shards"][0]["ShardId"]
        place = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "LATEST"}
        found_place = await cloud.invoke("dynamodbstreams", "GetShardIterator", place, role)
        reading = {"ShardIterator": found_place["ShardIterator"], "Limit": 1}
        await cloud.invoke("dynamodbstreams", "GetRecords", reading, role)
    except AwsError as error:
        if not error.code.startswith("AccessDenied"):
            raise names.invalid(f"Stream not found: {arn}") from error
        raise names.invalid(
            f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords,"
            " GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
        ) from error


def _create(call: Call, tx: Transaction) -> Output:
    params = call.params
    source_arn = params["EventSourceArn"]
    name, qualifier = names.parse(params["FunctionName"])
    records.require(tx, call.config, name, qualifier)
    arn = names.function_arn(call.config, name, qualifier)
    taken = tx.value(
        "SELECT uuid FROM event_source_mappings WHERE function_arn = ? AND source_arn = ?",
        (arn, source_arn),
    )
    if taken:
        raise names.conflict(
            f'The event source arn (" {source_arn} ") and function (" {name} ") provided mapping'
            f" already exists. Please update or delete the existing mapping with UUID {taken}"
        )
    uuid = call.config.new_id()
    document: Document = {"UUID": uuid, "EventSourceArn": source_arn}
    if _kind(source_arn) == "sqs":
        document |= {"StateTransitionReason": "USER_INITIATED", **queue_mappings.SETTINGS}
    else:
        document |= {"StartingPosition": params["StartingPosition"], **_STREAM, **_SETTINGS}
    document["State"] = "Disabled" if params.get("Enabled") is False else "Enabled"
    document["Tags"] = params.get("Tags") or {}
    output = _save(call, tx, document, arn)
    _start_positions(call, tx, document)
    return output


def _start_positions(call: Call, tx: Transaction, document: Document) -> None:
    """LATEST is the moment of creation: what is written from now on is not missed."""
    source = call.state.mappings.sources.get("dynamodb") if call.state else None
    if source is None or document.get("StartingPosition") != "LATEST":
        return
    arn = document["EventSourceArn"]
    for shard in source.shards(tx, arn):
        after = source.latest(tx, arn, shard.id)
        positions.save_position(tx, document["UUID"], shard.id, after)


def _save(call: Call, tx: Transaction, document: Document, arn: str) -> Output:
    params = call.params
    _change_settings(params, document)
    if params.get("FilterCriteria") is not None:
        document["FilterCriteria"] = _checked_filters(params["FilterCriteria"])
    if params.get("DestinationConfig") is not None:
        if (params["DestinationConfig"].get("OnSuccess") or {}).get("Destination"):
            raise names.invalid("OnSuccess is not supported for event source mappings.")
        failure = params["DestinationConfig"].get("OnFailure") or {}
        limits.check_target(failure.get("Destination"))
        document["DestinationConfig"] = {"OnFailure": failure}
    document["FunctionArn"] = arn
    document["LastModified"] = call.now_ms / 1000
    document["EventSourceMappingArn"] = call.config.arn(
        "lambda", f"event-source-mapping:{document['UUID']}"
    )
    tx.run(
        "INSERT INTO event_source_mappings (uuid, function_arn, source_arn, config)"
        " VALUES (?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET"
        " function_arn = excluded.function_arn, config = excluded.config",
        (document["UUID"], arn, document["EventSourceArn"], orjson.dumps(document).decode()),
    )
    tx.touch(positions.TOPIC)
    return document


def _change_settings(params: Params, document: Document) -> None:
    for key in _REFUSED:
        if params.get(key):
            raise NotImplementedByCloudlet(key)
    for key in _SETTINGS.keys() & document.keys():
        if params.get(key) is not None:
            document[key] = params[key]
    for key, (low, high) in _RANGES.items():
        if not low <= int(document.get(key, low)) <= high:
            raise names.invalid(f"{key} must be between {low} and {high}.")
    if _kind(document["EventSourceArn"]) == "sqs":
        return queue_mappings.change(params, document)
    if params.get("ScalingConfig"):
        raise names.invalid("ScalingConfig is valid for SQS event sources alone.")
    if document["ParallelizationFactor"] != 1:
        raise NotImplementedByCloudlet("A ParallelizationFactor other than 1")
    if 0 <= document["MaximumRecordAgeInSeconds"] < 60:
        raise names.invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.")


def _checked_filters(criteria: dict[str, Any]) -> Document:
    filters = criteria.get("Filters") or []
    if len(filters) > 5:
        raise names.invalid("A mapping has 5 filters at most.")
    for item in filters:
        try:
            compile_pattern(item["Pattern"])
        except InvalidPattern as error:
            raise names.invalid(f"Invalid filter pattern definition. {error}") from None
    return {"Filters": filters}


def get_event_source_mapping(call: Call, view: View) -> Output:
    return _required(call, view)


def update_event_source_mapping(call: Call, tx: Transaction) -> Output:
    document = _required(call, tx)
    arn = document["FunctionArn"]
    if call.params.get("FunctionName"):
        name, qualifier = names.parse(call.params["FunctionName"])
        records.require(tx, call.config, name, qualifier)
        arn = names.function_arn(call.config, name, qualifier)
    if call.params.get("Enabled") is not None:
        document["State"] = "Enabled" if call.params["Enabled"] else "Disabled"
    return _save(call, tx, document, arn)


def delete_event_source_mapping(call: Call, tx: Transaction) -> Output:
    document = _required(call, tx)
    tx.run("DELETE FROM event_source_mappings WHERE uuid = ?", (document["UUID"],))
    tx.touch(positions.TOPIC)
    return {**document, "State": "Deleting"}


def list_event_source_mappings(call: Call, view: View) -> Output:
    found = positions.load_all(view)
    if call.params.get("EventSourceArn"):
        found = [m for m in found if m.source_arn == call.params["EventSourceArn"]]
    if call.params.get("FunctionName"):
        arn = names.function_arn(call.config, *names.parse(call.params["FunctionName"]))
        found = [m for m in found if m.function_arn == arn]
    return page([m.config for m in found], call.params, "EventSourceMappings")


def _required(call: Call, view: View) -> Document:
    text = view.value(
        "SELECT config FROM event_source_mappings WHERE uuid = ?", (call.params["UUID"],)
    )
    if text is None:
        raise names.missing("The resource you requested does not exist.")
    document: Document = orjson.loads(text)
    return document
