"""What comes of events that a function was invoked with: records for destinations, dead letters.

All are facts, put in the transaction that ends the event.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.functions import names
from cloudlet.functions.records import Found, timestamp
from cloudlet.functions.worker_process import Answer, Invocation
from cloudlet.store.database import Transaction


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
