"""Access control lists: what is accepted and kept, and whom it lets do what."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cloudlet.auth.guard import authorize
from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.s3 import access, acl, buckets, grants, listing, objects, ownership, public_access
from cloudlet.s3.bucket import owner_id
from cloudlet.s3.service import service
from tests.harness import ROOT
from tests.unit.s3.conftest import Shelf

ME, OTHER = owner_id("000000000000"), owner_id("111111111111")
STRANGER = Caller("root", "arn:aws:iam::111111111111:root", "111111111111")
USER = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000", "AIDAU")
OPEN = dict.fromkeys(public_access.BLOCKS, False)


@pytest.fixture
def listed(shelf: Shelf) -> Shelf:
    """The shelf with ACLs, and nothing blocked."""
    own(shelf, "ObjectWriter")
    shelf.call(public_access.delete_public_access_block, Bucket="shelf")
    return shelf


def own(shelf: Shelf, wanted: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": wanted}]}
    shelf.call(ownership.put_bucket_ownership_controls, Bucket="shelf", OwnershipControls=rules)


def told(shelf: Shelf, key: str = "") -> list[tuple[str, str]]:
    named: Any = {"Bucket": "shelf", **({"Key": key} if key else {})}
    answer = shelf.call(acl.get_object_acl if key else acl.get_bucket_acl, **named)
    return [
        (each["Grantee"].get("ID") or each["Grantee"]["URI"], each["Permission"])
        for each in answer["Grants"]
    ]


def may(shelf: Shelf, caller: Caller, operation: str, key: str = "", **params: Any) -> bool:
    named: Any = {"Bucket": "shelf", **({"Key": key} if key else {}), **params}
    call = shelf.made(caller, operation, **named)
    try:
        authorize(call, service()[0], shelf.database.view())
    except AwsError as error:
        assert error.code == "AccessDenied"
        return False
    return True


def document(*permissions: str, owner: str = ME) -> dict[str, Any]:
    who = {"Type": "CanonicalUser", "ID": OTHER}
    listed = [{"Grantee": who, "Permission": each} for each in permissions]
    return {"Owner": {"ID": owner}, "Grants": listed}


@pytest.mark.parametrize(
    ("canned", "more"),
    [
        ("private", []),
        ("public-read", [(grants.ALL_USERS, "READ")]),
        ("public-read-write", [(grants.ALL_USERS, "READ"), (grants.ALL_USERS, "WRITE")]),
        ("authenticated-read", [(grants.AUTHENTICATED, "READ")]),
        ("log-delivery-write", [(grants.LOG_DELIVERY, "WRITE"), (grants.LOG_DELIVERY, "READ_ACP")]),
        ("bucket-owner-full-control", []),
    ],
)
def test_canned_lists(listed: Shelf, canned: str, more: list[tuple[str, str]]) -> None:
    listed.call(acl.put_bucket_acl, Bucket="shelf", ACL=canned)
    assert told(listed) == [(ME, "FULL_CONTROL"), *more]


def test_headers_name_users_and_groups(listed: Shelf) -> None:
    listed.put("a", GrantRead=f'id="{OTHER}", uri={grants.ALL_USERS}', GrantFullControl=f"id={ME}")
    assert set(told(listed, "a")) == {
        (OTHER, "READ"),
        (grants.ALL_USERS, "READ"),
        (ME, "FULL_CONTROL"),
    }


@pytest.mark.parametrize(
    ("params", "code", "fields"),
    [
        ({"ACL": "fake"}, "InvalidArgument", {"ArgumentName": "x-amz-acl"}),
        ({"GrantWrite": 'uri="http://x/Fake"'}, "InvalidArgument", {"ArgumentName": "uri"}),
        ({"GrantWrite": 'id="wrong"'}, "InvalidArgument", {"ArgumentName": "id"}),
        ({"GrantWrite": 'fake="1"'}, "InvalidArgument", {"ArgumentName": "x-amz-grant-write"}),
        ({"ACL": "private", "GrantRead": f"id={ME}"}, "InvalidRequest", {}),
        ({"ACL": "private", "AccessControlPolicy": document()}, "UnexpectedContent", {}),
        ({"AccessControlPolicy": {}}, "MalformedACLError", {}),
        ({"AccessControlPolicy": document("ALL")}, "MalformedACLError", {}),
        ({"AccessControlPolicy": document(*["READ"] * 101)}, "MalformedACLError", {}),
        ({"AccessControlPolicy": document(owner="x")}, "InvalidArgument", {"ArgumentValue": "x"}),
        ({"AccessControlPolicy": document(owner=OTHER)}, "AccessDenied", {}),
        ({}, "MissingSecurityHeader", {"MissingHeaderName": "x-amz-acl"}),
    ],
)
def test_what_is_refused(
    shelf: Shelf, params: dict[str, Any], code: str, fields: dict[str, str]
) -> None:
    """Also where ACLs are off: what is wrong in itself is told first."""
    shelf.put("a")
    both: Any = ((acl.put_bucket_acl, {}), (acl.put_object_acl, {"Key": "a"}))
    for operation, key in both:
        with pytest.raises(AwsError) as caught:
            shelf.call(operation, Bucket="shelf", **key, **params)
        assert caught.value.code == code
        assert fields.items() <= caught.value.fields.items()


def test_s3_021_nobody_is_named_by_mail(listed: Shelf) -> None:
    with pytest.raises(AwsError, match="MethodNotAllowed"):
        listed.put("a", GrantRead='emailAddress="a@b.example"')


def test_s3_022_where_lists_are_off_private_is_one_too(shelf: Shelf) -> None:
    shelf.put("a", ACL="bucket-owner-full-control")
    shelf.put("a", GrantFullControl=f"id={ME}")
    for canned in ("private", "public-read"):
        with pytest.raises(AwsError, match="AccessControlListNotSupported"):
            shelf.put("a", ACL=canned)
    with pytest.raises(AwsError, match="AccessControlListNotSupported"):
        shelf.call(acl.put_bucket_acl, Bucket="shelf", ACL="private")
    assert told(shelf) == told(shelf, "a") == [(ME, "FULL_CONTROL")]


def test_lists_that_let_others_in_keep_lists_on(listed: Shelf) -> None:
    listed.call(acl.put_bucket_acl, Bucket="shelf", ACL="public-read")
    with pytest.raises(AwsError, match="InvalidBucketAclWithObjectOwnership"):
        own(listed, "BucketOwnerEnforced")
    with pytest.raises(AwsError, match="InvalidBucketAclWithObjectOwnership"):
        listed.call(buckets.create_bucket, Bucket="new", ACL="public-read")


def test_block_public_acls(listed: Shelf) -> None:
    block = {**OPEN, "BlockPublicAcls": True}
    listed.call(
        public_access.put_public_access_block,
        Bucket="shelf",
        PublicAccessBlockConfiguration=block,
    )
    with pytest.raises(AwsError, match="prevented by the BlockPublicAcls setting"):
        listed.put("a", ACL="public-read")
    with pytest.raises(AwsError, match="AccessDenied"):
        listed.call(acl.put_bucket_acl, Bucket="shelf", ACL="authenticated-read")
    listed.put("a", ACL="private")


def test_ignore_public_acls(listed: Shelf) -> None:
    listed.put("a", ACL="public-read")
    assert may(listed, ANONYMOUS, "GetObject", "a")
    listed.call(
        public_access.put_public_access_block,
        Bucket="shelf",
        PublicAccessBlockConfiguration={**OPEN, "IgnorePublicAcls": True},
    )
    assert not may(listed, ANONYMOUS, "GetObject", "a")


# permission → operations on the bucket, on the object "a" that it allows
ALLOWED = {
    "READ": ({"ListObjectsV2", "ListObjectVersions"}, {"GetObject", "HeadObject"}),
    "WRITE": ({"PutObject"}, set()),
    "READ_ACP": ({"GetBucketAcl"}, {"GetObjectAcl"}),
    "WRITE_ACP": ({"PutBucketAcl"}, {"PutObjectAcl"}),
}
ON_BUCKET = {name for allowed, _ in ALLOWED.values() for name in allowed}
ON_OBJECT = {name for _, allowed in ALLOWED.values() for name in allowed}


@pytest.mark.parametrize("permission", [*ALLOWED, "FULL_CONTROL"])
def test_what_permissions_allow(listed: Shelf, permission: str) -> None:
    listed.put("a")
    listed.call(acl.put_bucket_acl, Bucket="shelf", AccessControlPolicy=document(permission))
    expected = ALLOWED.get(permission, (ON_BUCKET, ON_OBJECT))
    names = {name: "a" if "Object" in name and "List" not in name else "" for name in ON_BUCKET}
    assert {name for name in ON_BUCKET if may(listed, STRANGER, name, names[name])} == expected[0]
    assert not any(may(listed, STRANGER, name, "a") for name in (*ON_OBJECT, "DeleteObject"))
    listed.call(acl.put_bucket_acl, Bucket="shelf", ACL="private")
    policy = document(permission)
    listed.call(acl.put_object_acl, Bucket="shelf", Key="a", AccessControlPolicy=policy)
    assert {name for name in ON_OBJECT if may(listed, STRANGER, name, "a")} == expected[1]
    assert not any(may(listed, ANONYMOUS, name, "a") for name in ON_OBJECT)
    assert not may(listed, USER, "GetObject", "a")  # the account's own users need a policy


def test_groups(listed: Shelf) -> None:
    listed.put("all", ACL="public-read")
    listed.put("known", ACL="authenticated-read")
    assert may(listed, ANONYMOUS, "GetObject", "all")
    assert not may(listed, ANONYMOUS, "GetObject", "known")
    assert may(listed, STRANGER, "GetObject", "known")


def test_a_denial_by_policy_wins_over_a_list(listed: Shelf) -> None:
    listed.put("a", ACL="public-read")
    deny = '{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",'
    deny += ' "Resource": "arn:aws:s3:::shelf/*"}}'
    listed.call(access.put_bucket_policy, Bucket="shelf", Policy=deny)
    assert not may(listed, ANONYMOUS, "GetObject", "a")


def test_objects_belong_to_who_wrote_them(listed: Shelf) -> None:
    listed.call(acl.put_bucket_acl, Bucket="shelf", ACL="public-read-write")
    for key, caller in (("theirs", STRANGER), ("nobodys", ANONYMOUS), ("mine", ROOT)):
        listed.call(objects.put_object, Bucket="shelf", Key=key, caller=caller)
    page = listed.call(listing.list_objects, Bucket="shelf")
    owners = {each["Key"]: each["Owner"]["ID"] for each in page["Contents"]}
    assert owners == {"theirs": OTHER, "nobodys": grants.ANONYMOUS_ID, "mine": ME}
    assert may(listed, STRANGER, "GetObject", "theirs")
    assert may(listed, STRANGER, "PutObjectAcl", "theirs")
    assert not may(listed, ROOT, "GetObject", "theirs")
    assert may(listed, ROOT, "DeleteObject", "theirs")
    assert may(listed, STRANGER, "DeleteObject", "theirs")
    assert may(listed, ANONYMOUS, "DeleteObject", "nobodys")
    assert not may(listed, ANONYMOUS, "DeleteObject", "mine")


def test_who_prefers_ownership_gets_it_by_full_control(listed: Shelf) -> None:
    own(listed, "BucketOwnerPreferred")
    full: Any = {"ACL": "bucket-owner-full-control"}
    listed.call(objects.put_object, Bucket="shelf", Key="given", caller=STRANGER, **full)
    listed.call(objects.put_object, Bucket="shelf", Key="kept", caller=STRANGER)
    own(listed, "ObjectWriter")
    assert told(listed, "given") == [(ME, "FULL_CONTROL")]
    assert told(listed, "kept") == [(OTHER, "FULL_CONTROL")]
    own(listed, "BucketOwnerEnforced")
    assert told(listed, "kept") == [(ME, "FULL_CONTROL")]
    assert may(listed, ROOT, "GetObject", "kept")


def test_s3_023_what_is_missing_is_kept_from_nobody(listed: Shelf) -> None:
    """Whether it is 404 or 403 depends on who may list, and is the operation's answer."""
    assert may(listed, STRANGER, "GetObject", "missing")
    listed.put("a")
    assert not may(listed, STRANGER, "GetObject", "a")


def test_canonical_users_in_policies(listed: Shelf) -> None:
    own(listed, "BucketOwnerEnforced")
    listed.put("a")
    allow = {
        "Effect": "Allow",
        "Principal": {"CanonicalUser": OTHER},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::shelf/*",
    }
    listed.call(access.put_bucket_policy, Bucket="shelf", Policy=json.dumps({"Statement": allow}))
    assert may(listed, STRANGER, "GetObject", "a")
    third = replace(STRANGER, account="222222222222", arn="arn:aws:iam::222222222222:root")
    assert not may(listed, third, "GetObject", "a")


def test_expected_owners_are_account_ids(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="InvalidBucketOwnerAWSAccountID"):
        shelf.call(buckets.head_bucket, Bucket="shelf", ExpectedBucketOwner="abcd")


def test_tags_of_objects_in_conditions(listed: Shelf) -> None:
    own(listed, "BucketOwnerEnforced")
    listed.put("open", Tagging="security=public")
    listed.put("shut", Tagging="security=private")
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::shelf/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/security": "public"}},
    }
    listed.call(access.put_bucket_policy, Bucket="shelf", Policy=json.dumps({"Statement": allow}))
    assert may(listed, STRANGER, "GetObject", "open")
    assert not may(listed, STRANGER, "GetObject", "shut")


def test_signatures_in_conditions(shelf: Shelf) -> None:
    signed = "20261118T110640Z"  # the clock of tests, a minute before
    for headers, query, expected in (
        ({"authorization": "AWS4-HMAC-SHA256 x"}, "", ("REST-HEADER", "AWS4-HMAC-SHA256")),
        ({"authorization": "AWS x:y"}, "", ("REST-HEADER", "AWS")),
        ({}, f"X-Amz-Date={signed}&X-Amz-Signature=1", ("REST-QUERY-STRING", "AWS4-HMAC-SHA256")),
    ):
        call = shelf.made(ROOT, "GetObject", Bucket="shelf", Key="a")
        call.request = replace(call.request, headers=headers, query=query)
        keys = service()[0].requirements(call)[0].context
        assert (keys["s3:authType"], keys["s3:signatureversion"]) == expected
        assert ("s3:signatureAge" in keys) == bool(query)


def test_missing_buckets_are_told_of(shelf: Shelf) -> None:
    call = shelf.made(ANONYMOUS, "GetObject", Bucket="nowhere", Key="a")
    with pytest.raises(AwsError, match="NoSuchBucket"):
        authorize(call, service()[0], shelf.database.view())
    call = shelf.made(ANONYMOUS, "CreateBucket", Bucket="nowhere")
    with pytest.raises(AwsError, match="AccessDenied"):
        authorize(call, service()[0], shelf.database.view())
