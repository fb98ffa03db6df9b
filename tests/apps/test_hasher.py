"""hasher: checkpoints, continuation, repeated and stale events."""

import hashlib
import json
import os
from typing import Any

import boto3
import pytest

from tests.apps.lambdashare_local import Context, LocalShare, function, s3_record

MIB = 1 << 20


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Any:
    function("hasher")
    import hasher_job

    monkeypatch.setattr(hasher_job, "SMALL_BYTES", 0)
    monkeypatch.setattr(hasher_job, "CHECKPOINT_S", -1.0)
    monkeypatch.setattr(hasher_job, "PROGRESS_S", 0.0)
    monkeypatch.setattr(hasher_job, "BLOCK_BYTES", MIB)
    whole = hasher_job.read_ahead
    monkeypatch.setattr(hasher_job, "read_ahead", lambda f, a, b: whole(f, a, b, MIB))
    return function("hasher")


@pytest.fixture
def data() -> bytes:
    return os.urandom(6 * MIB + 123)


def stored(share: LocalShare, data: bytes) -> tuple[str, dict[str, Any]]:
    """A curl upload: the share's id, and S3's event of it (not delivered)."""
    answer = share.request("PUT", "/data.bin")
    found = answer.headers["x-share-id"]
    key = f"shares/{found}/1"
    etag = boto3.client("s3").put_object(Bucket="uploads", Key=key, Body=data)["ETag"]
    return found, {"Records": [s3_record(key, etag, len(data))]}


def file_of(share: LocalShare, found: str) -> dict[str, Any]:
    view: dict[str, Any] = share.request("GET", f"/v1/shares/{found}").json()["files"][0]
    return view


def test_time_running_out_leaves_a_checkpoint_and_goes_on(
    share: LocalShare, hasher: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, event = stored(share, data)
    continued: list[dict[str, Any]] = []
    monkeypatch.setattr(hasher, "carry_on", lambda job, arn: continued.append(job.document()))
    assert hasher.handler(event, Context(remaining_ms=1))["outcomes"] == ["continue"]
    file = file_of(share, found)
    assert file["phase"] == "hashing" and file["hashed_bytes"] == MIB and not file["digests"]
    for _ in range(10):
        event = {"continue": continued[-1]}
        if hasher.handler(event, Context(remaining_ms=1))["outcomes"] == ["hashed"]:
            break
    assert len(continued) == 6  # each went on where the one before stopped
    digests = file_of(share, found)["digests"]
    assert digests["sha256"] == hashlib.sha256(data).hexdigest()
    assert digests["md5"] == hashlib.md5(data).hexdigest()
    from blake3 import blake3

    assert digests["blake3"] == blake3(data).hexdigest()


def test_killed_hasher_resumes_from_its_checkpoint(
    share: LocalShare, hasher: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, event = stored(share, data)
    import hasher_job

    whole = hasher_job.fetch
    asked: list[int] = []

    def dies(job: Any, first: int, end: int) -> bytes:
        if first >= 5 * MIB:
            raise KeyboardInterrupt
        return bytes(whole(job, first, end))

    monkeypatch.setattr(hasher_job, "fetch", dies)
    with pytest.raises(KeyboardInterrupt):
        hasher.handler(event, Context())
    reached = file_of(share, found)["hashed_bytes"]
    assert reached > 0

    def counts(job: Any, first: int, end: int) -> bytes:
        asked.append(first)
        return bytes(whole(job, first, end))

    monkeypatch.setattr(hasher_job, "fetch", counts)
    assert hasher.handler(event, Context())["outcomes"] == ["hashed"]
    # everything once, and what came before the checkpoint once more, for BLAKE3 alone
    assert sorted(asked) == sorted([*range(0, 7 * MIB, MIB)])
    assert file_of(share, found)["digests"]["sha512"] == hashlib.sha512(data).hexdigest()


def test_a_checkpoint_of_another_library_is_not_used(
    share: LocalShare, hasher: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, event = stored(share, data)
    monkeypatch.setattr(hasher, "carry_on", lambda job, arn: None)
    hasher.handler(event, Context(remaining_ms=1))
    boto3.client("dynamodb").update_item(
        TableName="Files",
        Key={"share": {"S": found}, "item": {"S": "mark#00001"}},
        UpdateExpression="SET library = :other",
        ExpressionAttributeValues={":other": {"S": "OpenSSL 4"}},
    )
    assert hasher.handler(event, Context())["outcomes"] == ["hashed"]
    assert file_of(share, found)["digests"]["sha1"] == hashlib.sha1(data).hexdigest()


def test_repeated_and_stale_events_change_nothing(share: LocalShare, hasher: Any) -> None:
    found, event = stored(share, b"once")
    assert hasher.handler(event, Context())["outcomes"] == ["hashed"]
    before = file_of(share, found)
    assert hasher.handler(event, Context())["outcomes"] == ["known"]
    old = {"Records": [s3_record(f"shares/{found}/1", '"0123"', 4)]}
    assert hasher.handler(old, Context())["outcomes"] == ["stale"]
    nobody = {"Records": [s3_record(f"shares/{'x' * 22}/1", '"0123"', 4)]}
    assert hasher.handler(nobody, Context())["outcomes"] == ["stale"]
    other = {"Records": [s3_record("elsewhere/x", '"0123"', 4), {"Event": "s3:TestEvent"}]}
    assert hasher.handler(other, Context())["outcomes"] == []
    assert file_of(share, found) == before


def test_another_object_under_a_hashed_name_is_quarantined(share: LocalShare, hasher: Any) -> None:
    found, event = stored(share, b"first")
    hasher.handler(event, Context())
    key = f"shares/{found}/1"
    etag = boto3.client("s3").put_object(Bucket="uploads", Key=key, Body=b"other")["ETag"]
    replaced = {"Records": [s3_record(key, etag, 5)]}
    assert hasher.handler(replaced, Context())["outcomes"] == ["replaced"]
    assert file_of(share, found)["phase"] == "quarantined"


def test_progress_and_sums_reach_subscribers(
    share: LocalShare, hasher: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lambdashare_core import broadcast

    sent: list[dict[str, Any]] = []

    def post(connection: str, message: bytes) -> bool:
        sent.append(json.loads(message))
        return True

    monkeypatch.setattr(broadcast, "_post", post)
    found, event = stored(share, data)
    realtime = function("realtime")
    realtime.handler(message_event({"action": "subscribe", "topic": f"share:{found}"}), None)
    hasher.handler(event, Context())
    kinds = [message["type"] for message in sent]
    assert kinds[0] == "subscribed" and kinds[1] == "file" and kinds[-1] == "file"
    progress = [message for message in sent if message["type"] == "progress"]
    assert [each["hashed_bytes"] for each in progress][:2] == [MIB, 2 * MIB]
    assert set(sent[-1]["file"]["digests"]) == ALGORITHMS


ALGORITHMS = {"md5", "sha1", "sha256", "sha512", "crc32", "crc64nvme", "blake3"}


def message_event(message: dict[str, str]) -> dict[str, Any]:
    context = {"connectionId": "c1", "eventType": "MESSAGE", "requestId": "r1"}
    return {"requestContext": context, "body": json.dumps(message)}
