"""Dashboards: kept, checked to be one, given back. Tags of dashboards and alarms.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WIDGETS_MAX = 500
_TAGS_MAX = 50


def put_dashboard(call: Call, tx: Transaction) -> Output:
    name, body = call.params["DashboardName"], call.params["DashboardBody"]
    problems = _problems(body)
    if not _NAME.fullmatch(name):
        problems.append({"DataPath": "/", "Message": f"The dashboard name {name!r} is not valid."})
    if problems:
        message = "The field DashboardBody must be a valid dashboard"
        raise AwsError("InvalidParameterInput", message, dashboardValidationMessages=problems)
    tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or []}
    tx.run(
        "INSERT INTO dashboards VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET body = ?2, changed_ms = ?3",
        (name, body, call.now_ms, orjson.dumps(tags).decode()),
    )
    return {"DashboardValidationMessages": []}


def _problems(body: str) -> list[dict[str, str]]:
    try:
        document = orjson.loads(body)
    except ValueError:
        return [{"DataPath": "/", "Message": "The body is not JSON."}]
    widgets = document.get("widgets") if isinstance(document, dict) else None
    if not isinstance(widgets, list):
        return [{"DataPath": "/", "Message": "Should have property widgets, an array."}]
    if len(widgets) > _WIDGETS_MAX:
        return [{"DataPath": "/widgets", "Message": f"At most {_WIDGETS_MAX} widgets."}]
    problems = []
    for number, widget in enumerate(widgets):
        parts = widget if isinstance(widget, dict) else {}
        for name, kind in (("type", str), ("properties", dict)):
            if not isinstance(parts.get(name), kind):
                message = f"Should have property {name}"
                problems.append({"DataPath": f"/widgets/{number}", "Message": message})
    return problems


def get_dashboard(call: Call, view: View) -> Output:
    name = call.params["DashboardName"]
    body = view.value("SELECT body FROM dashboards WHERE name = ?", (name,))
    if body is None:
        raise AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    return {"DashboardArn": _arn(call, name), "DashboardName": name, "DashboardBody": body}


def list_dashboards(call: Call, view: View) -> Output:
    prefix = call.params.get("DashboardNamePrefix") or ""
    rows = view.all(
        "SELECT * FROM dashboards WHERE substr(name, 1, ?) = ? ORDER BY name", (len(prefix), prefix)
    )
    entries = [
        {
            "DashboardName": row["name"],
            "DashboardArn": _arn(call, row["name"]),
            "LastModified": row["changed_ms"] / 1000,
            "Size": len(row["body"].encode()),
        }
        for row in rows
    ]
    return {"DashboardEntries": entries}


def delete_dashboards(call: Call, tx: Transaction) -> None:
    """All of them or, if one is not there, none."""
    for name in call.params["DashboardNames"]:
        if not tx.run("DELETE FROM dashboards WHERE name = ?", (name,)).rowcount:
            raise AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)


def _arn(call: Call, name: str) -> str:
    return f"arn:aws:cloudwatch::{call.config.account}:dashboard/{name}"


def tag_resource(call: Call, tx: Transaction) -> None:
    tags = {**_tags(call, tx), **{tag["Key"]: tag["Value"] for tag in call.params["Tags"]}}
    if len(tags) > _TAGS_MAX:
        raise AwsError("InvalidParameterValue", f"A resource can have {_TAGS_MAX} tags.")
    _save_tags(call, tx, tags)


def untag_resource(call: Call, tx: Transaction) -> None:
    kept = {k: v for k, v in _tags(call, tx).items() if k not in call.params["TagKeys"]}
    _save_tags(call, tx, kept)


def list_tags_for_resource(call: Call, view: View) -> Output:
    return {"Tags": [{"Key": key, "Value": value} for key, value in _tags(call, view).items()]}


def _place(call: Call) -> tuple[str, str]:
    """The table and the name that an ARN says."""
    arn = call.params["ResourceARN"]
    for part, table in ((":alarm:", "alarms"), (":dashboard/", "dashboards")):
        if part in arn:
            return table, arn.split(part, 1)[1]
    raise AwsError("InvalidParameterValue", f"{arn} is no alarm and no dashboard.")


def _tags(call: Call, view: View) -> dict[str, Any]:
    table, name = _place(call)
    tags = stored.find(view, f"SELECT tags FROM {table} WHERE name = ?", (name,))
    if tags is None:
        message = f"{call.params['ResourceARN']} does not exist"
        raise AwsError("ResourceNotFoundException", message, 404)
    return tags


def _save_tags(call: Call, tx: Transaction, tags: dict[str, Any]) -> None:
    table, name = _place(call)
    tx.run(f"UPDATE {table} SET tags = ? WHERE name = ?", (orjson.dumps(tags).decode(), name))
