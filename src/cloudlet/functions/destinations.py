"""What comes of events that a function was invoked with: records for destinations, dead letters.

All are facts, put in the transaction that ends the event.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Cloud, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.exchange import Body
from cloudlet.functions import names
from cloudlet.functions.queue_mappings import queue_url, role_of
from cloudlet.functions.records import Found, timestamp
from cloudlet.functions.worker_process import Answer, Invocation
from cloudlet.store.database import Transaction

_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError")
_MISSING = ("QueueDoesNotExist", "NotFound", "ResourceNotFoundException", "NoSuchBucket")


async def check_access(cloud: Cloud, found: Found, arn: str) -> None:
    """The function's role must reach a destination that is there."""
    operation, params = _trial(cloud.config, arn)
    try:
        await cloud.invoke(arn.split(":")[2], operation, params, await role_of(cloud, found))
    except AwsError as error:
        if error.code in _DENIED:
            raise names.invalid(
                f"The function's execution role does not have permissions to call {operation} on"
                f" {arn}"
            ) from error
        if error.code in _MISSING:
            raise names.invalid(
                f"The provided destination config DestinationArn {arn} is invalid."
            ) from error


def _trial(config: Config, arn: str) -> tuple[str, Params]:
    """A call that shows whether it is allowed and does nothing."""
    match arn.split(":")[2]:
        case "sqs":
            return "SendMessage", {"QueueUrl": queue_url(config, arn), "MessageBody": ""}
        case "sns":
            return "Publish", {"TopicArn": arn, "Message": ""}
        case "lambda":
            return "Invoke", {"FunctionName": arn, "InvocationType": "DryRun"}
        case "events":
            entry = {"EventBusName": arn, "Source": "-", "DetailType": "-", "Detail": "-"}
            return "PutEvents", {"Entries": [entry]}
    place = {"Bucket": arn.rpartition(":")[2], "Key": "-"}
    return "PutObject", {**place, "Body": Body.of(b""), "ContentMD5": "-"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How an event ended."""

    found: Found
    invocation: Invocation
    condition: str
    failures: int
    answer: Answer | None


def put_dead_letter(tx: Transaction, config: Config, target: str, ended: Ended) -> None:
    message = ""
    if ended.answer is not None:
        message = str(_loaded(ended.answer.payload, {}).get("errorMessage", ""))[:1024]
    values = {
        "RequestID": ("String", ended.invocation.request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", message or "Unknown"),
    }
    attributes = {
        name: {"DataType": kind, "StringValue": value} for name, (kind, value) in values.items()
    }
    outbox.put(
        tx,
        target,
        ended.invocation.payload,
        source=ended.invocation.arn,
        now_ms=config.now_ms(),
        attributes={"message_attributes": attributes},
    )


def result_document(config: Config, ended: Ended) -> dict[str, Any]:
    """The invocation record that destinations get."""
    found, answer = ended.found, ended.answer
    document: dict[str, Any] = {
        "version": "1.0",
        "timestamp": timestamp(config.now_ms()).replace("+0000", "Z"),
        "requestContext": {
            "requestId": ended.invocation.request_id,
            "functionArn": names.function_arn(config, found.name, found.qualifier or names.LATEST),
            "condition": ended.condition,
            "approximateInvokeCount": ended.failures + (ended.condition == "Success"),
        },
        "requestPayload": _loaded(ended.invocation.payload, None),
    }
    if answer is not None:
        context = {"statusCode": 200, "executedVersion": found.version}
        if answer.is_error:
            context["functionError"] = "Unhandled"
        document["responseContext"] = context
        document["responsePayload"] = _loaded(answer.payload, None)
    return document


def put_result(
    tx: Transaction, now_ms: int, target: str, arn: str, document: dict[str, Any]
) -> None:
    """Queues and topics get the record as it is; a bus gets it as an event's detail."""
    payload = document
    if target.split(":")[2] == "events":
        is_success = document["requestContext"]["condition"] == "Success"
        result = "Success" if is_success else "Failure"
        payload = {
            "Source": "lambda",
            "DetailType": f"Lambda Function Invocation Result - {result}",
            "Resources": [target, document["requestContext"]["functionArn"]],
            "Detail": orjson.dumps(document).decode(),
        }
    outbox.put(tx, target, orjson.dumps(payload), source=arn, now_ms=now_ms)


def _loaded(data: bytes, default: Any) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return default
