"""CloudWatch Logs and metrics through boto3."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from click.testing import CliRunner

from cloudlet import cli
from tests.server import Server, free_port
from tests.unit.functions.cloud import zipped


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("cloudwatch") / "data")
    try:
        yield server.start()
    finally:
        server.stop()


def until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)
    return found


def test_a_live_tail_shows_what_comes_in(server: Server, tmp_path: Path) -> None:
    logs = server.client("logs", config=Config(inject_host_prefix=False))
    logs.create_log_group(logGroupName="/tail")
    logs.create_log_stream(logGroupName="/tail", logStreamName="s")
    arn = logs.describe_log_groups(logGroupNamePrefix="/tail")["logGroups"][0]["logGroupArn"]
    stream = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="ERROR")[
        "responseStream"
    ]
    seen: list[str] = []

    def write() -> None:
        for text in ("ERROR one", "fine", "ERROR two"):
            logs.put_log_events(
                logGroupName="/tail", logStreamName="s",
                logEvents=[{"timestamp": int(time.time() * 1000), "message": text}],
            )  # fmt: skip

    for event in stream:
        if "sessionStart" in event:
            assert event["sessionStart"]["logEventFilterPattern"] == "ERROR"
            threading.Thread(target=write).start()
        else:
            seen += [each["message"] for each in event["sessionUpdate"]["sessionResults"]]
        if len(seen) == 2:
            break
    stream.close()
    assert seen == ["ERROR one", "ERROR two"]


def function(server: Server, name: str, source: str) -> str:
    """Creates a function with a role of its own; its name."""
    role = server.client("iam").create_role(
        RoleName=f"{name}-role", AssumeRolePolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                          "Principal": {"Service": "lambda.amazonaws.com"}},
        }),
    )["Role"]["Arn"]  # fmt: skip
    server.client("lambda").create_function(
        FunctionName=name, Runtime="python3.12", Handler="handler.handler", Role=role,
        Code={"ZipFile": zipped(handler=source)},
    )  # fmt: skip
    return name


def command(server: Server, *arguments: str, data: str = "") -> Any:
    return CliRunner().invoke(cli.cli, [*arguments, "--data", data or str(server.data)])


def test_commands_ask_the_running_cloudlet(server: Server, tmp_path: Path) -> None:
    function(server, "echo", """
def handler(event, context):
    print("saw", event["n"])
    return {"n": event["n"] / event["d"]}
""")  # fmt: skip
    (tmp_path / "event.json").write_text('{"n": 6, "d": 2}')
    result = command(server, "invoke", "echo", "--payload", f"@{tmp_path / 'event.json'}")
    assert (result.exit_code, result.stdout) == (0, '{"n": 3.0}\n')
    result = command(server, "invoke", "echo", "-p", '{"n": 7, "d": 0}')
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errorType"] == "ZeroDivisionError"
    assert "saw 7" in result.stderr
    until(lambda: "error: echo: ZeroDivisionError" in server.log.read_text())
    result = command(server, "invoke", "echo", "--async", "-p", '{"n": 8, "d": 1}')
    assert (result.exit_code, result.stdout) == (0, "")
    assert command(server, "invoke", "echo", "-p", "{").exit_code == 2
    until(lambda: "saw 8" in command(server, "logs", "echo", "--since", "1h").stdout)
    shown = command(server, "logs", "echo", "--filter", "saw").stdout
    assert shown == "saw 6\nsaw 7\nsaw 8\n"
    assert "[echo] saw 6\n" in command(server, "logs").stdout
    assert command(server, "logs", "echo", "--since", "soon").exit_code == 2
    result = command(server, "logs", "absent")
    assert result.exit_code == 1 and "no function 'absent' here; there are: echo" in result.stderr
    (tmp_path / "root-key.json").write_bytes((server.data / "root-key.json").read_bytes())
    (tmp_path / "endpoint.json").write_text(f'{{"aws_port": {free_port()}}}')
    result = command(server, "logs", data=str(tmp_path))
    assert result.exit_code == 1 and "is not running" in result.stderr
