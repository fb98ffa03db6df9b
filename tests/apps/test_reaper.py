"""reaper: what is over goes, whichever way it is learnt of; what lives stays."""

from typing import Any

import boto3
import pytest

from tests.apps.api_suite import ApiSuite, owner
from tests.apps.lambdashare_local import Context, LocalShare, function

SUITE = ApiSuite()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`later(seconds)` moves the clock of every function."""
    import lambdashare_core.moments as moments

    start = moments.now_ms

    def move(seconds: float) -> None:
        def moved() -> int:
            return start() + int(seconds * 1000)

        function("reaper"), function("uploads"), function("downloads")
        import reaper_bury
        import reaper_sweep
        import upload_plan
        import upload_shares
        from lambdashare_core import shares

        for module in (reaper_bury, reaper_sweep, upload_plan, upload_shares, shares, moments):
            monkeypatch.setattr(module, "now_ms", moved)

    return move


def objects() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket="uploads").get("Contents", [])
    return [each["Key"] for each in found]


def test_expired_is_410_at_once_and_buried_by_the_minute(share: LocalShare, later: Any) -> None:
    made = SUITE.make(share, b"short-lived", expires_in_s=300)
    digest = SUITE.hashed(share, made)["files"][0]["digests"]["blake3"]
    keeps = SUITE.make(share, b"long-lived")
    SUITE.hashed(share, keeps)
    later(301)
    for path in (f"/s/{made['id']}", f"/s/{made['id']}/1", f"/h/{digest}"):
        assert share.request("GET", path).status == 410, path
    assert len(objects()) == 2  # only reads filter so far
    assert function("reaper").handler({}, Context()) == {"expired": 1}
    assert objects() == [f"shares/{keeps['id']}/1"]
    assert function("reaper").handler({}, Context()) == {"expired": 0}
    answer = share.request("GET", f"/v1/hashes/{digest}")
    assert answer.status == 410 and answer.json()["tombstone"]["size"] == 11
    assert share.request("GET", f"/v1/shares/{made['id']}").status == 410
    assert share.request("GET", f"/v1/shares/{keeps['id']}").status == 200


def test_removal_by_ttl_is_an_end_too(share: LocalShare, later: Any) -> None:
    made = SUITE.make(share, b"ttl", expires_in_s=300)
    SUITE.hashed(share, made)
    later(301)
    key = {"share": {"S": made["id"]}, "item": {"S": "share"}}
    boto3.client("dynamodb").delete_item(TableName="Files", Key=key)
    assert share.request("GET", f"/s/{made['id']}").status == 410  # before the reaper, too
    share.pump()
    assert objects() == []
    answer = share.request("GET", f"/v1/shares/{made['id']}")
    assert answer.status == 410 and answer.json()["tombstone"]["files"][0]["size"] == 3


def test_extended_share_is_not_buried_by_an_old_index(share: LocalShare, later: Any) -> None:
    made = SUITE.make(share, b"extended", expires_in_s=300)
    SUITE.hashed(share, made)
    path = f"/v1/shares/{made['id']}"
    share.request("PATCH", path, {"expires_in_s": 7200}, owner(made))
    later(400)
    assert function("reaper").handler({}, Context()) == {"expired": 0}
    from lambdashare_core import tables

    old = tables.get("Files", share=made["id"], item="share")
    function("reaper").handler({"Records": [removed(old)]}, Context())
    assert share.request("GET", path).status == 200


def removed(meta: Any) -> dict[str, Any]:
    from lambdashare_core import tables

    change = {"OldImage": tables.attributes_of(meta), "SequenceNumber": "1"}
    return {"eventName": "REMOVE", "dynamodb": change}


def test_reconciliation_deletes_what_nobody_owns(share: LocalShare, later: Any) -> None:
    s3 = boto3.client("s3")
    made = SUITE.make(share, b"kept", expires_in_s=86400)
    orphan = f"shares/{'z' * 22}/1"
    s3.put_object(Bucket="uploads", Key=orphan, Body=b"late PUT")
    upload = s3.create_multipart_upload(Bucket="uploads", Key=orphan)["UploadId"]
    assert function("reaper").handler({"reconcile": True}, Context())["objects"] == 0  # young
    later(3 * 3600)
    found = function("reaper").handler({"reconcile": True}, Context())
    assert found == {"expired": 0, "objects": 1, "uploads": 0}
    assert objects() == [f"shares/{made['id']}/1"]
    later(49 * 3600)
    found = function("reaper").handler({"reconcile": True}, Context())
    assert found["expired"] == 1 and objects() == []
    left = s3.list_multipart_uploads(Bucket="uploads").get("Uploads", [])
    assert upload not in [each["UploadId"] for each in left]


def test_files_without_a_share_are_swept(share: LocalShare, later: Any) -> None:
    """A crash between the items of a new share leaves files that nobody can address."""
    made = SUITE.make(share, b"half")
    key = {"share": {"S": made["id"]}, "item": {"S": "share"}}
    boto3.client("dynamodb").delete_item(TableName="Files", Key=key)
    assert function("reaper").handler({"reconcile": True}, Context())["expired"] == 0
    later(3 * 3600)
    assert function("reaper").handler({"reconcile": True}, Context())["expired"] == 1
    assert objects() == []


def test_unfinished_uploads_of_a_deleted_share_are_aborted(share: LocalShare) -> None:
    file = {"name": "big", "size": 40 << 20}
    made = share.request("POST", "/v1/shares", {"files": [file]}).json()
    s3 = boto3.client("s3")
    assert len(s3.list_multipart_uploads(Bucket="uploads")["Uploads"]) == 1
    share.request("DELETE", f"/v1/shares/{made['id']}", headers=owner(made))
    share.pump()
    assert s3.list_multipart_uploads(Bucket="uploads").get("Uploads", []) == []


def test_a_failure_is_reported_for_another_try(
    share: LocalShare, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SUITE.make(share, b"stuck", expires_in_s=300)
    from lambdashare_core import tables

    meta = tables.get("Files", share=made["id"], item="share")
    later(301)
    monkeypatch.setenv("UPLOADS_BUCKET", "nowhere")
    answer = function("reaper").handler({"Records": [removed(meta)]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
