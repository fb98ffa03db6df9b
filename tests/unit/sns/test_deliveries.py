"""Deliveries: what is tried again and when, dead letters, facts of others, recorded messages."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.sns import deliveries, endpoints, publishing, retries, subscriptions, topics
from cloudlet.sns.deliveries import Deliveries
from cloudlet.store.database import Transaction
from tests.unit.sns.conftest import FUNCTION, NEWS, QUEUE, Desk

GRAVE = "arn:aws:sqs:us-east-1:000000000000:dead"


class Journal:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []

    def write(self, tx: Transaction, group: str, stream: str, message: str) -> None:
        self.lines.append((group, orjson.loads(message)))


@pytest.fixture
def lines(desk: Desk) -> list[tuple[str, Any]]:
    journal = Journal()
    desk.cloud.journal = journal
    return journal.lines


def deliver(desk: Desk, number: int = -1, attempts: int = 0) -> Outcome:
    fact = desk.facts()[number]
    fields = {name: getattr(fact, name) for name in Fact.__dataclass_fields__}
    given = Fact(**{**fields, "attempts": attempts})
    outcome = asyncio.run(Deliveries(desk.cloud).deliver(given))
    change = outcome.change if isinstance(outcome, Done) else None
    if change is not None:  # as delivery does, with the fact's removal
        desk.cloud.database.write_now(change)
    return outcome


def publish(desk: Desk, message: str = "hello", **params: Any) -> None:
    desk.call(publishing.publish, **{"Message": message, "TopicArn": NEWS, **params})


def fails(code: str) -> Any:
    def answer(_: Any) -> Any:
        raise AwsError(code, "no")

    return answer


def test_a_queue_is_sent_an_envelope(desk: Desk) -> None:
    desk.subscribe()
    publish(desk)
    assert deliver(desk) is DONE
    ((service, operation, params),) = desk.invoked
    assert (service, operation) == ("sqs", "SendMessage")
    assert params["QueueUrl"].endswith("/000000000000/inbox")
    assert orjson.loads(params["MessageBody"])["Message"] == "hello"


def test_what_fifo_topics_tell_is_not_signed(desk: Desk) -> None:
    """sns-003: as AWS's own messages of FIFO topics, whose queues keep others out anyway."""
    topic = desk.topic("news.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    desk.subscribe("sqs", f"{QUEUE}.fifo", topic)
    publish(desk, TopicArn=topic, MessageGroupId="g")
    assert deliver(desk) is DONE
    params = desk.invoked[0][2]
    assert params["MessageGroupId"] == "g"
    assert len(params["MessageDeduplicationId"]) == 64
    desk.subscribe("sqs", QUEUE, topic)
    publish(desk, "more", TopicArn=topic, MessageGroupId="g")
    deliver(desk)
    assert "MessageGroupId" not in desk.invoked[1][2]  # of a standard queue
    told = orjson.loads(params["MessageBody"])
    expected = "Type MessageId SequenceNumber TopicArn Message Timestamp UnsubscribeURL"
    assert list(told) == expected.split()


def test_a_raw_message_keeps_its_attributes(desk: Desk) -> None:
    desk.subscribe(RawMessageDelivery="true")
    attributes = {"b": {"DataType": "Binary", "BinaryValue": b"x"}}
    publish(desk, MessageAttributes=attributes)
    deliver(desk)
    params = desk.invoked[0][2]
    assert (params["MessageBody"], params["MessageAttributes"]) == ("hello", attributes)


def test_a_function_is_invoked(desk: Desk) -> None:
    arn = desk.subscribe("lambda", FUNCTION)
    publish(desk)
    deliver(desk)
    ((service, operation, params),) = desk.invoked
    assert (service, operation, params["InvocationType"]) == ("lambda", "Invoke", "Event")
    (record,) = orjson.loads(params["Payload"])["Records"]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == arn
    assert record["Sns"]["Subject"] is None
    assert record["Sns"]["MessageAttributes"] == {}
    assert {"SigningCertUrl", "UnsubscribeUrl", "Signature"} <= record["Sns"].keys()


def test_what_fails_is_tried_again_as_the_policy_says(desk: Desk) -> None:
    desk.subscribe()
    publish(desk)
    desk.answers["SendMessage"] = fails("ServiceUnavailable")
    waits = [deliver(desk, attempts=attempts) for attempts in (0, 3, 5, 20, 100_014)]
    assert [each.seconds for each in waits if isinstance(each, Later)][:2] == [0.0, 1.0]
    assert waits[-1] == Later(20.0)
    assert deliver(desk, attempts=100_015) is DONE


def test_what_fails_for_good_is_a_dead_letter(desk: Desk) -> None:
    policy = orjson.dumps({"deadLetterTargetArn": GRAVE}).decode()
    desk.subscribe("lambda", FUNCTION, RedrivePolicy=policy)
    publish(desk)
    desk.answers["Invoke"] = fails("ResourceNotFoundException")
    assert deliver(desk) is DONE
    params = desk.invoked[-1][2]
    assert params["QueueUrl"].endswith("/dead")
    assert orjson.loads(params["MessageBody"])["Message"] == "hello"
    desk.answers["SendMessage"] = fails("QueueDoesNotExist")
    assert deliver(desk) is DONE
    desk.answers["SendMessage"] = fails("ServiceUnavailable")
    with pytest.raises(AwsError):  # delivery comes again
        deliver(desk)


def test_no_one_is_told_after_the_subscription_ended(desk: Desk) -> None:
    arn = desk.subscribe()
    publish(desk)
    desk.call(subscriptions.unsubscribe, SubscriptionArn=arn)
    assert deliver(desk) is DONE
    assert not desk.invoked


def waits_of(policy: dict[str, Any]) -> list[float]:
    whole = {**retries.effective({})["http"]["defaultHealthyRetryPolicy"], **policy}
    found = (retries.delay_s(whole, failed) for failed in range(1, whole["numRetries"] + 1))
    assert retries.delay_s(whole, whole["numRetries"] + 1) is None
    return [each for each in found if each is not None]


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
def test_the_phases_of_a_delivery_policy(function: str) -> None:
    waits = waits_of({
        "numRetries": 12, "numNoDelayRetries": 2, "numMinDelayRetries": 2, "numMaxDelayRetries": 3,
        "minDelayTarget": 1, "maxDelayTarget": 60, "backoffFunction": function,
    })  # fmt: skip
    assert waits[:4] == [0.0, 0.0, 1.0, 1.0]
    assert waits[-3:] == [60.0] * 3
    assert waits[8] == pytest.approx(60.0)
    assert all(one < other for one, other in pairwise(waits[3:9]))


def test_linear_delays_grow_least_at_the_end() -> None:
    shapes = {
        function: waits_of({"numRetries": 4, "maxDelayTarget": 100, "backoffFunction": function})[1]
        for function in ("linear", "arithmetic", "geometric", "exponential")
    }
    assert list(shapes.values()) == sorted(shapes.values(), reverse=True)


def test_facts_of_others_are_published(desk: Desk) -> None:
    statement = {
        "Effect": "Allow", "Action": "SNS:Publish", "Resource": NEWS,
        "Principal": {"Service": "s3.amazonaws.com"},
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::shelf"}},
    }  # fmt: skip
    policy = orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()
    given = {"TopicArn": NEWS, "AttributeName": "Policy", "AttributeValue": policy}
    desk.call(topics.set_topic_attributes, **given)
    desk.subscribe()

    def outcome(payload: bytes = b"{}", target: str = NEWS, **attributes: Any) -> Outcome:
        fact = Fact(1, target, "lambda", "", payload, attributes, 0, 0, 0)
        return asyncio.run(Deliveries(desk.cloud).deliver(fact))

    s3 = {"principal": "s3.amazonaws.com", "subject": "Amazon S3 Notification"}
    done = outcome(**s3, source_arn="arn:aws:s3:::shelf")
    assert isinstance(done, Done) and done.change is not None
    desk.database.write_now(done.change)
    (fact,) = desk.facts()
    assert orjson.loads(fact.payload)["Subject"] == "Amazon S3 Notification"
    assert outcome(**s3, source_arn="arn:aws:s3:::other") is DONE
    assert outcome(target=f"{NEWS}x") is DONE
    assert outcome(payload=b"x" * 300_000) is DONE
    assert outcome() is not DONE  # cloudlet's own: a dead letter
    assert len(desk.facts()) == 1


def test_nobody_tells_a_subscription_past_its_topic(desk: Desk) -> None:
    for target in (desk.subscribe(), desk.config.arn("sns", "sms/+15555550100")):
        fact = Fact(1, target, "lambda", "", b"{}", {}, 0, 0, 0)
        assert asyncio.run(Deliveries(desk.cloud).deliver(fact)) is DONE
    assert not desk.invoked


def test_alarms_need_no_policy_but_the_default_one(desk: Desk) -> None:
    """sns-002: CloudWatch says whose alarm it is, and the default policy lets the owner in."""
    for account, may in (("000000000000", True), ("111111111111", False)):
        attributes = {"principal": "cloudwatch.amazonaws.com", "source_account": account}
        fact = Fact(1, NEWS, "x", "", b"{}", attributes, 0, 0, 0)
        outcome = asyncio.run(Deliveries(desk.cloud).deliver(fact))
        assert (outcome is not DONE) == may


def test_mails_are_recorded_with_their_link(desk: Desk, lines: list[Any]) -> None:
    desk.subscribe("email", "ann@example.org")
    deliver(desk)
    ((group, line),) = lines
    assert group == "sns/us-east-1/000000000000/email"
    assert line["delivery"]["destination"] == "ann@example.org"
    assert line["payload"]["Subject"] == "AWS Notification - Subscription Confirmation"
    assert "Action=ConfirmSubscription" in line["link"]
    given = {"TopicArn": NEWS, "Token": line["link"].partition("Token=")[2]}
    desk.call(subscriptions.confirm_subscription, **given)
    publish(desk, Subject="Breaking")
    deliver(desk)
    line = lines[1][1]
    assert (line["status"], line["payload"]["Subject"]) == ("SUCCESS", "Breaking")
    assert line["payload"]["Body"].startswith("hello\n\n--\nhttp")
    desk.subscribe("email-json", "bob@example.org")
    deliver(desk)
    assert lines[2][1]["payload"]["Type"] == "SubscriptionConfirmation"


def test_short_messages_are_recorded(desk: Desk, lines: list[Any]) -> None:
    desk.subscribe("sms", "+49 170 1234567")
    publish(desk)
    deliver(desk)
    loud = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
    publish(desk, TopicArn=None, PhoneNumber="+15555550100", MessageAttributes=loud)
    deliver(desk)
    assert {group for group, _ in lines} == {
        "sns/us-east-1/000000000000/DirectPublishToPhoneNumber"
    }
    numbers = [line["delivery"]["destination"] for _, line in lines]
    assert numbers == ["+491701234567", "+15555550100"]
    assert "topicArn" not in lines[1][1]["notification"]
    kinds = [line["delivery"]["smsType"] for _, line in lines]
    assert kinds == ["Promotional", "Transactional"]


def test_pushes_are_recorded(desk: Desk, lines: list[Any]) -> None:
    app = desk.call(endpoints.create_platform_application, Name="chat", Platform="GCM",
                    Attributes={"PlatformCredential": "x"})["PlatformApplicationArn"]  # fmt: skip
    given = {"PlatformApplicationArn": app, "Token": "phone-1"}
    arn = desk.call(endpoints.create_platform_endpoint, **given)["EndpointArn"]
    desk.subscribe("application", arn)
    publish(desk)
    deliver(desk)
    document = orjson.dumps({"default": "x", "GCM": '{"notification": {"body": "y"}}'}).decode()
    publish(desk, document, TopicArn=None, TargetArn=arn, MessageStructure="json")
    deliver(desk)
    assert {group for group, _ in lines} == {"sns/us-east-1/000000000000/app/GCM/chat"}
    assert lines[0][1]["payload"] == {"data": {"default": "hello"}}
    assert lines[1][1]["payload"] == {"notification": {"body": "y"}}
    assert lines[1][1]["delivery"]["token"] == "phone-1"
    change = {"EndpointArn": arn, "Attributes": {"Enabled": "false"}}
    desk.call(endpoints.set_endpoint_attributes, **change)
    publish(desk)
    assert isinstance(deliver(desk), Done)
    group, line = lines[2]
    assert (group, line["status"]) == (
        "sns/us-east-1/000000000000/app/GCM/chat/Failure",
        "FAILURE",
    )


def test_a_topic_logs_deliveries_when_it_has_a_role_for_it(desk: Desk, lines: list[Any]) -> None:
    for name in ("SQSSuccessFeedbackRoleArn", "SQSFailureFeedbackRoleArn"):
        given = {"TopicArn": NEWS, "AttributeName": name, "AttributeValue": "arn:aws:iam::0:role/x"}
        desk.call(topics.set_topic_attributes, **given)
    desk.subscribe()
    publish(desk)
    deliver(desk)
    desk.answers["SendMessage"] = fails("QueueDoesNotExist")
    deliver(desk)
    groups = [group for group, _ in lines]
    assert groups == [f"sns/us-east-1/000000000000/{name}" for name in ("news", "news/Failure")]
    assert lines[0][1]["delivery"]["destination"] == QUEUE


def test_a_name_and_password_of_an_url_are_a_header() -> None:
    url, headers = deliveries._address("http://ann:p%40ss@example.org:81/x?y=z")
    assert (url, headers) == (
        "http://example.org:81/x?y=z",
        {"authorization": "Basic YW5uOnBAc3M="},
    )


def test_endpoints_have_the_time_they_ask_for(desk: Desk) -> None:
    policy = {"throttlePolicy": {"maxReceivesPerSecond": 20}}
    started = time.monotonic()

    async def deliver_all() -> None:
        deliverer = Deliveries(desk.cloud)
        turns = [deliverer._turn("it", retries.interval_s(policy)) for _ in range(4)]
        await asyncio.gather(*turns, deliverer._turn("other", 0.0))

    asyncio.run(deliver_all())
    assert time.monotonic() - started >= 0.14
