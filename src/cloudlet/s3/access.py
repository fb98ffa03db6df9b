"""Bucket policies: kept as they were sent, after a look whether they are well-formed.

Evaluating them is `auth`'s task, with what `authority` gathers for a call. Here is also what S3
says of a policy: whether it is public.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
"""

import json
from itertools import chain
from typing import Any

import orjson

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.policy import conditions
from cloudlet.policy.patterns import glob
from cloudlet.policy.publicity import is_public, listed
from cloudlet.s3 import grants
from cloudlet.s3.bucket import ACL, Bucket, drop_setting, of_call, put_setting, setting
from cloudlet.s3.condition_keys import is_known
from cloudlet.s3.public_access import blocks, prevented
from cloudlet.store.database import Transaction, View

POLICY_BYTES_MAX = 20 << 10
_PAIRS = ("Principal", "Action", "Resource")
_STATEMENT = {"Sid", "Effect", "Condition", *_PAIRS, *(f"Not{each}" for each in _PAIRS)}
_DENIAL = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]}


def put_bucket_policy(call: Call, tx: Transaction) -> Result:
    bucket = of_call(call, tx)
    text = call.params["Policy"]
    text = text.decode() if isinstance(text, bytes) else text
    policy = _parsed(text, bucket)
    if blocks(tx, bucket)["BlockPublicPolicy"] and is_public(policy):
        raise prevented(call, "PutBucketPolicy", bucket.name, "BlockPublicPolicy")
    put_setting(tx, bucket.id, "policy", text)
    return Result({}, 204)


def get_bucket_policy(call: Call, view: View) -> Output:
    return {"Policy": _policy_text(call, view)}


def delete_bucket_policy(call: Call, tx: Transaction) -> Result:
    drop_setting(tx, of_call(call, tx).id, "policy")
    return Result({}, 204)


def get_bucket_policy_status(call: Call, view: View) -> Output:
    """s3-025: NoSuchBucketPolicy without a policy, but where access lists have a say, they tell."""
    bucket = of_call(call, view)
    if not bucket.has_acls:
        return {"PolicyStatus": {"IsPublic": is_public(_read(_policy_text(call, view)))}}
    policy = policy_of(view, bucket)
    listed = setting(view, bucket.id, ACL) or []
    is_open = grants.is_public(listed) or (policy is not None and is_public(policy))
    return {"PolicyStatus": {"IsPublic": is_open}}


def _policy_text(call: Call, view: View) -> str:
    bucket = of_call(call, view)
    text: str | None = setting(view, bucket.id, "policy")
    if text is None:
        raise AwsError(
            "NoSuchBucketPolicy", "The bucket policy does not exist", 404, BucketName=bucket.name
        )
    return text


def policy_of(view: View, bucket: Bucket) -> dict[str, Any] | None:
    text = setting(view, bucket.id, "policy")
    return None if text is None else _read(text)


def _read(text: str) -> dict[str, Any]:
    """What earlier versions let in may hold halves of characters, which nothing can match. What
    can't be read at all denies everything, but to the root, who may replace it."""
    try:
        found: dict[str, Any] = orjson.loads(text)
    except ValueError:
        try:
            whole = json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace")
            found = orjson.loads(whole)
        except (ValueError, RecursionError):
            return _DENIAL
    return found


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicy", message, 400)


def _parsed(text: str, bucket: Bucket) -> dict[str, Any]:
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise _malformed("Policies must be less than 20 KB.")
    try:
        policy = orjson.loads(text)  # neither bottomless nor half of a character
    except ValueError as error:
        raise _malformed("Policies must be valid JSON and the first byte must be '{'") from error
    if not isinstance(policy, dict):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    if policy.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise _malformed("The policy must contain a valid version string")
    unknown = set(policy) - {"Version", "Id", "Statement"}
    if unknown:
        raise _malformed(f"Unknown field {min(unknown)}")
    statements = listed(policy.get("Statement") or [])
    if not statements:
        raise _malformed("Missing required field Statement")
    for statement in statements:
        _check_statement(statement, bucket)
    return policy


def _check_statement(statement: Any, bucket: Bucket) -> None:
    if not isinstance(statement, dict):
        raise _malformed("Statement must be a list of objects")
    unknown = set(statement) - _STATEMENT
    if unknown:
        raise _malformed(f"Unknown field {min(unknown)}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {statement.get('Effect')}")
    for name in _PAIRS:
        if (name in statement) == (f"Not{name}" in statement):
            raise _malformed(f"Missing required field {name}")
    if "NotPrincipal" in statement and statement["Effect"] == "Allow":
        raise _malformed("Allow with NotPrincipal is not allowed.")
    _check_principal(statement.get("Principal", statement.get("NotPrincipal")))
    for action in listed(statement.get("Action", statement.get("NotAction"))):
        if not isinstance(action, str) or not (action == "*" or action.lower().startswith("s3:")):
            raise _malformed("Policy has invalid action")
    for resource in listed(statement.get("Resource", statement.get("NotResource"))):
        if not isinstance(resource, str) or not (
            resource.startswith("arn:aws:s3:::")
            and glob(resource.removeprefix("arn:aws:s3:::").partition("/")[0])(bucket.name)
        ):
            raise _malformed("Policy has invalid resource")
    _check_conditions(statement.get("Condition", {}))


def _check_conditions(block: Any) -> None:
    if not isinstance(block, dict) or not all(isinstance(each, dict) for each in block.values()):
        raise _malformed("Conditions must be an object")
    try:
        conditions.tests(block)
    except conditions.UnknownOperator as error:
        raise _malformed(f"Invalid Condition type : {error}") from None
    if not all(map(is_known, chain.from_iterable(block.values()))):
        raise _malformed("Policy has an invalid condition key")  # s3-111
    for value in chain.from_iterable(keys.values() for keys in block.values()):
        if any(isinstance(each, dict | list | None) for each in listed(value)):
            raise _malformed("Invalid value in condition")


def _check_principal(principal: Any) -> None:
    kinds = {"AWS", "Service", "Federated", "CanonicalUser"}
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal or set(principal) - kinds:
        raise _malformed("Invalid principal in policy")
    for value in principal.values():
        if not all(isinstance(each, str) and each for each in listed(value)):
            raise _malformed("Invalid principal in policy")
