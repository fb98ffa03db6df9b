"""kill -9 while a topic is published to: what was acknowledged reaches each subscription, and the
messages of a group in their order; what only is recorded, is."""

import json
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.conformance.building import allow, arn, eventually, policy
from tests.server import Server

pytestmark = pytest.mark.fault
MESSAGES = 120
GROUPS = 4
KILL_AFTER = 50


class Publisher(threading.Thread):
    """Publishes numbers, each again and again until it is acknowledged, as clients do."""

    def __init__(self, server: Server, topic: str) -> None:
        super().__init__()
        self.server, self.topic = server, topic
        self.acknowledged: list[int] = []

    def run(self) -> None:
        client = self.server.client("sns")
        for number in range(MESSAGES):
            while not self._publish(client, number):
                pass
            self.acknowledged.append(number)

    def _publish(self, client: Any, number: int) -> bool:
        group = str(number % GROUPS)
        given = {"MessageGroupId": group, "MessageDeduplicationId": str(number)}
        try:
            client.publish(TopicArn=self.topic, Message=str(number), **given)
        except (BotoCoreError, ClientError):
            return False
        return True


def _queue(server: Server, name: str) -> str:
    queue, is_fifo = arn("sqs", name), name.endswith(".fifo")
    statement = allow("sqs:SendMessage", queue) | {"Principal": {"Service": "sns.amazonaws.com"}}
    attributes = {"Policy": policy(statement)} | ({"FifoQueue": "true"} if is_fifo else {})
    made = server.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    return str(made["QueueUrl"])


def _read(server: Server, url: str, wanted: set[int]) -> list[int]:
    """What comes into a queue, in order, until all that is wanted is there and no more comes."""
    sqs, found = server.client("sqs"), list[int]()
    given = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
    deadline = time.monotonic() + 90
    while True:
        got = sqs.receive_message(**given).get("Messages", [])
        if not got and (wanted <= set(found) or time.monotonic() > deadline):
            return found
        if not got:
            continue
        found += [int(each["Body"]) for each in got]
        entries = [
            {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(got)
        ]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def test_no_message_is_lost_and_groups_keep_their_order(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    sns, fifo = server.client("sns"), {"FifoTopic": "true"}
    topic = sns.create_topic(Name="news.fifo", Attributes=fifo)["TopicArn"]
    urls = {name: _queue(server, name) for name in ("one.fifo", "two.fifo", "plain", "few")}
    for name in urls:
        few = {"FilterPolicy": '{"nothing": ["x"]}'} if name == "few" else {}
        given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn("sqs", name)}
        sns.subscribe(**given, Attributes={"RawMessageDelivery": "true", **few})
    publisher = Publisher(server, topic)
    publisher.start()
    eventually(lambda: len(publisher.acknowledged) >= KILL_AFTER)
    server.kill()
    server.start()
    publisher.join(90)
    assert len(publisher.acknowledged) == MESSAGES
    everything = set(range(MESSAGES))
    one, two, plain = (
        _read(server, urls[n], everything) for n in ("one.fifo", "two.fifo", "plain")
    )
    few_got = _read(server, urls["few"], set())
    assert server.stop() == 0
    assert not few_got
    assert set(plain) == everything  # at least once
    for found in (one, two):  # exactly once: the queue knows what it had
        by_group = defaultdict(list)
        for number in found:
            by_group[number % GROUPS].append(number)
        assert sorted(found) == list(range(MESSAGES)), json.dumps(found)
        assert all(numbers == sorted(numbers) for numbers in by_group.values())


def test_what_was_acknowledged_is_recorded(tmp_path: Path) -> None:
    """Also the last ones before the end, once each."""
    server = Server(tmp_path / "data").start()
    sns = server.client("sns")
    given = {"Name": "chat", "Platform": "GCM", "Attributes": {"PlatformCredential": "x"}}
    app = sns.create_platform_application(**given)["PlatformApplicationArn"]
    device = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="t")["EndpointArn"]
    for number in range(MESSAGES):
        sns.publish(TargetArn=device, Message=str(number))
    server.kill()
    server.start()
    logs = server.client("logs")
    group = f"sns/us-east-1/{device.split(':')[4]}/app/GCM/chat"

    def recorded() -> list[int]:
        events = logs.filter_log_events(logGroupName=group)["events"]
        found = [json.loads(each["message"])["payload"]["data"]["default"] for each in events]
        return sorted(map(int, found))

    eventually(lambda: len(recorded()) >= MESSAGES)
    assert recorded() == list(range(MESSAGES))
    assert server.stop() == 0
