"""What λShare does by itself on cloudlet: live messages, counting, and an end to everything."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from websockets.sync.client import ClientConnection, connect

from cloudlet.store import sealing
from tests.apps.api_suite import ApiSuite, b64, owner, put
from tests.apps.http_door import HttpDoor
from tests.server import Server

MIB = 1 << 20
SUITE = ApiSuite()
HTTP = urllib3.PoolManager()


@pytest.fixture
def door(lambdashare: Server) -> HttpDoor:
    return HttpDoor(lambdashare.url)


def bucket(server: Server) -> str:
    names = [each["Name"] for each in server.client("s3").list_buckets()["Buckets"]]
    (found,) = [name for name in names if "uploads" in name]
    return str(found)


def files_table(server: Server) -> str:
    names = server.client("dynamodb").list_tables()["TableNames"]
    (found,) = [name for name in names if "FilesTable" in name]
    return str(found)


def test_downloads_have_ranges(door: HttpDoor) -> None:
    data = os.urandom(3 * MIB)
    share = SUITE.make(door, data, "ranges.bin")
    SUITE.hashed(door, share)
    url = door.request("GET", f"/s/{share['id']}/1").headers["location"]
    for asked, status, expected in (
        ("bytes=0-0", 206, data[:1]),
        ("bytes=1000000-1999999", 206, data[1_000_000:2_000_000]),
        ("bytes=-5", 206, data[-5:]),
        (f"bytes={2 * MIB}-", 206, data[2 * MIB :]),
        (f"bytes={3 * MIB}-", 416, None),
    ):
        answer = HTTP.request("GET", url, headers={"Range": asked})
        assert answer.status == status, asked
        if expected is not None:
            assert answer.data == expected, asked
            assert answer.headers["Accept-Ranges"] == "bytes"


def blobs_of_size(server: Server, size: int) -> list[Path]:
    """Sealed, each chunk is longer by its tag."""
    size += -(-size // sealing.CHUNK_BYTES) * (sealing.SEALED_BYTES - sealing.CHUNK_BYTES)
    files = (path for path in (server.data / "blobs").rglob("*") if path.is_file())
    return [path for path in files if path.stat().st_size == size]


def stored(server: Server, share: str) -> list[str]:
    found = server.client("s3").list_objects_v2(Bucket=bucket(server), Prefix=f"shares/{share}/")
    return [each["Key"] for each in found.get("Contents", [])]


def test_a_deleted_shares_bytes_leave_the_disk(lambdashare: Server, door: HttpDoor) -> None:
    size = MIB + 4711
    share = SUITE.make(door, os.urandom(size))
    digest = SUITE.hashed(door, share)["files"][0]["digests"]["sha256"]
    assert len(blobs_of_size(lambdashare, size)) == 1
    path = f"/v1/shares/{share['id']}"
    assert door.request("DELETE", path, headers=owner(share)).status == 204
    for gone in (f"/s/{share['id']}", f"/h/{digest}", path):
        assert door.request("GET", gone).status == 410
    door.eventually(lambda: not blobs_of_size(lambdashare, size))
    assert stored(lambdashare, share["id"]) == []


def test_an_expired_share_ends_by_itself(lambdashare: Server, door: HttpDoor) -> None:
    """410 at once; then the table's sweep removes the item, its stream wakes the reaper.

    The clock is not ours over HTTP: the times in the record are moved instead.
    """
    size = MIB + 815
    share = SUITE.make(door, os.urandom(size), expires_in_s=300)
    digest = SUITE.hashed(door, share)["files"][0]["digests"]["blake3"]
    past_s = int(time.time()) - 10
    lambdashare.client("dynamodb").update_item(
        TableName=files_table(lambdashare),
        Key={"share": {"S": share["id"]}, "item": {"S": "share"}},
        UpdateExpression="SET expires_at = :ms, #ttl = :s",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues={":ms": {"N": str(past_s * 1000)}, ":s": {"N": str(past_s)}},
    )
    pages = (f"/s/{share['id']}", f"/s/{share['id']}/1", f"/h/{digest}")
    for gone in pages:
        answer = door.request("GET", gone)
        assert answer.status == 410 and answer.json()["type"].endswith(":expired"), gone
    door.eventually(lambda: not blobs_of_size(lambdashare, size))
    assert stored(lambdashare, share["id"]) == []
    for gone in pages:  # between the sweep and the tombstone nobody knows the share
        door.eventually(lambda gone=gone: door.request("GET", gone).status == 410)
    tombstone = door.request("GET", f"/v1/hashes/{digest}").json()["tombstone"]
    assert tombstone["size"] == size


def test_every_upload_and_download_is_counted_once(door: HttpDoor) -> None:
    before = door.request("GET", "/v1/stats").json()["totals"]
    files = [os.urandom(1000 + n) for n in range(6)]
    shares = [SUITE.make(door, data, f"counted {n}.png") for n, data in enumerate(files)]
    for share in shares:
        SUITE.hashed(door, share)
    for share, times in zip(shares, (0, 1, 2, 3, 4, 5), strict=True):
        for _ in range(times):
            assert door.request("GET", f"/s/{share['id']}/1").status == 302
            assert door.request("HEAD", f"/s/{share['id']}/1").status == 302
    sha256 = hashlib.sha256(files[0]).hexdigest()
    receipt = f"/v1/shares/{shares[0]['id']}/files/1/verifications"
    assert door.request("POST", receipt, {"sha256": sha256}).json() == {"match": True}
    expected = {
        "uploads": 6,
        "hashes": 6,
        "downloads": 15,
        "verifications": 1,
        "bytes": sum(len(data) for data in files),
        "quarantined": 0,
    }

    def counted() -> dict[str, int]:
        now = door.request("GET", "/v1/stats").json()["totals"]
        return {name: now[name] - before[name] for name in expected}

    door.eventually(lambda: counted()["downloads"] >= 15 and counted()["hashes"] >= 6)
    door.eventually(lambda: counted() == expected)
    downloads = [
        door.request("GET", f"/v1/shares/{share['id']}").json()["files"][0]["downloads"]
        for share in shares
    ]
    assert downloads == [0, 1, 2, 3, 4, 5]


class Live:
    """A WebSocket and what came over it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.heard: list[dict[str, Any]] = []

    def say(self, action: str, topic: str = "") -> None:
        self._socket.send(json.dumps({"action": action, "topic": topic}))

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 90
        while (left := deadline - time.monotonic()) > 0:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=left))
            self.heard.append(message)
            if message["type"] == kind and fields.items() <= message.get("file", message).items():
                return message
        raise AssertionError(f"no {kind} in {self.heard}")


@pytest.fixture
def live(lambdashare: Server) -> Iterator[Live]:
    with connect(lambdashare.url.replace("http", "ws") + "/live") as socket:
        yield Live(socket)


def test_phases_and_sums_come_over_the_websocket(door: HttpDoor, live: Live) -> None:
    part, count = os.urandom(32 * MIB), 12  # enough for a second's hashing, or nearly
    file = {"name": "big.bin", "size": count * len(part), "part_size": len(part)}
    share = door.request("POST", "/v1/shares", {"files": [file]}).json()
    live.say("subscribe", f"share:{share['id']}")
    assert live.until("subscribed")["share"]["phase"] == "uploading"
    path = f"/v1/shares/{share['id']}/files/1"
    asked = [{"number": n, "sha256": b64(part)} for n in range(1, count + 1)]
    urls = door.request("POST", f"{path}/parts", {"parts": asked}, owner(share)).json()["urls"]
    for url in urls:
        put(url, part)
    door.request("POST", f"{path}/complete", {}, owner(share))
    sha256 = hashlib.sha256(part * count).hexdigest()
    door.request("POST", f"{path}/digest", {"sha256": sha256}, owner(share))
    verified = live.until("file", phase="verified")
    assert verified["file"]["digests"]["sha256"] == sha256
    kinds = [each["type"] for each in live.heard]
    assert "progress" in kinds, kinds
    progress = [each["hashed_bytes"] for each in live.heard if each["type"] == "progress"]
    assert progress == sorted(progress) and 0 < progress[-1] <= file["size"]
    phases = [each["file"]["phase"] for each in live.heard if each["type"] == "file"]
    order = ["uploading", "storing", "hashing", "hashed", "verified"]
    assert sorted(phases, key=order.index) == phases and "hashing" in phases
    assert door.request("DELETE", f"/v1/shares/{share['id']}", headers=owner(share)).status == 204
    assert live.until("gone")["reason"] == "deleted"


def test_statistics_come_over_the_websocket(door: HttpDoor, live: Live) -> None:
    live.say("subscribe", "stats")
    live.until("subscribed")
    SUITE.hashed(door, SUITE.make(door, b"12345"))
    uploads = size = 0
    while not (uploads and size):
        for each in live.until("stats")["buckets"]:
            uploads, size = uploads + each["uploads"], size + each["bytes"]
    assert (uploads, size) == (1, 5)


def test_the_websocket_says_what_is_wrong(live: Live) -> None:
    live.say("ping")
    live.until("pong")
    live.say("subscribe", f"share:{'a' * 22}")
    assert live.until("error")["status"] == 404
    live.say("dance")
    assert live.until("error")["status"] == 400


def test_errors_of_pages_are_pages(door: HttpDoor) -> None:
    for path, status in (("/nowhere", 404), ("/no/where", 404), (f"/s/{'a' * 22}", 404)):
        answer = door.request("GET", path, headers={"Accept": "text/html,*/*"})
        assert answer.status == status and b'data-page="error"' in answer.body, path
        answer = door.request("GET", path, headers={"Accept": "application/json"})
        assert answer.status == status and answer.json()["type"].endswith(":not-found"), path
    assert door.request("DELETE", "/nowhere").headers["allow"] == "PUT"
