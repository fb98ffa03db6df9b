"""What is set on a table besides its shape: TTL, tags, and what DynamoDB says of itself.

See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import copy
import re
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.dynamodb import definitions, sweep
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction, View

_TAGS_MAX = 50
_TAG = re.compile(r"[\w\s+\-=.:/@]*")


def update_time_to_live(call: Call, tx: Transaction) -> Output:
    """Turns expiry by an attribute on or off."""
    wanted = call.params["TimeToLiveSpecification"]
    table = definitions.get_described(tx, call.config, call.params["TableName"])
    if wanted["Enabled"] and table.expiry is not None:
        same = table.expiry == wanted["AttributeName"]
        raise invalid(
            "TimeToLive is already enabled"
            if same
            else f"TimeToLive is active on a different AttributeName: current AttributeName is"
            f" {table.expiry}"
        )
    if not wanted["Enabled"] and table.expiry is None:
        raise invalid("TimeToLive is already disabled")
    if not wanted["Enabled"] and table.expiry != wanted["AttributeName"]:
        raise invalid(
            "TimeToLive is active on a different AttributeName: current AttributeName is"
            f" {table.expiry}"
        )
    document = copy.deepcopy(table.document)
    document.pop("Expiry", None)
    if wanted["Enabled"]:
        document["Expiry"] = {"AttributeName": wanted["AttributeName"]}
    table = definitions.save(tx, table, document)
    sweep.restart_backfill(tx, table, index_id=0)
    return {"TimeToLiveSpecification": wanted}


def describe_time_to_live(call: Call, view: View) -> Output:
    """ENABLING while expiry times of older items are still being gathered."""
    table = definitions.get_described(view, call.config, call.params["TableName"])
    filling = view.one(
        "SELECT 1 FROM dynamodb_backfills WHERE table_id = ? AND index_id = 0", (table.id,)
    )
    if table.expiry is None:
        return {
            "TimeToLiveDescription": {"TimeToLiveStatus": "DISABLING" if filling else "DISABLED"}
        }
    status = "ENABLING" if filling else "ENABLED"
    return {"TimeToLiveDescription": {"TimeToLiveStatus": status, "AttributeName": table.expiry}}


def tag(tx: Transaction, arn: str, tags: list[dict[str, str]]) -> None:
    for each in tags:
        if not (_TAG.fullmatch(each["Key"]) and _TAG.fullmatch(each["Value"])):
            raise invalid(
                "One or more parameter values were invalid: Tag keys and values may contain"
                " letters, white space, numbers and the characters +-=._:/@"
            )
    if len({each["Key"] for each in tags}) < len(tags):
        raise invalid("One or more parameter values were invalid: Duplicate Tag Key")
    tx.run_many(
        "INSERT OR REPLACE INTO dynamodb_tags (arn, key, value) VALUES (?, ?, ?)",
        [(arn, each["Key"], each["Value"]) for each in tags],
    )
    if tx.value("SELECT count(*) FROM dynamodb_tags WHERE arn = ?", (arn,)) > _TAGS_MAX:
        raise invalid("One or more parameter values were invalid: Too many tags: limit is 50")


def tag_resource(call: Call, tx: Transaction) -> None:
    """Adds tags, or changes their values."""
    arn, tags = _tagged(call, tx), call.params["Tags"]
    if not tags:
        raise invalid("Atleast one Tag needs to be provided as Input.")
    tag(tx, arn, tags)


def untag_resource(call: Call, tx: Transaction) -> None:
    """Removes tags; those that aren't there are fine."""
    arn = _tagged(call, tx)
    keys = [(arn, key) for key in call.params["TagKeys"]]
    if not keys:
        raise invalid("Atleast one Tag Key needs to be provided as Input.")
    tx.run_many("DELETE FROM dynamodb_tags WHERE arn = ? AND key = ?", keys)


def list_tags_of_resource(call: Call, view: View) -> Output:
    """All tags; a table has few enough for one page."""
    rows = view.all(
        "SELECT key, value FROM dynamodb_tags WHERE arn = ? ORDER BY key", (_tagged(call, view),)
    )
    return {"Tags": [{"Key": row[0], "Value": row[1]} for row in rows]}


def _tagged(call: Call, view: View) -> str:
    arn: str = call.params["ResourceArn"]
    table_name = arn.removeprefix(call.config.arn("dynamodb", "table/"))
    if not arn.startswith("arn:"):
        raise invalid(f"Invalid TableArn: ARNs must start with 'arn:': {arn}")
    if table_name == arn or "/" in table_name:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    table = definitions.find(view, call.config, arn)
    if table is None or table.arn != arn:
        raise AwsError(
            "ResourceNotFoundException",
            f"Requested resource not found: ResourcArn: {arn} not found",
        )
    return arn


def describe_limits(call: Call, view: View) -> Output:
    """AWS's default quotas; cloudlet itself throttles nothing."""
    return {
        "AccountMaxReadCapacityUnits": 80000,
        "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000,
        "TableMaxWriteCapacityUnits": 40000,
    }


def describe_endpoints(call: Call, view: View) -> Output:
    """The endpoint that was asked."""
    address = call.request.host or call.config.aws_endpoint.removeprefix("http://")
    return {"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]}


def update_continuous_backups(call: Call, view: View) -> Output:
    """They can be off only."""
    if call.params["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]:
        raise NotImplementedByCloudlet("Point-in-time recovery")
    return describe_continuous_backups(call, view)


def describe_continuous_backups(call: Call, view: View) -> Output:
    """There are none: cloudlet keeps no history to restore a table from."""
    name = definitions.name_of(call.config, call.params["TableName"])
    if definitions.find(view, call.config, name) is None:
        raise AwsError("TableNotFoundException", f"Table not found: {name}")
    off: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": off,
        }
    }
