"""Object Lock: versions that nobody may delete or overwrite before their time.

A bucket's configuration is a setting; what locks a version (retention, legal hold) is its trait
`lock`: {"mode", "until_ms", "hold"}. Whoever deletes versions asks here first: `objects` on behalf
of callers, `sweep` for lifecycle rules. New versions and delete markers are always welcome.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

Lock = dict[str, Any]
GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
_SETTING = "object-lock"
_DAY_MS = 86_400_000
_LONGEST = {"Days": 36_500, "Years": 100}
_DATE = "x-amz-object-lock-retain-until-date"
_MODE = "x-amz-object-lock-mode"
_BYPASS = "x-amz-bypass-governance-retention"


def enable(tx: Transaction, bucket_id: int) -> None:
    """For a bucket that is made with it: versions are kept from the start."""
    put_setting(tx, bucket_id, _SETTING, {"ObjectLockEnabled": "Enabled"})
    tx.run("UPDATE s3_bucket SET versioning = 'Enabled' WHERE id = ?", (bucket_id,))


def configuration(view: View, bucket: Bucket) -> dict[str, Any] | None:
    """Only buckets that keep versions have one; others are spared the look."""
    return setting(view, bucket.id, _SETTING) if bucket.versioning == "Enabled" else None


def check_versioning(view: View, bucket: Bucket, wanted: str) -> None:
    if wanted != "Enabled" and configuration(view, bucket):
        raise _invalid_state(
            "An Object Lock configuration is present on this bucket, so the versioning state "
            "cannot be changed."
        )


def put_object_lock_configuration(call: Call, tx: Transaction) -> None:
    """s3-040: also of a bucket that was made without, once it keeps versions; never undone."""
    bucket = of_call(call, tx)
    if call.params.get("Token"):
        raise NotImplementedByCloudlet("S3 Object Lock tokens")
    wanted = call.params.get("ObjectLockConfiguration")
    if wanted is None:  # s3-103
        raise AwsError("MissingRequestBodyError", "Request Body is empty", 400)
    if wanted.get("ObjectLockEnabled") != "Enabled":
        raise faults.malformed_xml()
    if "Rule" in wanted:
        _check_default((wanted["Rule"] or {}).get("DefaultRetention") or {})
    if bucket.versioning != "Enabled":
        raise _invalid_state(
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        )
    put_setting(tx, bucket.id, _SETTING, wanted)


def get_object_lock_configuration(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    found = configuration(view, bucket)
    if found is None:
        raise AwsError(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
            404,
            BucketName=bucket.name,
        )
    return {"ObjectLockConfiguration": found}


def _check_default(retention: dict[str, Any]) -> None:
    periods = [unit for unit in _LONGEST if unit in retention]
    if retention.get("Mode") not in MODES or len(periods) != 1:
        raise faults.malformed_xml()
    unit, length = periods[0], retention[periods[0]]
    if not 1 <= length <= _LONGEST[unit]:
        limit = f"must not be longer than {_LONGEST[unit]} {unit}."
        how = limit if length > 0 else "must be a positive integer value."
        raise AwsError("InvalidRetentionPeriod", f"Default retention period {how}", 400)


def _invalid_state(message: str) -> AwsError:
    return AwsError("InvalidBucketState", message, 409)


def of_write(call: Call, view: View, bucket: Bucket) -> Lock:
    """What locks the object that a call writes: what it says, else the bucket's default."""
    params = call.params
    mode, until = params.get("ObjectLockMode"), params.get("ObjectLockRetainUntilDate")
    hold = params.get("ObjectLockLegalHoldStatus")
    lock = _retention_said(call, mode, until) if mode or until else {}
    if hold not in (None, "ON", "OFF"):
        message = "Legal Hold must be either of 'ON' or 'OFF'"
        raise faults.invalid_argument(message, "x-amz-object-lock-legal-hold", hold)
    found = configuration(view, bucket)
    if found is None and (lock or hold):
        raise missing_configuration()
    if found is not None and not lock and "Rule" in found:
        lock = _default_retention(found["Rule"]["DefaultRetention"], call.now_ms)
    return lock if hold is None else {**lock, "hold": hold}


def _retention_said(call: Call, mode: str | None, until: Any) -> Lock:
    if not mode or not until:
        name = _DATE if mode else _MODE
        raise faults.invalid_argument(f"{_DATE} and {_MODE} must both be supplied", name)
    until_ms = _future_ms(call, until, _DATE)
    if mode not in MODES:
        raise faults.invalid_argument("Unknown wormMode directive.", _MODE, mode)
    return {"mode": mode, "until_ms": until_ms}


def _default_retention(rule: dict[str, Any], now_ms: int) -> Lock:
    days = rule.get("Days") or rule["Years"] * 365
    return {"mode": rule["Mode"], "until_ms": now_ms + days * _DAY_MS}


def _future_ms(call: Call, until: datetime, name: str) -> int:
    until_ms = round(until.timestamp() * 1000)
    if until_ms <= call.now_ms:
        message = "The retain until date must be in the future!"
        raise faults.invalid_argument(message, name, call.request.headers.get(name, _told(until)))
    return until_ms


def _told(moment: datetime) -> str:
    """s3-041: AWS repeats a date as its servers would print it, in Seattle's time."""
    try:
        moment = moment.astimezone(ZoneInfo("America/Los_Angeles"))
    except OverflowError:  # at the beginning of time, as it was said
        pass
    except ZoneInfoNotFoundError:
        moment = moment.astimezone(UTC)
    return moment.strftime("%a %b %d %H:%M:%S %Z %Y")


def check_digest(call: Call, what: str, lock: Lock) -> None:
    """s3-042: what is to be locked must have arrived as it was sent."""
    headers = call.request.headers
    if not lock or "content-md5" in headers:
        return
    trailer = headers.get("x-amz-trailer", "")
    if not any(name.startswith("x-amz-checksum-") for name in (*headers, trailer)):
        raise faults.invalid_request(
            f"Content-MD5 OR x-amz-checksum- HTTP header is required for Put {what} requests with "
            "Object Lock parameters"
        )


def missing_configuration() -> AwsError:
    return faults.invalid_request("Bucket is missing Object Lock Configuration")


def shown(lock: Lock) -> Output:
    """Output members of GET and HEAD."""
    output: Output = {}
    if "mode" in lock:
        output["ObjectLockMode"] = lock["mode"]
        output["ObjectLockRetainUntilDate"] = lock["until_ms"] / 1000
    if "hold" in lock:
        output["ObjectLockLegalHoldStatus"] = lock["hold"]
    return output


def holds(lock: Lock, now_ms: int) -> str:
    """What keeps a version from deletion: a mode of retention, "hold" or, mostly, nothing."""
    if lock.get("hold") == "ON":
        return "hold"
    mode: str = lock.get("mode", "")
    return mode if mode and lock["until_ms"] > now_ms else ""


def holds_text(traits: str, now_ms: int) -> str:
    """The same of traits as they are stored."""
    return holds(json.loads(traits).get("lock", {}), now_ms) if traits != "{}" else ""


def condition_keys(params: Params, now_ms: int) -> dict[str, Any]:
    """What policies can test of the lock that a call asks for."""
    retention = params.get("Retention") or {}
    until = retention.get("RetainUntilDate") or params.get("ObjectLockRetainUntilDate")
    hold = (params.get("LegalHold") or {}).get("Status")
    keys = {
        "s3:object-lock-mode": retention.get("Mode") or params.get("ObjectLockMode"),
        "s3:object-lock-legal-hold": hold or params.get("ObjectLockLegalHoldStatus"),
    }
    if isinstance(until, datetime):
        days = -(-(until.timestamp() * 1000 - now_ms) // _DAY_MS)
        keys["s3:object-lock-retain-until-date"] = _in_utc(until).isoformat()
        keys["s3:object-lock-remaining-retention-days"] = str(int(days))
    return {name: value for name, value in keys.items() if value}


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at the end of time: no hours matter
        return moment.replace(tzinfo=UTC)


def protected() -> AwsError:
    message = "Access Denied because object protected by object lock."
    return AwsError("AccessDenied", message, 403)


def check_bypass(params: Params, view: View, bucket: Bucket) -> None:
    """The header means nothing where nothing is ever locked, and there AWS says so."""
    if params.get("BypassGovernanceRetention") is not None and not configuration(view, bucket):
        message = f"{_BYPASS} is only applicable to Object Lock enabled buckets."
        raise faults.invalid_argument(message, _BYPASS)


def check_deletion(call: Call, lock: Lock) -> None:
    """`permissions` has asked whether the caller may bypass governance."""
    held = holds(lock, call.now_ms)
    bypass = held == GOVERNANCE and call.params.get("BypassGovernanceRetention")
    if held and not bypass:
        raise protected()


def changed_retention(call: Call, lock: Lock) -> Lock:
    """The lock with the retention that PutObjectRetention asks for, if it may."""
    wanted = call.params.get("Retention") or {}
    new: Lock = {"hold": lock["hold"]} if "hold" in lock else {}
    if wanted:
        mode, until = wanted.get("Mode"), wanted.get("RetainUntilDate")
        if mode not in MODES or not isinstance(until, datetime):
            raise faults.malformed_xml()
        new.update(mode=mode, until_ms=_future_ms(call, until, "RetainUntilDate"))
    held = holds({**lock, "hold": ""}, call.now_ms)
    is_kept = new.get("mode") == held and new["until_ms"] >= lock["until_ms"]
    bypass = held == GOVERNANCE and call.params.get("BypassGovernanceRetention")
    if held and not is_kept and not bypass:
        raise protected()
    return new
