"""Configuring which events of a bucket go where. `announce` sends them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
"""

import json
from typing import Any

from cloudlet.call import Call, Caller, Output, Requirement
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate
from cloudlet.s3 import announce, faults
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationReplicatedAfterThreshold",
)
_ABSENT = (
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:IntelligentTiering",
    "s3:ObjectAnnotation",
)
# configuration list → (ARN member, service, what S3 must be allowed)
_KINDS = {
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "lambda", "lambda:InvokeFunction"),
    "QueueConfigurations": ("QueueArn", "sqs", "sqs:SendMessage"),
    "TopicConfigurations": ("TopicArn", "sns", "sns:Publish"),
}
_ELEMENTS = {"lambda": "CloudFunction", "sqs": "Queue", "sns": "Topic"}  # of the XML
Target = dict[str, Any]


async def put_bucket_notification_configuration(call: Call) -> None:
    """Replaces all of it; an empty configuration turns notifications off."""
    wanted = call.params.get("NotificationConfiguration") or {}
    of_call(call, call.cloud.database.view())
    targets = [_checked(call, entry, kind) for kind in _KINDS for entry in wanted.get(kind) or []]
    _check_overlaps(targets)
    if not call.params.get("SkipDestinationValidation"):
        await _check_targets(call, targets)
    bridges = wanted.get("EventBridgeConfiguration") is not None

    def change(tx: Transaction) -> None:
        bucket = of_call(call, tx)
        if not targets and not bridges:
            drop_setting(tx, bucket.id, "notification")
            return
        document = {"targets": targets, "event-bridge": bridges}
        put_setting(tx, bucket.id, "notification", document)
        for target in targets:
            if target["kind"] != "LambdaFunctionConfigurations":
                notice = (target["arn"], _test_event(call))
                announce.put(call.config, tx, bucket.name, notice, announce.Actor.of(call))

    await call.cloud.database.write(change)


def get_bucket_notification_configuration(call: Call, view: View) -> Output:
    stored = setting(view, of_call(call, view).id, "notification") or {}
    output: Output = {}
    for target in stored.get("targets", []):
        member = _KINDS[target["kind"]][0]
        entry = {"Id": target["id"], member: target["arn"], "Events": target["events"]}
        rules = [
            {"Name": name.capitalize(), "Value": target[name]}
            for name in ("prefix", "suffix")
            if target[name] is not None
        ]
        if rules:
            entry["Filter"] = {"Key": {"FilterRules": rules}}
        output.setdefault(target["kind"], []).append(entry)
    if stored.get("event-bridge"):
        output["EventBridgeConfiguration"] = {}
    return output


def _checked(call: Call, entry: dict[str, Any], kind: str) -> Target:
    """An entry as it is stored."""
    member, service, _ = _KINDS[kind]
    arn = entry.get(member, "")
    parts = arn.split(":")
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != service:
        raise faults.invalid_argument("The ARN could not be parsed", _ELEMENTS[service], arn)
    if parts[3] != call.config.region:
        raise faults.invalid_argument(
            "The notification destination service region is not valid for the bucket location "
            "constraint"
        )
    if arn.endswith(".fifo"):
        fifo = "SQS queues" if service == "sqs" else "SNS topics"
        raise faults.invalid_argument(f"FIFO {fifo} are not supported", member, arn)
    events = entry.get("Events") or []
    if not events:
        raise faults.malformed_xml()
    for event in events:
        if event.startswith(_ABSENT):
            raise NotImplementedByCloudlet(f"The S3 event {event}")
        if event not in EVENTS:
            raise faults.invalid_argument("The event is not supported for notifications", event)
    found: Target = {"kind": kind, "arn": arn, "events": events, **_filter(entry)}
    return {**found, "id": entry.get("Id") or call.config.new_id()}


def _filter(entry: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str] = {}
    for rule in ((entry.get("Filter") or {}).get("Key") or {}).get("FilterRules") or []:
        if rule.get("Name") is None or rule.get("Value") is None:
            raise faults.malformed_xml()
        name, value = rule["Name"].lower(), rule["Value"]
        if name not in ("prefix", "suffix"):
            message = "filter rule name must be either prefix or suffix"
            raise faults.invalid_argument(message, "FilterRule.Name", rule["Name"])
        if name in found:
            raise faults.invalid_argument(f"Cannot specify more than one {name} rule in a filter.")
        if len(value.encode()) > 1024:
            raise faults.invalid_argument(
                "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation"
            )
        found[name] = value
    return {"prefix": None, "suffix": None, **found}


def _check_overlaps(targets: list[Target]) -> None:
    """No event may have two destinations of one bucket, so no two filters may meet."""
    if len({target["id"] for target in targets}) < len(targets):
        raise faults.invalid_argument("Configuration IDs must be unique")
    for index, one in enumerate(targets):
        for other in targets[:index]:
            if _share_event(one, other) and _share_key(one, other):
                raise faults.invalid_argument(
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two "
                    "rules if the prefixes are overlapping for the same event type."
                )


def _share_event(one: Target, other: Target) -> bool:
    return any(
        announce.covers(first, second.removeprefix("s3:"))
        or announce.covers(second, first.removeprefix("s3:"))
        for first in one["events"]
        for second in other["events"]
    )


def _share_key(one: Target, other: Target) -> bool:
    """Whether some key could pass both filters."""
    prefixes = sorted((one["prefix"] or "", other["prefix"] or ""), key=len)
    suffixes = sorted((one["suffix"] or "", other["suffix"] or ""), key=len)
    return prefixes[1].startswith(prefixes[0]) and suffixes[1].endswith(suffixes[0])


async def _check_targets(call: Call, targets: list[Target]) -> None:
    """Refuses destinations that aren't there or whose policy shuts S3 out, all of them at once."""
    wrong: dict[str, str] = {}
    for target in targets:
        fault = await _fault(call, target)
        if fault:
            number, is_function = len(wrong) // 2 + 1, ":lambda:" in target["arn"]
            wrong[f"ArgumentName{number}"] = f"{target['arn']}{', null' if is_function else ''}"
            wrong[f"ArgumentValue{number}"] = fault
    if wrong:
        text = "Unable to validate the following destination configurations"
        raise AwsError("InvalidArgument", text, 400, **wrong)


async def _fault(call: Call, target: Target) -> str:
    """What is wrong with a destination, if anything."""
    noun = _ELEMENTS[target["arn"].split(":")[2]].lower()
    try:
        policy = await _policy_of(call, target)
    except AwsError as error:
        gone = ("NotFound", "NonExistent", "DoesNotExist")
        if error.status != 404 and not any(word in error.code for word in gone):
            raise
        if noun != "cloudfunction":
            return f"The destination {noun} does not exist"
        policy = None
    source = {"aws:SourceArn": f"arn:aws:s3:::{call.params['Bucket']}"}
    account = call.config.account
    s3 = Caller(
        "service", announce.PRINCIPAL, account, context={**source, "aws:SourceAccount": account}
    )
    need = Requirement(_KINDS[target["kind"]][2], target["arn"])
    context = Context(call.config, s3, call.request, need)
    if policy and evaluate(s3, need, context, [json.loads(policy)]).is_allowed:
        return ""
    if noun == "cloudfunction":
        return f"Not authorized to invoke function [{target['arn']}]"
    return (
        f"Permissions on the destination {noun} do not allow S3 to publish notifications from this "
        "bucket"
    )


async def _policy_of(call: Call, target: Target) -> str | None:
    invoke, arn = call.cloud.invoke, target["arn"]
    if target["kind"] == "LambdaFunctionConfigurations":
        return (await invoke("lambda", "GetPolicy", {"FunctionName": arn})).get("Policy")
    if target["kind"] == "TopicConfigurations":
        known = await invoke("sns", "GetTopicAttributes", {"TopicArn": arn})
        return str(known["Attributes"]["Policy"])
    found = await invoke("sqs", "GetQueueUrl", {"QueueName": arn.split(":")[-1]})
    named = {"QueueUrl": found.get("QueueUrl"), "AttributeNames": ["Policy"]}
    attributes = (await invoke("sqs", "GetQueueAttributes", named)).get("Attributes") or {}
    policy: str | None = attributes.get("Policy")
    return policy


def _test_event(call: Call) -> dict[str, str]:
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": announce.iso(call.now_ms),
        "Bucket": call.params["Bucket"],
        "RequestId": call.request.id,
        "HostId": call.request.id,
    }
