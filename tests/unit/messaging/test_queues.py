"""SQS: queues, messages, visibility, dead letters, long polling."""

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.messaging.sqs import messages, queues
from cloudlet.messaging.sqs.arrivals import Arrivals
from tests.harness import ROOT, Bench


def make(bench: Bench, name: str = "jobs", **attributes: str) -> str:
    return str(bench.call(queues.create_queue, QueueName=name, Attributes=attributes)["QueueUrl"])


def receive(bench: Bench, url: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.call(messages.receive_message, QueueUrl=url, **params).get(
        "Messages", []
    )
    return found


def test_url_and_attributes(bench: Bench) -> None:
    url = make(bench, VisibilityTimeout="5")
    assert url == "http://127.0.0.1:4566/000000000000/jobs"
    assert bench.call(queues.get_queue_url, QueueName="jobs") == {"QueueUrl": url}
    assert make(bench, VisibilityTimeout="5") == url
    with pytest.raises(AwsError) as refused:
        make(bench, VisibilityTimeout="6")
    assert refused.value.code == "QueueNameExists"
    described = bench.call(queues.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
    assert described["Attributes"]["VisibilityTimeout"] == "5"
    assert described["Attributes"]["QueueArn"] == "arn:aws:sqs:us-east-1:000000000000:jobs"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"VisibilityTimeout": "43201"}, "InvalidParameterValue"),
        ({"Nonsense": "1"}, "InvalidAttributeName"),
        ({"RedrivePolicy": "{}"}, "InvalidParameterValue"),
        ({"Policy": "["}, "InvalidParameterValue"),
    ],
)
def test_wrong_attributes(bench: Bench, attributes: dict[str, str], code: str) -> None:
    with pytest.raises(AwsError) as refused:
        make(bench, **attributes)
    assert refused.value.code == code


def test_life_of_a_message(bench: Bench) -> None:
    url = make(bench)
    attributes = {
        "color": {"DataType": "String", "StringValue": "red"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = bench.call(
        messages.send_message, QueueUrl=url, MessageBody="hellö", MessageAttributes=attributes
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("hellö".encode()).hexdigest()
    found = receive(bench, url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])
    assert found[0]["Body"] == "hellö"
    assert found[0]["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\x01"
    assert found[0]["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert found[0]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert receive(bench, url) == []  # invisible
    bench.clock.advance(31)
    again = receive(bench, url)
    assert again[0]["MessageId"] == sent["MessageId"]
    # an old receipt no longer deletes
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
    bench.clock.advance(31)
    last = receive(bench, url)
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=last[0]["ReceiptHandle"])
    bench.clock.advance(31)
    assert receive(bench, url) == []


def test_visibility_can_be_changed(bench: Bench) -> None:
    url = make(bench)
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x")
    handle = receive(bench, url)[0]["ReceiptHandle"]
    change = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0}
    bench.call(messages.change_message_visibility, **change)
    assert len(receive(bench, url)) == 1 and receive(bench, url) == []
    bench.call(messages.change_message_visibility, **change)  # messaging-006: an older receipt
    (last,) = receive(bench, url)
    bench.call(messages.delete_message, QueueUrl=url, ReceiptHandle=last["ReceiptHandle"])
    for gone in (handle, base64.b64encode(b"1." + b"0" * 32).decode()):
        with pytest.raises(AwsError, match="does not exist or is not available") as refused:
            bench.call(messages.change_message_visibility, **change | {"ReceiptHandle": gone})
        assert refused.value.code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [("AWS.x", "String", "x"), (".x", "String", "x"), ("x.", "String", "x"), ("x!", "String", "x"),
     ("x..y", "String", "x"), ("x" * 257, "String", "x"), ("x", "Strange", "x"),
     ("x", "String", ""), ("x", "String", "\b"), ("x", "Number." + "y" * 256, "1")],
)  # fmt: skip
def test_attributes_that_are_refused(bench: Bench, name: str, kind: str, value: str) -> None:
    url = make(bench)
    attributes = {"ok.ø_1-": {"DataType": "String.z", "StringValue": "x"}}
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    attributes[name] = {"DataType": kind, "StringValue": value}
    with pytest.raises(AwsError) as refused:
        bench.call(
            messages.send_message, QueueUrl=url, MessageBody="x", MessageAttributes=attributes
        )
    assert refused.value.code == "InvalidParameterValue"


def test_what_is_empty_is_not_told(bench: Bench) -> None:
    url = make(bench)
    entries = [{"Id": "a", "MessageBody": "x"}]
    sent = bench.call(messages.send_message_batch, QueueUrl=url, Entries=entries)
    told = [
        bench.call(queues.list_queues, QueueNamePrefix="none")["QueueUrls"],
        bench.call(queues.list_queue_tags, QueueUrl=url)["Tags"],
        bench.call(queues.get_queue_attributes, QueueUrl=url)["Attributes"],
        sent["Failed"],
    ]
    assert told == [None] * 4


def test_delay_and_retention(bench: Bench) -> None:
    url = make(bench, MessageRetentionPeriod="60")
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x", DelaySeconds=10)
    assert receive(bench, url) == []
    bench.clock.advance(10)
    assert len(receive(bench, url)) == 1
    bench.clock.advance(51)
    assert receive(bench, url) == []


def test_dead_letters(bench: Bench) -> None:
    make(bench, "grave")
    arn = "arn:aws:sqs:us-east-1:000000000000:grave"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    url = make(bench, RedrivePolicy=policy, VisibilityTimeout="1")
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x")
    for _ in range(2):
        assert len(receive(bench, url)) == 1
        bench.clock.advance(2)
    assert receive(bench, url) == []
    grave = bench.call(queues.get_queue_url, QueueName="grave")["QueueUrl"]
    assert receive(bench, grave)[0]["Body"] == "x"


def test_batches(bench: Bench) -> None:
    url = make(bench)
    entries = [{"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "\x00"}]
    sent = bench.call(messages.send_message_batch, QueueUrl=url, Entries=entries)
    assert [m["Id"] for m in sent["Successful"]] == ["a"]
    assert sent["Failed"][0]["Code"] == "InvalidMessageContents"
    handle = receive(bench, url)[0]["ReceiptHandle"]
    wanted = [{"Id": "a", "ReceiptHandle": handle}, {"Id": "b", "ReceiptHandle": "nonsense"}]
    gone = bench.call(messages.delete_message_batch, QueueUrl=url, Entries=wanted)
    assert [m["Id"] for m in gone["Successful"]] == ["a"]
    assert gone["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    with pytest.raises(AwsError) as refused:
        bench.call(messages.send_message_batch, QueueUrl=url, Entries=[])
    assert refused.value.code == "EmptyBatchRequest"


def test_long_polling_is_woken(bench: Bench) -> None:
    url = make(bench)

    async def scene() -> Any:
        arrivals = Arrivals(bench.database)
        arrivals.start()
        request = Request("POST", "/", "", {}, Body.of(b""))
        params = {"QueueUrl": url, "WaitTimeSeconds": 20}
        call = Call(bench.cloud, "sqs", "ReceiveMessage", params, ROOT, request, arrivals)
        waiting = asyncio.create_task(messages.receive_message(call))
        await asyncio.sleep(0)
        send = Call(
            bench.cloud, "sqs", "SendMessage", {"QueueUrl": url, "MessageBody": "x"}, ROOT, request
        )
        await bench.database.write(lambda tx: messages.send_message(send, tx))
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(scene())["Messages"][0]["Body"] == "x"


def test_missing_queue(bench: Bench) -> None:
    with pytest.raises(AwsError) as refused:
        bench.call(messages.send_message, QueueUrl="http://x/0/none", MessageBody="x")
    assert refused.value.code == "QueueDoesNotExist"


def test_tags_purge_and_delete(bench: Bench) -> None:
    url = make(bench)
    bench.call(queues.tag_queue, QueueUrl=url, Tags={"a": "1", "b": "2"})
    bench.call(queues.untag_queue, QueueUrl=url, TagKeys=["a"])
    assert bench.call(queues.list_queue_tags, QueueUrl=url) == {"Tags": {"b": "2"}}
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x")
    bench.call(queues.purge_queue, QueueUrl=url)
    assert receive(bench, url) == []
    with pytest.raises(AwsError) as refused:
        bench.call(queues.purge_queue, QueueUrl=url)
    assert refused.value.code == "PurgeQueueInProgress"
    bench.call(queues.delete_queue, QueueUrl=url)
    assert bench.call(queues.list_queues)["QueueUrls"] is None


def test_a_loud_tenant_lets_others_go_first(bench: Bench) -> None:
    """Fair queues: message groups of standard queues."""
    url = make(bench)

    def send(tenant: str, count: int) -> None:
        for _ in range(count):
            bench.call(
                messages.send_message, QueueUrl=url, MessageBody=tenant, MessageGroupId=tenant
            )

    send("loud", 30)
    for _ in range(2):
        receive(bench, url, MaxNumberOfMessages=10)
    send("b", 1)
    send("a", 2)
    found = receive(bench, url, MaxNumberOfMessages=4, MessageSystemAttributeNames=["All"])
    assert [each["Body"] for each in found] == ["b", "a", "a", "loud"]
    assert found[0]["Attributes"]["MessageGroupId"] == "b"
    assert len(receive(bench, url, MaxNumberOfMessages=10)) == 9
    assert receive(bench, url) == []


def test_too_many_in_flight(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_IN_FLIGHT_MAX", 3)
    url = make(bench)
    for body in "abcde":
        bench.call(messages.send_message, QueueUrl=url, MessageBody=body)
    assert len(receive(bench, url, MaxNumberOfMessages=10)) == 3
    with pytest.raises(AwsError) as refused:
        receive(bench, url)
    assert (refused.value.code, refused.value.status) == ("OverLimit", 403)
    bench.clock.advance(31)
    assert len(receive(bench, url, MaxNumberOfMessages=10)) == 3


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"MaxNumberOfMessages": 0}, "Must be between 1 and 10"),
        ({"VisibilityTimeout": 43_201}, "Must be between 0 and 43200"),
        ({"WaitTimeSeconds": 21}, "Must be >= 0 and <= 20"),
    ],
)
def test_wrong_receives(bench: Bench, params: dict[str, int], told: str) -> None:
    url = make(bench)
    with pytest.raises(AwsError, match=told):
        receive(bench, url, **params)


def test_numbers_are_numbers(bench: Bench) -> None:
    url = make(bench)
    for text, is_number in (("-1.5e3", True), ("one", False)):
        attributes = {"n": {"DataType": "Number", "StringValue": text}}
        params: Any = {"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes}
        if is_number:
            bench.call(messages.send_message, **params)
        else:
            with pytest.raises(AwsError, match="to a number"):
                bench.call(messages.send_message, **params)


def test_twelve_hours_are_the_most(bench: Bench) -> None:
    url = make(bench)
    bench.call(messages.send_message, QueueUrl=url, MessageBody="x")
    (found,) = receive(bench, url, VisibilityTimeout=40_000)
    bench.clock.advance(10)
    change = {"QueueUrl": url, "ReceiptHandle": found["ReceiptHandle"]}
    bench.call(messages.change_message_visibility, **change, VisibilityTimeout=43_190)
    with pytest.raises(AwsError, match="beyond the limit"):
        bench.call(messages.change_message_visibility, **change, VisibilityTimeout=43_191)


def test_bodies_are_sealed(bench: Bench) -> None:
    """messaging-008: SQS's own key comes and goes, SQS's other encryption stays off after it."""
    url = make(bench, "sealed", VisibilityTimeout="0")

    def setting(**attributes: str) -> dict[str, str]:
        bench.call(queues.set_queue_attributes, QueueUrl=url, Attributes=attributes)
        found = bench.call(queues.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
        bench.call(messages.send_message, QueueUrl=url, MessageBody="secret")
        return {k: v for k, v in found["Attributes"].items() if "Kms" in k or "Sse" in k}

    assert setting() == {"SqsManagedSseEnabled": "true"}
    key = {"KmsMasterKeyId": "alias/aws/sqs"}
    is_off = {"SqsManagedSseEnabled": "false"}
    assert setting(**key) == key | is_off | {"KmsDataKeyReusePeriodSeconds": "300"}
    spell = {"KmsDataKeyReusePeriodSeconds": "60"}
    assert setting(**spell) == key | is_off | spell
    assert bench.call(queues.create_queue, QueueName="sealed", Attributes=key) == {"QueueUrl": url}
    kept = "SELECT body FROM queue_messages WHERE typeof(body) = 'blob'"
    rows = bench.database.view().all(kept)
    assert len(rows) == 3 and not any(b"secret" in row["body"] for row in rows)
    assert setting(KmsMasterKeyId="") == is_off  # and what is sent now is plain
    assert len(bench.database.view().all(kept)) == 3
    bench.clock.advance(400)
    assert [m["Body"] for m in receive(bench, url, MaxNumberOfMessages=10)] == ["secret"] * 4
    assert setting(**key | spell) and setting(SqsManagedSseEnabled="true") == {
        "SqsManagedSseEnabled": "true"
    }
    for wrong in (key | {"SqsManagedSseEnabled": "true"}, {"KmsMasterKeyId": "alias/mine"}):
        with pytest.raises(AwsError):
            setting(**wrong)
