"""Subscriptions: who must confirm, what may be asked of them, how they end."""

from typing import Any

import orjson
import pytest

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.sns import endpoints, subscriptions
from tests.unit.sns.conftest import FUNCTION, NEWS, QUEUE, Desk

STRANGER = Caller("user", "arn:aws:iam::111111111111:user/eve", "111111111111")


def token(desk: Desk) -> str:
    return str(orjson.loads(desk.facts()[-1].payload)["Token"])


def confirm(desk: Desk, given: str, **more: Any) -> Any:
    return desk.call(subscriptions.confirm_subscription, TopicArn=NEWS, Token=given, **more)


def listed(desk: Desk) -> list[str]:
    found = desk.call(subscriptions.list_subscriptions)["Subscriptions"]
    return [each["SubscriptionArn"] for each in found]


@pytest.mark.parametrize(
    ("protocol", "endpoint", "complaint"),
    [
        ("sqs", "inbox", "SQS endpoint ARN"),
        ("sqs", f"{QUEUE}.fifo", "FIFO SQS Queues can not be subscribed"),
        ("lambda", QUEUE, "Lambda endpoint ARN"),
        ("http", "https://example.org", "must match the specified protocol"),
        ("email", "ann", "Email address"),
        ("sms", "hello", "InvalidParameter: Invalid SMS endpoint: hello"),
        ("sms", "+15--551234567", "Invalid SMS endpoint"),
        ("sms", "+15551234567.", "Invalid SMS endpoint"),
        ("application", "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/a/b", "Application"),
        ("firehose", "x", "NotImplemented"),
        ("pigeon", "x", "does not support this protocol string: pigeon"),
    ],
)
def test_wrong_endpoints(desk: Desk, protocol: str, endpoint: str, complaint: str) -> None:
    with pytest.raises(AwsError, match=complaint):
        desk.subscribe(protocol, endpoint)


def test_fifo_topics_tell_queues_alone(desk: Desk) -> None:
    topic = desk.topic("orders.fifo", FifoTopic="true")
    desk.subscribe("sqs", f"{QUEUE}.fifo", topic)
    desk.subscribe("sqs", QUEUE, topic)
    with pytest.raises(AwsError, match="Invalid protocol type: lambda"):
        desk.subscribe("lambda", FUNCTION, topic)


def test_the_same_subscription_again_is_the_one_that_is_there(desk: Desk) -> None:
    arn = desk.subscribe(RawMessageDelivery="true")
    assert arn == desk.subscribe() == desk.subscribe(RawMessageDelivery="True")
    assert arn == desk.subscribe(FilterPolicyScope="MessageAttributes")  # which it is by default
    with pytest.raises(AwsError, match="already exists with different attributes"):
        desk.subscribe(RawMessageDelivery="false")
    assert listed(desk) == [arn]


def test_mailboxes_confirm(desk: Desk) -> None:
    given = {"TopicArn": NEWS, "Protocol": "email", "Endpoint": "ann@example.org"}
    made = desk.call(subscriptions.subscribe, **given)
    assert made["SubscriptionArn"] == "pending confirmation"
    assert listed(desk) == ["PendingConfirmation"]
    old = token(desk)
    assert len(old) == 288
    desk.call(subscriptions.subscribe, **given)  # asks once more
    with pytest.raises(AwsError, match="Invalid parameter: Token"):
        confirm(desk, old)
    with pytest.raises(AwsError, match="InvalidParameter: Invalid token"):
        confirm(desk, "anything")
    other = {"TopicArn": f"{NEWS}x", "Token": token(desk)}
    with pytest.raises(AwsError, match="Invalid parameter: Topic"):
        desk.call(subscriptions.confirm_subscription, **other)
    arn = confirm(desk, token(desk))["SubscriptionArn"]
    assert listed(desk) == [arn]
    shown = desk.about(arn)
    assert (shown["PendingConfirmation"], shown["ConfirmationWasAuthenticated"]) == (
        "false",
        "true",
    )
    assert confirm(desk, token(desk))["SubscriptionArn"] == arn  # again


def test_tokens_are_good_for_two_days(desk: Desk) -> None:
    arn = desk.subscribe("email", "ann@example.org")
    with pytest.raises(AwsError, match="a pending subscription"):
        desk.call(subscriptions.unsubscribe, SubscriptionArn=arn)
    desk.clock.advance(2 * 86_400 + 1)
    with pytest.raises(AwsError, match="Invalid parameter: Token"):
        confirm(desk, token(desk))
    desk.database.write_now(lambda tx: subscriptions.sweep(tx, desk.clock.now_ms))
    assert listed(desk) == []


def test_queues_of_other_accounts_confirm(desk: Desk) -> None:
    theirs = "arn:aws:sqs:us-east-1:111111111111:inbox"
    given = {"TopicArn": NEWS, "Protocol": "sqs", "Endpoint": theirs}
    assert "pending" in desk.call(subscriptions.subscribe, **given)["SubscriptionArn"]
    (fact,) = desk.facts()
    assert orjson.loads(fact.payload)["Type"] == "SubscriptionConfirmation"
    given["Endpoint"] = f"{theirs}2"
    made = desk.call(subscriptions.subscribe, caller=STRANGER, **given)
    assert made["SubscriptionArn"].startswith(NEWS)  # who has the queue subscribes it
    shown = desk.about(made["SubscriptionArn"])
    assert (shown["Owner"], shown["SubscriptionPrincipal"]) == (STRANGER.account, STRANGER.arn)


def test_links_end_subscriptions_and_bring_them_back(desk: Desk) -> None:
    desk.subscribe("http", "http://127.0.0.1:1/x")
    arn = confirm(desk, token(desk))["SubscriptionArn"]
    desk.call(subscriptions.unsubscribe, caller=ANONYMOUS, SubscriptionArn=arn)
    assert listed(desk) == []
    goodbye = orjson.loads(desk.facts()[-1].payload)
    assert goodbye["Type"] == "UnsubscribeConfirmation"
    desk.call(subscriptions.unsubscribe, SubscriptionArn=arn)  # once more
    with pytest.raises(AwsError, match="NotFound: Subscription does not exist"):
        desk.about(arn)
    assert confirm(desk, goodbye["Token"])["SubscriptionArn"] == arn
    assert listed(desk) == [arn]


def test_some_subscriptions_end_with_a_signature_alone(desk: Desk) -> None:
    desk.subscribe("email", "ann@example.org")
    arn = confirm(desk, token(desk), AuthenticateOnUnsubscribe="true")["SubscriptionArn"]
    with pytest.raises(AwsError, match="with a signature"):
        desk.call(subscriptions.unsubscribe, caller=ANONYMOUS, SubscriptionArn=arn)
    desk.call(subscriptions.unsubscribe, SubscriptionArn=arn)
    assert listed(desk) == []


@pytest.mark.parametrize(
    ("protocol", "name", "value", "complaint"),
    [
        ("sqs", "Colour", "x", "AttributeName"),
        ("sqs", "ReplayPolicy", "{}", "NotImplemented"),
        ("sqs", "RawMessageDelivery", "perhaps", "Must be true or false"),
        ("lambda", "RawMessageDelivery", "true", r"\[lambda\] does not support raw"),
        ("sqs", "DeliveryPolicy", "{}", "has no delivery policy"),
        ("http", "DeliveryPolicy", '{"throttlePolicy": {"a": 1}}', "greater than or equal"),
        (
            "http",
            "DeliveryPolicy",
            '{"throttlePolicy": {"maxReceivesPerSecond": 0}}',
            "greater than or equal to 1",
        ),
        (
            "http",
            "DeliveryPolicy",
            '{"requestPolicy": {"headerContentType": "image/png"}}',
            "not supported",
        ),
        ("sqs", "FilterPolicyScope", "Body", "Please use either"),
        ("sqs", "FilterPolicy", "{", "failed to parse JSON"),
        ("sqs", "FilterPolicy", '{"a": {"b": ["c"]}}', "does not support nested"),
        ("sqs", "RedrivePolicy", "{}", "failed to parse JSON"),
        ("sqs", "RedrivePolicy", '{"deadLetterTargetArn": "x"}', "invalid arn"),
        (
            "sqs",
            "RedrivePolicy",
            '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d.fifo"}',
            "standard queue as DLQ",
        ),
    ],
)
def test_wrong_attributes(desk: Desk, protocol: str, name: str, value: str, complaint: str) -> None:
    places = {"sqs": QUEUE, "lambda": FUNCTION, "http": "http://127.0.0.1:1/"}
    with pytest.raises(AwsError, match=complaint) as caught:
        desk.subscribe(protocol, places[protocol], **{name: value})
    if caught.value.code == "InvalidParameter" and "nested" not in complaint:
        assert "Attributes Reason: " in caught.value.message


def test_attributes_change_and_go(desk: Desk) -> None:
    arn = desk.subscribe(FilterPolicy='{"a": ["b"]}')
    assert desk.about(arn)["FilterPolicyScope"] == "MessageAttributes"

    def change(name: str, value: str) -> None:
        given = {"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": value}
        desk.call(subscriptions.set_subscription_attributes, **given)

    change("FilterPolicyScope", "MessageBody")
    change("FilterPolicy", '{"a": {"b": ["c"]}}')
    with pytest.raises(AwsError, match="does not support nested"):
        change("FilterPolicyScope", "MessageAttributes")
    change("FilterPolicy", "")
    assert not {"FilterPolicy", "FilterPolicyScope"} & desk.about(arn).keys()
    change("RawMessageDelivery", "TrUe")
    assert desk.about(arn)["RawMessageDelivery"] == "true"
    with pytest.raises(AwsError, match=r"Invalid value \[\]"):
        change("RawMessageDelivery", "")
    with pytest.raises(AwsError, match="AttributeName"):
        change("Colour", "")


def test_a_subscription_has_an_effective_delivery_policy(desk: Desk) -> None:
    policy = (
        '{"healthyRetryPolicy": {"numRetries": 7}, "throttlePolicy": null, "guaranteed": false}'
    )
    arn = desk.subscribe("http", "http://127.0.0.1:1/", DeliveryPolicy=policy)
    shown = orjson.loads(desk.about(arn)["EffectiveDeliveryPolicy"])["healthyRetryPolicy"]
    assert (shown["numRetries"], shown["minDelayTarget"]) == (7, 20)
    policy = '{"throttlePolicy": {"maxReceivesPerSecond": 5}}'
    arn = desk.subscribe("http", "http://127.0.0.1:2/", DeliveryPolicy=policy)
    shown = orjson.loads(desk.about(arn)["EffectiveDeliveryPolicy"])
    assert shown["throttlePolicy"] == {"maxReceivesPerSecond": 5}


def test_devices_are_subscribed_by_their_endpoint(desk: Desk) -> None:
    credential = {"PlatformCredential": "secret"}
    app = desk.call(endpoints.create_platform_application, Name="chat", Platform="GCM",
                    Attributes=credential)["PlatformApplicationArn"]  # fmt: skip
    given = {"PlatformApplicationArn": app, "Token": "t"}
    arn = desk.call(endpoints.create_platform_endpoint, **given)["EndpointArn"]
    assert desk.subscribe("application", arn) in listed(desk)
    with pytest.raises(AwsError, match="Application endpoint arn invalid"):
        desk.subscribe("application", arn.replace("000000000000", "111111111111"))
