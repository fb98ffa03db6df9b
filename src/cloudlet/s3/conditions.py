"""If-Match and its kin, on reads, on copy sources and on writes.

Times are compared in whole seconds, as HTTP dates have them.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.records import Record

_OF_DIRECTORIES = {
    "IfMatchLastModifiedTime": "x-amz-if-match-last-modified-time",
    "LastModifiedTime": "x-amz-if-match-last-modified-time",
    "IfMatchSize": "x-amz-if-match-size",
    "Size": "x-amz-if-match-size",
}


def quoted(etag: str) -> str:
    return f'"{etag}"'


def http_date(at_ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(at_ms // 1000, UTC), usegmt=True)


def matches(header: str, etag: str) -> bool:
    """Whether an If-Match style list names the ETag, with quotes or without."""
    names = [name.strip().removeprefix("W/").strip('"') for name in header.split(",")]
    return "*" in names or etag in names


def check_read(params: Params, record: Record, now_ms: int) -> None:
    """412 or 304, in the order of RFC 9110: an ETag condition silences the date of its kind."""
    failed = _failed(params, record, "", now_ms)
    if failed in ("If-Match", "If-Unmodified-Since"):
        raise faults.precondition_failed(failed)
    if failed:
        raise AwsError(
            "NotModified",
            "Not Modified",
            304,  # the fields become headers
            **{"ETag": quoted(record.etag), "Last-Modified": http_date(record.modified_ms)},
        )


def check_source(params: Params, record: Record, now_ms: int) -> None:
    """Conditions on the source of a copy always fail with 412."""
    failed = _failed(params, record, "CopySource", now_ms)
    if failed:
        raise faults.precondition_failed(f"x-amz-copy-source-{failed}")


def _failed(params: Params, record: Record, prefix: str, now_ms: int) -> str:
    modified_s = record.modified_ms // 1000
    match, none_match = params.get(f"{prefix}IfMatch"), params.get(f"{prefix}IfNoneMatch")
    unmodified_s = _seconds(params.get(f"{prefix}IfUnmodifiedSince"))
    since_s = _seconds(params.get(f"{prefix}IfModifiedSince"))
    if match is not None:
        if not matches(match, record.etag):
            return "If-Match"
    elif unmodified_s is not None and modified_s > unmodified_s:
        return "If-Unmodified-Since"
    if none_match is not None:
        return "If-None-Match" if matches(none_match, record.etag) else ""
    # s3-048: a date to come says nothing
    is_past = since_s is not None and modified_s <= since_s <= now_ms // 1000
    return "If-Modified-Since" if is_past else ""


def _seconds(moment: Any) -> int | None:
    """A date that can't be understood is ignored, as RFC 9110 asks."""
    if isinstance(moment, str):
        try:
            moment = parsedate_to_datetime(moment)
        except ValueError:
            return None
    if isinstance(moment, datetime):
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    return None if moment is None else int(moment)


def check_write_header(params: Params) -> None:
    """Before the body is taken: which conditions a write may have at all."""
    match, none_match = params.get("IfMatch"), params.get("IfNoneMatch")
    if match is not None and none_match is not None:
        raise _not_implemented(
            "If-Match,If-None-Match", "Multiple conditional request headers present in the request"
        )
    message = "We don't accept the provided value of {} header for this API"
    if none_match not in (None, "*"):
        raise _not_implemented("If-None-Match", message.format("If-None-Match"))
    if match == "*":
        raise _not_implemented("If-Match", message.format("If-Match"))


def _not_implemented(header: str, message: str = "") -> AwsError:
    return AwsError(
        "NotImplemented",
        "A header you provided implies functionality that is not implemented",
        501,
        Header=header,
        **({"additionalMessage": message} if message else {}),
    )


def of_write(params: Params) -> bool:
    """Whether a write has conditions at all."""
    return params.get("IfNoneMatch") is not None or params.get("IfMatch") is not None


def check_write(params: Params, key: str, etag: str | None) -> None:
    """In the writing transaction; `etag` is that of the object to be overwritten, if any."""
    if params.get("IfNoneMatch") == "*" and etag is not None:
        raise faults.precondition_failed("If-None-Match")
    wanted = params.get("IfMatch")
    if wanted is None:
        return
    if etag is None:
        raise faults.no_such_key(key)
    if not matches(wanted, etag):
        raise faults.precondition_failed("If-Match")


def check_undisturbed(params: Params, key: str) -> None:
    """s3-044: of an upload whose key was written to or deleted since it was begun: the conditions
    hold, but who set them can't have known."""
    for name, header in (("IfMatch", "If-Match"), ("IfNoneMatch", "If-None-Match")):
        if params.get(name) is not None:
            raise AwsError(
                "ConditionalRequestConflict",
                "The conditional request cannot succeed due to a conflicting operation against "
                "this resource.",
                409,
                Condition=header,
                Key=key,
            )


def check_delete(named: Params, key: str, etag: str | None) -> None:
    """What a deletion says of the object, named as DeleteObjects names it."""
    for name, header in _OF_DIRECTORIES.items():  # s3-018: directory buckets' alone
        if named.get(name) is not None:
            raise _not_implemented(header)
    if named.get("ETag"):
        check_write({"IfMatch": named["ETag"]}, key, etag)
