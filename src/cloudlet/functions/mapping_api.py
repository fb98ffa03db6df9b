"""Event source mappings: create, read, change, delete. `mappings` runs them.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.events.patterns import InvalidPattern, compile_pattern
from cloudlet.functions import (
    destinations,
    names,
    positions,
    queue_mappings,
    records,
    stream_mappings,
)
from cloudlet.functions.records import Document, page
from cloudlet.store.database import Transaction, View

_REFUSED = ("Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource",
            "KMSKeyArn", "ProvisionedPollerConfig", "DocumentDBEventSourceConfig",
            "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig",
            "LoggingConfig")  # fmt: skip
_RANGES = {
    "BatchSize": (1, 10_000),
    "MaximumBatchingWindowInSeconds": (0, 300),
    "MaximumRecordAgeInSeconds": (-1, 604_800),
    "MaximumRetryAttempts": (-1, 10_000),
    "ParallelizationFactor": (1, 10),
    "TumblingWindowInSeconds": (0, 900),
}


async def create_event_source_mapping(call: Call) -> Output:
    """The function's role must be able to read the stream: whoever maps it reads in its name."""
    _check_source(call)
    await _check_access(call)
    return await call.cloud.database.write(lambda tx: _create(call, tx))


def _check_source(call: Call) -> None:
    arn = call.params.get("EventSourceArn") or ""
    if arn.count(":") < 5 or not (_is_queue(arn) or stream_mappings.is_stream(arn)):
        raise NotImplementedByCloudlet(f"An event source mapping for {arn or 'no ARN'}")
    if not _is_queue(arn):
        stream_mappings.check_start(call.params, arn, call.now_ms)


def _is_queue(arn: str) -> bool:
    return arn.split(":")[2] == "sqs"


async def _check_access(call: Call) -> None:
    cloud, arn = call.cloud, call.params["EventSourceArn"]
    name, qualifier = names.parse(call.params["FunctionName"])
    found = records.find(cloud.database.view(), call.config, name, qualifier)
    check = queue_mappings.check_access if _is_queue(arn) else stream_mappings.check_access
    await check(cloud, found, arn)
    await _check_destination(call, found)


async def _check_destination(call: Call, found: records.Found) -> None:
    wanted = (call.params.get("DestinationConfig") or {}).get("OnFailure") or {}
    if wanted.get("Destination"):
        stream_mappings.check_target(wanted["Destination"])
        await destinations.check_access(call.cloud, found, wanted["Destination"])


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
        what = ("An event source mapping with SQS", "") if _is_queue(source_arn) else (
            "The event source", " provided mapping")  # fmt: skip
        raise names.conflict(
            f'{what[0]} arn (" {source_arn} ") and function (" {name} "){what[1]}'
            f" already exists. Please update or delete the existing mapping with UUID {taken}"
        )
    uuid = call.config.new_id()
    document: Document = {"UUID": uuid, "EventSourceArn": source_arn}
    if _is_queue(source_arn):
        document |= {"StateTransitionReason": "USER_INITIATED", **queue_mappings.SETTINGS}
    else:
        document |= {"StateTransitionReason": "User action", **stream_mappings.SETTINGS}
        document["StartingPosition"] = params["StartingPosition"]
        if params.get("StartingPositionTimestamp"):
            document["StartingPositionTimestamp"] = params["StartingPositionTimestamp"].timestamp()
    document["State"] = "Disabled" if params.get("Enabled") is False else "Enabled"
    document["Tags"] = params.get("Tags") or {}
    output = _save(call, tx, document, arn)
    sources = call.state.mappings.sources if call.state else {}
    if source_arn.split(":")[2] in sources:
        stream_mappings.start(tx, sources[source_arn.split(":")[2]], document)
    return {**output, "State": "Creating"}


def _save(call: Call, tx: Transaction, document: Document, arn: str) -> Output:
    params = call.params
    _change_settings(params, document)
    if params.get("FilterCriteria") is not None:
        document["FilterCriteria"] = _checked_filters(document, params["FilterCriteria"])
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
    return _required(call, tx, document["UUID"]).output()


def _change_settings(params: Params, document: Document) -> None:
    for key in _REFUSED:
        if params.get(key):
            raise NotImplementedByCloudlet(key)
    is_queue = _is_queue(document["EventSourceArn"])
    kind = queue_mappings if is_queue else stream_mappings
    for key in kind.SETTINGS:
        if params.get(key) is not None:
            document[key] = params[key]
    for key, (low, high) in _RANGES.items():
        if not low <= int(document.get(key, low)) <= high:
            raise names.invalid(f"{key} must be between {low} and {high}.")
    kind.change(params, document)
    metrics = params.get("MetricsConfig")
    if metrics is not None:
        if set(metrics.get("Metrics") or []) - {"EventCount"}:
            raise names.invalid("ErrorCount and KafkaMetrics are for Kafka event sources alone.")
        document["MetricsConfig"] = metrics


def _checked_filters(document: Document, criteria: dict[str, Any]) -> Document:
    filters = criteria.get("Filters") or []
    if len(filters) > 5:
        raise names.invalid("A mapping has 5 filters at most.")
    for item in filters:
        try:
            pattern = orjson.loads(item["Pattern"])
            compile_pattern(pattern)
            if ":kinesis:" in document["EventSourceArn"] and "data" in pattern:
                # mappings-001: what data must be like is said in JSON
                compile_pattern(orjson.dumps(pattern["data"]))
        except (InvalidPattern, orjson.JSONDecodeError, KeyError) as error:
            raise names.invalid("Invalid filter pattern definition.") from error
    return {"Filters": filters}


def get_event_source_mapping(call: Call, view: View) -> Output:
    return _required(call, view, call.params["UUID"]).output()


async def update_event_source_mapping(call: Call) -> Output:
    database = call.cloud.database
    known = _required(call, database.view(), call.params["UUID"])
    reference = names.parse(call.params.get("FunctionName") or known.function_arn)
    await _check_destination(call, records.find(database.view(), call.config, *reference))
    return await database.write(lambda tx: _update(call, tx))


def _update(call: Call, tx: Transaction) -> Output:
    document = _required(call, tx, call.params["UUID"]).config
    arn = document["FunctionArn"]
    state = "Updating"
    if call.params.get("FunctionName"):
        name, qualifier = names.parse(call.params["FunctionName"])
        records.require(tx, call.config, name, qualifier)
        arn = names.function_arn(call.config, name, qualifier)
    if call.params.get("Enabled") is not None:
        wanted = "Enabled" if call.params["Enabled"] else "Disabled"
        if wanted != document["State"]:
            document["State"], state = wanted, wanted.replace("ed", "ing")
    return {**_save(call, tx, document, arn), "State": state}


def delete_event_source_mapping(call: Call, tx: Transaction) -> Output:
    found = _required(call, tx, call.params["UUID"])
    tx.run("DELETE FROM event_source_mappings WHERE uuid = ?", (found.uuid,))
    tx.touch(positions.TOPIC)
    return {**found.output(), "State": "Deleting"}


def list_event_source_mappings(call: Call, view: View) -> Output:
    found = positions.load_all(view)
    if call.params.get("EventSourceArn"):
        found = [m for m in found if m.source_arn == call.params["EventSourceArn"]]
    if call.params.get("FunctionName"):
        arn = names.function_arn(call.config, *names.parse(call.params["FunctionName"]))
        found = [m for m in found if m.function_arn == arn]
    return page([m.output() for m in found], call.params, "EventSourceMappings")


def _required(call: Call, view: View, uuid: str) -> positions.Mapping:
    found = positions.find(view, uuid)
    if found is None:
        raise names.missing("The resource you requested does not exist.")
    return found
