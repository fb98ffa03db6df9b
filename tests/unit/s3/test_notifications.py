"""Who is told of what, in which words."""

from hashlib import md5
from typing import Any

import orjson
import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.s3 import acl, bulk, copying, notifications, objects, ownership, settings, tagging
from tests.unit.s3.conftest import Shelf, policy_of

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:hasher"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
CREATED = {"Id": "c", "LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectCreated:*"]}


def configure(shelf: Shelf, **configuration: Any) -> None:
    shelf.call(
        notifications.put_bucket_notification_configuration,
        Bucket="shelf",
        NotificationConfiguration=configuration,
    )


def key_filter(**rules: str) -> dict[str, Any]:
    listed = [{"Name": name, "Value": value} for name, value in rules.items()]
    return {"Key": {"FilterRules": listed}}


def told(shelf: Shelf) -> list[Any]:
    return [orjson.loads(fact.payload) for fact in shelf.facts()]


def test_the_document_of_a_put(shelf: Shelf) -> None:
    configure(shelf, LambdaFunctionConfigurations=[CREATED])
    caller = Caller("role", "arn:aws:sts::0:assumed-role/r/s", "000000000000", "AROAX:s")
    etag = shelf.put("up loads/ä+b", b"data", caller=caller)["ETag"]
    (fact,) = shelf.facts()
    assert fact.target == LAMBDA
    assert fact.attributes == {
        "principal": "s3.amazonaws.com",
        "source_arn": "arn:aws:s3:::shelf",
        "source_account": "000000000000",
    }
    (record,) = orjson.loads(fact.payload)["Records"]
    assert record["eventVersion"] == "2.1"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:s3", "us-east-1")
    assert record["eventTime"] == "2026-11-18T11:06:40.000Z"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["userIdentity"] == {"principalId": "AWS:AROAX:s"}
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert record["responseElements"]["x-amz-request-id"] == "test-request"
    assert record["s3"]["configurationId"] == "c"
    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::shelf"
    told_object = record["s3"]["object"]
    assert told_object.pop("sequencer") > ""
    assert told_object == {"key": "up+loads/%C3%A4%2Bb", "size": 4, "eTag": etag.strip('"')}


def test_every_way_to_create_and_remove(shelf: Shelf) -> None:
    removed = {"LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectRemoved:Delete"]}
    tagged = {"LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectTagging:*"]}
    configure(shelf, LambdaFunctionConfigurations=[CREATED, removed, tagged])
    shelf.put("a", b"1")
    shelf.call(copying.copy_object, Bucket="shelf", Key="b", CopySource="shelf/a")
    upload = shelf.start("c")
    etag = shelf.part("c", upload, 1, b"1")["ETag"]
    shelf.complete("c", upload, [{"PartNumber": 1, "ETag": etag}])
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    shelf.call(tagging.put_object_tagging, Bucket="shelf", Key="a", Tagging=tags)
    shelf.call(objects.delete_object, Bucket="shelf", Key="a")
    shelf.call(objects.delete_object, Bucket="shelf", Key="missing")
    shelf.call(bulk.delete_objects, Bucket="shelf", Delete={"Objects": [{"Key": "b"}]})
    records = [document["Records"][0] for document in told(shelf)]
    assert [record["eventName"] for record in records] == [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectTagging:Put",
        "ObjectRemoved:Delete",
        "ObjectRemoved:Delete",
    ]
    assert set(records[-1]["s3"]["object"]) == {"key", "sequencer"}
    objects_told = [record["s3"]["object"] for record in records]
    assert {"size", "sequencer"}.isdisjoint(objects_told[3])  # tags
    sequence = [each["sequencer"] for each in objects_told if "sequencer" in each]
    assert sequence == sorted(sequence)


def test_deleting_many_tells_of_what_was_not_there(shelf: Shelf) -> None:
    """s3-077"""
    removed = {"LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectRemoved:*"]}
    configure(shelf, LambdaFunctionConfigurations=[removed])
    named = {"Bucket": "shelf", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}}
    call = shelf.made(operation="DeleteObjects", **named)
    shelf.database.write_now(lambda tx: bulk.delete_objects(call, tx))
    keys = [document["Records"][0]["s3"]["object"]["key"] for document in told(shelf)]
    assert keys == ["a", "b"]


def test_access_control_lists_tell(shelf: Shelf) -> None:
    put = {"LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectAcl:Put"]}
    configure(shelf, LambdaFunctionConfigurations=[put], EventBridgeConfiguration={})
    shelf.put("a", b"1")
    owned = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    shelf.call(ownership.put_bucket_ownership_controls, Bucket="shelf", OwnershipControls=owned)
    shelf.call(acl.put_object_acl, Bucket="shelf", Key="a", ACL="private")
    _, record, bridged = told(shelf)
    assert record["Records"][0]["eventVersion"] == "2.3"
    assert set(record["Records"][0]["s3"]["object"]) == {"key", "eTag"}
    assert bridged["detail-type"] == "Object ACL Updated"


def test_a_delete_marker_has_the_etag_of_nothing(shelf: Shelf) -> None:
    """s3-078"""
    shelf.call(
        settings.put_bucket_versioning,
        Bucket="shelf", VersioningConfiguration={"Status": "Enabled"},
    )  # fmt: skip
    removed = {"LambdaFunctionArn": LAMBDA, "Events": ["s3:ObjectRemoved:DeleteMarkerCreated"]}
    configure(shelf, LambdaFunctionConfigurations=[removed])
    shelf.call(objects.delete_object, Bucket="shelf", Key="a")
    assert told(shelf)[0]["Records"][0]["s3"]["object"]["eTag"] == md5(b"").hexdigest()


def test_filters(shelf: Shelf) -> None:
    images = {**CREATED, "Filter": key_filter(prefix="in/", Suffix=".jpg")}
    configure(shelf, LambdaFunctionConfigurations=[images])
    for key in ("in/a.jpg", "in/a.png", "a.jpg"):
        shelf.put(key)
    keys = [document["Records"][0]["s3"]["object"]["key"] for document in told(shelf)]
    assert keys == ["in/a.jpg"]


def test_queues_get_a_test_event_first(shelf: Shelf) -> None:
    queue = {"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:Put"]}
    configure(shelf, QueueConfigurations=[queue])
    shelf.put("a")
    first, second = told(shelf)
    assert (first["Event"], first["Bucket"]) == ("s3:TestEvent", "shelf")
    assert second["Records"][0]["eventName"] == "ObjectCreated:Put"


def test_the_event_bus(shelf: Shelf) -> None:
    configure(shelf, EventBridgeConfiguration={})
    shelf.put("a b", b"data")
    shelf.call(objects.delete_object, Bucket="shelf", Key="a b")
    created, deleted = told(shelf)
    assert {fact.target for fact in shelf.facts()} == {BUS}
    assert (created["source"], created["detail-type"]) == ("aws.s3", "Object Created")
    assert created["detail"]["object"]["key"] == "a b"
    assert created["detail"]["object"]["size"] == 4
    assert created["detail"]["reason"] == "PutObject"
    assert created["resources"] == ["arn:aws:s3:::shelf"]
    assert deleted["detail-type"] == "Object Deleted"
    assert deleted["detail"]["deletion-type"] == "Permanently Deleted"


def test_configuration_is_answered(shelf: Shelf) -> None:
    def get() -> Any:
        return shelf.call(notifications.get_bucket_notification_configuration, Bucket="shelf")

    assert get() == {}
    filtered = {**CREATED, "Filter": key_filter(Prefix="in/")}
    configure(shelf, LambdaFunctionConfigurations=[filtered], EventBridgeConfiguration={})
    assert get() == {
        "LambdaFunctionConfigurations": [filtered],
        "EventBridgeConfiguration": {},
    }
    configure(shelf)
    assert get() == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"LambdaFunctionArn": "junk"}, "InvalidArgument"),
        ({"LambdaFunctionArn": QUEUE}, "InvalidArgument"),
        ({"LambdaFunctionArn": LAMBDA.replace("us-east-1", "eu-west-1")}, "InvalidArgument"),
        ({"Events": []}, "MalformedXML"),
        ({"Events": ["s3:Nothing"]}, "InvalidArgument"),
        ({"Events": ["s3:IntelligentTiering"]}, "NotImplemented"),
        ({"Filter": key_filter(middle="x")}, "InvalidArgument"),
        ({"Filter": key_filter(prefix="x", Prefix="y")}, "InvalidArgument"),
        ({"Filter": key_filter(prefix="x" * 1025)}, "InvalidArgument"),
    ],
)
def test_entries_are_checked(shelf: Shelf, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        configure(shelf, LambdaFunctionConfigurations=[{**CREATED, **changes}])


def test_topics_get_a_test_event_and_a_subject(shelf: Shelf) -> None:
    policy = policy_of()
    shelf.answers["GetTopicAttributes"] = {"Attributes": {"Policy": policy}}
    arn = "arn:aws:sns:us-east-1:000000000000:t"
    configure(shelf, TopicConfigurations=[{"TopicArn": arn, "Events": ["s3:ObjectCreated:*"]}])
    shelf.put("a", b"x")
    tested, made = shelf.facts()
    assert orjson.loads(tested.payload)["Event"] == "s3:TestEvent"
    assert (made.target, made.attributes["subject"]) == (arn, "Amazon S3 Notification")
    fifo = {"TopicArn": f"{arn}.fifo", "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(AwsError, match="FIFO SNS topics"):
        configure(shelf, TopicConfigurations=[fifo])


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({}, {}, True),
        ({"prefix": "a"}, {"prefix": "b"}, False),
        ({"prefix": "a"}, {"prefix": "ab"}, True),
        ({"prefix": "a", "suffix": ".jpg"}, {"prefix": "ab", "suffix": ".png"}, False),
        ({"suffix": ".jpg"}, {"prefix": "a"}, True),
        ({"suffix": "jpg"}, {"suffix": ".jpg"}, True),
    ],
)
def test_overlapping_filters(
    shelf: Shelf, one: dict[str, str], other: dict[str, str], overlap: bool
) -> None:
    first = {**CREATED, "Filter": key_filter(**one)}
    second = {
        **CREATED,
        "Id": "d",
        "Events": ["s3:ObjectCreated:Put"],
        "Filter": key_filter(**other),
    }
    if not overlap:
        configure(shelf, LambdaFunctionConfigurations=[first, second])
        return
    with pytest.raises(AwsError, match="ambiguously defined"):
        configure(shelf, LambdaFunctionConfigurations=[first, second])


def test_destinations_must_exist(shelf: Shelf) -> None:
    def missing(_: Any) -> Any:
        raise AwsError("ResourceNotFoundException", "Function not found", 404)

    shelf.answers["GetPolicy"] = missing
    with pytest.raises(AwsError, match="Unable to validate"):
        configure(shelf, LambdaFunctionConfigurations=[CREATED])
    shelf.call(
        notifications.put_bucket_notification_configuration,
        Bucket="shelf",
        NotificationConfiguration={"LambdaFunctionConfigurations": [CREATED]},
        SkipDestinationValidation=True,
    )


@pytest.mark.parametrize(
    ("changes", "is_let_in"),
    [
        ({}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::shelf"}}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::other"}}}, False),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "111111111111"}}}, False),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Effect": "Deny"}, False),
    ],
)
def test_destinations_must_let_s3_in(
    shelf: Shelf, changes: dict[str, Any], is_let_in: bool
) -> None:
    policy = policy_of(**changes)
    shelf.answers["GetPolicy"] = {"Policy": policy}
    shelf.answers["GetQueueAttributes"] = {"Attributes": {"Policy": policy}}
    queue = {"QueueArn": QUEUE, "Events": ["s3:ObjectRemoved:*"]}
    for target in (
        {"LambdaFunctionConfigurations": [CREATED]},
        {"QueueConfigurations": [queue]},
    ):
        if is_let_in:
            configure(shelf, **target)
            continue
        with pytest.raises(AwsError, match="Unable to validate"):
            configure(shelf, **target)
