"""Usage plans: which keys may call which stages, how fast and how often; the usage itself.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.gateway.rest import documents, keys, patches, snapshots
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_MEMBERS = "name description apiStages throttle quota tags"
_OFFSETS = {
    "DAY": (0, "must be zero in the DAY period"),
    "WEEK": (6, "must be between zero and six inclusive in the WEEK period"),
    "MONTH": (27, "must be between zero and 27 inclusive in the MONTH period"),
}
_THROTTLE = re.compile(
    r"/apiStages/(?P<stage>[^/]+)/throttle/(?P<path>.+)/(?P<verb>[A-Z]+|\*)"
    r"(?:/(?P<limit>rateLimit|burstLimit))?"
)
_DAYS_MAX = 366


def create_usage_plan(call: Call, tx: Transaction) -> Output:
    plan = {"id": new_id(6), "apiStages": [], **documents.chosen(call.params, _MEMBERS)}
    return _save(call, tx, plan)


def get_usage_plan(call: Call, view: View) -> Output:
    return documents.item(view, "usageplan", call.params["usagePlanId"])


def get_usage_plans(call: Call, view: View) -> Output:
    found = documents.items(view, "usageplan")
    key = call.params.get("keyId")
    if key:
        rows = view.all("SELECT plan_id FROM rest_plan_keys WHERE key_id = ?", (key,))
        own = {row["plan_id"] for row in rows}
        found = [plan for plan in found if plan["id"] in own]
    return documents.page(found, call.params)


def update_usage_plan(call: Call, tx: Transaction) -> Output:
    plan = get_usage_plan(call, tx)
    for operation in call.params.get("patchOperations") or []:
        if str(operation.get("path")).startswith("/apiStages"):
            _patch_stages(plan, operation)
        else:
            patches.apply_one("usageplan", plan, operation)
    return _save(call, tx, plan)


def delete_usage_plan(call: Call, tx: Transaction) -> None:
    plan = get_usage_plan(call, tx)
    if plan.get("apiStages"):
        raise bad_request("Cannot delete a Usage Plan that has API Stages associated with it")
    documents.delete_item(tx, "usageplan", plan["id"])
    for table in ("rest_plan_keys", "rest_usage"):
        tx.run(f"DELETE FROM {table} WHERE plan_id = ?", (plan["id"],))
    documents.all_changed(tx)


def create_usage_plan_key(call: Call, tx: Transaction) -> Output:
    plan, key = get_usage_plan(call, tx), keys.find(tx, call.params["keyId"])
    if call.params["keyType"] != "API_KEY":
        raise bad_request("Invalid key type specified. Must be one of [API_KEY]")
    wanted = _stages(plan)
    for row in tx.all("SELECT plan_id FROM rest_plan_keys WHERE key_id = ?", (key["id"],)):
        if row["plan_id"] == plan["id"]:
            raise documents.conflict("This API Key is already associated with the Usage Plan")
        if wanted & _stages(documents.item(tx, "usageplan", row["plan_id"])):
            raise documents.conflict(
                "A API Key cannot be associated with two Usage Plans for the same API Stage"
            )
    tx.run("INSERT INTO rest_plan_keys VALUES (?, ?)", (plan["id"], key["id"]))
    documents.all_changed(tx)
    return _described(key)


def get_usage_plan_key(call: Call, view: View) -> Output:
    for key in _keys(view, get_usage_plan(call, view)["id"]):
        if key["id"] == call.params["keyId"]:
            return _described(key)
    raise documents.not_found("apikey")


def get_usage_plan_keys(call: Call, view: View) -> Output:
    start = call.params.get("nameQuery") or ""
    found = [
        _described(key)
        for key in _keys(view, get_usage_plan(call, view)["id"])
        if str(key.get("name", "")).startswith(start)
    ]
    return documents.page(found, call.params)


def delete_usage_plan_key(call: Call, tx: Transaction) -> None:
    get_usage_plan_key(call, tx)
    tx.run(
        "DELETE FROM rest_plan_keys WHERE plan_id = ? AND key_id = ?",
        (call.params["usagePlanId"], call.params["keyId"]),
    )
    documents.all_changed(tx)


def get_usage(call: Call, view: View) -> Output:
    """Per key and day: requests used, requests remaining in the quota's period."""
    plan, params = get_usage_plan(call, view), call.params
    first, last = _date(params["startDate"]), _date(params["endDate"])
    if not timedelta(0) <= last - first < timedelta(days=_DAYS_MAX):
        raise bad_request("Invalid date range: endDate must be on or after startDate")
    wanted = [keys.find(view, params["keyId"])] if params.get("keyId") else _keys(view, plan["id"])
    page = documents.page(wanted, params)
    page["items"] = {key["id"]: _usage(view, plan, key["id"], first, last) for key in page["items"]}
    return {
        "usagePlanId": plan["id"],
        "startDate": params["startDate"],
        "endDate": params["endDate"],
        **page,
    }


def update_usage(call: Call, tx: Transaction) -> Output:
    """`/remaining` grants a key more, or fewer, requests in the running period."""
    plan, key_id = get_usage_plan(call, tx), call.params["keyId"]
    get_usage_plan_key(call, tx)
    for operation in call.params.get("patchOperations") or []:
        if (operation.get("op"), operation.get("path")) != ("replace", "/remaining"):
            raise bad_request(
                f"Invalid patch path '{operation.get('path')}' specified for op"
                f" '{operation.get('op')}'. Must be one of: [/remaining]"
            )
        left = snapshots.remaining(tx, plan, key_id, call.now_ms)
        if left is None:
            raise bad_request("Usage Plan does not have a quota")
        wanted = patches.scalar("i", operation.get("value"), "/remaining")
        snapshots.count(tx, plan["id"], key_id, call.now_ms, 0)
        tx.run(
            "UPDATE rest_usage SET granted = granted + ?"
            " WHERE plan_id = ? AND key_id = ? AND day = ?",
            (wanted - left, plan["id"], key_id, snapshots.day_of(call.now_ms)),
        )
    documents.all_changed(tx)
    today = snapshots.day_of(call.now_ms)
    day = _date(today)
    items = {key_id: _usage(tx, plan, key_id, day, day)}
    return {"usagePlanId": plan["id"], "startDate": today, "endDate": today, "items": items}


def forget(call: Call, tx: Transaction, api_id: str, stage_name: str | None = None) -> None:
    """Stages that go leave their usage plans."""
    for plan in documents.items(tx, "usageplan"):
        kept = [
            stage
            for stage in plan["apiStages"]
            if stage["apiId"] != api_id or stage_name not in (None, stage["stage"])
        ]
        if len(kept) < len(plan["apiStages"]):
            documents.save_item(
                tx, ("usageplan", plan["id"]), {**plan, "apiStages": kept}, call.now_ms
            )


def _save(call: Call, tx: Transaction, plan: Document) -> Document:
    for stage in plan["apiStages"]:
        api_id, name = stage.get("apiId", ""), stage.get("stage", "")
        if not documents.find_part(tx, api_id, "stage", name):
            raise _no_stage(f"{api_id}:{name}")
    if not str(plan.get("name") or "").strip():
        raise bad_request("Usage Plan name must be specified")
    _check_quota(plan.get("quota"))
    throttle = plan.get("throttle") or {}
    if throttle.get("rateLimit", 0) < 0 or throttle.get("burstLimit", 0) < 0:
        raise bad_request("Usage Plan throttle limits must not be negative")
    documents.save_item(tx, ("usageplan", plan["id"]), plan, call.now_ms)
    documents.all_changed(tx)
    return plan


def _check_quota(quota: Document | None) -> None:
    if not quota:
        return
    if quota.get("period") not in _OFFSETS:
        raise bad_request("Usage Plan quota period must be one of [DAY, WEEK, MONTH]")
    if quota.get("limit", 0) <= 0:
        raise bad_request("Usage Plan quota limit must be greater than zero")
    offset_max, text = _OFFSETS[quota["period"]]
    if not 0 <= quota.get("offset", 0) <= offset_max:
        raise bad_request(f"Usage Plan quota offset {text}")


def _patch_stages(plan: Document, operation: Mapping[str, Any]) -> None:
    name, path = operation.get("op"), str(operation.get("path"))
    throttle = _THROTTLE.fullmatch(path)
    if throttle and name in ("add", "remove", "replace"):
        _patch_throttle(plan, throttle, operation)
        return
    if path != "/apiStages" or name not in ("add", "remove"):
        raise bad_request(
            f"Invalid patch path '{path}' specified for op '{name}'. Must be one of: [/apiStages]"
        )
    api_id, found, stage = str(operation.get("value")).partition(":")
    if not found:
        raise bad_request("Invalid API Stage: it must have the form {apiId}:{stage}")
    if name == "add":
        if (api_id, stage) in _stages(plan):
            raise documents.conflict("API Stage is already associated with the Usage Plan")
        plan["apiStages"].append({"apiId": api_id, "stage": stage})
        return
    plan["apiStages"].remove(_stage(plan, f"{api_id}:{stage}"))


def _patch_throttle(plan: Document, found: re.Match[str], operation: Mapping[str, Any]) -> None:
    """Limits of one method, beside the plan's."""
    stage = _stage(plan, found["stage"])
    limits = stage.setdefault("throttle", {})
    key = f"/{patches.unescape(found['path']).lstrip('/')}/{found['verb']}"
    if operation["op"] == "remove":
        limits.pop(key, None)
    elif found["limit"]:
        kind = "f" if found["limit"] == "rateLimit" else "i"
        value = patches.scalar(kind, operation.get("value"), found[0])
        limits.setdefault(key, {})[found["limit"]] = value
    else:
        raise bad_request(f"Invalid patch path '{found[0]}' specified for op 'replace'")


def _stage(plan: Document, name: str) -> Document:
    for stage in plan["apiStages"]:
        if f"{stage['apiId']}:{stage['stage']}" == name:
            found: Document = stage
            return found
    raise _no_stage(name)


def _no_stage(name: str) -> AwsError:
    return AwsError("NotFoundException", f"API Stage not found: {name}", 404)


def _stages(plan: Document) -> set[tuple[str, str]]:
    return {(stage["apiId"], stage["stage"]) for stage in plan["apiStages"]}


def _keys(view: View, plan_id: str) -> list[Document]:
    sql = (
        "SELECT document FROM rest_plan_keys JOIN rest_keys ON id = key_id"
        " WHERE plan_id = ? ORDER BY created_ms, id"
    )
    return stored.every(view, sql, (plan_id,))


def _described(key: Document) -> Document:
    found = {"id": key["id"], "type": "API_KEY", "value": key["value"], "name": key.get("name")}
    return {name: value for name, value in found.items() if value is not None}


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad_request("Invalid date: it must have the form YYYY-MM-DD") from None


def _usage(view: View, plan: Document, key_id: str, first: date, last: date) -> list[list[int]]:
    rows = view.all(
        "SELECT day, used FROM rest_usage WHERE plan_id = ? AND key_id = ?", (plan["id"], key_id)
    )
    used = {row["day"]: row["used"] for row in rows}
    days = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        left = snapshots.remaining(view, plan, key_id, int(noon.timestamp() * 1000))
        days.append([used.get(day.isoformat(), 0), left or 0])
    return days
