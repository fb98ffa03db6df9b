"""Carries a plan out, step by step, writing down each before and after.

Creations and updates come first, in dependency order; what is replaced or no longer wanted is only
marked, and deleted at the end, when nothing refers to it any more. A process that dies leaves rows
that say how far it came; the next run goes on from there. To roll back is to make the rows again
what they were before the operation (`Run.before`): so it works after a restart, too.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction
from cloudlet.template import folders, plan, stacks
from cloudlet.template.intrinsics import Known, Scope
from cloudlet.template.plan import Resource, Step
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Presign, Properties
from cloudlet.template.resources.table import find
from cloudlet.template.stacks import CREATING, DOOMED, READY, Event, Record, Stack
from cloudlet.template.words import words

Say = Callable[[str], None]
# what comes of properties that have another shape than their type's
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError)
SKIPPED = Event("DELETE_SKIPPED")
_EXISTS = words(
    "BucketAlreadyExists BucketAlreadyOwnedByYou ConflictException EntityAlreadyExists"
    " QueueAlreadyExists QueueNameExists ResourceAlreadyExistsException ResourceConflictException"
    " ResourceInUseException"
)
_GONE = words(
    "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist NoSuchBucket NoSuchEntity"
    " NotFoundException ParameterNotFound RepositoryNotFoundException ResourceNotFoundException"
)


@dataclass(slots=True)
class Run:
    """One operation on a stack under way. Without a `caller` it is cloudlet's own (`up`): it may
    do everything, use local code, and refuses to lose data."""

    cloud: Cloud
    stack: Stack
    scope: Scope
    presign: Presign
    say: Say
    rows: list[Record]
    caller: Caller | None = None
    before: dict[int, Record] = field(default_factory=dict)  # row id → as it was
    tags: list[dict[str, str]] = field(default_factory=list)  # of the stack, for its resources
    steps: list[Step] = field(default_factory=list)
    tried: dict[int, Properties] = field(default_factory=dict)  # row id → what an update wanted
    halt: str = ""  # why to go no further ("" = go on)
    kept: frozenset[str] = frozenset()  # not to be deleted, or not to be rolled back
    # what is committed with the last status, which says whether it was reached as wanted
    ended: Callable[[Transaction, bool], None] = lambda tx, is_done: None

    def __post_init__(self) -> None:
        self.before = self.before or {row.id: dataclasses.replace(row) for row in self.rows}

    def ready(self, logical_id: str) -> Record | None:
        found = [row for row in self.rows if row.logical_id == logical_id and row.state == READY]
        return found[-1] if found else None


async def apply(run: Run, wanted: list[Resource]) -> None:
    """Brings every resource to its wanted state; raises at the first that fails."""
    for resource in wanted:
        if run.halt:
            raise TemplateError(run.halt)
        try:
            await _bring(run, resource)
        except (AwsError, *_MALFORMED) as error:
            failure = _failure(resource, error)
            run.say(f"failed: {failure.message}; rolling back")
            await _tell_failure(run, resource, failure)
            raise failure from error


async def _tell_failure(run: Run, resource: Resource, failure: TemplateError) -> None:
    rows = [row for row in run.rows if row.logical_id == resource.logical_id]
    record = rows[-1] if rows else Record(resource.logical_id, resource.type, "")
    verb = "UPDATE" if record.state == READY else "CREATE"
    event = Event(f"{verb}_FAILED", failure.message.removeprefix(f"{failure.where}: "))
    await stacks.tell(run.cloud, run.stack, record, event)


async def clean_up(run: Run, wanted: list[Resource]) -> list[str]:
    """Deletes what is no longer wanted; returns what could not be deleted, as warnings."""
    names = {resource.logical_id for resource in wanted}
    for row in run.rows:
        if row.logical_id not in names and row.state != DOOMED:
            run.steps.append(Step("delete", row.logical_id, row.type))
            if (row.policy.startswith("Retain") and row.state == READY) or _is_kept(run, row):
                run.say(f"{row.logical_id} ({row.type}) is kept: {row.physical_id}")
                await _forget(run, row, SKIPPED)
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
                event = Event("DELETE_FAILED", error.message)
                await stacks.tell(run.cloud, run.stack, row, event)
    return warnings


def _is_kept(run: Run, row: Record) -> bool:
    return row.logical_id in run.kept


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
    properties = plan.tagged(resource, await plan.resolved(resource, run.scope), run.tags)
    if run.caller is not None:
        folders.refuse(properties)
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
    await stacks.save(run.cloud, run.stack, *changed, event=Event("CREATE_COMPLETE"))
    return record


async def _opened(run: Run, resource: Resource) -> tuple[Record, bool]:
    """The row of a resource to be made, and whether an earlier run has begun with it."""
    begun = [
        row for row in run.rows if row.logical_id == resource.logical_id and row.state == CREATING
    ]
    if not begun:
        record = Record(resource.logical_id, resource.type, run.cloud.config.new_id())
        await stacks.save(run.cloud, run.stack, record, event=Event("CREATE_IN_PROGRESS"))
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
    record.digest = ""  # until it is done, nobody knows
    run.tried[record.id] = properties
    await stacks.save(run.cloud, run.stack, record, event=Event("UPDATE_IN_PROGRESS"))
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
    await stacks.save(run.cloud, run.stack, *changed, event=Event("UPDATE_COMPLETE"))
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
    is_retained = row.policy.startswith("Retain") and row.state == DOOMED and row.digest
    if is_retained or _is_kept(run, row):
        run.say(f"{row.logical_id} ({row.type}) is kept: {row.physical_id}")
        await _forget(run, row, SKIPPED)
        return
    if row.physical_id:
        run.say(f"delete {row.logical_id} ({row.type})")
        await stacks.tell(run.cloud, run.stack, row, Event("DELETE_IN_PROGRESS"))
        await _remove(run, row)
    await _forget(run, row, Event("DELETE_COMPLETE"))


async def _remove(run: Run, row: Record) -> None:
    kind = find(row.type)
    if kind is None:
        raise TemplateError(f"{row.type} is not implemented by cloudlet.", where=row.logical_id)
    try:
        await kind.delete(_context(run, row), row.physical_id, row.properties)
    except AwsError as error:
        if not _is_gone(error):
            raise


async def _forget(run: Run, row: Record, event: Event) -> None:
    await stacks.forget(run.cloud, run.stack, row, event)
    run.rows = [each for each in run.rows if each is not row]


async def roll_back(run: Run, wanted: list[Resource]) -> list[str]:
    """Makes every row what it was, what came last first; returns what could not be undone."""
    place = {resource.logical_id: number for number, resource in enumerate(wanted)}
    problems = []
    for row in sorted(
        run.rows, key=lambda each: (place.get(each.logical_id, -1), each.id), reverse=True
    ):
        if _is_kept(run, row):
            continue
        try:
            await _undo(run, row)
        except AwsError as error:
            run.say(f"{row.logical_id}: cannot be rolled back: {error}")
            problems.append(f"{row.logical_id}: {error.message}")
            verb = "UPDATE" if row.id in run.before else "DELETE"
            event = Event(f"{verb}_FAILED", error.message)
            await stacks.tell(run.cloud, run.stack, row, event)
    return problems


async def _undo(run: Run, row: Record) -> None:
    before = run.before.get(row.id)
    if before is None or before.state == CREATING:
        await _undo_creation(run, row)
    elif before == row or row.state == DOOMED == before.state:
        return
    elif before.state == READY and (before.digest, before.physical_id) != (
        row.digest,
        row.physical_id,
    ):
        await _undo_update(run, row, before)
    else:
        row.state, row.policy = before.state, before.policy
        await stacks.save(run.cloud, run.stack, row)


async def _undo_creation(run: Run, row: Record) -> None:
    earlier = [each for each in run.before.values() if each.logical_id == row.logical_id]
    if row.state == DOOMED and any(each.physical_id == row.physical_id for each in earlier):
        await stacks.forget(run.cloud, run.stack, row, Event("DELETE_SKIPPED"))
        run.rows = [each for each in run.rows if each is not row]
        return
    # `up` leaves nothing of a failed creation; CloudFormation keeps what is to be retained.
    is_retained = row.policy == "Retain" and run.caller is not None and row.state == READY
    row.state, row.policy = DOOMED, "Retain" if is_retained else ""
    await stacks.save(run.cloud, run.stack, row)
    run.say(f"roll back: delete {row.logical_id} ({row.type})")
    await _delete(run, row)


async def _undo_update(run: Run, row: Record, before: Record) -> None:
    kind = find(row.type)
    assert kind is not None and kind.update is not None
    run.say(f"roll back: update {row.logical_id} ({row.type})")
    await stacks.tell(run.cloud, run.stack, row, Event("UPDATE_IN_PROGRESS"))
    known = Known(row.physical_id, row.attributes)
    now = row.properties if row.digest else run.tried.get(row.id, row.properties)
    made = await kind.update(_context(run, row), known, before.properties, now)
    left = dataclasses.replace(row, id=0, state=DOOMED, policy="")
    for name in ("digest", "properties", "attributes", "policy"):
        setattr(row, name, getattr(before, name))
    row.physical_id = made.physical_id
    changed = [row] if left.physical_id == row.physical_id else [row, left]
    run.rows += changed[1:]
    await stacks.save(run.cloud, run.stack, *changed, event=Event("UPDATE_COMPLETE"))
    for each in changed[1:]:  # a custom resource had made itself anew
        await _delete(run, each)


def _context(run: Run, record: Record) -> Context:
    async def begin(physical_id: str) -> None:
        record.physical_id = physical_id
        event = Event("CREATE_IN_PROGRESS", "Resource creation Initiated")
        await stacks.save(run.cloud, run.stack, record, event=event)

    return Context(
        run.cloud,
        run.stack,
        record.logical_id,
        record.type,
        record.token,
        run.presign,
        run.say,
        begin,
        run.caller,
        lambda: bool(run.halt),
    )


def _is_gone(error: AwsError) -> bool:
    return error.code in _GONE or (error.status == 404 and error.code != "NotImplemented")


def _failure(resource: Resource, error: Exception) -> TemplateError:
    where = f"{resource.logical_id} ({resource.type})"
    if not isinstance(error, AwsError):
        return TemplateError(f"Properties validation failed: {error!r}", where=where)
    if isinstance(error, TemplateError):
        return error if error.where else error.inside(where)
    return TemplateError(
        f"{error.message} (Status Code: {error.status}; Error Code: {error.code})", where=where
    )
