"""What the API tells: stacks, their resources and events, templates, exports.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.store.database import Row, View
from cloudlet.template import document as documents
from cloudlet.template import engine, plan, stacks
from cloudlet.template.api import proposal
from cloudlet.template.api.proposal import HIDDEN
from cloudlet.template.document import Document
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import DOOMED, Details, Stack

_PAGE = 100
Item = TypeVar("Item")


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def tokens(call: Call, items: Sequence[Item]) -> tuple[Sequence[Item], str | None]:
    """A page of the items, and the token of the next."""
    given = call.params.get("NextToken") or "0"
    if not given.isdigit():
        raise AwsError("ValidationError", "NextToken is invalid")
    start = int(given)
    end = start + _PAGE
    return items[start:end], str(end) if end < len(items) else None


def parameters_of(details: Details) -> list[dict[str, str]]:
    """As declared: defaults, too; without what is secret."""
    declared: dict[str, Any] = {}
    if details.body:
        declared = documents.parse_any(details.body).get("Parameters") or {}
    shown = []
    for name, declaration in declared.items():
        value = details.parameters.get(name, declaration.get("Default", ""))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        each = {"ParameterKey": name, "ParameterValue": HIDDEN if name in details.hidden else text}
        if name in details.resolved:
            each["ResolvedValue"] = details.resolved[name]
        shown.append(each)
    return shown


def _any_stack(view: View, name: str) -> Stack:
    """A stack by name or id; a deleted one by its id."""
    found = stacks.find(view, name)
    if found is None and name.startswith("arn:"):
        row = view.one("SELECT name, id FROM template_details WHERE id = ?", (name,))
        found = None if row is None else Stack(row["name"], row["id"])
    if found is None:
        raise AwsError("ValidationError", f"Stack with id {name} does not exist")
    return found


def _all_stacks(view: View) -> list[Stack]:
    rows = view.all("SELECT name, id FROM template_stacks ORDER BY updated_ms DESC")
    return [Stack(row["name"], row["id"]) for row in rows]


def describe_stacks(call: Call, view: View) -> Output:
    name = call.params.get("StackName")
    found = [_any_stack(view, name)] if name else _all_stacks(view)
    page, token = tokens(call, found)
    return {"Stacks": [_described(view, stack) for stack in page], "NextToken": token}


def _described(view: View, stack: Stack) -> dict[str, Any]:
    details, status = stacks.details(view, stack), stacks.status(view, stack)
    described = {
        **_summary(view, stack, details),
        "Parameters": parameters_of(details),
        "Outputs": [] if status == "REVIEW_IN_PROGRESS" else details.outputs,
        "Tags": details.tags,
        "Capabilities": details.capabilities,
        "NotificationARNs": details.topics,
        "RollbackConfiguration": {},
        "DisableRollback": details.disable_rollback,
        "EnableTerminationProtection": details.is_protected,
        "RoleARN": details.role or None,
        "ChangeSetId": details.change_set or None,
        "Description": details.description or None,
    }
    described.pop("TemplateDescription")
    return described


def _summary(view: View, stack: Stack, details: Details) -> dict[str, Any]:
    root = _root(view, details.parent) if details.parent else ""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "TemplateDescription": details.description or None,
        "CreationTime": moment(details.created_ms),
        "LastUpdatedTime": moment(details.updated_ms) if details.updated_ms else None,
        "DeletionTime": moment(details.deleted_ms) if details.deleted_ms else None,
        "StackStatus": stacks.status(view, stack),
        "StackStatusReason": _reason(view, stack),
        "ParentId": details.parent or None,
        "RootId": root or None,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def _root(view: View, parent: str) -> str:
    above = view.value("SELECT parent FROM template_details WHERE id = ?", (parent,))
    return _root(view, above) if above else parent


def _reason(view: View, stack: Stack) -> str | None:
    found = view.value(
        "SELECT reason FROM template_events WHERE stack_id = ? AND physical_id = ?"
        " ORDER BY number DESC LIMIT 1",
        (stack.id, stack.id),
    )
    return found or None


def list_stacks(call: Call, view: View) -> Output:
    rows = view.all("SELECT name, id FROM template_details ORDER BY created_ms DESC")
    wanted = call.params.get("StackStatusFilter")
    found = [Stack(row["name"], row["id"]) for row in rows]
    if wanted:
        found = [stack for stack in found if stacks.status(view, stack) in wanted]
    page, token = tokens(call, found)
    summaries = [_summary(view, stack, stacks.details(view, stack)) for stack in page]
    return {"StackSummaries": summaries, "NextToken": token}


def describe_stack_events(call: Call, view: View) -> Output:
    if not call.params.get("StackName"):
        raise AwsError("ValidationError", "Stack name may not be empty")
    stack = _any_stack(view, call.params["StackName"])
    rows = view.all(
        "SELECT * FROM template_events WHERE stack_id = ? ORDER BY number DESC", (stack.id,)
    )
    page, token = tokens(call, rows)
    events = [
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "EventId": f"{row['logical_id']}-{row['status']}-{row['number']}",
            "LogicalResourceId": row["logical_id"],
            "PhysicalResourceId": row["physical_id"],
            "ResourceType": row["type"],
            "Timestamp": moment(row["at_ms"]),
            "ResourceStatus": row["status"],
            "ResourceStatusReason": row["reason"] or None,
        }
        for row in page
    ]
    return {"StackEvents": events, "NextToken": token}


def _resources(view: View, stack: Stack) -> list[dict[str, Any]]:
    """Each resource with its last event; of a deleted stack, all that it had."""
    rows = view.all(
        "SELECT * FROM template_events WHERE number IN (SELECT max(number) FROM template_events"
        " WHERE stack_id = ? AND physical_id != ? GROUP BY logical_id) ORDER BY logical_id",
        (stack.id, stack.id),
    )
    last = {row["logical_id"]: row for row in rows}
    if stacks.status(view, stack) == "DELETE_COMPLETE":
        return [_resource(stack, row) for row in rows]
    found = []
    for record in stacks.records(view, stack.name):
        if record.state == DOOMED and not stacks.status(view, stack).startswith("DELETE"):
            continue
        row = last.get(record.logical_id)
        now = {
            "logical_id": record.logical_id,
            "physical_id": record.physical_id,
            "type": record.type,
            "status": row["status"] if row else "CREATE_COMPLETE",
            "reason": row["reason"] if row else "",
            "at_ms": row["at_ms"] if row else stacks.details(view, stack).created_ms,
        }
        found.append(_resource(stack, now))
    return found


def _resource(stack: Stack, row: "Row | dict[str, Any]") -> dict[str, Any]:
    return {
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": row["logical_id"],
        "PhysicalResourceId": row["physical_id"] or None,
        "ResourceType": row["type"],
        "ResourceStatus": row["status"],
        "ResourceStatusReason": row["reason"] or None,
        "Timestamp": moment(row["at_ms"]),
        "LastUpdatedTimestamp": moment(row["at_ms"]),
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def describe_stack_resources(call: Call, view: View) -> Output:
    name, physical = call.params.get("StackName"), call.params.get("PhysicalResourceId")
    if bool(name) == bool(physical):
        raise AwsError("ValidationError", "Either StackName or PhysicalResourceId is required")
    if physical:
        name = view.value("SELECT stack FROM template_resources WHERE physical_id = ?", (physical,))
        if name is None:
            raise AwsError("ValidationError", f"Stack for {physical} does not exist")
    wanted = call.params.get("LogicalResourceId")
    found = _resources(view, _any_stack(view, str(name)))
    chosen = [each for each in found if wanted in (None, each["LogicalResourceId"])]
    return {"StackResources": [_without(each, "LastUpdatedTimestamp") for each in chosen[:100]]}


def _without(each: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in each.items() if name not in names}


def describe_stack_resource(call: Call, view: View) -> Output:
    stack, wanted = _any_stack(view, call.params["StackName"]), call.params["LogicalResourceId"]
    for each in _resources(view, stack):
        if each["LogicalResourceId"] == wanted:
            metadata = _metadata(view, stack, wanted)
            return {"StackResourceDetail": {**_without(each, "Timestamp"), "Metadata": metadata}}
    text = f"Resource {wanted} does not exist for stack {stack.name}"
    raise AwsError("ValidationError", text)


def _metadata(view: View, stack: Stack, logical_id: str) -> str | None:
    member = _processed(stacks.details(view, stack)).get("Resources", {}).get(logical_id, {})
    return json.dumps(member["Metadata"]) if member.get("Metadata") else None


def list_stack_resources(call: Call, view: View) -> Output:
    found = _resources(view, _any_stack(view, call.params["StackName"]))
    page, token = tokens(call, found)
    names = ("Timestamp", "StackName", "StackId")
    return {"StackResourceSummaries": [_without(each, *names) for each in page], "NextToken": token}


def _processed(details: Details) -> Document:
    if details.processed:
        return dict(json.loads(details.processed))
    return documents.parse(details.body) if details.body else {}


def get_template(call: Call, view: View) -> Output:
    """`Original` is as given; `Processed` what its transforms made of it."""
    params = call.params
    stack = _any_stack(view, params["StackName"]) if params.get("StackName") else None
    if params.get("ChangeSetName"):
        details = _of_change_set(view, stack, params["ChangeSetName"])
    elif stack is not None:
        details = stacks.details(view, stack)
    else:
        raise AwsError("ValidationError", "StackName or ChangeSetName is required")
    body = details.body
    if params.get("TemplateStage") == "Processed" and details.processed:
        body = details.processed
    return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}


def _of_change_set(view: View, stack: Stack | None, name: str) -> Details:
    text = view.value(
        "SELECT document FROM template_change_sets WHERE id = ? OR (stack_id = ? AND name = ?)",
        (name, stack.id if stack else "", name),
    )
    if text is None:
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
    return Details(**json.loads(text)["proposal"]["details"])


def get_stack_policy(call: Call, view: View) -> Output:
    """None: SetStackPolicy is not implemented."""
    _any_stack(view, call.params["StackName"])
    return {}


async def get_template_summary(call: Call) -> Output:
    name = call.params.get("StackName")
    if name:
        view = call.cloud.database.view()
        body = stacks.details(view, _any_stack(view, name)).body
    else:
        body = await proposal.body_of(call)
    document = documents.parse(body)
    resources = [each for each in document["Resources"].values() if "Type" in each]
    return {
        **_declared(document),
        "ResourceTypes": sorted({each["Type"] for each in resources}),
        "Version": document.get("AWSTemplateFormatVersion"),
        "Metadata": json.dumps(document["Metadata"]) if document.get("Metadata") else None,
        "ResourceIdentifierSummaries": [],
    }


async def validate_template(call: Call) -> Output:
    """What can be said without parameters: form, names, types."""
    document = documents.parse(await proposal.body_of(call))
    if not documents.transforms(document):
        plan.check_types(document["Resources"])
    declared = _declared(document)
    for each in declared["Parameters"]:
        for name in ("ParameterType", "ParameterConstraints"):
            each.pop(name, None)
    return declared


def _declared(document: Document) -> dict[str, Any]:
    needed = documents.capabilities(document)
    if documents.transforms(document):
        needed = [*needed, "CAPABILITY_AUTO_EXPAND"]
    reason = None
    if needed and not documents.transforms(document):
        named = sorted(
            {m["Type"] for m in document["Resources"].values() if "AWS::IAM::" in m["Type"]}
        )
        reason = f"The following resource(s) require capabilities: [{', '.join(named)}]"
    return {
        "Parameters": [
            _parameter(name, each) for name, each in (document.get("Parameters") or {}).items()
        ],
        "Description": document.get("Description"),
        "Capabilities": needed,
        "CapabilitiesReason": reason,
        "DeclaredTransforms": documents.transforms(document),
    }


def _parameter(name: str, declaration: dict[str, Any]) -> dict[str, Any]:
    default = declaration.get("Default")
    found = {
        "ParameterKey": name,
        "ParameterType": declaration.get("Type"),
        "DefaultValue": None if default is None else str(default),
        "NoEcho": str(declaration.get("NoEcho", "")).lower() == "true",
        "Description": declaration.get("Description"),
    }
    if declaration.get("AllowedValues"):
        allowed = [str(each) for each in declaration["AllowedValues"]]
        found["ParameterConstraints"] = {"AllowedValues": allowed}
    return found


def list_exports(call: Call, view: View) -> Output:
    page, token = tokens(call, view.all("SELECT * FROM template_exports ORDER BY name"))
    exports = [
        {"ExportingStackId": row["stack_id"], "Name": row["name"], "Value": row["value"]}
        for row in page
    ]
    return {"Exports": exports, "NextToken": token}


def list_imports(call: Call, view: View) -> Output:
    name = call.params["ExportName"]
    if not view.one("SELECT 1 FROM template_exports WHERE name = ?", (name,)):
        raise TemplateError(f"No export named {name} found.")
    names = engine.importers(view, name)
    if not names:
        raise TemplateError(f"Export '{name}' is not imported by any stack.")
    page, token = tokens(call, names)
    return {"Imports": list(page), "NextToken": token}
