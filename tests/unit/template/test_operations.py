"""Operations in the background: what cannot go on says so, and gives way to what came after."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction
from cloudlet.template import operations, stacks
from cloudlet.template.operations import DELETE, DEPLOY, FAILED, Operations
from cloudlet.template.stacks import Event, Stack
from tests.harness import ROOT
from tests.unit.template.fakes import FakeCloud

QUEUE = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


def put(fake: FakeCloud, kind: str, document: Any) -> Stack:
    cloud = fake.bench.cloud
    job = {
        "document": document, "values": {}, "before": [], "is_new": True, "tags": [],
        "on_failure": "ROLLBACK", "caller": operations.caller_to_json(ROOT), "imports": [],
    }  # fmt: skip

    def change(tx: Transaction) -> Stack:
        stack = stacks.find(tx, "app") or stacks.named(cloud.config, "app")
        if stacks.find(tx, "app") is None:
            stacks.insert(tx, cloud.config, stack)
        stacks.turn(tx, cloud.config, stack, Event("CREATE_IN_PROGRESS"), None)
        operations.put(tx, stack, kind, job)
        return stack

    stack: Stack = cloud.database.write_now(change)
    return stack


def run(fake: FakeCloud) -> None:
    """Starts as a new process does, and waits until nothing is left to do."""

    async def work() -> None:
        state = Operations(fake.bench.cloud, lambda *_: "")
        await state.start()
        while state._tasks:
            await asyncio.sleep(0)

    asyncio.run(work())


def status(fake: FakeCloud, stack: Stack) -> tuple[str, str | None]:
    view = fake.bench.database.view()
    found = operations.found(view, stack)
    return stacks.status(view, stack), found[0] if found else None


def test_what_was_left_is_done_at_the_start(fake: FakeCloud) -> None:
    stack = put(fake, DEPLOY, QUEUE)
    run(fake)
    assert status(fake, stack) == ("CREATE_COMPLETE", None)
    put(fake, DELETE, QUEUE)
    run(fake)
    assert status(fake, stack) == ("DELETE_COMPLETE", None)
    assert fake.operations() == ["CreateQueue", "DeleteQueue"]


def test_what_cannot_go_on_waits_for_a_person(fake: FakeCloud, caplog: Any) -> None:
    fake.failing["CreateQueue"] = ZeroDivisionError()
    stack = put(fake, DEPLOY, QUEUE)
    run(fake)
    assert status(fake, stack) == ("CREATE_FAILED", FAILED)
    assert "operation on stack app failed" in caplog.text
    event = fake.bench.database.view().one("SELECT * FROM template_events ORDER BY number DESC")
    assert event is not None and "ZeroDivisionError" in event["reason"]


@pytest.mark.parametrize("error", [KeyError("Name"), ValueError("no")])
def test_malformed_properties_are_the_resource_s_failure(fake: FakeCloud, error: Exception) -> None:
    fake.failing["CreateQueue"] = error
    stack = put(fake, DEPLOY, QUEUE)
    run(fake)
    assert status(fake, stack) == ("ROLLBACK_COMPLETE", None)


def test_a_last_status_is_seen_with_the_operations_end(
    fake: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is asked for in between would be taken for what has just ended."""
    seen: set[tuple[str, str | None]] = set()
    write = fake.bench.database.write

    async def watched(change: Any) -> Any:
        done = await write(change)
        seen.add(status(fake, stack))
        return done

    monkeypatch.setattr(fake.bench.database, "write", watched)
    fake.failing["CreateQueue"] = fake.failing["DeleteQueue"] = AwsError("No", "no")
    stack = put(fake, DEPLOY, QUEUE)
    run(fake)
    del fake.failing["CreateQueue"]
    stack = put(fake, DEPLOY, QUEUE)
    run(fake)
    put(fake, DELETE, QUEUE)
    run(fake)
    last = {(told, kind) for told, kind in seen if not told.endswith("_IN_PROGRESS")}
    assert last == {("ROLLBACK_COMPLETE", None), ("CREATE_COMPLETE", None), ("DELETE_FAILED", None)}


def test_callers_are_kept_with_the_operation(tmp_path: Path) -> None:
    documents = ({"Statement": []},)
    limits = (("session policy", documents),)
    caller = Caller("role", "arn:x", "1", "AROA:s", "ASIA", documents, {"a": "b"}, limits)
    text = json.dumps(operations.caller_to_json(caller))
    assert operations.caller_of_json(json.loads(text)) == caller
    own = Caller("service", "cloudlet.internal", "1")
    assert operations.caller_of_json(operations.caller_to_json(own)) is None
