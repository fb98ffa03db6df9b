"""Scheduler's universal targets: `arn:aws:scheduler:::aws-sdk:SERVICE:operation`, whose input is
the operation's parameters as JSON.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.wire import models
from cloudlet.wire.scalars import parse_timestamp
from cloudlet.wire.validate import Validator

_ARN = re.compile(r"arn:aws:scheduler:::aws-sdk:([a-z0-9-]+):([A-Za-z0-9]+)", re.IGNORECASE)
# as the SDK for Java names services → botocore
_SERVICES = {
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "cloudwatchevents": "events",
    "dynamodbstreams": "dynamodbstreams",
}
_READING = re.compile(
    "get|describe|list|poll|receive|search|scan|query|select|read|lookup|discover|validate"
    "|batchGet|batchDescribe|batchRead|transactGet|adminGet|adminList|testMigration|retrieve"
    "|testConnection|translateDocument|isAuthorized|invokeModel",
    re.IGNORECASE,
)


def parse(arn: str) -> tuple[str, str]:
    """botocore's names of service and operation; raises a ValidationException."""
    match = _ARN.fullmatch(arn)
    service = match.group(1).lower() if match else ""
    service = _SERVICES.get(service, service)
    if match is None:
        raise _invalid(f"Provided Arn is not in correct format: {arn}")
    name = match.group(2)
    if _READING.match(name):
        raise _invalid(f"{arn} is a read-only operation, which schedules do not call.")
    try:
        known = {each.lower(): each for each in models.operation_names(service)}
    except Exception:  # botocore's UnknownServiceError and its like
        known = {}
    if name.lower() not in known:
        raise _invalid(f"The target {arn} does not exist.")
    return service, known[name.lower()]


def parameters(service: str, operation: str, payload: bytes) -> Params:
    shape = models.load(service).operation(operation).input_shape
    try:
        given = orjson.loads(payload or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _invalid("The input of a universal target must be a JSON object.")
    if shape is None or service == "dynamodb":  # whose values stay as they are on the wire
        return given
    params = dict(_converted(shape, given))
    Validator().check(shape, params)
    return params


def _converted(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        names = {name.lower(): name for name in shape.members}
        return {
            names[key.lower()]: _converted(shape.members[names[key.lower()]], item)
            for key, item in value.items()
            if key.lower() in names
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_converted(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: _converted(shape.value, item) for key, item in value.items()}
    if shape.type_name == "blob":
        return value.encode() if isinstance(value, str) else orjson.dumps(value)
    return parse_timestamp(value) if shape.type_name == "timestamp" else value


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
