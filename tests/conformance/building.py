"""What tests of real clients build again and again: roles, functions from zips, waiting."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any, TypeVar

from tests.server import Server

ACCOUNT = "000000000000"
REGION = "us-east-1"
Found = TypeVar("Found")
LOGGING = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def allow(action: str | list[str], resource: str | list[str] = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def zipped(source: str) -> bytes:
    return zipped_files({"app.py": source})


def zipped_files(files: dict[str, str]) -> bytes:
    """All of them executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def make_role(server: Server, name: str, *statements: dict[str, Any]) -> str:
    """A role that Lambda assumes, with exactly these permissions."""
    iam = server.client("iam")
    trust = policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    document = policy(LOGGING, *statements)
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    return str(role)


def make_function(
    server: Server, name: str, source: str, *statements: dict[str, Any], **settings: Any
) -> str:
    """A Python function with a role of its own; returns its ARN."""
    made = server.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=make_role(server, f"{name}-role", *statements),
        Code={"ZipFile": zipped(source)},
        **{"Timeout": 20, "MemorySize": 256, **settings},
    )
    return str(made["FunctionArn"])


def make_queue(server: Server, name: str, sender: str = "") -> tuple[str, str]:
    """URL and ARN. `sender`: the service that may send."""
    attributes = {}
    if sender:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": sender},
            "Action": "sqs:SendMessage",
            "Resource": arn("sqs", name),
        }
        attributes["Policy"] = policy(statement)
    url = server.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, arn("sqs", name)


def message(server: Any, url: str, within_s: float = 90) -> dict[str, Any]:
    """The next message of a queue, deleted from it. `server` may be one account of it."""
    sqs = server.client("sqs")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        got = sqs.receive_message(
            QueueUrl=url,
            WaitTimeSeconds=2,
            MessageAttributeNames=["All"],
            MaxNumberOfMessages=1,
        ).get("Messages")
        if got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
            found: dict[str, Any] = got[0]
            return found
    raise AssertionError(f"no message in {url} within {within_s} s")


def eventually(probe: Callable[[], Found], within_s: float = 90) -> Found:
    """The first true value of `probe`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {probe()!r}")
