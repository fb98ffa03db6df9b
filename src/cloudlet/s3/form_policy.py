"""The policy of a browser form: until when, and for which fields and sizes, its signature is good.

The document comes base64-encoded from the form. All fields but a few must be named by a condition.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.errors import AwsError

_RANGE = "content-length-range"
# Fields that need no condition, and how such names begin
_FREE = frozenset(("policy", "signature", "awsaccesskeyid", "x-amz-signature", "file"))
# s3-109: the bucket is a field, too, though the path names it
# s3-030: checksums need no condition either; they allow nothing, and AWS's tools add them late
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-", "x-amz-sdk-checksum-")
Fields = Mapping[str, str]
Limits = tuple[int, int]


def check(text: str, fields: Fields, now_ms: int) -> Limits | None:
    """Refuses a form that its policy doesn't cover; answers the sizes that the policy allows.

    `fields` are those of the form by lower-case names, as they will be used, and the bucket's name.
    """
    expiration, conditions = _document(text)
    if expiration.timestamp() * 1000 < now_ms:
        raise _refused("Policy expired.")
    limits: Limits | None = None
    covered = set(_FREE)
    for condition in conditions:
        operator, *operands = _condition(condition)
        if operator == _RANGE:
            limits = _narrowed(limits, _range(operands))
            continue
        name, wanted = operands
        if not _holds(operator, name, wanted, fields):
            raise _failed([operator, name, wanted])
        covered.add(name[1:].lower())
    extra = [n for n in fields if n not in covered and not n.startswith(_FREE_PREFIXES)]
    if extra:
        raise _refused(f"Extra input fields: {', '.join(extra)}")
    return limits


def _document(text: str) -> tuple[datetime, list[Any]]:
    try:
        document = orjson.loads(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise _invalid("invalid Base64 encoding.") from error
    except ValueError as error:
        raise _invalid("Invalid JSON.") from error
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    if "conditions" not in document:
        raise _invalid("Policy missing conditions.")
    more = document.keys() - {"expiration", "conditions"}
    if more:
        raise _invalid(f'Unexpected: "{min(more)}"')
    if not isinstance(document["expiration"], str):
        raise _invalid("Invalid JSON.")
    conditions = document["conditions"]
    if not isinstance(conditions, list):
        raise _invalid("Invalid 'conditions' value: must be a List.")
    return _moment(document["expiration"]), conditions


def _moment(text: str) -> datetime:
    """AWS's one form: 2007-12-01T12:00:00.000Z, with or without a fraction."""
    try:
        if not text.endswith("Z"):
            raise ValueError
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid(f"Invalid 'expiration' value: '{text}'") from error
    return found.astimezone(UTC)


def _condition(condition: Any) -> list[Any]:
    """[operator, …]; a simple one, {"acl": "private"}, is one of "eq"."""
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise _invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property "
                "specified."
            )
        [(name, value)] = condition.items()
        if not isinstance(value, str):
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return ["eq", f"${name}", value]
    if not isinstance(condition, list):
        raise _invalid("Invalid condition test: must be a List or Object.")
    if not condition or not isinstance(condition[0], str):
        raise _invalid("Invalid Condition: missing operation identifier.")
    operator = condition[0].lower()
    if operator not in ("eq", "starts-with", _RANGE):
        raise _invalid(f"Invalid Condition: unknown operation '{condition[0]}'.")
    if len(condition) != 3:
        raise _invalid(f"Invalid {operator}: wrong number of arguments.")
    if operator != _RANGE and not all(isinstance(each, str) for each in condition):
        raise _invalid("Invalid JSON.")
    return [operator, *condition[1:]]


def _holds(operator: str, name: str, wanted: str, fields: Fields) -> bool:
    """Names are compared without their case, values with it. `$` stands before names."""
    if not name.startswith("$"):
        return False
    value = fields.get(name[1:].lower(), "")
    if operator == "eq":
        return value == wanted
    if name.lower() == "$content-type":  # a list of types: each of them
        return all(part.strip().startswith(wanted) for part in value.split(","))
    return value.startswith(wanted)


def _range(operands: list[Any]) -> Limits:
    try:
        least, most = (int(str(each)) for each in operands)
    except ValueError as error:
        raise _failed([_RANGE, *operands]) from error
    if least < 0 or most < least:
        raise _invalid("Invalid content-length-range: not a range of sizes.")
    return least, most


def _narrowed(limits: Limits | None, more: Limits) -> Limits:
    return more if limits is None else (max(limits[0], more[0]), min(limits[1], more[1]))


def _invalid(what: str) -> AwsError:
    return AwsError("InvalidPolicyDocument", f"Invalid Policy: {what}", 400)


def _refused(why: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: {why}", 403)


def _failed(condition: list[Any]) -> AwsError:
    return _refused(f"Policy Condition failed: {json.dumps(condition, ensure_ascii=False)}")
