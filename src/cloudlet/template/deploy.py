"""A template becomes the cloud: read, transform, plan, execute, outputs.

Deploying the same template again changes nothing and asks no service anything: what was resolved
last time is compared with what is resolved now.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudlet.call import Cloud
from cloudlet.template import document as documents
from cloudlet.template import execute, parameters, plan, sam, stacks
from cloudlet.template.document import Document
from cloudlet.template.intrinsics import Scope, resolve
from cloudlet.template.plan import Resource, Step
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Presign
from cloudlet.template.schema import SCHEMA
from cloudlet.template.stacks import Stack, stack_outputs

__all__ = ["SCHEMA", "Deployment", "delete_stack", "deploy", "stack_outputs"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a deployment went. `watched` are the files and folders that the template is made of."""

    stack: Stack
    outputs: dict[str, str]
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    watched: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: Document
    values: Mapping[str, Any]
    warnings: list[str]
    watched: tuple[Path, ...]


async def deploy(
    cloud: Cloud,
    template_path: Path,
    parameters: Mapping[str, str],
    *,
    stack_name: str,
    presign: Presign,
    say: Callable[[str], None],
) -> Deployment:
    """Makes the stack what the template says. Raises AwsError, the stack then being as before."""
    path = template_path.resolve()
    prepared = await asyncio.to_thread(_prepare, cloud, path, parameters)
    stack = await stacks.open_stack(cloud, stack_name, str(path))
    try:
        return await _deploy(cloud, stack, prepared, presign, say)
    except TemplateError as error:
        raise error.inside(str(path)) from error


async def delete_stack(
    cloud: Cloud, stack_name: str, *, presign: Presign, say: Callable[[str], None]
) -> list[str]:
    """Deletes all of the stack but what is retained; returns what could not be deleted."""
    stack = stacks.find(cloud.database.view(), stack_name)
    if stack is None:
        raise TemplateError(f"Stack with id {stack_name} does not exist")
    rows = stacks.records(cloud.database.view(), stack.name)
    run = execute.Run(cloud, stack, Scope({}, {}), presign, say, rows)
    steps = plan.make([], rows, run.scope)
    await execute.refuse_loss(run, [], steps)
    warnings = await execute.clean_up(run, [])
    if warnings:
        await stacks.settle(cloud, stack, "DELETE_FAILED")
    else:
        await stacks.remove_stack(cloud, stack)
    return warnings


def _prepare(cloud: Cloud, path: Path, given: Mapping[str, str]) -> _Prepared:
    """All that needs no service: runs in a thread, because it reads files and may translate."""
    _, document = documents.load(path)
    try:
        values = parameters.values(document, given)
        localized = sam.localize(cloud, document, path.parent)
        plain = sam.plain(cloud, localized, values)
        warnings = list(localized.warnings)
    except TemplateError as error:
        raise error.inside(str(path)) from error
    code = [folder.path for folder in localized.code.values()]
    return _Prepared(plain, values, warnings, (path, *localized.files, *code))


async def _deploy(
    cloud: Cloud,
    stack: Stack,
    prepared: _Prepared,
    presign: Presign,
    say: Callable[[str], None],
) -> Deployment:
    rows = stacks.records(cloud.database.view(), stack.name)
    is_new = not rows
    wanted = plan.resources(prepared.document, _scope(cloud, stack, prepared))
    steps = plan.make(wanted, rows, _with_names(cloud, stack, prepared, wanted))
    run = execute.Run(cloud, stack, _with_names(cloud, stack, prepared, wanted), presign, say, rows)
    await execute.refuse_loss(run, wanted, steps)
    warnings = prepared.warnings
    try:
        await execute.apply(run, wanted)
        outputs = _outputs(prepared.document, run.scope)
    except TemplateError:
        for warning in warnings:  # one of them may be why
            say(f"warning: {warning}")
        await stacks.settle(
            cloud, stack, "ROLLBACK_COMPLETE" if is_new else "UPDATE_ROLLBACK_COMPLETE"
        )
        raise
    left = await execute.clean_up(run, wanted)
    left = [f"not deleted: {each}" for each in left]
    if run.steps or outputs != stack_outputs(cloud.database.view(), stack.name):
        status = "CREATE_COMPLETE" if is_new else "UPDATE_COMPLETE"
        await stacks.settle(cloud, stack, status, outputs)
    return Deployment(stack, outputs, tuple(run.steps), (*warnings, *left), prepared.watched)


def _with_names(cloud: Cloud, stack: Stack, prepared: _Prepared, wanted: list[Resource]) -> Scope:
    scope = _scope(cloud, stack, prepared)
    scope.declared = frozenset(resource.logical_id for resource in wanted)
    return scope


def _scope(cloud: Cloud, stack: Stack, prepared: _Prepared) -> Scope:
    pseudo = {
        "AWS::AccountId": cloud.config.account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": cloud.config.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
    }
    return Scope(
        prepared.values,
        pseudo,
        prepared.document.get("Mappings") or {},
        prepared.document.get("Conditions") or {},
    )


def _outputs(document: Document, scope: Scope) -> dict[str, str]:
    outputs: dict[str, str] = {}
    for name, output in (document.get("Outputs") or {}).items():
        if "Condition" in output and not scope.condition(output["Condition"]):
            continue
        try:
            value = resolve(scope, output["Value"])
        except TemplateError as error:
            raise error.inside(f"Outputs.{name}") from None
        outputs[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return outputs
