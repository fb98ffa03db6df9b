"""Devices: installations of the app that want pushes, each an endpoint of SNS.

An installation has one owner: who signs in last on a phone gets its pushes.
https://docs.aws.amazon.com/sns/latest/dg/mobile-platform-endpoint.html
"""

import os
import re

import boto3
import table
from problems import Problem, malformed
from web import Request, Result

DEVICES_MAX = 10  # per user
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_KNOWN = re.compile(r"Endpoint (arn:\S+) already exists with the same Token")

sns = boto3.client("sns")


def register(request: Request) -> Result:
    key = _key(request)
    token = request.fields(token=2048).get("token")
    if not token:
        raise malformed("'token' is missing.")
    owner, device = f"DEVICES#{request.user}", request.path["device"]
    theirs, _ = table.query(("owner", "place"), owner, "", DEVICES_MAX, IndexName="by-owner")
    if len(theirs) >= DEVICES_MAX and all(item["place"] != device for item in theirs):
        raise Problem(409, "Too many devices", f"A user may have {DEVICES_MAX} devices.")
    item = {**key, "kind": "device", "owner": owner, "place": device, "endpoint": _endpoint(token)}
    before = table.table.put_item(Item=item, ReturnValues="ALL_OLD").get("Attributes", {})
    if before.get("endpoint", item["endpoint"]) != item["endpoint"]:
        sns.delete_endpoint(EndpointArn=before["endpoint"])
    return 204, None


def forget(request: Request) -> Result:
    try:
        gone = table.table.delete_item(
            Key=_key(request),
            ConditionExpression="#owner = :me",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":me": f"DEVICES#{request.user}"},
            ReturnValues="ALL_OLD",
        )["Attributes"]
    except table.client.exceptions.ConditionalCheckFailedException:
        return 204, None  # not there, or another's by now
    sns.delete_endpoint(EndpointArn=gone["endpoint"])
    return 204, None


def _endpoint(token: str) -> str:
    """Of a new token, or the one that SNS knows for it: that may have been disabled meanwhile."""
    try:
        arn: str = sns.create_platform_endpoint(
            PlatformApplicationArn=os.environ["PUSH_APPLICATION"], Token=token
        )["EndpointArn"]
    except sns.exceptions.InvalidParameterException as error:
        known = _KNOWN.search(str(error))
        if not known:
            raise malformed("'token' is none of this platform.") from None
        arn = known[1]
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Token": token, "Enabled": "true"})
    return arn


def _key(request: Request) -> table.Item:
    if not _ID.fullmatch(request.path["device"]):
        raise malformed("A device's id has 16 to 64 letters, digits, hyphens and underscores.")
    return table.key(f"DEVICE#{request.path['device']}", "DEVICE")
