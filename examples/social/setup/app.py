"""setup: custom resources: the key that signs sessions, and SNS's platform application.

CloudFormation has no type for either. It calls this function when the stack is made, changed and
removed, and waits for the answer at the URL it gives. All of it can be repeated.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import base64
import json
import logging
import os
import urllib.request
from contextlib import suppress
from typing import Any

import boto3

KEY_BYTES = 32

log = logging.getLogger()
ssm = boto3.client("ssm")
sns = boto3.client("sns")


def handler(event: dict[str, Any], context: Any) -> None:
    """Properties hold credentials: events are not logged."""
    make, remove = KINDS[event["ResourceType"]]
    physical_id, reason = event.get("PhysicalResourceId", ""), ""
    try:
        if event["RequestType"] == "Delete":
            remove(physical_id)
        else:
            physical_id = make(event["ResourceProperties"])
    except Exception as error:
        log.exception("%s %s", event["RequestType"], event["LogicalResourceId"])
        reason = f"{type(error).__name__}: {error}"
    answer(event, physical_id or context.log_stream_name, reason)


def make_key(properties: dict[str, Any]) -> str:
    """Once: a key that is there stays, and so do the sessions it signed."""
    with suppress(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(
            Name=properties["Name"],
            Type=properties["Type"],
            Value=base64.b64encode(os.urandom(KEY_BYTES)).decode(),
            Description="Signs the sessions of the social app.",
        )
    return str(properties["Name"])


def remove_key(name: str) -> None:
    with suppress(ssm.exceptions.ParameterNotFound):
        ssm.delete_parameter(Name=name)


def make_application(properties: dict[str, Any]) -> str:
    """Another name or platform makes another application; CloudFormation removes the old one."""
    arn: str = sns.create_platform_application(
        Name=properties["Name"],
        Platform=properties["Platform"],
        Attributes=properties["Attributes"],
    )["PlatformApplicationArn"]
    sns.set_platform_application_attributes(
        PlatformApplicationArn=arn, Attributes=properties["Attributes"]
    )
    return arn


def remove_application(arn: str) -> None:
    if arn.startswith("arn:"):  # else it was never made
        sns.delete_platform_application(PlatformApplicationArn=arn)


KINDS = {
    "Custom::SigningKey": (make_key, remove_key),
    "Custom::PlatformApplication": (make_application, remove_application),
}


def answer(event: dict[str, Any], physical_id: str, reason: str) -> None:
    document = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason,
        "PhysicalResourceId": physical_id,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(
        event["ResponseURL"], data=json.dumps(document).encode(), method="PUT"
    )
    request.add_header("content-type", "")  # as the URL was signed
    with urllib.request.urlopen(request, timeout=30):
        pass
