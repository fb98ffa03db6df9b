"""Resource policies of CloudWatch Logs: which services and accounts may write to log groups.

They are the account's, not a log group's; policies of single log groups are absent.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, refuse
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.policy.evaluation import statements
from cloudlet.store.database import Row, Transaction, View

_POLICIES_MAX = 10
_CHARS_MAX = 5120
_ABSENT = ("resourceArn", "expectedRevisionId")


def put_resource_policy(call: Call, tx: Transaction) -> Output:
    refuse(call.params, *_ABSENT)
    name, text = (call.params.get(each) or "" for each in ("policyName", "policyDocument"))
    try:
        is_policy = bool(statements(orjson.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError):
        is_policy = False
    if not name or not is_policy or len(text) > _CHARS_MAX:
        raise invalid("The policy's name or document is not valid.")
    others = tx.value("SELECT count(*) FROM log_policies WHERE name <> ?", (name,))
    if others >= _POLICIES_MAX:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    row = {"name": name, "document": text, "put_ms": call.now_ms}
    tx.run("INSERT OR REPLACE INTO log_policies VALUES (:name, :document, :put_ms)", row)
    return {"resourcePolicy": _told(row)}


def describe_resource_policies(call: Call, view: View) -> Output:
    refuse(call.params, "resourceArn")
    if call.params.get("policyScope", "ACCOUNT") != "ACCOUNT":
        return {"resourcePolicies": []}
    limit, after = call.params.get("limit") or 50, call.params.get("nextToken") or ""
    rows = view.all(
        "SELECT * FROM log_policies WHERE name > ? ORDER BY name LIMIT ?", (after, limit + 1)
    )
    token = rows[limit - 1]["name"] if len(rows) > limit else None
    return {"resourcePolicies": [_told(row) for row in rows[:limit]], "nextToken": token}


def delete_resource_policy(call: Call, tx: Transaction) -> None:
    refuse(call.params, *_ABSENT)
    name = call.params.get("policyName") or ""
    if not tx.run("DELETE FROM log_policies WHERE name = ?", (name,)).rowcount:
        text = f"Policy with name [{name}] does not exist."
        raise AwsError("ResourceNotFoundException", text)


def policies(_: Call, view: View) -> list[Mapping[str, Any]]:
    return [orjson.loads(row["document"]) for row in view.all("SELECT document FROM log_policies")]


def _told(row: Row | dict[str, Any]) -> Output:
    return {
        "policyName": row["name"],
        "policyDocument": row["document"],
        "lastUpdatedTime": row["put_ms"],
        "policyScope": "ACCOUNT",
    }
