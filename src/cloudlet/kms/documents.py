"""Key policies: the one that a key gets by itself, those of AWS's own keys, and which are valid.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.policy import conditions

Document = dict[str, Any]
_USES = ("Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "DescribeKey")
_BYTES_MAX = 32 << 10


def _policy(name: str, *statements: Document) -> Document:
    return {"Version": "2012-10-17", "Id": name, "Statement": list(statements)}


def _root(config: Config) -> Document:
    return {"AWS": f"arn:aws:iam::{config.account}:root"}


def default(config: Config) -> Document:
    """IAM's policies decide."""
    return _policy(
        "key-default-1",
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": _root(config),
            "Action": "kms:*",
            "Resource": "*",
        },
    )


def own(config: Config, service: str) -> Document:
    """Whoever may use the service may use its key, through the service alone."""
    via = f"{service}.{config.region}.amazonaws.com"
    through = {"kms:CallerAccount": config.account, "kms:ViaService": via}
    return _policy(
        f"auto-{service}-2",
        {
            "Sid": f"Allow access through {service} for all principals in the account",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [f"kms:{use}" for use in _USES],
            "Resource": "*",
            "Condition": {"StringEquals": through},
        },
        {
            "Sid": "Allow direct access to key metadata to the account",
            "Effect": "Allow",
            "Principal": _root(config),
            "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
            "Resource": "*",
        },
    )


def checked(text: str) -> Document:
    try:
        document = orjson.loads(text)
    except ValueError as error:
        raise _malformed("The policy is not valid JSON.") from error
    found = document.get("Statement") if isinstance(document, dict) else None
    statements = found if isinstance(found, list) else [found]
    if len(text.encode()) > _BYTES_MAX:
        raise AwsError("LimitExceededException", f"The policy is larger than {_BYTES_MAX} bytes.")
    for each in statements:
        if not isinstance(each, dict) or each.get("Effect") not in ("Allow", "Deny"):
            raise _malformed("A statement needs the Effect Allow or Deny.")
        if not {"Principal", "NotPrincipal"} & set(each):
            raise _malformed("A statement of a key policy needs a principal.")
        if not {"Action", "NotAction"} & set(each) or not {"Resource", "NotResource"} & set(each):
            raise _malformed("A statement needs actions and resources.")
        try:
            conditions.tests(each.get("Condition") or {})
        except (conditions.UnknownOperator, AttributeError) as error:
            raise _malformed(f"Invalid Condition type : {error}") from None
    return dict(document)


def of_key(text: str, arn: str) -> Document:
    """A policy as it is evaluated: it is about its own key, whatever it calls it."""
    document = orjson.loads(text)
    found = document["Statement"]
    statements = found if isinstance(found, list) else [found]
    named = [each if "NotResource" in each else {**each, "Resource": arn} for each in statements]
    return {**document, "Statement": named}


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicyDocumentException", message)
