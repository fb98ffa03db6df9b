"""CloudWatch Logs and metrics through boto3."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from tests.server import Server


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
