"""One deployed pattern, and what a check may ask of it.

A check is a function that does what the pattern's README says to try; `@pattern` names the folder
and the template's parameters. It fails by raising; its docstring is its line in the table.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import urllib3

from tests.server import Server

_PATIENCE_S = 90
Check = Callable[["Deployed"], None]


@dataclass(frozen=True)
class Pattern:
    folder: str
    check: Check
    parameters: dict[str, str]
    before: Callable[[Server], None] | None = None  # what the README wants to be there already

    @property
    def tells(self) -> str:
        return " ".join((self.check.__doc__ or "").split())


def pattern(
    folder: str, before: Callable[[Server], None] | None = None, **parameters: str
) -> Callable[[Check], Pattern]:
    return lambda check: Pattern(folder, check, parameters, before)


class Deployed:
    def __init__(self, server: Server, stack: str) -> None:
        self.server = server
        self.stack = stack

    def client(self, service: str) -> Any:
        return self.server.client(service)

    @cached_property
    def outputs(self) -> dict[str, str]:
        found = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    @cached_property
    def resources(self) -> dict[str, str]:
        """Logical id → physical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.stack)
            for each in page["StackResourceSummaries"]
        }

    def http(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Asks an address of AWS's, as templates print it, of this cloudlet."""
        address = urlsplit(url if "://" in url else f"https://{url}")
        path = address.path + (f"?{address.query}" if address.query else "")
        headers = {"Host": address.netloc, **options.pop("headers", {})}
        here = f"{self.server.endpoint}{path or '/'}"
        return self.server.http.request(method, here, headers=headers, redirect=False, **options)

    def invoke(self, logical_id: str, event: Any = None, **options: Any) -> Any:
        """The answer of a function, parsed; fails if the function did."""
        answer = self.client("lambda").invoke(
            FunctionName=self.resources.get(logical_id, logical_id),
            Payload=json.dumps(event or {}), **options,
        )  # fmt: skip
        payload = answer["Payload"].read()
        assert not answer.get("FunctionError"), payload
        return json.loads(payload) if payload else None

    def logged(self, logical_id: str, text: str) -> str:
        """Waits until the function has logged a line with the text; returns the line."""
        group = f"/aws/lambda/{self.resources.get(logical_id, logical_id)}"
        return self.logged_in(group, text)

    def logged_in(self, group: str, text: str) -> str:
        def look() -> str:
            return next((line for line in self.lines(group) if text in line), "")

        return str(self.until(look, f"{text!r} in {group}"))

    def lines(self, group: str) -> list[str]:
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    def until(self, look: Callable[[], Any], what: str, within_s: float = _PATIENCE_S) -> Any:
        """Waits for a look that finds something."""
        deadline = time.monotonic() + within_s
        failure: Exception | None = None
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except Exception as error:  # a group, say, that is not there yet
                failure = error
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come" + (f": {failure}" if failure else ""))

    def received(self, queue_url: str) -> dict[str, Any]:
        """The next message of a queue, deleted."""
        sqs = self.client("sqs")

        def look() -> Any:
            answer = sqs.receive_message(
                QueueUrl=queue_url, WaitTimeSeconds=1, AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )  # fmt: skip
            return answer.get("Messages")

        message: dict[str, Any] = self.until(look, f"a message in {queue_url}")[0]
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return message
