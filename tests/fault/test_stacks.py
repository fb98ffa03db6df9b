"""kill -9 in the middle of an operation on a stack: the next start goes on, forwards or back."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

pytestmark = pytest.mark.fault
COUNT = 12
BAD = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "not a name"}}


def template(seconds: int, *more: str, is_bad: bool = False) -> str:
    """Queues in a row, so that a kill finds some done and some not."""
    resources: dict[str, Any] = {}
    for name in [*(f"Queue{number}" for number in range(COUNT)), *more]:
        queue: dict[str, Any] = {"Type": "AWS::SQS::Queue"}
        queue["Properties"] = {"VisibilityTimeout": seconds}
        if resources:
            queue["DependsOn"] = [*resources][-1]
        resources[name] = queue
    if is_bad:
        resources["Bad"] = {**BAD, "DependsOn": [*resources]}
    return json.dumps({"Resources": resources})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data").start()
    try:
        yield server
    finally:
        server.stop()


def kill_after(server: Server, stack: str, events: int, start: Callable[[Any], Any]) -> None:
    """Starts an operation, and kills as soon as it has brought that many events."""
    client = server.client("cloudformation")

    def count() -> int:
        with suppress(ClientError):  # the stack is yet to be made
            return len(client.describe_stack_events(StackName=stack)["StackEvents"])
        return 0

    before, deadline = count(), time.monotonic() + 90
    start(client)
    while count() - before < events and time.monotonic() < deadline:
        pass
    server.kill()
    server.start()


def settled(server: Server, stack: str) -> str:
    client = server.client("cloudformation")
    deadline = time.monotonic() + 90
    status = ""
    while time.monotonic() < deadline:
        status = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(0.05)
    return str(status)


def timeouts(server: Server) -> list[str]:
    sqs = server.client("sqs")
    names = ["VisibilityTimeout"]
    urls = sqs.list_queues().get("QueueUrls", [])
    found = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names) for url in urls]
    return [each["Attributes"]["VisibilityTimeout"] for each in found]


@pytest.mark.parametrize("events", [9])
def test_creation_and_update_go_on(server: Server, events: int) -> None:
    made = template(10)
    kill_after(server, "app", events, lambda c: c.create_stack(StackName="app", TemplateBody=made))
    assert settled(server, "app") == "CREATE_COMPLETE"
    assert timeouts(server) == ["10"] * COUNT
    other = template(20, "New")
    kill_after(server, "app", events, lambda c: c.update_stack(StackName="app", TemplateBody=other))
    assert settled(server, "app") == "UPDATE_COMPLETE"
    assert timeouts(server) == ["20"] * (COUNT + 1)
    client = server.client("cloudformation")
    stack = client.describe_stacks(StackName="app")["Stacks"][0]["StackId"]
    kill_after(server, stack, events, lambda c: c.delete_stack(StackName="app"))
    assert settled(server, stack) == "DELETE_COMPLETE"
    assert timeouts(server) == []


@pytest.mark.parametrize("events", [9, 2 * COUNT + 9])
def test_an_update_that_fails_is_rolled_back_all_the_same(server: Server, events: int) -> None:
    """Killed on its way forwards, and on its way back."""
    client = server.client("cloudformation")
    client.create_stack(StackName="app", TemplateBody=template(10))
    assert settled(server, "app") == "CREATE_COMPLETE"
    other = template(20, "New", is_bad=True)
    kill_after(server, "app", events, lambda c: c.update_stack(StackName="app", TemplateBody=other))
    assert settled(server, "app") == "UPDATE_ROLLBACK_COMPLETE"
    assert timeouts(server) == ["10"] * COUNT
    client.update_stack(StackName="app", TemplateBody=template(30))
    assert settled(server, "app") == "UPDATE_COMPLETE"
    assert timeouts(server) == ["30"] * COUNT
