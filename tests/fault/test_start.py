"""Starts with work to do: who asks or is told too early waits, and misses nothing."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.building import allow, policy
from tests.conformance.test_accounts import Account
from tests.fault.sharing import eventually
from tests.server import Server, free_port

pytestmark = pytest.mark.fault

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return "hello"
      Events:
        Any: {Type: HttpApi, Properties: {Method: GET, Path: "/hello"}}
"""
# Somebody asks while functions are about to start, and they take their time
EARLY = """
import asyncio, sys
from cloudlet.functions.state import Functions
begin, kept = Functions.start, []
async def ask(option, path):
    port = int(sys.argv[sys.argv.index(option) + 1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kept.append(writer)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".encode())
    print("early", path, (await reader.readline()).split()[1], flush=True)
async def start(functions, port):
    kept.append(asyncio.ensure_future(ask("--port", "/hello")))
    kept.append(asyncio.ensure_future(ask("--aws-port", "/_cloudlet/health")))
    for _ in range(1000):
        await asyncio.sleep(0)
    print("early: functions begin", flush=True)
    await begin(functions, port)
Functions.start = start
"""
UNDELIVERED = """
from cloudlet.events.delivery import Delivery
Delivery.start = lambda delivery: None
"""
LATE_ACCOUNTS = """
import asyncio
from cloudlet.front.accounts import Accounts
begin = Accounts.start
async def start(accounts, port):
    for _ in range(1000):
        await asyncio.sleep(0)
    await begin(accounts, port)
Accounts.start = start
"""


class Changed(Server):
    """A cloudlet of which some code is another."""

    code = ""

    def _command(self) -> list[str]:
        program = f"{self.code}\nfrom cloudlet.cli import main\nmain()"
        return ["-c", program, "up", *([str(self.template)] if self.template else [])]


def test_who_asks_before_functions_can_run_waits(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    server = Changed(tmp_path / "data", template, "--no-watch")
    server.start()
    assert server.http.request("GET", f"{server.url}/hello").status == 200
    assert server.stop() == 0
    server.code = EARLY
    server.start()

    def told() -> list[str]:
        return [line for line in server.log.read_text().splitlines() if line.startswith("early")]

    assert eventually(lambda: len(told()) == 3 and told())[0] == "early: functions begin"
    assert set(told()[1:]) == {"early /hello b'200'", "early /_cloudlet/health b'200'"}
    assert "Traceback" not in server.log.read_text()
    assert server.stop() == 0


def test_what_is_for_other_accounts_waits_until_they_are_open(tmp_path: Path) -> None:
    server = Changed(tmp_path / "data")
    server.code = UNDELIVERED
    server.start()
    other = Account.made(server, "other")
    queue = other.client("sqs").create_queue(QueueName="told")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{other.id}:told"
    grant = {**allow("sqs:SendMessage", arn), "Principal": {"Service": "events.amazonaws.com"}}
    settings = {"Policy": policy(grant)}
    other.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=settings)
    events = server.client("events")
    events.put_rule(Name="tell", EventPattern='{"source": ["app"]}')
    events.put_targets(Rule="tell", Targets=[{"Id": "q", "Arn": arn}])
    events.put_events(Entries=[{"Source": "app", "DetailType": "d", "Detail": "{}"}])
    assert server.stop() == 0
    server.code = LATE_ACCOUNTS
    server.start()
    received = other.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)
    assert '"source":"app"' in received["Messages"][0]["Body"].replace(" ", "")
    assert server.stop() == 0


def refused(*options: str | Path) -> str:
    """What `up` says when it ends at once."""
    command = [sys.executable, "-m", "cloudlet", "up", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == "", done
    return done.stderr


def test_what_is_asked_for_twice_is_named(tmp_path: Path) -> None:
    data, link, port = tmp_path / "data", tmp_path / "link", free_port()
    both = f"--port and --aws-port are both {port}: each needs a port of its own"
    told = refused("--data", data, "--port", str(port), "--aws-port", str(port))
    assert told == f"cloudlet: {both}\n"
    link.symlink_to(data)
    for other in (data, link):
        told = refused("--data", link, "--replica", other, "--port", "0", "--aws-port", "0")
        assert told == f"cloudlet: {data} is the data folder itself: a replica is another\n"


@pytest.mark.parametrize(("option", "free"), [("--port", "--aws-port"), ("--aws-port", "--port")])
def test_a_port_that_is_in_use_is_named_with_its_option(
    tmp_path: Path, option: str, free: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused("--data", tmp_path / "data", option, port, free, "0")
    why = f"port {port}: Address already in use ({option} names another port)"
    assert told == f"cloudlet: cannot listen on 127.0.0.1, {why}\n"
