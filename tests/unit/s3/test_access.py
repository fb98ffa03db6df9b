"""Bucket policies, what makes them public, the public access block, and required permissions."""

import json
from typing import Any

import pytest

from cloudlet.call import ANONYMOUS
from cloudlet.errors import AwsError
from cloudlet.policy import evaluation
from cloudlet.policy.publicity import is_public
from cloudlet.s3 import access, authority, buckets, condition_keys, permissions, public_access
from cloudlet.s3.bucket import of_name, put_setting
from tests.harness import ROOT
from tests.unit.s3.conftest import Shelf

EVERYBODY = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::shelf/*",
}
ONE = {**EVERYBODY, "Principal": {"AWS": "arn:aws:iam::000000000000:role/reader"}}
OPEN = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
)


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def put(shelf: Shelf, document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    shelf.call(access.put_bucket_policy, Bucket="shelf", Policy=text)


def block(shelf: Shelf, **settings: bool) -> None:
    shelf.call(
        public_access.put_public_access_block,
        Bucket="shelf",
        PublicAccessBlockConfiguration={**OPEN, **settings},
    )


def test_a_policy_is_kept_as_it_was_sent(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="NoSuchBucketPolicy"):
        shelf.call(access.get_bucket_policy, Bucket="shelf")
    text = json.dumps(policy(ONE), indent=3)
    put(shelf, text)
    assert shelf.call(access.get_bucket_policy, Bucket="shelf")["Policy"] == text
    status = shelf.call(access.get_bucket_policy_status, Bucket="shelf")
    assert status == {"PolicyStatus": {"IsPublic": False}}
    shelf.call(access.delete_bucket_policy, Bucket="shelf")
    with pytest.raises(AwsError, match="NoSuchBucketPolicy"):
        shelf.call(access.get_bucket_policy_status, Bucket="shelf")


def test_condition_keys_must_be_known(shelf: Shelf) -> None:
    """s3-111: as AWS does for buckets, and IAM for no policy of its own."""

    def asking(key: str) -> dict[str, Any]:
        return policy({**ONE, "Condition": {"StringEquals": {key: "x"}}})

    for key in ("s3:x-amz-acls", "aws:SourceIP2", "username", "aws:PrincipalTag/", "s3:"):
        with pytest.raises(AwsError, match="Policy has an invalid condition key"):
            put(shelf, asking(key))
    for key in ("S3:X-AMZ-ACL", "aws:sourceip", "aws:PrincipalTag/a/b", "s3:ExistingObjectTag/a"):
        put(shelf, asking(key))
    put(shelf, asking("accounts.google.com:aud"))
    assert all(map(condition_keys.is_known, permissions._KEYS.values()))


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "[]",
        {"Version": "2012-10-17"},
        {**policy(ONE), "Version": "2020-01-01"},
        {**policy(ONE), "More": 1},
        policy("text"),
        policy({**ONE, "Effect": "Maybe"}),
        policy({**ONE, "Colour": "red"}),
        policy({**ONE, "Action": "sqs:SendMessage"}),
        policy({**ONE, "Resource": "arn:aws:s3:::other/*"}),
        policy({**ONE, "Resource": "arn:aws:s3:::shelf-two"}),
        policy({**ONE, "Principal": "somebody"}),
        policy({**ONE, "Principal": {"Colour": "red"}}),
        policy({**ONE, "Condition": []}),
        policy({**ONE, "Condition": {"StringEqual": {"aws:username": "x"}}}),
        policy({**ONE, "Condition": {"NullIfExists": {"aws:username": "true"}}}),
        policy({**ONE, "Condition": {"ForSomeValues:StringEquals": {"aws:username": "x"}}}),
        policy({**ONE, "Condition": {"StringEquals": {"aws:username": {"a": 1}}}}),
        policy({**ONE, "Condition": {"StringEquals": {"aws:username": None}}}),
        policy({name: value for name, value in ONE.items() if name != "Principal"}),
        policy({**ONE, "NotAction": "s3:*"}),
        policy({**ONE, "Sid": "x" * (20 << 10)}),
    ],
)
def test_malformed_policies(shelf: Shelf, document: Any) -> None:
    with pytest.raises(AwsError, match="MalformedPolicy"):
        put(shelf, document)


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["*"]}}, True),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"StringEquals": {"aws:SourceArn": "arn:aws:x:y:z:1:w"}}}, False),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:cloudfront::1:*"}}}, False),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "*"}}}, True),
        ({"Condition": {"ForAnyValue:StringEquals": {"aws:SourceAccount": "1"}}}, False),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:SourceAccount": "1"}}}, True),
        ({"Condition": {"StringEqualsIfExists": {"aws:SourceAccount": "1"}}}, True),
        ({"Condition": {"StringLike": {"aws:PrincipalAccount": "*"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
    ],
)
def test_what_is_public(changes: dict[str, Any], public: bool) -> None:
    assert is_public(policy({**EVERYBODY, **changes})) is public


def test_new_buckets_refuse_public_policies(shelf: Shelf) -> None:
    answer = shelf.call(public_access.get_public_access_block, Bucket="shelf")
    assert set(answer["PublicAccessBlockConfiguration"].values()) == {True}
    with pytest.raises(AwsError, match="BlockPublicPolicy") as caught:
        put(shelf, policy(EVERYBODY))
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    block(shelf)
    put(shelf, policy(EVERYBODY))
    status = shelf.call(access.get_bucket_policy_status, Bucket="shelf")
    assert status["PolicyStatus"]["IsPublic"]


def test_without_a_block_nothing_is_blocked(shelf: Shelf) -> None:
    shelf.call(public_access.delete_public_access_block, Bucket="shelf")
    with pytest.raises(AwsError, match="NoSuchPublicAccessBlockConfiguration"):
        shelf.call(public_access.get_public_access_block, Bucket="shelf")
    put(shelf, policy(EVERYBODY))


def test_restricted_buckets_keep_strangers_out(shelf: Shelf) -> None:
    block(shelf)
    put(shelf, policy(EVERYBODY))

    def policies(caller: Any) -> int:
        call = shelf.made(caller, "GetObject", Bucket="shelf", Key="k")
        return len(authority.resource_policies(call, shelf.database.view()))

    assert (policies(ANONYMOUS), policies(ROOT)) == (1, 1)
    block(shelf, RestrictPublicBuckets=True)
    assert (policies(ANONYMOUS), policies(ROOT)) == (0, 1)
    put(shelf, policy(ONE))
    assert policies(ANONYMOUS) == 1


def required(shelf: Shelf, operation: str, **params: Any) -> list[tuple[str, str]]:
    call = shelf.made(operation=operation, **params)
    return [(need.action, need.resource) for need in permissions.requirements(call)]


def test_permissions(shelf: Shelf) -> None:
    where, key = "arn:aws:s3:::shelf", {"Bucket": "shelf", "Key": "a/b"}
    shelf.call(buckets.create_bucket, Bucket="other")
    assert required(shelf, "ListBuckets") == [("s3:ListAllMyBuckets", "*")]
    assert required(shelf, "HeadBucket", Bucket="shelf") == [("s3:ListBucket", where)]
    assert required(shelf, "HeadObject", **key) == [("s3:GetObject", f"{where}/a/b")]
    for operation in ("PutObject", "UploadPart", "CompleteMultipartUpload"):
        assert required(shelf, operation, **key) == [("s3:PutObject", f"{where}/a/b")]
    assert required(shelf, "ListParts", **key) == [("s3:ListMultipartUploadParts", f"{where}/a/b")]
    assert required(shelf, "PutObject", Tagging="a=1", ACL="private", **key) == [
        (f"s3:{action}", f"{where}/a/b")
        for action in ("PutObject", "PutObjectTagging", "PutObjectAcl")
    ]
    wide = {"GrantRead": "id=1", "GrantWriteACP": "id=1"}
    for operation in ("PutObject", "CreateMultipartUpload"):
        assert required(shelf, operation, **wide, **key) == [
            ("s3:PutObject", f"{where}/a/b"), ("s3:PutObjectAcl", f"{where}/a/b")
        ]  # fmt: skip
    made = required(shelf, "CreateBucket", Bucket="new", ObjectOwnership="ObjectWriter", **wide)
    assert [action for action, _ in made] == [
        "s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketAcl"
    ]  # fmt: skip
    assert required(shelf, "CopyObject", CopySource="/other/x%20y", **key) == [
        ("s3:PutObject", f"{where}/a/b"),
        ("s3:GetObject", "arn:aws:s3:::other/x y"),
    ]
    call = shelf.made(operation="DeleteObjects", Bucket="shelf")
    (need,) = permissions.deletion(call, {"Key": "1", "VersionId": "null"})
    assert (need.action, need.resource) == ("s3:DeleteObjectVersion", f"{where}/1")


def test_conditions_of_permissions(shelf: Shelf) -> None:
    params = {"Bucket": "shelf", "Prefix": "p/", "Delimiter": "/", "MaxKeys": 5}
    (need,) = permissions.requirements(shelf.made(operation="ListObjectsV2", **params))
    assert need.context == {"s3:prefix": "p/", "s3:delimiter": "/", "s3:max-keys": "5"}
    call = shelf.made(operation="PutObject", Bucket="shelf", Key="k", Tagging="a=1")
    assert permissions.requirements(call)[0].context == {
        "s3:RequestObjectTag/a": "1",
        "s3:RequestObjectTagKeys": ["a"],
    }


def test_every_operation_has_its_permission(shelf: Shelf) -> None:
    from cloudlet.s3.service import service

    params = {"Bucket": "b", "Key": "k", "CopySource": "b/k"}
    for operation in service()[0].operations.keys() - service()[0].own_checks:
        assert required(shelf, operation, **params), operation


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        '{"Statement":' + "[" * 19_000,
        '{"\\ud800": 1}',
        json.dumps(policy({**ONE, "Resource": "arn:aws:s3:::shelf/\ud800"})),
        json.dumps(policy({**EVERYBODY, "Condition": {"StringEquals": "x"}})),
    ],
)
def test_policies_that_nothing_could_evaluate(shelf: Shelf, text: str) -> None:
    """Half a character in a policy would make its bucket answer nothing but 500."""
    with pytest.raises(AwsError, match="MalformedPolicy"):
        shelf.call(access.put_bucket_policy, Bucket="shelf", Policy=text)


@pytest.mark.parametrize(
    "text", ['{"Statement": [{"Effect": "Allow", "Sid": "\\ud800",', "[" * 9999]
)
def test_policies_from_before_that_cannot_be_read_deny(shelf: Shelf, text: str) -> None:
    bucket = shelf.database.view().value("SELECT id FROM s3_bucket WHERE name = 'shelf'")
    shelf.database.write_now(lambda tx: put_setting(tx, bucket, "policy", text))
    with shelf.database.snapshot() as view:
        found = access.policy_of(view, of_name(view, "shelf"))
    assert found["Statement"][0]["Effect"] == "Deny"


def test_policies_from_before_with_half_a_character_are_heard(shelf: Shelf) -> None:
    bucket = shelf.database.view().value("SELECT id FROM s3_bucket WHERE name = 'shelf'")
    text = json.dumps(policy(ONE, {**ONE, "Resource": "arn:aws:s3:::shelf/\ud800"}))
    shelf.database.write_now(lambda tx: put_setting(tx, bucket, "policy", text))
    assert shelf.call(access.get_bucket_policy_status, Bucket="shelf") == {
        "PolicyStatus": {"IsPublic": False}
    }
    with shelf.database.snapshot() as view:
        found = access.policy_of(view, of_name(view, "shelf"))
    assert len(evaluation.statements(found)) == 2
    assert shelf.call(access.get_bucket_policy, Bucket="shelf")["Policy"] == text
    shelf.call(access.delete_bucket_policy, Bucket="shelf")
