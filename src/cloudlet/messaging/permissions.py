"""What calls need, and queue policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from cloudlet.call import Call, Requirement
from cloudlet.messaging.eventbridge import buses
from cloudlet.messaging.eventbridge.rules import bus_name, rule_arn
from cloudlet.messaging.sqs import queues
from cloudlet.store.database import View

# batches need the permission of their single form
_SINGLE = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
# operations about these: the member that names one, and its kind in ARNs
_NAMED = {
    "Archive": ("ArchiveName", "archive"),
    "Replay": ("ReplayName", "replay"),
    "Connection": ("Name", "connection"),
    "ApiDestination": ("Name", "api-destination"),
}


def sqs(call: Call) -> list[Requirement]:
    action = f"sqs:{_SINGLE.get(call.operation, call.operation)}"
    name = _queue(call)
    needed = [Requirement(action, call.config.arn("sqs", name) if name else "*")]
    if call.operation == "StartMessageMoveTask":  # moves in the caller's name
        source, destination = call.params["SourceArn"], call.params.get("DestinationArn")
        actions = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
        needed += [Requirement(f"sqs:{each}", source) for each in actions]
        needed += [Requirement("sqs:SendMessage", destination)] if destination else []
    return needed


def queue_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    queue = queues.find(view, _queue(call))
    text = queue.attributes.get("Policy") if queue is not None else None
    return [orjson.loads(text)] if text else []


def events(call: Call) -> list[Requirement]:
    config, params = call.config, call.params
    action = f"events:{call.operation}"
    if call.operation == "PutEvents":
        buses = {
            str(entry.get("EventBusName") or "default").rsplit("/", 1)[-1]
            for entry in params["Entries"]
        }
        return [
            Requirement(action, config.arn("events", f"event-bus/{bus}")) for bus in sorted(buses)
        ]
    if "ResourceARN" in params:
        return [Requirement(action, params["ResourceARN"])]
    for noun, (member, resource) in _NAMED.items():
        if noun in call.operation:
            return _named(call, action, params.get(member), resource)
    if "EventBus" in call.operation or call.operation in ("PutPermission", "RemovePermission"):
        name = params.get("Name") or params.get("EventBusName") or "default"
        name = str(name).rsplit("/", 1)[-1]
        resource = f"event-bus/{'*' if call.operation.startswith('List') else name}"
        return [Requirement(action, config.arn("events", resource))]
    rule = params.get("Rule") or params.get("Name")
    if not rule or call.operation == "TestEventPattern":
        return [Requirement(action, "*")]
    needed = [Requirement(action, rule_arn(config, bus_name(call), rule))]
    context = {"iam:PassedToService": "events.amazonaws.com"}
    given = (params, *(params.get("Targets") or ()))
    roles = {each["RoleArn"] for each in given if each.get("RoleArn")}
    return needed + [Requirement("iam:PassRole", role, context) for role in sorted(roles)]


def _named(call: Call, action: str, name: str | None, resource: str) -> list[Requirement]:
    """Archives and their like; who uses one for another must be let."""
    needed = [Requirement(action, call.config.arn("events", f"{resource}/{name or '*'}"))]
    if call.operation in ("CreateArchive", "StartReplay"):
        needed.append(Requirement(action, call.params["EventSourceArn"]))
    return needed


def bus_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    """Of every bus that events are put on."""
    entries = call.params.get("Entries") or [call.params]
    names = {str(each.get("EventBusName") or "default").rsplit("/", 1)[-1] for each in entries}
    found = [buses.policy(view, name) for name in sorted(names)]
    return [policy for policy in found if policy["Statement"]]


def scheduler(call: Call) -> list[Requirement]:
    config, params = call.config, call.params
    action = f"scheduler:{call.operation}"
    if "ResourceArn" in params:
        return [Requirement(action, params["ResourceArn"])]
    if "Group" in call.operation:
        resource = config.arn("scheduler", f"schedule-group/{params.get('Name') or '*'}")
        return [Requirement(action, resource)]
    group = params.get("GroupName") or ("*" if call.operation == "ListSchedules" else "default")
    resource = config.arn("scheduler", f"schedule/{group}/{params.get('Name') or '*'}")
    requirements = [Requirement(action, resource)]
    if call.operation in ("CreateSchedule", "UpdateSchedule"):
        context = {"iam:PassedToService": "scheduler.amazonaws.com"}
        requirements.append(Requirement("iam:PassRole", params["Target"]["RoleArn"], context))
    return requirements


def _queue(call: Call) -> str:
    if call.params.get("QueueUrl"):
        return str(call.params["QueueUrl"]).rstrip("/").rsplit("/", 1)[-1]
    source = call.params.get("SourceArn")
    if call.params.get("TaskHandle"):
        with suppress(ValueError, KeyError, TypeError):
            source = orjson.loads(base64.b64decode(call.params["TaskHandle"]))["sourceArn"]
    return str(call.params.get("QueueName") or source or "").rsplit(":", 1)[-1]
