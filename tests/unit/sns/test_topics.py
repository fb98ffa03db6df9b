"""Topics: names, attributes, policies, tags."""

import json
from typing import Any

import pytest

from cloudlet.call import Call, Caller, Requirement
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.policy.evaluation import evaluate
from cloudlet.sns import permissions, topics
from tests.harness import ROOT
from tests.unit.sns.conftest import NEWS, Desk


def about(desk: Desk, arn: str = NEWS) -> Any:
    return desk.call(topics.get_topic_attributes, TopicArn=arn)["Attributes"]


def change(desk: Desk, name: str, value: str, arn: str = NEWS) -> None:
    given = {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
    desk.call(topics.set_topic_attributes, **given)


def test_the_same_topic_again_is_the_one_that_is_there(desk: Desk) -> None:
    assert desk.topic() == NEWS
    arn = desk.topic("shown", DisplayName="x")
    assert desk.topic("shown", DisplayName="x") == arn
    with pytest.raises(AwsError, match="already exists with different attributes"):
        desk.topic("shown", DisplayName="y")
    tags = [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
    for again in (tags, tags[:1], []):  # some of the tags will do
        desk.call(topics.create_topic, Name="tagged", Tags=again)
    with pytest.raises(AwsError, match="already exists with different tags"):
        desk.call(topics.create_topic, Name="tagged", Tags=[{"Key": "a", "Value": "c"}])


@pytest.mark.parametrize("name", ["", "a b", "x" * 257, "a.fifo", "ä"])
def test_names_of_topics(desk: Desk, name: str) -> None:
    with pytest.raises(AwsError, match="InvalidParameter: Invalid parameter: Topic Name"):
        desk.topic(name)


def test_fifo_topics_have_a_suffix_and_attributes_of_their_own(desk: Desk) -> None:
    with pytest.raises(AwsError, match="Topic Name"):
        desk.topic("orders", FifoTopic="true")
    arn = desk.topic("orders.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    shown = about(desk, arn)
    assert (shown["FifoTopic"], shown["ContentBasedDeduplication"]) == ("true", "true")
    change(desk, "FifoThroughputScope", "MessageGroup", arn)
    assert about(desk, arn)["FifoThroughputScope"] == "MessageGroup"
    with pytest.raises(AwsError, match="AttributeName"):
        change(desk, "ContentBasedDeduplication", "true")


def test_what_is_said_of_a_topic(desk: Desk) -> None:
    desk.subscribe()
    desk.subscribe("email", "ann@example.org")
    shown = about(desk)
    assert (shown["SubscriptionsConfirmed"], shown["SubscriptionsPending"]) == ("1", "1")
    (statement,) = json.loads(shown["Policy"])["Statement"]
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceOwner": "000000000000"}}
    retry = json.loads(shown["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]
    assert (retry["numRetries"], retry["minDelayTarget"]) == (3, 20)
    assert "KmsMasterKeyId" not in shown


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("Nothing", "x", "InvalidParameter"),
        ("SignatureVersion", "3", "InvalidParameter"),
        ("DisplayName", "x" * 101, "InvalidParameter"),
        ("Policy", "{", "InvalidParameter"),
        ("Policy", '{"Statement": {"Action": "sqs:SendMessage"}}', "out of service scope"),
        ("KmsMasterKeyId", "alias/mine", "NotImplemented"),
        ("TracingConfig", "Active", "NotImplemented"),
        ("ArchivePolicy", '{"MessageRetentionPeriod": 1}', "NotImplemented"),
        ("DeliveryPolicy", "[]", "InvalidParameter"),
        ("DeliveryPolicy", '{"http": {"x": 1}}', "unexpected JSON member: x"),
        ("DeliveryPolicy", '{"http": {"defaultThrottlePolicy": {"a": 1}}}', "greater than"),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 101}}}',
            "numRetries must be between 0 and 100",
        ),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"backoffFunction": "x"}}}',
            "backoffFunction is not supported",
        ),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": 21}}}',
            "maxDelayTarget must be",
        ),
        (
            "DeliveryPolicy",
            '{"http": {"defaultHealthyRetryPolicy": {"numNoDelayRetries": 4}}}',
            "numRetries must be greater",
        ),
    ],
)
def test_wrong_attributes(desk: Desk, name: str, value: str, complaint: str) -> None:
    with pytest.raises(AwsError, match=complaint):
        change(desk, name, value)


def test_keys_of_amazon_are_taken(desk: Desk) -> None:
    change(desk, "KmsMasterKeyId", "alias/aws/sns")
    assert about(desk)["KmsMasterKeyId"] == "alias/aws/sns"


def test_permissions_are_statements_of_the_policy(desk: Desk) -> None:
    given: dict[str, Any] = {"TopicArn": NEWS, "Label": "friends"}
    grant = {**given, "AWSAccountId": ["111111111111"], "ActionName": ["Publish"]}
    desk.call(topics.add_permission, **grant)
    with pytest.raises(AwsError, match="Statement already exists"):
        desk.call(topics.add_permission, **grant)
    with pytest.raises(AwsError, match="out of service scope"):
        desk.call(topics.add_permission, **{**grant, "Label": "x", "ActionName": ["Fly"]})
    _, statement = json.loads(about(desk)["Policy"])["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert statement["Action"] == "SNS:Publish"
    desk.call(topics.remove_permission, **given)
    assert len(json.loads(about(desk)["Policy"])["Statement"]) == 1


@pytest.mark.parametrize("statement", [[["NotAction"]], ["NotAction"], [None], 7, "NotAction"])
def test_policies_that_cannot_be_read_are_refused(desk: Desk, statement: Any) -> None:
    given = {"AttributeName": "Policy", "AttributeValue": json.dumps({"Statement": statement})}
    with pytest.raises(AwsError, match=r"InvalidParameter.*Policy Error: null"):
        desk.call(topics.set_topic_attributes, TopicArn=NEWS, **given)
    desk.call(topics.remove_permission, TopicArn=NEWS, Label="friends")


def test_topics_in_pages(desk: Desk) -> None:
    for number in range(105):
        desk.topic(f"t{number:03}")
    first = desk.call(topics.list_topics)
    rest = desk.call(topics.list_topics, NextToken=first["NextToken"])
    assert (len(first["Topics"]), len(rest["Topics"])) == (100, 6)
    assert rest["NextToken"] is None


def test_deleting_takes_the_subscriptions_along_and_may_be_repeated(desk: Desk) -> None:
    desk.subscribe()
    for _ in range(2):
        desk.call(topics.delete_topic, TopicArn=NEWS)
    assert desk.database.view().value("SELECT count(*) FROM topic_subscriptions") == 0
    with pytest.raises(AwsError, match="NotFound: Topic does not exist"):
        about(desk)
    for arn in ("news", "arn:aws:sqs:us-east-1:000000000000:news"):
        with pytest.raises(AwsError, match="InvalidParameter"):
            about(desk, arn)


def test_tags(desk: Desk) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
    desk.call(topics.tag_resource, ResourceArn=NEWS, Tags=tags)
    with pytest.raises(AwsError, match="TagLimitExceeded"):
        desk.call(topics.tag_resource, ResourceArn=NEWS, Tags=[{"Key": "x", "Value": "y"}])
    desk.call(topics.untag_resource, ResourceArn=NEWS, TagKeys=[t["Key"] for t in tags[1:]])
    assert desk.call(topics.list_tags_for_resource, ResourceArn=NEWS)["Tags"] == tags[:1]
    with pytest.raises(AwsError, match="ResourceNotFound"):
        desk.call(topics.list_tags_for_resource, ResourceArn=f"{NEWS}2")
    with pytest.raises(AwsError, match="Duplicated keys"):
        desk.call(topics.tag_resource, ResourceArn=NEWS, Tags=tags[:1] * 2)


def test_what_calls_need(desk: Desk) -> None:
    def needed(operation: str, caller: Caller = ROOT, **params: Any) -> Any:
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(desk.cloud, "sns", operation, params, caller, request)
        return permissions.requirements(call)

    (one,) = needed("PublishBatch", TopicArn=NEWS)
    assert (one.action, one.resource) == ("SNS:Publish", NEWS)
    (one,) = needed("Publish", PhoneNumber="+491701234567")
    assert one.resource == "*"
    (one,) = needed("Subscribe", TopicArn=NEWS, Protocol="email", Endpoint="a@b.c")
    assert one.context == {"sns:Protocol": "email", "sns:Endpoint": "a@b.c"}
    (one,) = needed("Unsubscribe", SubscriptionArn=f"{NEWS}:123")
    assert one.resource == NEWS
    assert needed("Unsubscribe", SubscriptionArn=NEWS) == []  # no subscription: it will say so
    nobody = Caller("anonymous", "*", "")
    assert needed("Unsubscribe", nobody, SubscriptionArn=f"{NEWS}:123") == []
    assert len(needed("Publish", nobody, TopicArn=NEWS)) == 1


@pytest.mark.parametrize(
    ("principal", "owner", "may"),
    [
        ("cloudwatch.amazonaws.com", "000000000000", True),
        ("cloudwatch.amazonaws.com", "111111111111", False),
        ("s3.amazonaws.com", "", False),
    ],
)
def test_the_default_policy_is_about_the_owner(
    desk: Desk, principal: str, owner: str, may: bool
) -> None:
    topic = topics.find(desk.database.view(), "news")
    assert topic is not None
    context = {"aws:sourceowner": owner} if owner else {}
    needed = Requirement("SNS:Publish", NEWS)
    caller = Caller("service", principal, "000000000000")
    assert evaluate(caller, needed, context, [topic.policy(desk.config)]).is_allowed == may
