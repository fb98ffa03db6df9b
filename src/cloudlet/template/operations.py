"""The API's operations on stacks, in the background: durable, one at a time per stack.

An operation is a row before it is anything else; its document says all that it takes (what is to
be, what was before, in whose name), so that the next start goes on with what a kill interrupted: a
deployment forwards, a rollback backwards. A later row for the same stack (its deletion) takes the
place of the one under way, which stops at its next step.
"""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError
from cloudlet.policy.context import via
from cloudlet.policy.evaluation import INTERNAL
from cloudlet.store.database import Transaction, View
from cloudlet.template import engine, lookups, plan, stacks
from cloudlet.template.execute import Run
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Presign
from cloudlet.template.stacks import Details, Event, Record, Stack

_log = logging.getLogger(__name__)
Job = dict[str, Any]
DEPLOY, ROLLBACK, DELETE, FAILED = "deploy", "rollback", "delete", "failed"
_KEPT_MS = 90 * 86_400_000  # events, and stacks that are deleted


def put(tx: Transaction, stack: Stack, kind: str, job: Job) -> None:
    """The operation is to be done: `Operations.wake` once this has committed."""
    tx.run(
        "INSERT OR REPLACE INTO template_operations (stack_id, kind, document) VALUES (?, ?, ?)",
        (stack.id, kind, json.dumps(job, default=str)),
    )


def found(view: View, stack: Stack) -> tuple[str, Job] | None:
    """Kind and document of the stack's operation, if there is one."""
    row = view.one("SELECT kind, document FROM template_operations WHERE stack_id = ?", (stack.id,))
    return None if row is None else (row["kind"], json.loads(row["document"]))


def caller_to_json(caller: Caller) -> Any:
    return asdict(caller)


def caller_of_json(document: Any) -> Caller | None:
    """None for cloudlet itself: a stack nested in that of `up`."""
    if document["arn"] == INTERNAL:
        return None
    limits = tuple((kind, tuple(documents)) for kind, documents in document["limits"])
    given = {**document, "policies": tuple(document["policies"]), "limits": limits}
    return Caller(**given)


def _silent(message: str) -> None:
    """Nobody listens: the events tell."""


class Operations:
    """The live state of the cloudformation service."""

    def __init__(self, cloud: Cloud, presign: Presign) -> None:
        self._cloud = cloud
        self.presign = presign
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}

    async def start(self) -> None:
        """Goes on with what is not done; forgets what is long past."""
        oldest_ms = self._cloud.config.now_ms() - _KEPT_MS

        def trim(tx: Transaction) -> None:
            tx.run("DELETE FROM template_events WHERE at_ms < ?", (oldest_ms,))
            tx.run("DELETE FROM template_details WHERE deleted_ms < ?", (oldest_ms,))

        view = self._cloud.database.view()
        if view.value("SELECT 1 FROM template_events WHERE at_ms < ? LIMIT 1", (oldest_ms,)):
            await self._cloud.database.write(trim)
        for row in view.all(
            "SELECT s.name, s.id FROM template_operations o JOIN template_stacks s"
            " ON s.id = o.stack_id WHERE o.kind != ?",
            (FAILED,),
        ):
            self.wake(Stack(row["name"], row["id"]))

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self, stack: Stack) -> None:
        if stack.id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._work(stack))
            self._tasks[stack.id] = task

    def supersede(self, stack: Stack) -> None:
        """Another operation is put: the one under way ends at its next step."""
        if stack.id in self._runs:
            self._runs[stack.id].halt = "Resource update cancelled"
        self.wake(stack)

    async def _work(self, stack: Stack) -> None:
        kind = ""
        try:
            while (job := found(self._cloud.database.view(), stack)) and job[0] != FAILED:
                kind = job[0]
                await self._perform(stack, *job)
        except AwsError as error:  # a template or record that cannot be read any more
            await self._give_up(stack, kind, error.message)
        except Exception as error:
            _log.exception("operation on stack %s failed", stack.name)
            await self._give_up(stack, kind, f"Internal failure: {error!r}")
        finally:
            if self._tasks.get(stack.id) is asyncio.current_task():
                del self._tasks[stack.id]

    async def _give_up(self, stack: Stack, kind: str, reason: str) -> None:
        status = stacks.status(self._cloud.database.view(), stack)
        failed = status.removesuffix("_CLEANUP_IN_PROGRESS").removesuffix("_COMPLETE")
        event = Event(f"{failed.removesuffix('_IN_PROGRESS')}_FAILED", reason)

        def change(tx: Transaction) -> None:
            claim(tx, stack, kind)
            stacks.turn(tx, self._cloud.config, stack, event, None)
            tx.run("UPDATE template_operations SET kind = ? WHERE stack_id = ?", (FAILED, stack.id))

        try:
            await self._cloud.database.write(change)
        except Superseded:
            self._tasks.pop(stack.id, None)
            self.wake(stack)

    async def _perform(self, stack: Stack, kind: str, job: Job) -> None:
        run = self._runs[stack.id] = self._run(stack, job)
        try:
            if kind == DELETE:
                run.kept = frozenset(job.get("kept", ()))
                await self._delete(run, job)
            elif kind == ROLLBACK:
                run.kept = frozenset(job.get("skipped", ()))
                await self._roll_back(run, job)
            else:
                await self._deploy(run, job)
        finally:
            self._runs.pop(stack.id, None)

    def _run(self, stack: Stack, job: Job) -> Run:
        caller = caller_of_json(job["caller"])
        document, values = job.get("document") or {}, job.get("values") or {}
        scope = engine.scope_of(self._cloud, stack, document, values, caller)
        rows = stacks.records(self._cloud.database.view(), stack.name)
        before = {each["id"]: Record(**each) for each in job.get("before", ())}
        run = Run(self._cloud, stack, scope, self.presign, _silent, rows, caller)
        run.before, run.tags = before, job.get("tags") or []
        return run

    async def _deploy(self, run: Run, job: Job) -> None:
        is_new = job["is_new"]
        try:
            caller = await self._acting(run, job)
            run.caller, run.scope.lookup = caller, lookups.of(self._cloud, caller)
            wanted, _ = await engine.planned(run, job["document"])
            outputs = await engine.carry_out(run, job["document"], wanted)
            await self._cloud.database.write(lambda tx: claim(tx, run.stack, DEPLOY))
        except AwsError as error:
            if not run.halt and not isinstance(error, Superseded):
                await self._fail(run, job, error)
            return
        run.ended = lambda tx, _: end(tx, run.stack, DEPLOY)
        await engine.finish(run, wanted, outputs, is_new=is_new)

    async def _fail(self, run: Run, job: Job, error: AwsError) -> None:
        verb = "CREATE" if job["is_new"] else "UPDATE"
        where = error.where.partition(" ")[0] if isinstance(error, TemplateError) else ""
        reason = f"{error.message.rstrip('.')}. "
        if where and where in job["document"]["Resources"]:
            reason = f"The following resource(s) failed to {verb.lower()}: [{where}]. "
        mode = job["on_failure"]
        if mode == "DO_NOTHING":
            await self._move(run.stack, (DEPLOY, FAILED), job, Event(f"{verb}_FAILED", reason))
        elif mode == "DELETE":
            event = Event("DELETE_IN_PROGRESS", f"{reason}Delete requested by user.")
            await self._move(run.stack, (DEPLOY, DELETE), job, event)
        else:
            status = "ROLLBACK" if job["is_new"] else "UPDATE_ROLLBACK"
            event = Event(f"{status}_IN_PROGRESS", f"{reason}Rollback requested by user.")
            await self._move(run.stack, (DEPLOY, ROLLBACK), job, event)

    async def _roll_back(self, run: Run, job: Job) -> None:
        run.caller = await self._acting(run, job)
        scope = engine.scope_of(
            self._cloud, run.stack, job["document"], run.scope.parameters, run.caller
        )
        wanted = plan.resources(job["document"], scope)

        def ended(tx: Transaction, is_undone: bool) -> None:
            if is_undone:
                end(tx, run.stack, ROLLBACK, job)
            else:
                claim(tx, run.stack, ROLLBACK)
                put(tx, run.stack, FAILED, job)

        run.ended = ended
        await engine.fall_back(run, wanted, is_new=job["is_new"])

    async def _delete(self, run: Run, job: Job) -> None:
        run.caller = await self._acting(run, job)
        if stacks.status(self._cloud.database.view(), run.stack) != "DELETE_IN_PROGRESS":
            await stacks.settle(self._cloud, run.stack, Event("DELETE_IN_PROGRESS"))
        run.ended = lambda tx, _: end(tx, run.stack, DELETE)
        await engine.delete(run)

    async def _acting(self, run: Run, job: Job) -> Caller | None:
        """The service role's caller, or that of who asked for the operation."""
        caller = caller_of_json(job["caller"])
        if job.get("role"):
            caller = await assumed(self._cloud, job["role"], run.stack)
        return via(caller, "cloudformation.amazonaws.com") if caller else None

    async def _move(
        self, stack: Stack, kinds: tuple[str, str], job: Job, event: Event | None = None
    ) -> None:
        """The operation goes on as another, unless something took its place."""

        def change(tx: Transaction) -> None:
            claim(tx, stack, kinds[0])
            put(tx, stack, kinds[1], job)
            if event is not None:
                stacks.turn(tx, self._cloud.config, stack, event, None)

        with suppress(Superseded):
            await self._cloud.database.write(change)


class Superseded(AwsError):
    """Another operation took this one's place."""

    def __init__(self) -> None:
        super().__init__("OperationSuperseded", "Another operation took its place.", 409)


def claim(tx: Transaction, stack: Stack, kind: str) -> None:
    """Raises unless the operation under way is still of that kind."""
    sql = "SELECT kind FROM template_operations WHERE stack_id = ?"
    if tx.value(sql, (stack.id,)) != kind:
        raise Superseded


def end(tx: Transaction, stack: Stack, kind: str, undone: Job | None = None) -> None:
    """No operation any more; after a rollback, what the stack was told to be is as before."""
    claim(tx, stack, kind)
    tx.run("DELETE FROM template_operations WHERE stack_id = ?", (stack.id,))
    if undone is None:
        return
    tx.run("DELETE FROM template_imports WHERE stack_id = ?", (stack.id,))
    for name in undone["imports"]:
        tx.run("INSERT INTO template_imports VALUES (?, ?)", (name, stack.id))
    if undone.get("previous"):
        stacks.put_details(tx, stack, Details(**undone["previous"]))


async def assumed(cloud: Cloud, role: str, stack: Stack) -> Caller:
    """CloudFormation in a service role, as its trust policy allows."""
    service = Caller("service", "cloudformation.amazonaws.com", cloud.config.account)
    params = {"RoleArn": role, "RoleSessionName": "AWSCloudFormation"}
    try:
        answer = await cloud.invoke("sts", "AssumeRole", params, service)
    except AwsError as error:
        text = f"Role {role} is invalid or cannot be assumed"
        raise AwsError("ValidationError", text) from error
    caller = cloud.caller_of(answer["Credentials"]["AccessKeyId"])
    assert caller is not None
    return caller
