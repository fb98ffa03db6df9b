"""Carries a plan out, step by step, writing down each before and after.

Creations and updates come first, in dependency order; what is replaced or no longer wanted is only
marked, and deleted at the end, when nothing refers to it any more. A step that fails rolls back
what this run did, the last first. A process that dies leaves rows that say how far it came; the
next run goes on from there.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.template import plan, stacks
from cloudlet.template.intrinsics import Known, Scope
from cloudlet.template.plan import Resource, Step
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Presign, Properties
from cloudlet.template.resources.table import find
from cloudlet.template.stacks import CREATING, DOOMED, READY, Record, Stack
from cloudlet.template.words import words

Say = Callable[[str], None]
_EXISTS = words(
    "BucketAlreadyExists BucketAlreadyOwnedByYou ConflictException EntityAlreadyExists"
    " QueueAlreadyExists QueueNameExists ResourceAlreadyExistsException ResourceConflictException"
    " ResourceInUseException"
)
_GONE = words(
    "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist NoSuchBucket NoSuchEntity"
    " NotFoundException ResourceNotFoundException"
)


@dataclass(slots=True)
class Done:
    """One step for the rollback: the row as it is, and the row that it changed or replaced."""

    record: Record
    before: Record | None = None
    is_replaced: bool = False


@dataclass(slots=True)
class Run:
    """One deployment under way."""

    cloud: Cloud
    stack: Stack
    scope: Scope
    presign: Presign
    say: Say
    rows: list[Record]
    journal: list[Done] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def ready(self, logical_id: str) -> Record | None:
        found = [row for row in self.rows if row.logical_id == logical_id and row.state == READY]
        return found[-1] if found else None


async def apply(run: Run, wanted: list[Resource]) -> None:
    """Brings every resource to its wanted state; raises after having rolled back."""
    for resource in wanted:
        try:
            await _bring(run, resource)
        except AwsError as error:
            failure = _failure(resource, error)
            run.say(f"failed: {failure.message}; rolling back")
            await _roll_back(run)
            raise failure from error


async def clean_up(run: Run, wanted: list[Resource]) -> list[str]:
    """Deletes what is no longer wanted; returns what could not be deleted, as warnings."""
    names = {resource.logical_id for resource in wanted}
    for row in run.rows:
        if row.logical_id not in names and row.state != DOOMED:
            run.steps.append(Step("delete", row.logical_id, row.type))
            if row.policy.startswith("Retain") and row.state == READY:
                run.say(f"{row.logical_id} ({row.type}) is kept: {row.physical_id}")
                await _forget(run, row)
            else:
                row.state = DOOMED
                await stacks.save(run.cloud, run.stack, row)
    warnings = []
    for row in sorted(run.rows, key=lambda each: -each.id):
        if row.state == DOOMED:
            try:
                await _delete(run, row)
            except AwsError as error:
                warnings.append(f"{row.logical_id} ({row.type}) {row.physical_id}: {error}")
    return warnings


async def refuse_loss(run: Run, wanted: list[Resource], steps: list[Step]) -> None:
    """Raises if a step would silently destroy data."""
    resources = {resource.logical_id: resource for resource in wanted}
    for step in steps:
        record = run.ready(step.logical_id)
        kind = find(step.type)
        if record is None or kind is None or kind.holds_data is None:
            continue
        if step.action not in ("delete", "replace"):
            continue
        is_replaced = step.action == "replace"
        attribute = "UpdateReplacePolicy" if is_replaced else "DeletionPolicy"
        policy = resources[step.logical_id].replace_policy if is_replaced else record.policy
        if policy or not await _holds_data(run, kind, record):
            continue
        verb = "replace" if is_replaced else "delete"
        raise TemplateError(
            f"This deployment would {verb} {record.physical_id} ({step.type}), which holds data."
            f" Give it {attribute}: Retain to keep the old one, or {attribute}: Delete to lose it.",
            where=step.logical_id,
        )


async def _holds_data(run: Run, kind: Kind, record: Record) -> bool:
    assert kind.holds_data is not None
    try:
        return await kind.holds_data(_context(run, record), record.physical_id)
    except AwsError as error:
        if _is_gone(error):
            return False
        raise


async def _bring(run: Run, resource: Resource) -> None:
    """One resource: resolve, compare, act, write down, tell the scope."""
    properties = plan.resolved(resource, run.scope)
    record = run.ready(resource.logical_id)
    step = plan.decide(resource, record, properties)
    if step is None:
        assert record is not None
        if record.policy != resource.policy:
            record.policy = resource.policy
            await stacks.save(run.cloud, run.stack, record)
    else:
        run.say(f"{step.action} {step.logical_id} ({step.type})")
        run.steps.append(step)
        plan.check(resource, properties)
        if step.action == "update" and record is not None:
            record = await _update(run, resource, record, properties)
        else:
            record = await _create(run, resource, record, properties)
    run.scope.resources[resource.logical_id] = Known(record.physical_id, record.attributes)


async def _create(
    run: Run, resource: Resource, old: Record | None, properties: Properties
) -> Record:
    record, is_resumed = await _opened(run, resource)
    record.properties, record.policy = properties, resource.policy
    done = Done(record, old, is_replaced=old is not None)
    run.journal.append(done)
    context = _context(run, record)
    try:
        known = await resource.kind.create(context, properties)
    except AwsError as error:
        if not (is_resumed and error.code in _EXISTS and context.planned_id):
            raise
        # An earlier run died between the creation and its record.
        await resource.kind.delete(context, context.planned_id, properties)
        known = await resource.kind.create(context, properties)
    changed = [_complete(record, known, properties)]
    if old is not None:
        _retire(run, old, resource)
        changed.append(old)
    await stacks.save(run.cloud, run.stack, *changed)
    return record


async def _opened(run: Run, resource: Resource) -> tuple[Record, bool]:
    """The row of a resource to be made, and whether an earlier run has begun with it."""
    begun = [
        row for row in run.rows if row.logical_id == resource.logical_id and row.state == CREATING
    ]
    if not begun:
        record = Record(resource.logical_id, resource.type, run.cloud.config.new_id())
        await stacks.save(run.cloud, run.stack, record)
        run.rows.append(record)
        return record, False
    record = begun[-1]
    if record.physical_id:
        await _remove(run, record)
        record.physical_id = ""
    record.type = resource.type
    return record, True


async def _update(run: Run, resource: Resource, record: Record, properties: Properties) -> Record:
    before = dataclasses.replace(record)
    run.journal.append(Done(record, before))
    record.digest = ""  # until it is done, nobody knows
    await stacks.save(run.cloud, run.stack, record)
    assert resource.kind.update is not None
    known = await resource.kind.update(
        _context(run, record),
        Known(record.physical_id, record.attributes),
        properties,
        before.properties,
    )
    record.policy = resource.policy
    changed = [record]
    if known.physical_id != before.physical_id:  # a custom resource made itself anew
        left = dataclasses.replace(before, id=0, state=DOOMED)
        changed.append(left)
        run.rows.append(left)
    _complete(record, known, properties)
    await stacks.save(run.cloud, run.stack, *changed)
    return record


def _complete(record: Record, known: Known, properties: Properties) -> Record:
    record.physical_id, record.attributes = known.physical_id, dict(known.attributes)
    record.properties, record.digest = properties, stacks.digest(properties)
    record.state = READY
    return record


def _retire(run: Run, old: Record, resource: Resource) -> None:
    """The replaced one waits for its deletion; a retained one is only forgotten then."""
    old.state = DOOMED
    old.policy = resource.replace_policy


async def _delete(run: Run, row: Record) -> None:
    if row.policy.startswith("Retain") and row.state == DOOMED and row.digest:
        run.say(f"{row.logical_id} ({row.type}) is kept: {row.physical_id}")
    elif row.physical_id:
        run.say(f"delete {row.logical_id} ({row.type})")
        await _remove(run, row)
    await _forget(run, row)


async def _remove(run: Run, row: Record) -> None:
    kind = find(row.type)
    if kind is None:
        raise TemplateError(f"{row.type} is not implemented by cloudlet.", where=row.logical_id)
    try:
        await kind.delete(_context(run, row), row.physical_id, row.properties)
    except AwsError as error:
        if not _is_gone(error):
            raise


async def _forget(run: Run, row: Record) -> None:
    await stacks.forget(run.cloud, row)
    run.rows = [each for each in run.rows if each is not row]


async def _roll_back(run: Run) -> None:
    for done in reversed(run.journal):
        try:
            await _undo(run, done)
        except AwsError as error:
            run.say(f"{done.record.logical_id}: cannot be rolled back: {error}")
    run.journal.clear()


async def _undo(run: Run, done: Done) -> None:
    record, before = done.record, done.before
    if before is not None and not done.is_replaced:
        await _undo_update(run, record, before)
        return
    if before is not None:
        before.state = READY
        await stacks.save(run.cloud, run.stack, before)
    record.state, record.policy = DOOMED, ""
    await stacks.save(run.cloud, run.stack, record)
    run.say(f"roll back: delete {record.logical_id} ({record.type})")
    await _delete(run, record)


async def _undo_update(run: Run, record: Record, before: Record) -> None:
    kind = find(record.type)
    assert kind is not None and kind.update is not None
    run.say(f"roll back: update {record.logical_id} ({record.type})")
    known = Known(before.physical_id, before.attributes)
    await kind.update(_context(run, record), known, before.properties, record.properties)
    for name in ("digest", "properties", "attributes", "physical_id", "policy"):
        setattr(record, name, getattr(before, name))
    await stacks.save(run.cloud, run.stack, record)


def _context(run: Run, record: Record) -> Context:
    async def begin(physical_id: str) -> None:
        record.physical_id = physical_id
        await stacks.save(run.cloud, run.stack, record)

    return Context(
        run.cloud,
        run.stack,
        record.logical_id,
        record.type,
        record.token,
        run.presign,
        run.say,
        begin,
    )


def _is_gone(error: AwsError) -> bool:
    return error.code in _GONE or (error.status == 404 and error.code != "NotImplemented")


def _failure(resource: Resource, error: AwsError) -> TemplateError:
    where = f"{resource.logical_id} ({resource.type})"
    if isinstance(error, TemplateError):
        return error if error.where else error.inside(where)
    return TemplateError(
        f"{error.message} (Status Code: {error.status}; Error Code: {error.code})", where=where
    )
