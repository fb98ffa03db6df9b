"""Settings that a bucket has many of, each with an id: request metrics, inventories and more.

What they do is in `request_metrics`, `inventory` and `declared`; here they are kept, answered and
listed.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-configurations.html
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

TOPIC = "s3-configurations"
_CONFIGURATIONS_MAX = 1000
_PAGE = 100
_NOT_THERE = "The specified configuration does not exist."
Document = dict[str, Any]


class Kind(NamedTuple):
    setting: str
    member: str  # in requests and answers; its list's name has "List" behind
    is_named: bool = True  # s3-090: whether another id in the document has an error of its own


METRICS = Kind("metrics", "MetricsConfiguration")
ANALYTICS = Kind("analytics", "AnalyticsConfiguration", False)
TIERING = Kind("tiering", "IntelligentTieringConfiguration", False)
INVENTORY = Kind("inventory", "InventoryConfiguration")


def put(call: Call, tx: Transaction, kind: Kind, check: Callable[[Document], None]) -> Result:
    bucket, wanted = of_call(call, tx), call.params.get(kind.member) or {}
    if wanted.get("Id") != call.params["Id"]:
        if not kind.is_named:
            raise faults.malformed_xml()
        text = "Document ID does not match the specified configuration ID."
        raise AwsError("IdMismatch", text, 400)
    check(wanted)
    kept = setting(tx, bucket.id, kind.setting) or {}
    if wanted["Id"] not in kept and len(kept) >= _CONFIGURATIONS_MAX:
        raise AwsError(
            "TooManyConfigurations",
            "You are attempting to create a new configuration but have already reached the "
            "1,000-configuration limit.",
            400,
        )
    put_setting(tx, bucket.id, kind.setting, {**kept, wanted["Id"]: wanted})
    tx.touch(TOPIC)
    return Result({}, 204)


def check_destination(arn: str | None) -> None:
    if not (arn or "").startswith("arn:aws:s3:::"):
        raise AwsError("InvalidS3DestinationBucket", "Invalid bucket ARN.", 400)


def get(call: Call, view: View, kind: Kind) -> Output:
    kept = setting(view, of_call(call, view).id, kind.setting) or {}
    return {kind.member: _there(kept, call.params["Id"])}


def delete(call: Call, tx: Transaction, kind: Kind) -> Result:
    bucket = of_call(call, tx)
    kept = setting(tx, bucket.id, kind.setting) or {}
    _there(kept, call.params["Id"])
    del kept[call.params["Id"]]
    if kept:
        put_setting(tx, bucket.id, kind.setting, kept)
    else:
        drop_setting(tx, bucket.id, kind.setting)
    tx.touch(TOPIC)
    return Result({}, 204)


def _there(kept: Mapping[str, Document], id_: str) -> Document:
    if id_ not in kept:
        raise AwsError("NoSuchConfiguration", _NOT_THERE, 404)
    return kept[id_]


def listed(call: Call, view: View, kind: Kind) -> Output:
    """By id, a hundred at a time."""
    kept = setting(view, of_call(call, view).id, kind.setting) or {}
    token = call.params.get("ContinuationToken")
    try:
        after = base64.urlsafe_b64decode(token).decode() if token else ""
    except (binascii.Error, ValueError) as error:
        message = "The continuation token provided is incorrect"
        raise faults.invalid_argument(message, "continuation-token", token) from error
    names = sorted(name for name in kept if name > after)
    output: Output = {"IsTruncated": len(names) > _PAGE}
    if names:
        output[f"{kind.member}List"] = [kept[name] for name in names[:_PAGE]]
    if token:
        output["ContinuationToken"] = token
    if len(names) > _PAGE:
        last = names[_PAGE - 1].encode()
        output["NextContinuationToken"] = base64.urlsafe_b64encode(last).decode()
    return output


def all_of(view: View, kind: Kind) -> list[tuple[str, Document]]:
    """Each bucket's name with each of its configurations."""
    rows = view.all(
        "SELECT s3_bucket.id, s3_bucket.name FROM s3_bucket JOIN s3_setting ON bucket = id"
        " AND s3_setting.name = ?",
        (kind.setting,),
    )
    return [
        (row["name"], each)
        for row in rows
        for each in (setting(view, row["id"], kind.setting) or {}).values()
    ]
