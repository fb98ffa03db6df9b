"""One operation on a stack, from its first step to its final status.

`up` and the API's operations both run here. Each turn of the stack's status is an event in the same
transaction; exports and imports change with the status that ends the operation.
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Caller, Cloud
from cloudlet.store.database import Transaction, View
from cloudlet.template import execute, lookups, plan, stacks
from cloudlet.template.document import Document
from cloudlet.template.execute import Run
from cloudlet.template.intrinsics import Scope, references, resolve
from cloudlet.template.parameters import Value
from cloudlet.template.plan import Resource, Step
from cloudlet.template.prepare import pseudo
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import Event, Stack

Outputs = list[dict[str, str]]


def scope_of(
    cloud: Cloud,
    stack: Stack,
    document: Document,
    values: Mapping[str, Value],
    caller: Caller | None = None,
) -> Scope:
    rows = cloud.database.view().all("SELECT name, value FROM template_exports")
    return Scope(
        values,
        pseudo(cloud, stack),
        document.get("Mappings") or {},
        document.get("Conditions") or {},
        exports={row["name"]: row["value"] for row in rows},
        lookup=lookups.of(cloud, caller),
    )


async def planned(run: Run, document: Document) -> tuple[list[Resource], list[Step]]:
    """What is wanted and what that takes; the run's scope stays as it is."""
    scope = scope_of(run.cloud, run.stack, document, run.scope.parameters, run.caller)
    wanted = plan.resources(document, scope)
    _check_outputs(document, scope)
    steps = await plan.make(wanted, run.rows, scope, run.tags)
    run.scope.declared = scope.declared
    run.scope.imported |= scope.imported
    return wanted, steps


async def carry_out(run: Run, document: Document, wanted: list[Resource]) -> Outputs:
    """Makes and changes all that is wanted; returns the outputs. Raises where something fails."""
    if run.scope.imported:
        await run.cloud.database.write(lambda tx: _import(tx, run.stack, run.scope.imported))
    await execute.apply(run, wanted)
    outputs = await outputs_of(document, run.scope)
    check_exports(run.cloud.database.view(), run.stack, outputs)
    return outputs


async def finish(run: Run, wanted: list[Resource], outputs: Outputs, *, is_new: bool) -> list[str]:
    """Cleans up and settles; returns what could not be deleted."""
    verb = "CREATE" if is_new else "UPDATE"
    if not is_new and run.caller is not None:
        event = Event("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        await stacks.settle(run.cloud, run.stack, event)
    left = await execute.clean_up(run, wanted)
    values = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    if run.caller is None and not run.steps and not left and _is_settled(run, values):
        await run.cloud.database.write(lambda tx: run.ended(tx, True))
        return left

    def change(tx: Transaction) -> None:
        run.ended(tx, True)
        stacks.turn(tx, run.cloud.config, run.stack, Event(f"{verb}_COMPLETE"), values)
        found = stacks.details(tx, run.stack)
        found.outputs = outputs
        stacks.put_details(tx, run.stack, found)
        _export(tx, run.stack, outputs)
        tx.run("DELETE FROM template_imports WHERE stack_id = ?", (run.stack.id,))
        _import(tx, run.stack, run.scope.imported)

    await run.cloud.database.write(change)
    return left


async def fall_back(run: Run, wanted: list[Resource], *, is_new: bool) -> bool:
    """Rolls back; False if that was not possible for all."""
    name = "ROLLBACK" if is_new else "UPDATE_ROLLBACK"
    problems = await execute.roll_back(run, wanted)
    if problems:
        text = f"The following resource(s) failed to roll back: {'; '.join(problems)}"
        event = Event(f"{name}_FAILED", text)
        await stacks.settle(run.cloud, run.stack, event, lambda tx: run.ended(tx, False))
        return False
    if not is_new:
        event = Event(f"{name}_COMPLETE_CLEANUP_IN_PROGRESS")
        await stacks.settle(run.cloud, run.stack, event)
    event = Event(f"{name}_COMPLETE")
    await stacks.settle(run.cloud, run.stack, event, lambda tx: run.ended(tx, True))
    return True


async def delete(run: Run) -> list[str]:
    """Deletes all of the stack but what is retained; returns what could not be deleted."""
    left = await execute.clean_up(run, [])
    if left:
        names = ", ".join(each.partition(" ")[0] for each in left)
        reason = f"The following resource(s) failed to delete: [{names}]. "
        event = Event("DELETE_FAILED", reason)
        await stacks.settle(run.cloud, run.stack, event, lambda tx: run.ended(tx, False))
    else:
        await stacks.remove_stack(run.cloud, run.stack)
    return left


def _is_settled(run: Run, values: dict[str, str]) -> bool:
    view = run.cloud.database.view()
    is_same = stacks.stack_outputs(view, run.stack.name) == values
    return is_same and stacks.status(view, run.stack) in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def _check_outputs(document: Document, scope: Scope) -> None:
    """Every name exists, before anything is made."""
    # also what a condition leaves out: an output may name it in a branch that is not taken
    known = {*(document.get("Resources") or {}), *scope.parameters}
    for output in (document.get("Outputs") or {}).values():
        if "Condition" in output and not scope.condition(output["Condition"]):
            continue
        names = {name for what, name in references(output) if what == "ref"}
        unknown = sorted(name for name in names - known if not name.startswith("AWS::"))
        if unknown:
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in"
                " the Outputs block of the template"
            )


async def outputs_of(document: Document, scope: Scope) -> Outputs:
    outputs: Outputs = []
    for name, output in (document.get("Outputs") or {}).items():
        if "Condition" in output and not scope.condition(output["Condition"]):
            continue
        try:
            value = await lookups.resolved(scope, resolve(scope, output["Value"]))
            found = {"OutputKey": name, "OutputValue": _text(value)}
            if output.get("Description"):
                found["Description"] = str(output["Description"])
            if output.get("Export"):
                found["ExportName"] = _text(resolve(scope, output["Export"]["Name"]))
        except TemplateError as error:
            raise error.inside(f"Outputs.{name}") from None
        outputs.append(found)
    return outputs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def importers(view: View, name: str) -> list[str]:
    """The names of the stacks that import an export."""
    rows = view.all(
        "SELECT s.name FROM template_imports i JOIN template_stacks s ON s.id = i.stack_id"
        " WHERE i.name = ? ORDER BY s.name",
        (name,),
    )
    return [row["name"] for row in rows]


def check_exports(view: View, stack: Stack, outputs: Outputs) -> None:
    """An export has one stack, and stays as it is while another stack imports it."""
    wanted = {each["ExportName"]: each["OutputValue"] for each in outputs if "ExportName" in each}
    for row in view.all("SELECT * FROM template_exports"):
        name = row["name"]
        if row["stack_id"] != stack.id:
            if name in wanted:
                raise TemplateError(
                    f"Export with name {name} is already exported by stack"
                    f" {row['stack_id'].split('/')[1]}."
                )
        elif wanted.get(name) != row["value"] and (users := importers(view, name)):
            verb = "updated" if name in wanted else "deleted"
            raise TemplateError(
                f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}"
            )


def _export(tx: Transaction, stack: Stack, outputs: Outputs) -> None:
    tx.run("DELETE FROM template_exports WHERE stack_id = ?", (stack.id,))
    for each in outputs:
        if "ExportName" in each:
            values = (each["ExportName"], each["OutputValue"], stack.id)
            tx.run("INSERT INTO template_exports (name, value, stack_id) VALUES (?, ?, ?)", values)


def _import(tx: Transaction, stack: Stack, names: set[str]) -> None:
    for name in names:
        tx.run("INSERT OR IGNORE INTO template_imports VALUES (?, ?)", (name, stack.id))
