"""Change sets: what a call would change, kept until it is executed or deleted.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html.
"""

import json
from dataclasses import asdict
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Row, Transaction, View
from cloudlet.template import stacks
from cloudlet.template.api import proposal
from cloudlet.template.api.describing import moment, parameters_of, tokens
from cloudlet.template.api.proposal import Proposal
from cloudlet.template.api.stacks import check_name, check_updatable, refusal
from cloudlet.template.plan import Step
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import Details, Event, Record, Stack

_NOTHING = (
    "The submitted information didn't contain changes. Submit different information to create a"
    " change set."
)
_ACTIONS = {"create": "Add", "update": "Modify", "replace": "Modify", "delete": "Remove"}


async def create_change_set(call: Call) -> Output:
    params = call.params
    kind = params.get("ChangeSetType") or "UPDATE"
    if kind == "IMPORT":
        raise NotImplementedByCloudlet("cloudformation:CreateChangeSet of the type IMPORT")
    view = call.cloud.database.view()
    stack, is_made = _stack(call, view, kind)
    details = stacks.details(view, stack) if is_made else Details(0)
    document: dict[str, Any] = {"type": kind, "description": params.get("Description")}
    document["on_failure"] = params.get("OnStackFailure") or "ROLLBACK"
    status, reason, changes = "CREATE_COMPLETE", "", list[Any]()
    try:
        wanted = await proposal.propose(call, stack, details)
        steps = await proposal.steps_of(call, stack, wanted)
        changes = [_change(step, stacks.records(view, stack.name)) for step in steps]
        if is_made and kind == "UPDATE" and not proposal.is_change(details, wanted, steps):
            raise TemplateError(_NOTHING)
        document["proposal"] = asdict(wanted)
    except TemplateError as error:
        if error.message != _NOTHING:
            raise
        status, reason = "FAILED", error.message
        document["proposal"] = asdict(wanted)
    document |= {"reason": reason, "changes": changes}
    name = params["ChangeSetName"]
    arn = call.config.arn("cloudformation", f"changeSet/{name}/{call.config.new_id()}")

    def change(tx: Transaction) -> None:
        if not is_made and stacks.find(tx, stack.name) is None:
            stacks.insert(tx, call.config, stack)
            stacks.put_details(tx, stack, Details(call.now_ms))
            event = Event("REVIEW_IN_PROGRESS", "User Initiated")
            stacks.turn(tx, call.config, stack, event, None)
        if tx.one(
            "SELECT 1 FROM template_change_sets WHERE stack_id = ? AND name = ?", (stack.id, name)
        ):
            raise AwsError("AlreadyExistsException", f"ChangeSet {name} already exists")
        tx.run(
            "INSERT INTO template_change_sets (id, stack_id, name, status, at_ms, document)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (arn, stack.id, name, status, call.now_ms, json.dumps(document, default=str)),
        )

    await call.cloud.database.write(change)
    return {"Id": arn, "StackId": stack.id}


def _stack(call: Call, view: View, kind: str) -> tuple[Stack, bool]:
    """The stack, and whether there is one already."""
    name = call.params["StackName"]
    found = stacks.find(view, name)
    status = stacks.status(view, found) if found else ""
    if kind == "CREATE":
        if found and status != "REVIEW_IN_PROGRESS":
            raise refusal(
                f"Stack [{found.name}] already exists and cannot be created again with"
                f" the changeSet [{call.params['ChangeSetName']}]."
            )
        if found:
            return found, True
        check_name(name)
        return stacks.named(call.config, name), False
    stack = proposal.existing(view, name)
    check_updatable(stack, status)
    return stack, True


def _change(step: Step, rows: list[Record]) -> dict[str, Any]:
    physical = {row.logical_id: row.physical_id for row in rows}
    change: dict[str, Any] = {
        "Action": _ACTIONS[step.action],
        "LogicalResourceId": step.logical_id,
        "ResourceType": step.type,
        "Scope": [],
        "Details": [],
    }
    if step.action != "create":
        change["PhysicalResourceId"] = physical.get(step.logical_id, "")
    if step.action in ("update", "replace"):
        is_replaced = step.action == "replace"
        change["Replacement"] = "True" if is_replaced else "False"
        change["Scope"] = ["Properties"]
        change["Details"] = [_detail(name, is_replaced) for name in step.changed]
    return {"Type": "Resource", "ResourceChange": change}


def _detail(name: str, is_replaced: bool) -> dict[str, Any]:
    recreation = "Conditionally" if is_replaced else "Never"
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation}
    return {"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}


def _found(call: Call, view: View) -> tuple[Row, Stack]:
    name = call.params["ChangeSetName"]
    if name.startswith("arn:"):
        row = view.one("SELECT * FROM template_change_sets WHERE id = ?", (name,))
    else:
        if not call.params.get("StackName"):
            raise refusal("StackName must be specified if ChangeSetName is not an ARN.")
        stack = proposal.existing(view, call.params["StackName"])
        row = view.one(
            "SELECT * FROM template_change_sets WHERE stack_id = ? AND name = ?", (stack.id, name)
        )
    if row is None:
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
    return row, Stack(row["stack_id"].split("/")[1], row["stack_id"])


def describe_change_set(call: Call, view: View) -> Output:
    row, stack = _found(call, view)
    document = json.loads(row["document"])
    details = Details(**document["proposal"]["details"])
    page, token = tokens(call, document["changes"])
    return {
        **_summary(row, stack, document),
        "Parameters": parameters_of(details),
        "Capabilities": details.capabilities,
        "Tags": details.tags,
        "NotificationARNs": details.topics,
        "RollbackConfiguration": {},
        "OnStackFailure": document["on_failure"],
        "Changes": page,
        "NextToken": token,
    }


def _summary(row: Row, stack: Stack, document: dict[str, Any]) -> dict[str, Any]:
    is_ready = row["status"] == "CREATE_COMPLETE"
    return {
        "ChangeSetName": row["name"],
        "ChangeSetId": row["id"],
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": document["description"],
        "CreationTime": moment(row["at_ms"]),
        "ExecutionStatus": document.get("execution")
        or ("AVAILABLE" if is_ready else "UNAVAILABLE"),
        "Status": row["status"],
        "StatusReason": document["reason"] or None,
        # cloudformation-001: asked for by the CDK; a nested stack is told of as one resource, and
        # the answer says so.
        "IncludeNestedStacks": False,
    }


def list_change_sets(call: Call, view: View) -> Output:
    stack = proposal.existing(view, call.params["StackName"])
    rows = view.all(
        "SELECT * FROM template_change_sets WHERE stack_id = ? ORDER BY at_ms", (stack.id,)
    )
    page, token = tokens(call, rows)
    summaries = [_summary(row, stack, json.loads(row["document"])) for row in page]
    return {"Summaries": summaries, "NextToken": token}


async def execute_change_set(call: Call) -> Output:
    """The stack becomes what the change set says; its other change sets are obsolete."""
    proposal.refuse(call)

    def change(tx: Transaction) -> Stack:
        row, stack = _found(call, tx)
        document = json.loads(row["document"])
        status = stacks.status(tx, stack)
        if row["status"] != "CREATE_COMPLETE" or document.get("execution"):
            state = document.get("execution") or row["status"]
            raise AwsError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{row['id']}] cannot be executed in its current status of [{state}]",
            )
        if status != "REVIEW_IN_PROGRESS":
            check_updatable(stack, status)
        given = document["proposal"]
        wanted = Proposal(Details(**given["details"]), given["document"], given["values"])
        wanted.details.change_set = row["id"]
        wanted.details.is_protected = stacks.details(tx, stack).is_protected
        on_failure = document["on_failure"]
        if call.params.get("DisableRollback"):
            on_failure = "DO_NOTHING"
        proposal.begin(tx, call, stack, wanted, on_failure)
        tx.run(
            "DELETE FROM template_change_sets WHERE stack_id = ? AND id != ?", (stack.id, row["id"])
        )
        document["execution"] = "EXECUTE_COMPLETE"
        tx.run(
            "UPDATE template_change_sets SET document = ? WHERE id = ?",
            (json.dumps(document), row["id"]),
        )
        return stack

    call.state.wake(await call.cloud.database.write(change))
    return {}


def delete_change_set(call: Call, tx: Transaction) -> Output:
    """One that is not there is deleted."""
    try:
        row, _ = _found(call, tx)
    except AwsError as error:
        if error.code != "ChangeSetNotFound":
            raise
        return {}
    tx.run("DELETE FROM template_change_sets WHERE id = ?", (row["id"],))
    return {}
