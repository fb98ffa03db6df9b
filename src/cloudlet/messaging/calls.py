"""How each kind of target is called: functions, queues, topics, streams, log groups, buses, web
APIs, and for Scheduler any operation of any service.

A target without a role is called by the service's principal, which the target's resource policy
must allow; with one, in the role's name. What goes wrong is raised, as an AwsError.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Caller, Cloud, Params
from cloudlet.errors import AwsError
from cloudlet.events.outbox import Fact
from cloudlet.messaging.eventbridge import inputs, sdk_targets, web_calls
from cloudlet.messaging.sqs import queues

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Invocation:
    """One attempt. `event` is what a rule matched; None of a schedule."""

    cloud: Cloud
    fact: Fact
    target: Document
    payload: bytes
    caller: Caller
    event: Document | None
    web: web_calls.Web

    @property
    def arn(self) -> str:
        return str(self.target["Arn"])


async def send(cloud: Cloud, arn: str, params: Params, fact: Fact, caller: Caller) -> None:
    """A message into a queue, whichever account's."""
    url = queues.url(cloud.config, arn.rsplit(":", 1)[-1], arn.split(":")[4])
    trace = fact.attributes.get("trace_id")
    if trace:
        value = {"DataType": "String", "StringValue": trace}
        params = {**params, "MessageSystemAttributes": {"AWSTraceHeader": value}}
    await cloud.invoke("sqs", "SendMessage", {"QueueUrl": url, **params}, caller)


async def _function(call: Invocation) -> None:
    params: Params = {"FunctionName": call.arn, "InvocationType": "Event", "Payload": call.payload}
    await call.cloud.invoke("lambda", "Invoke", params, call.caller)


async def _queue(call: Invocation) -> None:
    settings = call.target.get("SqsParameters") or {}  # the group in a FIFO queue
    params = {"MessageBody": call.payload.decode(), **settings}
    await send(call.cloud, call.arn, params, call.fact, call.caller)


async def _topic(call: Invocation) -> None:
    params = {"TopicArn": call.arn, "Message": call.payload.decode()}
    await call.cloud.invoke("sns", "Publish", params, call.caller)


async def _stream(call: Invocation) -> None:
    settings = call.target.get("KinesisParameters") or {}
    key = settings.get("PartitionKey") or ""
    if call.event is not None:
        key = inputs.text(call.event, settings.get("PartitionKeyPath") or "$.id")
    params = {"StreamARN": call.arn, "Data": call.payload, "PartitionKey": key[:256]}
    await call.cloud.invoke("kinesis", "PutRecord", params, call.caller)


async def _log_group(call: Invocation) -> None:
    group = call.arn.split(":", 6)[-1].removesuffix(":*")
    stream = hashlib.sha256(call.fact.source.encode()).hexdigest()[:32]
    moment = call.fact.attributes.get("received_ms") or call.fact.created_ms
    line = {"timestamp": moment, "message": call.payload.decode()}
    names = {"logGroupName": group, "logStreamName": stream}
    try:
        await call.cloud.invoke("logs", "PutLogEvents", {**names, "logEvents": [line]}, call.caller)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        await call.cloud.invoke("logs", "CreateLogStream", names, call.caller)
        await call.cloud.invoke("logs", "PutLogEvents", {**names, "logEvents": [line]}, call.caller)


async def _bus(call: Invocation) -> None:
    """A rule's event goes on as it is; a schedule's input becomes the detail of a new one. Without
    a role, the account itself puts it: another account's bus must allow that.

    messaging-042: what came from another bus goes to no third one, so circles end."""
    if call.fact.attributes.get("was_sent"):
        assert call.event is not None
        message = (
            f"Event ingestion rejected for event {call.event['id']} because an event can be sent"
            " to an event bus target only once. This event was previously delivered to an event"
            " bus target."
        )
        raise AwsError("THIRD_ACCOUNT_HOP_DETECTED", message)
    entry: Document = {"EventBusName": call.arn}
    if call.event is not None:
        entry |= {"Source": "-", "DetailType": "-", "Detail": "{}", "_event": call.event}
    else:
        entry |= call.target["EventBridgeParameters"]
        entry["Detail"] = call.payload.decode()
    account = call.cloud.config.account
    caller = call.caller
    if caller.kind == "service":
        caller = Caller("root", f"arn:aws:iam::{account}:root", account, account)
    output = await call.cloud.invoke("events", "PutEvents", {"Entries": [entry]}, caller)
    (result,) = output["Entries"]
    if "ErrorCode" in result:
        raise AwsError(result["ErrorCode"], result["ErrorMessage"])


async def _api_destination(call: Invocation) -> None:
    assert call.event is not None
    await call.web.to_destination(call.target, (call.event, call.payload), call.caller)


async def _gateway(call: Invocation) -> None:
    assert call.event is not None
    await call.web.to_gateway(call.target, (call.event, call.payload), call.fact.source)


async def _operation(call: Invocation) -> None:
    service, operation = sdk_targets.parse(call.arn)
    params = sdk_targets.parameters(service, operation, call.payload)
    await call.cloud.invoke(service, operation, params, call.caller)


KINDS: Mapping[str, Callable[[Invocation], Awaitable[None]]] = {
    "lambda": _function,
    "sqs": _queue,
    "sns": _topic,
    "kinesis": _stream,
    "logs": _log_group,
    "events": _bus,
    "api-destination": _api_destination,
    "execute-api": _gateway,
    "aws-sdk": _operation,
}
