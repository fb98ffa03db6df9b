"""Access control lists as data: what may be asked for, what it grants, to whom.

A list is `[[grantee, permission], …]`; a grantee is a canonical user id or a group's URI. What a
grant allows is said as policy statements, so that one evaluation decides over everything.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Caller, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import owner_id, person

Grants = list[list[str]]
GRANTS_MAX = 100
ANONYMOUS = "anonymous"  # the account, so to say, of who comes without a signature
ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
_GROUPS = (ALL_USERS, AUTHENTICATED, LOG_DELIVERY)
_EC2 = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
_LOGGING = "logging.s3.amazonaws.com"
_PERMISSIONS = ("READ", "WRITE", "READ_ACP", "WRITE_ACP")
FULL = "FULL_CONTROL"
# Canned ACLs: what they grant beside the owner's full control; "bucket" is the bucket's owner
_CANNED: Mapping[str, Grants] = {
    "private": [],
    "public-read": [[ALL_USERS, "READ"]],
    "public-read-write": [[ALL_USERS, "READ"], [ALL_USERS, "WRITE"]],
    "authenticated-read": [[AUTHENTICATED, "READ"]],
    "aws-exec-read": [[_EC2, "READ"]],
    "bucket-owner-read": [["bucket", "READ"]],
    "bucket-owner-full-control": [["bucket", FULL]],
    "log-delivery-write": [[LOG_DELIVERY, "WRITE"], [LOG_DELIVERY, "READ_ACP"]],
}
HEADERS = {
    "GrantFullControl": ("x-amz-grant-full-control", FULL),
    "GrantRead": ("x-amz-grant-read", "READ"),
    "GrantReadACP": ("x-amz-grant-read-acp", "READ_ACP"),
    "GrantWrite": ("x-amz-grant-write", "WRITE"),
    "GrantWriteACP": ("x-amz-grant-write-acp", "WRITE_ACP"),
}
_GRANTEE = re.compile(r'\s*(\w+)\s*=\s*(?:"([^"]*)"|([^,"]*))\s*')
_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
_ON_BUCKET: Mapping[str, tuple[str, ...]] = {
    "READ": ("ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"),
    "READ_ACP": ("GetBucketAcl",),
    "WRITE_ACP": ("PutBucketAcl",),
}
_ON_OBJECT: Mapping[str, tuple[str, ...]] = {
    "READ": ("GetObject", "GetObjectVersion"),
    "READ_ACP": ("GetObjectAcl", "GetObjectVersionAcl"),
    "WRITE_ACP": ("PutObjectAcl", "PutObjectVersionAcl"),
}
_OF_WRITER = ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts")
# Who writes an object owns it, and says all that there is to say of it.
OF_WRITES = ("PutObjectAcl", "PutObjectTagging")
OF_OWNERS = ("DeleteObject", "DeleteObjectVersion")


def canonical(account: str) -> str:
    return ANONYMOUS_ID if account == ANONYMOUS else owner_id(account)


def account_of(caller: Caller) -> str:
    return ANONYMOUS if caller.kind == "anonymous" else caller.account


# What a call asks for


def wanted(params: Params, owner: str, bucket_owner: str) -> Grants | None:
    """The list that headers or a document ask for; None where the call says nothing of it."""
    canned, policy = params.get("ACL"), params.get("AccessControlPolicy")
    headers = [name for name in HEADERS if params.get(name) is not None]
    if canned is not None and canned not in _CANNED:
        raise faults.invalid_argument("", "x-amz-acl", canned)
    if canned is not None and headers:
        text = "Specifying both Canned ACLs and Header Grants is not allowed"
        raise faults.invalid_request(text)
    if policy is not None and (headers or canned is not None):
        raise AwsError("UnexpectedContent", "This request does not support content", 400)
    if policy is not None:
        return _of_document(policy, owner)
    if headers:
        return _limited([grant for name in headers for grant in _of_header(params[name], name)])
    return None if canned is None else of_canned(canned, owner, bucket_owner)


def of_canned(canned: str, owner: str, bucket_owner: str) -> Grants:
    named = [[bucket_owner if who == "bucket" else who, what] for who, what in _CANNED[canned]]
    return [[owner, FULL], *(grant for grant in named if grant[0] != owner)]


def _limited(grants: Grants) -> Grants:
    if len(grants) > GRANTS_MAX:
        raise malformed()
    return grants


def _of_header(text: str, name: str) -> Grants:
    header, permission = HEADERS[name]
    grants: Grants = []
    position = 0
    while position <= len(text):
        found = _GRANTEE.match(text, position)
        if found is None or text[found.end() : found.end() + 1] not in ("", ","):
            raise _unrecognized(header, text)
        value = found[2] if found[2] is not None else found[3].strip()
        grants.append([_named(found[1], value, header, text), permission])
        position = found.end() + 1
    return grants


def _named(kind: str, value: str, header: str, text: str) -> str:
    if kind == "id":
        return _user(value, "id")
    if kind == "uri":
        return _group(value, "uri")
    if kind == "emailAddress":
        raise _no_mail()
    raise _unrecognized(header, text)


def _unrecognized(header: str, text: str) -> AwsError:
    return faults.invalid_argument("Argument format not recognized", header, text)


def _user(value: str, name: str) -> str:
    if not _ID.fullmatch(value):
        raise faults.invalid_argument("Invalid id", name, value)
    return value


def _group(value: str, name: str) -> str:
    if value not in _GROUPS:
        raise faults.invalid_argument("Invalid group uri", name, value)
    return value


def _no_mail() -> AwsError:
    """s3-021: since October 2025 nobody is named by an email address any more."""
    return faults.method_not_allowed()


def malformed() -> AwsError:
    return AwsError(
        "MalformedACLError",
        "The XML you provided was not well-formed or did not validate against our published schema",
        400,
    )


def _of_document(policy: Params, owner: str) -> Grants:
    named, listed = (policy.get("Owner") or {}).get("ID"), policy.get("Grants")
    if named is None or listed is None:
        raise malformed()
    if _user(named, "CanonicalUser/ID") != owner:
        raise faults.access_denied()  # nobody gives a thing away
    return _limited([_of_element(each) for each in listed])


def _of_element(element: Params) -> list[str]:
    grantee, permission = element.get("Grantee") or {}, element.get("Permission")
    if permission not in (*_PERMISSIONS, FULL):
        raise malformed()
    kind = grantee.get("Type")
    if kind == "CanonicalUser" and grantee.get("ID") is not None:
        return [_user(grantee["ID"], "CanonicalUser/ID"), permission]
    if kind == "Group" and grantee.get("URI") is not None:
        return [_group(grantee["URI"], "Group/URI"), permission]
    if kind == "AmazonCustomerByEmail" and grantee.get("EmailAddress"):
        raise _no_mail()
    raise malformed()


# What a list says


def shown(call: Call, grants: Grants, owner: str) -> Params:
    listed = [
        {"Grantee": _grantee(call, grantee), "Permission": permission}
        for grantee, permission in (
            _in_old_order(grants) if call.config.classic_buckets else grants
        )
    ]
    return {"Owner": person(call, owner), "Grants": listed}


def _in_old_order(grants: Grants) -> Grants:
    """Groups first: who sorts by name must not meet one that has none behind those that do."""
    return sorted(grants, key=lambda grant: grant[0] not in _GROUPS)


def _grantee(call: Call, grantee: str) -> dict[str, str]:
    if grantee in _GROUPS:
        return {"Type": "Group", "URI": grantee}
    return {"Type": "CanonicalUser", **person(call, grantee)}


def is_public(grants: Grants) -> bool:
    return any(grantee in (ALL_USERS, AUTHENTICATED) for grantee, _ in grants)


def private(grants: Grants) -> Grants:
    """What is left where public ACLs are ignored."""
    return [grant for grant in grants if grant[0] not in (ALL_USERS, AUTHENTICATED)]


# What it allows


def principal(grantee: str, caller: Caller) -> Any:
    """The principal of a statement, if the grantee is the caller, else None."""
    if grantee == LOG_DELIVERY:
        return {"Service": _LOGGING} if caller.arn == _LOGGING else None
    if grantee == ALL_USERS or (grantee == AUTHENTICATED and caller.kind != "anonymous"):
        return "*"
    if caller.kind == "service" or grantee != canonical(account_of(caller)):
        return None
    return "*" if caller.kind == "anonymous" else {"AWS": caller.account}


def _statement(who: Any, actions: tuple[str, ...], resource: str) -> Params:
    named = [f"s3:{action}" for action in actions]
    return {"Effect": "Allow", "Principal": who, "Action": named, "Resource": resource}


def on_bucket(
    grants: Grants, caller: Caller, arn: str, key: str, more: tuple[str, ...]
) -> list[Params]:
    """What a bucket's list allows the caller. `key`: of the object that the call is about, or "";
    `more`: what is allowed with it to who may write."""
    statements = []
    for grantee, permission in grants:
        who = principal(grantee, caller)
        if who is None:
            continue
        if permission == FULL or permission in _ON_BUCKET:
            statements.append(_statement(who, _allowed(permission, _ON_BUCKET), arn))
        if permission in (FULL, "WRITE") and key:
            statements.append(_statement(who, (*_OF_WRITER, *more), f"{arn}/{key}"))
    return statements


def on_object(grants: Grants, caller: Caller, arn: str) -> list[Params]:
    found = [(principal(grantee, caller), permission) for grantee, permission in grants]
    return [
        _statement(who, _allowed(permission, _ON_OBJECT), arn)
        for who, permission in found
        if who is not None and permission != "WRITE"
    ]


def of_owner(caller: Caller, arn: str) -> Params:
    """An object's owner outside of the bucket's account may always tell whom to let in."""
    who = "*" if caller.kind == "anonymous" else {"AWS": caller.account}
    tagging = ("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging")
    versions = tuple(action.replace("Object", "ObjectVersion") for action in tagging)
    lists = (*_ON_OBJECT["READ_ACP"], *_ON_OBJECT["WRITE_ACP"])
    return _statement(who, (*lists, *tagging, *versions, "GetObjectAttributes"), arn)


def _allowed(permission: str, table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if permission != FULL:
        return table[permission]
    return tuple(action for actions in table.values() for action in actions)
