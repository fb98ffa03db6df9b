"""What the data plane reads: a stage with its deployed snapshot, API keys with plans, quotas.

A snapshot is immutable and has the members of AWS's answers:
`{"restApi": GetRestApi, "resources": [{"id", "parentId", "path", "resourceMethods": {"GET":
GetMethod with methodIntegration and methodResponses}}], "authorizers": {id: GetAuthorizer},
"models": {name: GetModel}, "validators": {id: GetRequestValidator}, "gatewayResponses": {type:
GetGatewayResponse, only customised ones}, "policy": the resource policy as a document or None}`.

Every change of an API's stages, deployments, keys and usage plans touches the topic
`rest:{api_id}`; who has compiled something subscribes to the prefix `rest:` and forgets it.
FlushStageCache touches `rest-flush:data:{api_id}/{stage}`, FlushStageAuthorizersCache
`rest-flush:authorizers:{api_id}/{stage}`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cloudlet.gateway.rest import documents
from cloudlet.gateway.rest.documents import Document
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

FLUSH_TOPIC = "rest-flush:"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One stage, ready to be served. `canary` is the snapshot of `stage["canarySettings"]`."""

    api_id: str
    stage: Document  # GetStage members
    snapshot: Document
    canary: Document | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """An API key's right to use a stage. `plan` has GetUsagePlan's members."""

    key: Document  # GetApiKey members with `value`
    plan: Document


def load(view: View, api_id: str, stage_name: str) -> Deployed | None:
    """None where the API or the stage is not there."""
    stage = documents.find_part(view, api_id, "stage", stage_name)
    snapshot = deployed(view, api_id, stage["deploymentId"]) if stage else None
    if stage is None or snapshot is None:
        return None
    canary = (stage.get("canarySettings") or {}).get("deploymentId")
    return Deployed(api_id, stage, snapshot, deployed(view, api_id, canary) if canary else None)


def deployed(view: View, api_id: str, deployment_id: str) -> Document | None:
    sql = "SELECT snapshot FROM rest_deployments WHERE api_id = ? AND id = ?"
    return stored.find(view, sql, (api_id, deployment_id))


def method_settings(stage: Document, path: str, verb: str) -> Document:
    """The stage's settings for a method of the resource at `path`; its own win over `*/*`'s.

    Their keys are as clients wrote them: `pets/GET`, `~1pets~1{id}/GET`.
    """
    found: Document = stage.get("methodSettings") or {}
    for key, settings in found.items():
        resource, _, method = key.rpartition("/")
        if method == verb and "/" + resource.replace("~1", "/").strip("/") == path:
            own: Document = settings
            return own
    everyone: Document = found.get("*/*") or {}
    return everyone


def admission(view: View, value: str, api_id: str, stage_name: str) -> Admission | None:
    """None where no enabled key has this value, or none of its plans is for this stage."""
    key = stored.find(view, "SELECT document FROM rest_keys WHERE value = ?", (value,))
    if key is None or not key.get("enabled"):
        return None
    sql = (
        "SELECT i.document FROM rest_plan_keys k JOIN rest_items i"
        " ON i.kind = 'usageplan' AND i.id = k.plan_id WHERE k.key_id = ?"
    )
    for plan in stored.every(view, sql, (key["id"],)):
        for stage in plan.get("apiStages") or []:
            if (stage["apiId"], stage["stage"]) == (api_id, stage_name):
                return Admission(key, plan)
    return None


def day_of(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()


def period_start(quota: Document, now_ms: int) -> str:
    """The day on which the quota's running period began (offset: days into week or month)."""
    today = date.fromisoformat(day_of(now_ms))
    offset = int(quota.get("offset") or 0)
    if quota["period"] == "DAY":
        return today.isoformat()
    if quota["period"] == "WEEK":  # a week begins on Sunday
        back = (today.isoweekday() % 7 - offset) % 7
        return (today - timedelta(days=back)).isoformat()
    start = today.replace(day=1) + timedelta(days=offset)
    if start > today:
        start = (today.replace(day=1) - timedelta(days=1)).replace(day=1) + timedelta(days=offset)
    return start.isoformat()


def remaining(view: View, plan: Document, key_id: str, now_ms: int) -> int | None:
    """Requests left in the running period; None without a quota."""
    quota = plan.get("quota")
    if not quota:
        return None
    spent = view.value(
        "SELECT COALESCE(SUM(used - granted), 0) FROM rest_usage"
        " WHERE plan_id = ? AND key_id = ? AND day BETWEEN ? AND ?",
        (plan["id"], key_id, period_start(quota, now_ms), day_of(now_ms)),
    )
    return int(quota["limit"]) - int(spent)


def count(tx: Transaction, plan_id: str, key_id: str, now_ms: int, requests: int = 1) -> None:
    """Adds served requests to today's counter."""
    tx.run(
        "INSERT INTO rest_usage (plan_id, key_id, day, used) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET used = used + excluded.used",
        (plan_id, key_id, day_of(now_ms), requests),
    )
