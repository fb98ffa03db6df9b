"""FIFO queues: order within groups, nothing twice; and the way back from dead-letter queues."""

import hashlib
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.messaging.sqs import messages, queues, redrive
from tests.harness import Bench
from tests.unit.messaging.test_queues import make, receive

ACCOUNT = "arn:aws:sqs:us-east-1:000000000000"


def fifo(bench: Bench, name: str = "jobs.fifo", **attributes: str) -> str:
    return make(bench, name, FifoQueue="true", **attributes)


def send(bench: Bench, url: str, body: str, group: str = "g", **members: Any) -> Any:
    return bench.call(
        messages.send_message, QueueUrl=url, MessageBody=body, MessageGroupId=group, **members
    )


def bodies(bench: Bench, url: str, **params: Any) -> list[str]:
    return [found["Body"] for found in receive(bench, url, MaxNumberOfMessages=10, **params)]


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("jobs.fifo", {}, "InvalidParameterValue"),
        ("jobs", {"FifoQueue": "true"}, "InvalidParameterValue"),
        ("jobs", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
        ("jobs", {"DeduplicationScope": "queue"}, "InvalidAttributeName"),
        ("jobs", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("j.fifo", {"FifoQueue": "true", "DeduplicationScope": "x"}, "InvalidParameterValue"),
        (
            "j.fifo",
            {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"},
            "InvalidParameterValue",
        ),
    ],
)
def test_names_and_attributes(
    bench: Bench, name: str, attributes: dict[str, str], code: str
) -> None:
    with pytest.raises(AwsError) as refused:
        make(bench, name, **attributes)
    assert refused.value.code == code


def test_attributes_are_shown(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="True")
    with pytest.raises(AwsError, match="Modifying queue type"):
        bench.call(queues.set_queue_attributes, QueueUrl=url, Attributes={"FifoQueue": "false"})
    shown = bench.call(queues.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
    wanted = {"FifoQueue": "true", "ContentBasedDeduplication": "true",
              "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}  # fmt: skip
    assert wanted.items() <= shown["Attributes"].items()


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"MessageGroupId": "g"},
        {"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 1},
        {"MessageGroupId": "g h", "MessageDeduplicationId": "d"},
    ],
)
def test_what_a_message_needs(bench: Bench, members: dict[str, Any]) -> None:
    url = fifo(bench)
    with pytest.raises(AwsError) as refused:
        bench.call(messages.send_message, QueueUrl=url, MessageBody="x", **members)
    assert refused.value.code == ("InvalidParameterValue" if members else "MissingParameter")


def test_the_same_is_taken_once_in_five_minutes(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="true")
    first = send(bench, url, "x")
    assert int(first["SequenceNumber"]) and len(first["SequenceNumber"]) == 20
    again = send(bench, url, "x", "another")
    assert (again["MessageId"], again["SequenceNumber"]) == (
        first["MessageId"],
        first["SequenceNumber"],
    )
    (found,) = receive(bench, url, MessageSystemAttributeNames=["All"])
    told = found["Attributes"]
    assert told["MessageDeduplicationId"] == hashlib.sha256(b"x").hexdigest()
    assert told["MessageGroupId"] == "g" and told["SequenceNumber"] == first["SequenceNumber"]
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    send(bench, url, "x")
    assert bodies(bench, url) == []  # deleted, but not forgotten
    bench.clock.advance(301)
    assert send(bench, url, "x")["SequenceNumber"] > first["SequenceNumber"]
    assert bodies(bench, url) == ["x"]


def test_a_purge_forgets(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="true", DelaySeconds="2")
    send(bench, url, "x")
    bench.call(queues.purge_queue, QueueUrl=url)
    send(bench, url, "x", DelaySeconds=0)
    assert bodies(bench, url) == []  # the queue's delay: a message has none of its own
    bench.clock.advance(2)
    assert bodies(bench, url) == ["x"]


def test_a_batch_needs_its_ids(bench: Bench) -> None:
    """messaging-005: other faults are their entry's alone."""
    url = fifo(bench)
    good = {"Id": "a", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        bad = {k: v for k, v in good.items() if k != name} | {"Id": "b"}
        with pytest.raises(AwsError, match=name) as refused:
            bench.call(messages.send_message_batch, QueueUrl=url, Entries=[good, bad])
        assert refused.value.code == "InvalidParameterValue"
    assert bodies(bench, url) == []


def test_deduplication_may_be_each_groups_own(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="true", DeduplicationScope="messageGroup")
    for group in "aab":
        send(bench, url, "x", group)
    assert bodies(bench, url) == ["x", "x"]


def test_a_group_waits_for_what_is_out(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1", "a3"):
        send(bench, url, body, body[0])
    (first,) = receive(bench, url)
    assert first["Body"] == "a1"
    assert bodies(bench, url) == ["b1"]
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert bodies(bench, url) == ["a2", "a3"]
    bench.clock.advance(31)
    assert bodies(bench, url) == ["a2", "a3", "b1"]


def test_groups_take_turns(bench: Bench) -> None:
    """messaging-004: whole groups, the longest untouched first; later ones out stop nobody."""
    url = fifo(bench, ContentBasedDeduplication="true")
    for body in ("a1", "b1", "b2", "c1", "a2", "a3"):
        send(bench, url, body, body[0])
    a1, a2 = receive(bench, url, MaxNumberOfMessages=2)
    assert (a1["Body"], a2["Body"]) == ("a1", "a2")
    change = {"QueueUrl": url, "ReceiptHandle": a1["ReceiptHandle"], "VisibilityTimeout": 0}
    bench.call(messages.change_message_visibility, **change)
    assert bodies(bench, url, VisibilityTimeout=0) == ["b1", "b2", "c1", "a1"]
    bench.clock.advance(1)
    assert [m["Body"] for m in receive(bench, url, VisibilityTimeout=0)] == ["a1"]
    assert bodies(bench, url, VisibilityTimeout=0) == ["b1", "b2", "c1", "a1"]
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=a2["ReceiptHandle"])
    bench.clock.advance(31)
    assert bodies(bench, url) == ["a1", "a3", "b1", "b2", "c1"]


def test_an_attempt_to_receive_can_be_repeated(bench: Bench) -> None:
    url = fifo(bench, ContentBasedDeduplication="true")
    send(bench, url, "x")
    first = receive(bench, url, ReceiveRequestAttemptId="one")
    assert receive(bench, url, ReceiveRequestAttemptId="one") == first
    assert receive(bench, url, ReceiveRequestAttemptId="two") == []


def with_grave(bench: Bench, **attributes: str) -> tuple[str, str]:
    grave = fifo(bench, "grave.fifo", ContentBasedDeduplication="true", **attributes)
    policy = json.dumps({"deadLetterTargetArn": f"{ACCOUNT}:grave.fifo", "maxReceiveCount": 1})
    return fifo(bench, RedrivePolicy=policy, ContentBasedDeduplication="true"), grave


def buried(bench: Bench, *names: str) -> tuple[str, str]:
    url, grave = with_grave(bench)
    for name in names:
        send(bench, url, name)
    assert bodies(bench, url) == list(names)
    bench.clock.advance(31)
    assert bodies(bench, url) == []
    return url, grave


def move(bench: Bench) -> int | None:
    return bench.database.write_now(lambda tx: redrive.step(tx, bench.config, bench.blobs.master))


def start(bench: Bench, **params: Any) -> str:
    source = f"{ACCOUNT}:grave.fifo"
    output = bench.call(redrive.start_message_move_task, SourceArn=source, **params)
    return str(output["TaskHandle"])


def tasks(bench: Bench) -> list[dict[str, Any]]:
    source = f"{ACCOUNT}:grave.fifo"
    output = bench.call(redrive.list_message_move_tasks, SourceArn=source, MaxResults=10)
    return list(output["Results"])


def test_dead_letters_go_back_in_order(bench: Bench) -> None:
    url, _ = buried(bench, "1", "2", "3")
    start(bench, MaxNumberOfMessagesPerSecond=2)
    with pytest.raises(AwsError, match="Only one active task"):
        start(bench)
    assert move(bench) == 1
    assert bodies(bench, url) == ["1", "2"]
    (task,) = tasks(bench)
    assert task["Status"] == "RUNNING" and task["ApproximateNumberOfMessagesMoved"] == 2
    assert move(bench) is not None and move(bench) is not None
    assert move(bench) is None
    (task,) = tasks(bench)
    assert task["Status"] == "COMPLETED" and "TaskHandle" not in task
    assert task["ApproximateNumberOfMessagesMoved"] == task["ApproximateNumberOfMessagesToMove"]
    bench.clock.advance(31)  # the moved ones had one receive: now they are dead again
    assert bodies(bench, url) == ["3"]


def test_a_task_can_be_cancelled(bench: Bench) -> None:
    _, grave = buried(bench, "1", "2")
    handle = start(bench, MaxNumberOfMessagesPerSecond=1)
    move(bench)
    cancelled = bench.call(redrive.cancel_message_move_task, TaskHandle=handle)
    assert cancelled == {"ApproximateNumberOfMessagesMoved": 1}
    assert move(bench) is None and bodies(bench, grave) == ["2"]
    for wrong, text in ((handle, "Only active"), ("x", "TaskHandle is invalid")):
        with pytest.raises(AwsError, match=text):
            bench.call(redrive.cancel_message_move_task, TaskHandle=wrong)


def test_a_letter_without_origin_fails_the_task(bench: Bench) -> None:
    _, grave = with_grave(bench)
    send(bench, grave, "sent here")
    start(bench)
    move(bench)
    assert tasks(bench)[0]["FailureReason"] == "CouldNotDetermineMessageSource"
    start(bench, DestinationArn=f"{ACCOUNT}:jobs.fifo")
    move(bench)
    assert bodies(bench, grave) == []


def test_a_dead_letter_queue_chooses_its_sources(bench: Bench) -> None:
    with pytest.raises(AwsError, match="does not allow"):
        with_grave(bench, RedriveAllowPolicy='{"redrivePermission": "denyAll"}')
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ACCOUNT}:jobs.fifo"]}
    bench.call(
        queues.set_queue_attributes,
        QueueUrl="http://x/0/grave.fifo",
        Attributes={"RedriveAllowPolicy": json.dumps(allowed)},
    )
    policy = {"deadLetterTargetArn": f"{ACCOUNT}:grave.fifo", "maxReceiveCount": 1}
    fifo(bench, RedrivePolicy=json.dumps(policy))
    with pytest.raises(AwsError, match="must be same type of queue"):
        make(bench, "jobs", RedrivePolicy=json.dumps(policy))


def test_a_handle_ends_with_its_visibility(bench: Bench) -> None:
    """messaging-003: elsewhere an old handle still deletes."""
    url = fifo(bench, ContentBasedDeduplication="true")
    send(bench, url, "x")
    (found,) = receive(bench, url)
    bench.clock.advance(31)
    handle = found["ReceiptHandle"]
    with pytest.raises(AwsError, match="has expired"):
        bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=handle)
    assert bodies(bench, url) == ["x"]
