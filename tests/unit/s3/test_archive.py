"""Archived objects: refused until a copy is restored."""

import asyncio
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import archive, copying, lifecycle, listing, reading
from tests.unit.s3.conftest import BUCKET, Shelf

DAY_S = 86_400


def restore(shelf: Shelf, key: str, days: int = 2, **request: Any) -> int:
    wanted = {"Days": days, **request}
    call = shelf.made(Bucket=BUCKET, Key=key, RestoreRequest=wanted)
    return shelf.database.write_now(lambda tx: archive.restore_object(call, tx).status or 0)


def progress(shelf: Shelf) -> int | None:
    return asyncio.run(archive.progress(shelf.cloud))


def head(shelf: Shelf, key: str) -> Any:
    return shelf.call(reading.head_object, Bucket=BUCKET, Key=key)


@pytest.mark.parametrize("kind", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_is_shown_but_not_read(shelf: Shelf, kind: str) -> None:
    shelf.put("a", b"1", StorageClass=kind)
    shown = head(shelf, "a")
    assert (shown["StorageClass"], "Restore" in shown) == (kind, False)
    with pytest.raises(AwsError, match="InvalidObjectState") as refused:
        shelf.get("a")
    assert (refused.value.status, refused.value.fields["StorageClass"]) == (403, kind)
    with pytest.raises(AwsError, match="ObjectNotInActiveTierError"):
        shelf.call(copying.copy_object, Bucket=BUCKET, Key="b", CopySource=f"{BUCKET}/a")


def test_a_restored_copy_comes_after_a_while_and_goes(shelf: Shelf) -> None:
    """s3-060: retrieval takes half a second to three seconds, not hours."""
    shelf.put("a", b"1", StorageClass="GLACIER")
    assert restore(shelf, "a", GlacierJobParameters={"Tier": "Expedited"}) == 202
    with pytest.raises(AwsError, match="RestoreAlreadyInProgress"):
        restore(shelf, "a")
    assert head(shelf, "a")["Restore"] == 'ongoing-request="true"'
    due = progress(shelf)
    assert due == shelf.config.now_ms() + 500
    shelf.clock.advance(0.5)
    progress(shelf)
    expected = 'ongoing-request="false", expiry-date="Sat, 21 Nov 2026 00:00:00 GMT"'
    assert head(shelf, "a")["Restore"] == expected
    assert shelf.get("a")["Body"] == b"1"
    assert restore(shelf, "a", 3) == 200
    shelf.clock.advance(3 * DAY_S)
    progress(shelf)
    assert "22 Nov" in shelf.get("a")["Restore"]
    shelf.clock.advance(DAY_S)
    assert progress(shelf) is None
    with pytest.raises(AwsError, match="InvalidObjectState"):
        shelf.get("a")


def test_listings_tell_of_restores_when_asked(shelf: Shelf) -> None:
    shelf.put("a", b"1", StorageClass="GLACIER")
    shelf.put("b", b"1")
    restore(shelf, "a")
    asked = {"Bucket": BUCKET, "OptionalObjectAttributes": ["RestoreStatus"]}
    listed = shelf.call(listing.list_objects_v2, **asked)["Contents"]
    assert listed[0]["RestoreStatus"] == {"IsRestoreInProgress": True}
    assert "RestoreStatus" not in listed[1]
    shelf.clock.advance(5)
    progress(shelf)
    listed = shelf.call(listing.list_objects, **asked)["Contents"]
    until = lifecycle.next_midnight_ms(shelf.config.now_ms(), 2)
    expected = {"IsRestoreInProgress": False, "RestoreExpiryDate": until / 1000}
    assert listed[0]["RestoreStatus"] == expected


@pytest.mark.parametrize(
    ("kind", "request_", "code"),
    [
        ("STANDARD", {}, "InvalidObjectState"),
        ("GLACIER", {"Days": 0}, "InvalidArgument"),
        ("GLACIER", {"Days": None}, "MalformedXML"),
        ("GLACIER", {"Tier": "Soon"}, "MalformedXML"),
        ("DEEP_ARCHIVE", {"Tier": "Expedited"}, "InvalidArgument"),
        ("GLACIER", {"Type": "SELECT"}, "NotImplemented"),
    ],
)
def test_what_is_refused(shelf: Shelf, kind: str, request_: Any, code: str) -> None:
    shelf.put("a", b"1", StorageClass=kind)
    with pytest.raises(AwsError, match=code):
        restore(shelf, "a", **{"days": 1, **request_} if "Days" not in request_ else request_)
