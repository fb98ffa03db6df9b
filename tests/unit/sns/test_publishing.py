"""Publishing: what is refused, who is told what, groups and deduplication."""

from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.sns import endpoints, publishing, sms, subscriptions
from tests.unit.sns.conftest import FUNCTION, NEWS, Desk

FIFO = f"{NEWS}.fifo"


def publish(desk: Desk, message: str = "hello", **params: Any) -> Any:
    target = {} if {"TargetArn", "PhoneNumber"} & params.keys() else {"TopicArn": NEWS}
    return desk.call(publishing.publish, Message=message, **{**target, **params})


def told(desk: Desk) -> list[Any]:
    return [orjson.loads(fact.payload) for fact in desk.facts()]


def text(kind: str, value: Any) -> dict[str, Any]:
    return {"DataType": kind, "BinaryValue" if kind == "Binary" else "StringValue": value}


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"message": ""}, "Empty message"),
        ({"message": "x" * 262_145}, "Message too long"),
        ({"message": "ä" * 131_073}, "Message too long"),
        ({"Subject": "x" * 101}, "Invalid parameter: Subject"),
        ({"Subject": "a\nb"}, "Invalid parameter: Subject"),
        ({"MessageStructure": "xml"}, "MessageStructure"),
        ({"MessageStructure": "json"}, "JSON message body failed to parse"),
        ({"MessageStructure": "json", "message": '{"sqs": "x"}'}, "No default entry"),
        ({"MessageDeduplicationId": "x"}, "not valid for this topic type"),
        ({"MessageGroupId": "a b"}, "MessageGroupId"),
        ({"PhoneNumber": "hello"}, "is not valid to publish to"),
        ({"PhoneNumber": "+4917012345678", "TargetArn": NEWS}, "more than one value"),
        ({"TargetArn": ""}, "at least 6 elements, not 1"),
        ({"TargetArn": "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/a/b"}, "No endpoint"),
        ({"TargetArn": f"{NEWS}x"}, "NotFound"),
        ({"MessageAttributes": {"a": text("Text", "x")}}, "supported type prefixes"),
        ({"MessageAttributes": {"a": text("String.", "x")}}, "supported type prefixes"),
        ({"MessageAttributes": {"a": text("", "x")}}, "non-empty message attribute type"),
        ({"MessageAttributes": {"a": text("String", "")}}, "non-empty message attribute value"),
        ({"MessageAttributes": {"a": text("Number", "one")}}, "to number"),
        ({"MessageAttributes": {"a": text("String.Array", "[[1]]")}}, "must be a JSON array"),
        ({"MessageAttributes": {"a": {"DataType": "String", "BinaryValue": b"x"}}}, "use field 'S"),
        ({"MessageAttributes": {"a^": text("String", "x")}}, "character '#x5E' was found"),
        ({"MessageAttributes": {".a": text("String", "x")}}, "starting with character '.'"),
        ({"MessageAttributes": {"a.": text("String", "x")}}, "ending with character '.'"),
        ({"MessageAttributes": {"a..b": text("String", "x")}}, "successive '.' character"),
        ({"MessageAttributes": {"a" * 256: text("String", "x")}}, "less than 256 bytes"),
    ],
)
def test_what_cannot_be_published(desk: Desk, params: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AwsError, match=complaint):
        publish(desk, **params)
    assert not desk.facts()


def test_each_subscription_gets_a_fact_in_one_transaction(desk: Desk) -> None:
    arns = [desk.subscribe(), desk.subscribe("lambda", FUNCTION)]
    desk.subscribe("email", "ann@example.org")  # pending: is not told
    before = len(desk.facts())
    attributes = {"n": text("Number", "1"), "b": text("Binary", b"x")}
    answer = publish(desk, Subject="news", MessageAttributes=attributes)
    facts = desk.facts()[before:]
    assert [fact.target for fact in facts] == arns
    message = orjson.loads(facts[0].payload)
    assert (message["MessageId"], message["Subject"]) == (answer["MessageId"], "news")
    assert message["MessageAttributes"] == {
        "n": {"Type": "Number", "Value": "1"},
        "b": {"Type": "Binary", "Value": "eA=="},
    }
    assert message["Timestamp"] == "2026-11-18T11:06:40.000Z"


def test_protocols_may_be_told_different_things(desk: Desk) -> None:
    desk.subscribe(FilterPolicy='{"a": ["b"]}', FilterPolicyScope="MessageBody")
    desk.subscribe("lambda", FUNCTION)
    document = {"default": "for all", "sqs": '{"a": "b"}'}
    publish(desk, orjson.dumps(document).decode(), MessageStructure="json")
    assert [each["Message"] for each in told(desk)] == ['{"a": "b"}', "for all"]


def test_who_filters_is_not_told(desk: Desk) -> None:
    desk.subscribe(FilterPolicy='{"kind": ["x"]}')
    publish(desk)
    assert not desk.facts()
    publish(desk, MessageAttributes={"kind": text("String", "x")})
    assert len(desk.facts()) == 1


def test_groups_have_an_order_and_messages_a_number(desk: Desk) -> None:
    desk.topic("news.fifo", FifoTopic="true", ContentBasedDeduplication="true")
    desk.subscribe("sqs", "arn:aws:sqs:us-east-1:000000000000:inbox.fifo", FIFO)
    first = publish(desk, "1", TargetArn=FIFO, MessageGroupId="a")
    again = publish(desk, "1", TargetArn=FIFO, MessageGroupId="b")
    assert again == first  # whichever group
    second = publish(desk, "2", TargetArn=FIFO, MessageGroupId="b")
    assert len(first["SequenceNumber"]) == 20
    assert first["SequenceNumber"] < second["SequenceNumber"]
    assert [fact.key for fact in desk.facts()] == ["a", "b"]
    assert told(desk)[1]["SequenceNumber"] == second["SequenceNumber"]
    desk.clock.advance(301)
    assert publish(desk, "1", TargetArn=FIFO, MessageGroupId="a") != first
    for missing in ({}, {"MessageGroupId": ""}):
        with pytest.raises(AwsError, match="MessageGroupId"):
            publish(desk, "1", TargetArn=FIFO, **missing)


def test_each_group_may_have_its_own_deduplication(desk: Desk) -> None:
    desk.topic("news.fifo", FifoTopic="true", FifoThroughputScope="MessageGroup")
    given = {"TargetArn": FIFO, "MessageDeduplicationId": "x"}
    one = publish(desk, MessageGroupId="a", **given)
    assert publish(desk, MessageGroupId="a", **given) == one
    assert publish(desk, MessageGroupId="b", **given) != one
    with pytest.raises(AwsError, match="ContentBasedDeduplication enabled or"):
        publish(desk, TargetArn=FIFO, MessageGroupId="a")


def test_entries_of_a_batch_stand_or_fall_together(desk: Desk) -> None:
    desk.subscribe()

    def batch(*entries: dict[str, Any]) -> Any:
        given = {"TopicArn": NEWS, "PublishBatchRequestEntries": list(entries)}
        return desk.call(publishing.publish_batch, **given)

    with pytest.raises(AwsError, match="Empty message"):
        batch({"Id": "a", "Message": "x"}, {"Id": "b", "Message": ""})
    assert not desk.facts()
    answer = batch({"Id": "a", "Message": "x"}, {"Id": "b", "Message": "y"})
    assert [each["Id"] for each in answer["Successful"]] == ["a", "b"]
    assert (answer["Failed"], len(desk.facts())) == ([], 2)
    many = [{"Id": str(number), "Message": "x"} for number in range(11)]
    for code, entries in {
        "EmptyBatchRequest": [],
        "TooManyEntriesInBatchRequest": many,
        "BatchEntryIdsNotDistinct": many[:1] * 2,
        "InvalidBatchEntryId": [{"Id": "a b", "Message": "x"}],
        "BatchRequestTooLong": [{**each, "Message": "x" * 100_000} for each in many[:3]],
    }.items():
        with pytest.raises(AwsError, match=code):
            batch(*entries)


def test_phones_that_want_nothing_get_nothing(desk: Desk) -> None:
    publish(desk, PhoneNumber="+49 (170) 123-4567")
    (fact,) = desk.facts()
    assert fact.target == "arn:aws:sns:us-east-1:000000000000:sms/+491701234567"
    number = {"phoneNumber": "+491701234567"}
    sql = "INSERT INTO sms_opt_outs (number) VALUES ('+491701234567')"
    desk.database.write_now(lambda tx: tx.run(sql))
    assert desk.call(sms.check_if_phone_number_is_opted_out, **number)["isOptedOut"]
    assert desk.call(sms.list_phone_numbers_opted_out)["phoneNumbers"] == ["+491701234567"]
    with pytest.raises(AwsError, match="is opted out"):
        publish(desk, PhoneNumber="+491701234567")
    desk.call(sms.opt_in_phone_number, **number)
    assert not desk.call(sms.check_if_phone_number_is_opted_out, **number)["isOptedOut"]


def test_settings_of_sms(desk: Desk) -> None:
    wanted = {"DefaultSMSType": "Transactional"}
    desk.call(sms.set_sms_attributes, attributes=wanted)
    found = desk.call(sms.get_sms_attributes)["attributes"]
    assert found == {"MonthlySpendLimit": "1", **wanted}
    assert desk.call(sms.get_sms_attributes, attributes=["DefaultSMSType"])["attributes"] == wanted
    for wrong in ({"Colour": "x"}, {"DefaultSMSType": "Loud"}, {"UsageReportS3Bucket": "b"}):
        with pytest.raises(AwsError, match=r"InvalidParameter|NotImplemented"):
            desk.call(sms.set_sms_attributes, attributes=wrong)


def application(desk: Desk, platform: str = "GCM") -> str:
    made = desk.call(
        endpoints.create_platform_application,
        Name="chat",
        Platform=platform,
        Attributes={"PlatformCredential": "secret", "PlatformPrincipal": "id"},
    )
    return str(made["PlatformApplicationArn"])


def endpoint(desk: Desk, app: str, token: str = "t", **attributes: str) -> str:
    given = {"PlatformApplicationArn": app, "Token": token, "Attributes": attributes}
    return str(desk.call(endpoints.create_platform_endpoint, **given)["EndpointArn"])


def test_applications_keep_their_secret(desk: Desk) -> None:
    app = application(desk)
    assert app.endswith(":app/GCM/chat")
    named = {"PlatformApplicationArn": app}
    with pytest.raises(AwsError, match="NotImplemented: The attribute EventDeliveryFailure"):
        given = {**named, "Attributes": {"EventDeliveryFailure": NEWS}}
        desk.call(endpoints.set_platform_application_attributes, **given)
    change = {"SuccessFeedbackSampleRate": "100"}
    desk.call(endpoints.set_platform_application_attributes, **named, Attributes=change)
    shown = desk.call(endpoints.get_platform_application_attributes, **named)["Attributes"]
    assert shown == {"Enabled": "true", **change}
    row = desk.database.view().one("SELECT * FROM platform_applications")
    assert row is not None and orjson.loads(row["attributes"]) == change
    opened = desk.cloud.blobs.master.derived("platform-applications").open(row["secret"])
    assert orjson.loads(opened) == {"PlatformCredential": "secret", "PlatformPrincipal": "id"}
    (listed,) = desk.call(endpoints.list_platform_applications)["PlatformApplications"]
    assert listed == {**named, "Attributes": shown}
    desk.call(endpoints.delete_platform_application, **named)
    with pytest.raises(AwsError, match="NotFound: PlatformApplication"):
        endpoint(desk, app)
    for wrong, complaint in (
        ({"Platform": "PIGEON"}, "Platform Reason: PIGEON is not supported"),
        ({"Name": "a b"}, "a b Reason: must contain only characters"),
        ({"Name": ""}, "Reason: cannot be empty"),
        ({"Name": "a" * 257}, "must be at most 256 characters long"),
        ({"Attributes": {"PlatformCredential": "x"}}, "provided without PlatformPrincipal"),
        ({"Attributes": {"PlatformPrincipal": "x"}}, "provided without PlatformCredential"),
    ):
        given: dict[str, Any] = {"Name": "a", "Platform": "ADM", "Attributes": change}
        with pytest.raises(AwsError, match=complaint):
            desk.call(endpoints.create_platform_application, **{**given, **wrong})
    for arn, complaint in (
        ("chat", "An ARN must have at least 6 elements, not 1"),
        (f"{app}/x", "Wrong number of slashes"),
    ):
        named = {"PlatformApplicationArn": arn}
        with pytest.raises(AwsError, match=complaint):
            desk.call(endpoints.get_platform_application_attributes, **named)


def test_a_token_has_one_endpoint(desk: Desk) -> None:
    app = application(desk)
    arn = endpoint(desk, app, CustomUserData="ann")
    assert endpoint(desk, app, CustomUserData="ann") == arn
    message = f"Endpoint {arn} already exists with the same Token, but different attributes."
    with pytest.raises(AwsError, match=message):
        endpoint(desk, app, CustomUserData="bob")
    change = {"EndpointArn": arn, "Attributes": {"Token": "t2", "Enabled": "False"}}
    desk.call(endpoints.set_endpoint_attributes, **change)
    shown = desk.call(endpoints.get_endpoint_attributes, EndpointArn=arn)["Attributes"]
    assert shown == {"Enabled": "false", "CustomUserData": "ann", "Token": "t2"}
    other = endpoint(desk, app)
    with pytest.raises(AwsError, match="Another endpoint"):
        desk.call(endpoints.set_endpoint_attributes, EndpointArn=other, Attributes={"Token": "t2"})
    named = {"PlatformApplicationArn": app}
    listed = desk.call(endpoints.list_endpoints_by_platform_application, **named)["Endpoints"]
    assert {each["EndpointArn"] for each in listed} == {arn, other}
    desk.call(endpoints.delete_endpoint, EndpointArn=arn)
    with pytest.raises(AwsError, match="NotFound: Endpoint does not exist"):
        desk.call(endpoints.get_endpoint_attributes, EndpointArn=arn)


def test_disabled_endpoints_take_nothing(desk: Desk) -> None:
    arn = endpoint(desk, application(desk), Enabled="false")
    with pytest.raises(AwsError, match="EndpointDisabled"):
        publish(desk, TargetArn=arn)
    change = {"EndpointArn": arn, "Attributes": {"Enabled": "true"}}
    desk.call(endpoints.set_endpoint_attributes, **change)
    publish(desk, TargetArn=arn)
    assert desk.facts()[0].target == arn


def test_devices_are_told_what_is_for_their_platform(desk: Desk) -> None:
    desk.subscribe("application", endpoint(desk, application(desk, "APNS")))
    document = {"default": "x", "APNS": "for apples", "application": "y"}
    publish(desk, orjson.dumps(document).decode(), MessageStructure="json")
    assert told(desk)[0]["Message"] == "for apples"


def test_pages_of_subscriptions(desk: Desk) -> None:
    for number in range(101):
        desk.subscribe("sqs", f"arn:aws:sqs:us-east-1:000000000000:q{number}")
    first = desk.call(subscriptions.list_subscriptions_by_topic, TopicArn=NEWS)
    given = {"TopicArn": NEWS, "NextToken": first["NextToken"]}
    rest = desk.call(subscriptions.list_subscriptions_by_topic, **given)
    assert (len(first["Subscriptions"]), len(rest["Subscriptions"])) == (100, 1)
