"""`up`: a template file becomes the cloud, here and now.

Deploying the same template again changes nothing and asks no service anything: what was resolved
last time is compared with what is resolved now. The stack is one of the API's stacks, too.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudlet.call import Cloud
from cloudlet.store.database import Transaction
from cloudlet.template import document as documents
from cloudlet.template import engine, execute, operations, parameters, plan, prepare, stacks
from cloudlet.template.execute import Run
from cloudlet.template.intrinsics import Scope
from cloudlet.template.operations import FAILED
from cloudlet.template.plan import Step
from cloudlet.template.prepare import Prepared, Source
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Presign
from cloudlet.template.schema import SCHEMA
from cloudlet.template.stacks import Event, Stack, stack_outputs

__all__ = ["SCHEMA", "Deployment", "delete_stack", "deploy", "stack_outputs"]
Say = Callable[[str], None]
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a deployment went. `watched` are the files and folders that the template is made of."""

    stack: Stack
    outputs: dict[str, str]
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    watched: tuple[Path, ...]


async def deploy(
    cloud: Cloud,
    template_path: Path,
    parameters: Mapping[str, str],
    *,
    stack_name: str,
    presign: Presign,
    say: Say,
) -> Deployment:
    """Makes the stack what the template says. Raises AwsError, the stack then being as before."""
    path = template_path.resolve()
    text, document = await asyncio.to_thread(documents.load, path)
    known = stacks.find(cloud.database.view(), stack_name) or Stack(stack_name, "")
    try:
        prepared = await prepare.prepare(
            Source(cloud, known, None, path, say), document, parameters
        )
        stack = await stacks.open_stack(cloud, stack_name, str(path))
        await _alone(cloud, stack)
        scope = engine.scope_of(cloud, stack, prepared.document, prepared.values)
        rows = stacks.records(cloud.database.view(), stack.name)
        run = Run(cloud, stack, scope, presign, say, rows)
        await _describe(run, text, prepared, dict(parameters))
        return await _deploy(run, prepared, path)
    except TemplateError as error:
        raise error.inside(str(path)) from error


async def delete_stack(cloud: Cloud, stack_name: str, *, presign: Presign, say: Say) -> list[str]:
    """Deletes all of the stack but what is retained; returns what could not be deleted."""
    stack = stacks.find(cloud.database.view(), stack_name)
    if stack is None:
        raise TemplateError(f"Stack with id {stack_name} does not exist")
    rows = stacks.records(cloud.database.view(), stack.name)
    run = Run(cloud, stack, Scope({}, {}), presign, say, rows)
    await execute.refuse_loss(run, [], await plan.make([], rows, run.scope))
    return await engine.delete(run)


async def _alone(cloud: Cloud, stack: Stack) -> None:
    """Waits for the end of an operation of the API's on this stack."""
    while (found := operations.found(cloud.database.view(), stack)) and found[0] != FAILED:
        await asyncio.sleep(_POLL_S)


async def _deploy(run: Run, prepared: Prepared, path: Path) -> Deployment:
    is_new = not run.rows
    wanted, steps = await engine.planned(run, prepared.document)
    await execute.refuse_loss(run, wanted, steps)
    if steps:
        verb = "CREATE" if is_new else "UPDATE"
        await stacks.settle(run.cloud, run.stack, Event(f"{verb}_IN_PROGRESS", "User Initiated"))
    try:
        outputs = await engine.carry_out(run, prepared.document, wanted)
    except TemplateError as error:
        for warning in prepared.warnings:  # one of them may be why
            run.say(f"warning: {warning}")
        status = "ROLLBACK" if is_new else "UPDATE_ROLLBACK"
        event = Event(f"{status}_IN_PROGRESS", error.message)
        await stacks.settle(run.cloud, run.stack, event)
        await engine.fall_back(run, wanted, is_new=is_new)
        raise
    left = await engine.finish(run, wanted, outputs, is_new=is_new)
    left = [f"not deleted: {each}" for each in left]
    values = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    return Deployment(
        run.stack, values, tuple(run.steps), (*prepared.warnings, *left), (path, *prepared.watched)
    )


async def _describe(run: Run, text: str, prepared: Prepared, given: dict[str, str]) -> None:
    """What the API tells of the stack, where that changes."""
    view = run.cloud.database.view()
    is_told = view.value("SELECT 1 FROM template_details WHERE id = ?", (run.stack.id,))
    found = stacks.details(view, run.stack)
    processed = json.dumps(prepared.document)
    if is_told and (found.body, found.processed, found.parameters) == (text, processed, given):
        return
    found.created_ms = found.created_ms or run.cloud.config.now_ms()
    found.body, found.processed, found.parameters = text, processed, given
    found.resolved = dict(prepared.stored)
    found.hidden = parameters.hidden(prepared.document)
    found.description = str(prepared.document.get("Description", ""))
    found.capabilities = documents.capabilities(prepared.document)

    def change(tx: Transaction) -> None:
        stacks.put_details(tx, run.stack, found)

    await run.cloud.database.write(change)
