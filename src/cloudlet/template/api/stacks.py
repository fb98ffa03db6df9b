"""Operations that change stacks: each writes what is to be done; it is done in the background.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacks.html.
"""

import re
from collections.abc import Callable

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction
from cloudlet.template import engine, operations, stacks
from cloudlet.template.api import proposal
from cloudlet.template.operations import DELETE, DEPLOY, FAILED, ROLLBACK
from cloudlet.template.stacks import Details, Event, Stack

Check = Callable[[str, str], None]  # (status, kind of the operation); raises
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_UPDATABLE = frozenset(
    ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "CREATE_FAILED",
     "UPDATE_FAILED", "IMPORT_COMPLETE")
)  # fmt: skip


def refusal(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise refusal(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy"
            " constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )


def check_updatable(stack: Stack, status: str) -> None:
    if status not in _UPDATABLE:
        raise refusal(f"Stack:{stack.id} is in {status} state and can not be updated.")


async def create_stack(call: Call) -> Output:
    name = call.params["StackName"]
    check_name(name)
    view = call.cloud.database.view()
    if stacks.find(view, name) is not None:
        raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
    on_failure = call.params.get("OnFailure") or "ROLLBACK"
    if call.params.get("DisableRollback"):
        if call.params.get("OnFailure"):
            raise refusal("Only one of DisableRollback or OnFailure can be specified.")
        on_failure = "DO_NOTHING"
    draft = stacks.named(call.config, name)
    wanted = await proposal.propose(call, draft, Details(0))
    await proposal.steps_of(call, draft, wanted)

    def change(tx: Transaction) -> None:
        if stacks.find(tx, name) is not None:
            raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
        stacks.insert(tx, call.config, draft)
        proposal.begin(tx, call, draft, wanted, on_failure)

    await call.cloud.database.write(change)
    call.state.wake(draft)
    return {"StackId": draft.id}


async def update_stack(call: Call) -> Output:
    view = call.cloud.database.view()
    stack = proposal.existing(view, call.params["StackName"])
    check_updatable(stack, stacks.status(view, stack))
    details = stacks.details(view, stack)
    wanted = await proposal.propose(call, stack, details)
    steps = await proposal.steps_of(call, stack, wanted)
    if not proposal.is_change(details, wanted, steps):
        raise refusal("No updates are to be performed.")
    on_failure = "DO_NOTHING" if call.params.get("DisableRollback") else "ROLLBACK"

    def change(tx: Transaction) -> None:
        check_updatable(stack, stacks.status(tx, stack))
        proposal.begin(tx, call, stack, wanted, on_failure)

    await call.cloud.database.write(change)
    call.state.wake(stack)
    return {"StackId": stack.id}


async def delete_stack(call: Call) -> Output:
    """A stack that is not there is deleted."""
    params = call.params
    if params.get("DeletionMode", "STANDARD") != "STANDARD":
        raise NotImplementedByCloudlet("cloudformation:DeleteStack with DeletionMode")
    view = call.cloud.database.view()
    stack = stacks.find(view, params["StackName"])
    if stack is None or (operations.found(view, stack) or ("",))[0] == DELETE:
        return {}

    def change(tx: Transaction) -> None:
        status = stacks.status(tx, stack)
        kept = params.get("RetainResources") or []
        if kept and status != "DELETE_FAILED":
            raise refusal(
                f"Invalid operation on stack [{stack.id}]. RetainResources can only be used with"
                " stacks in the DELETE_FAILED state."
            )
        details = stacks.details(tx, stack)
        if details.is_protected:
            raise refusal(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        if status != "DELETE_IN_PROGRESS":
            engine.check_exports(tx, stack, [])
        job = {
            "caller": operations.caller_to_json(call.caller),
            "role": params.get("RoleARN") or details.role,
            "kept": kept,
        }
        stacks.turn(tx, call.config, stack, Event("DELETE_IN_PROGRESS", "User Initiated"), None)
        operations.put(tx, stack, DELETE, job)

    await call.cloud.database.write(change)
    call.state.supersede(stack)
    return {}


async def cancel_update_stack(call: Call) -> Output:
    def check(status: str, kind: str) -> None:
        if status != "UPDATE_IN_PROGRESS" or kind != DEPLOY:
            raise refusal("CancelUpdateStack cannot be called from current stack status")

    await _turn_back(call, check, [])
    return {}


async def continue_update_rollback(call: Call) -> Output:
    def check(status: str, kind: str) -> None:
        if status != "UPDATE_ROLLBACK_FAILED" or kind != FAILED:
            raise refusal(
                "Stack is not in UPDATE_ROLLBACK_FAILED state: ContinueUpdateRollback is not"
                " possible."
            )

    await _turn_back(call, check, call.params.get("ResourcesToSkip") or [])
    return {}


async def rollback_stack(call: Call) -> Output:
    """What an operation without rollback has left is rolled back."""

    def check(status: str, kind: str) -> None:
        if status not in ("CREATE_FAILED", "UPDATE_FAILED") or kind != FAILED:
            raise refusal(f"RollbackStack cannot be called from {status} state")

    return {"StackId": (await _turn_back(call, check, [])).id}


async def _turn_back(call: Call, check: Check, skipped: list[str]) -> Stack:
    stack = proposal.existing(call.cloud.database.view(), call.params["StackName"])

    def change(tx: Transaction) -> None:
        kind, job = operations.found(tx, stack) or ("", {})
        check(stacks.status(tx, stack), kind)
        name = "ROLLBACK" if job["is_new"] else "UPDATE_ROLLBACK"
        event = Event(f"{name}_IN_PROGRESS", "User Initiated")
        stacks.turn(tx, call.config, stack, event, None)
        operations.put(tx, stack, ROLLBACK, {**job, "skipped": skipped})

    await call.cloud.database.write(change)
    call.state.supersede(stack)
    return stack


def update_termination_protection(call: Call, tx: Transaction) -> Output:
    stack = proposal.existing(tx, call.params["StackName"])
    details = stacks.details(tx, stack)
    details.is_protected = call.params["EnableTerminationProtection"]
    stacks.put_details(tx, stack, details)
    return {"StackId": stack.id}
