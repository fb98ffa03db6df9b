"""λShare's API as anyone may use it. Runners say against what: see `test_api_*.py`.

A runner's `door` has `base`, `request(method, path, document, headers, body)`, and
`eventually(check)`, which gives events their time.
"""

import base64
import hashlib
import os
import threading
import zlib
from typing import Any

import pytest
import urllib3

HTTP = urllib3.PoolManager()
MIB = 1 << 20
ALGORITHMS = {"md5", "sha1", "sha256", "sha512", "crc32", "crc64nvme", "blake3"}


def b64(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put(url: dict[str, Any], data: bytes) -> str:
    answer = HTTP.request("PUT", url["url"], body=data, headers=url["headers"])
    assert answer.status == 200, answer.data
    return answer.headers["ETag"]


def owner(share: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {share['owner_token']}"}


class ApiSuite:
    def make(self, door: Any, data: bytes, name: str = "a b.txt", **more: Any) -> dict[str, Any]:
        """A share of one small file, uploaded."""
        file = {
            "name": name,
            "size": len(data),
            "type": "text/plain",
            "parts": [{"number": 1, "sha256": b64(data)}],
        }
        answer = door.request("POST", "/v1/shares", {"files": [file], **more})
        assert answer.status == 201, answer.body
        share: dict[str, Any] = answer.json()
        put(share["uploads"][0]["urls"][0], data)
        return share

    def hashed(self, door: Any, share: dict[str, Any]) -> dict[str, Any]:
        def check() -> Any:
            view = door.request("GET", f"/v1/shares/{share['id']}").json()
            return view if all(file["digests"] for file in view["files"]) else None

        view: dict[str, Any] = door.eventually(check)
        return view

    def test_small_file_is_stored_hashed_and_verified(self, door: Any) -> None:
        data = os.urandom(5000)
        share = self.make(door, data)
        assert share["url"].endswith(f"/s/{share['id']}")
        assert share["phase"] == "uploading" and len(share["id"]) == 22
        path = f"/v1/shares/{share['id']}/files/1"
        sha256 = hashlib.sha256(data).hexdigest()
        view = self.hashed(door, share)
        file = view["files"][0]
        assert set(file["digests"]) == ALGORITHMS
        assert file["digests"]["sha256"] == sha256
        assert file["digests"]["crc32"] == f"{zlib.crc32(data):08x}"
        assert file["phase"] == "hashed" and file["hashed_bytes"] == 5000
        answer = door.request("POST", f"{path}/digest", {"sha256": sha256}, owner(share))
        assert answer.json()["phase"] == "verified"
        assert answer.json()["witnesses"]["browser"] == sha256

    def test_multipart_upload(self, door: Any) -> None:
        data = os.urandom(11 * MIB + 17)
        size = 5 * MIB
        parts = [data[i : i + size] for i in range(0, len(data), size)]
        file = {"name": "big.bin", "size": len(data), "part_size": size}
        share = door.request("POST", "/v1/shares", {"files": [file]}).json()
        upload = share["uploads"][0]
        assert upload == {
            "n": 1,
            "method": "multipart",
            "part_size": size,
            "parts": 3,
            "urls": [],
        }
        path = f"/v1/shares/{share['id']}/files/1"
        asked = [{"number": i, "sha256": b64(part)} for i, part in enumerate(parts, 1)]
        urls = door.request("POST", f"{path}/parts", {"parts": asked}, owner(share)).json()["urls"]
        assert [url["size"] for url in urls] == [size, size, MIB + 17]
        etags = [put(urls[i], parts[i]) for i in (0, 1)]
        answer = door.request("POST", f"{path}/complete", {}, owner(share))
        assert answer.status == 409 and answer.json()["missing"] == [3]
        done = door.request("GET", f"{path}/parts", None, owner(share)).json()
        assert [part["number"] for part in done["parts"]] == [1, 2] and done["count"] == 3
        etags.append(put(urls[2], parts[2]))
        given = [asked[i] | {"etag": etags[i]} for i in range(3)]
        answer = door.request("POST", f"{path}/complete", {"parts": given}, owner(share))
        assert answer.status == 200, answer.body
        again = door.request("POST", f"{path}/complete", {"parts": given}, owner(share))
        assert again.status == 200
        digest = {"sha256": hashlib.sha256(data).hexdigest()}
        door.request("POST", f"{path}/digest", digest, owner(share))
        view = self.hashed(door, share)
        assert view["phase"] == "verified", view
        assert view["files"][0]["digests"]["sha256"] == digest["sha256"]

    def test_zero_bytes(self, door: Any) -> None:
        view = self.hashed(door, self.make(door, b"", "empty"))
        assert view["files"][0]["digests"]["md5"] == hashlib.md5(b"").hexdigest()

    def test_a_false_witness_quarantines(self, door: Any) -> None:
        share = self.make(door, b"truth")
        path = f"/v1/shares/{share['id']}/files/1"
        door.request("POST", f"{path}/digest", {"sha256": "0" * 64}, owner(share))
        assert self.hashed(door, share)["phase"] == "quarantined"
        answer = door.request("GET", f"/s/{share['id']}/1")
        assert answer.status == 409 and answer.json()["type"].endswith(":quarantined")

    def test_download_counts_once_and_carries_digest(self, door: Any) -> None:
        data = b"hello " * 100
        share = self.make(door, data, 'ü "q".txt')
        self.hashed(door, share)
        head = door.request("HEAD", f"/s/{share['id']}/1")
        assert head.status == 302
        answer = door.request("GET", f"/s/{share['id']}/1/anything")
        expected = base64.b64encode(hashlib.sha256(data).digest()).decode()
        assert f"sha-256=:{expected}:" in answer.headers["repr-digest"]
        got = HTTP.request("GET", answer.headers["location"], headers={"Range": "bytes=0-4"})
        assert (got.status, got.data) == (206, b"hello")
        assert "filename*=UTF-8''%C3%BC%20%22q%22.txt" in got.headers["content-disposition"]
        view = door.request("GET", f"/v1/shares/{share['id']}").json()
        assert view["files"][0]["downloads"] == 1

    def test_max_downloads_is_atomic(self, door: Any) -> None:
        share = self.make(door, b"limited", max_downloads=3)
        self.hashed(door, share)
        statuses: list[int] = []

        def download() -> None:
            statuses.append(door.request("GET", f"/s/{share['id']}/1").status)

        threads = [threading.Thread(target=download) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [302] * 3 + [410] * 5
        answer = door.request("GET", f"/s/{share['id']}/1")
        assert answer.json()["type"] == "urn:lambdashare:problem:download-limit"

    def test_found_by_any_sum(self, door: Any) -> None:
        data = os.urandom(1000)
        share = self.make(door, data, "found.bin")
        digests = self.hashed(door, share)["files"][0]["digests"]
        for digest in digests.values():
            found = door.request("GET", f"/v1/hashes/{digest.upper()}").json()
            assert found["files"][0]["share"] == share["id"], digest
            assert found["digests"] == digests
        short = digests["sha512"][:14]
        assert door.request("GET", f"/v1/hashes/{short}").json()["digests"] == digests
        as_long_as_another_sum = digests["sha512"][:16]  # a CRC64NVME has 16 digits, too
        found = door.request("GET", f"/v1/hashes/{as_long_as_another_sum}").json()
        assert found["digests"] == digests
        encoded = base64.urlsafe_b64encode(bytes.fromhex(digests["sha256"])).decode().rstrip("=")
        assert door.request("GET", f"/v1/hashes/{encoded}").status == 200
        page = door.request("GET", f"/h/{digests['blake3']}", headers={"Accept": "text/html"})
        assert page.status == 200 and b'data-page="hash"' in page.body
        line = door.request("GET", f"/h/{digests['md5']}.sha256").body.decode()
        assert line == f"{digests['sha256']}  found.bin\n"

    def test_unlisted_share_is_not_found_by_hash(self, door: Any) -> None:
        data = os.urandom(100)
        share = self.make(door, data, listed=False)
        self.hashed(door, share)
        digest = hashlib.sha256(data).hexdigest()
        assert door.request("GET", f"/v1/hashes/{digest}").status == 404
        door.request("PATCH", f"/v1/shares/{share['id']}", {"listed": True}, owner(share))
        assert door.request("GET", f"/v1/hashes/{digest}").status == 200

    def test_deleted_share_is_gone_everywhere(self, door: Any) -> None:
        data = os.urandom(100)
        share = self.make(door, data)
        digest = self.hashed(door, share)["files"][0]["digests"]["sha1"]
        location = door.request("GET", f"/s/{share['id']}/1").headers["location"]
        path = f"/v1/shares/{share['id']}"
        assert door.request("DELETE", path).status == 401
        wrong = {"Authorization": "Bearer nonsense"}
        assert door.request("DELETE", path, headers=wrong).status == 403
        assert door.request("DELETE", path, headers=owner(share)).status == 204
        for gone in (path, f"/s/{share['id']}", f"/s/{share['id']}/1", f"/h/{digest}"):
            answer = door.request("GET", gone)
            assert answer.status == 410, gone
        door.eventually(lambda: HTTP.request("GET", location).status in (403, 404))

        def buried() -> Any:
            answer = door.request("GET", path)
            assert answer.status == 410
            return answer.json()["tombstone"]["files"]

        assert door.eventually(buried)[0]["size"] == 100
        assert door.request("GET", f"/v1/hashes/{digest}").status == 410
        assert door.request("DELETE", path, headers=owner(share)).status == 204

    def test_expiry_changes(self, door: Any) -> None:
        share = self.make(door, b"x", expires_in_s=300)
        path = f"/v1/shares/{share['id']}"
        answer = door.request("PATCH", path, {"expires_in_s": 3600}, owner(share))
        assert answer.status == 200 and answer.json()["expires_at"] > share["expires_at"]
        for wrong in (299, 2592001, "300", True, None):
            answer = door.request("PATCH", path, {"expires_in_s": wrong}, owner(share))
            assert answer.status == 422, wrong
            assert answer.json()["errors"][0]["pointer"] == "/expires_in_s"

    def test_curl_is_redirected(self, door: Any) -> None:
        answer = door.request("PUT", "/notes.txt")
        assert answer.status == 307
        assert HTTP.request("PUT", answer.headers["location"], body=b"by curl").status == 200
        url = answer.headers["x-share-url"]
        assert answer.headers["link"] == f'<{url}>; rel="alternate"'
        view = self.hashed(door, {"id": answer.headers["x-share-id"]})
        assert view["files"][0]["name"] == "notes.txt" and view["size"] == 7
        assert view["phase"] == "hashed"

    def test_page_is_whole_without_script(self, door: Any) -> None:
        share = self.make(door, b"<>", "<script>.txt")
        self.hashed(door, share)
        answer = door.request("GET", f"/s/{share['id']}", headers={"Accept": "text/html"})
        page = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/html")
        assert "<script>.txt" not in page and "&lt;script&gt;.txt" in page
        assert 'data-page="share"' in page and f"/s/{share['id']}/1/" in page
        answer = door.request("GET", f"/s/{share['id']}", headers={"Accept": "application/json"})
        assert answer.json()["id"] == share["id"]

    def test_verification_receipt(self, door: Any) -> None:
        share = self.make(door, b"received")
        self.hashed(door, share)
        path = f"/v1/shares/{share['id']}/files/1/verifications"
        right = {"sha256": hashlib.sha256(b"received").hexdigest()}
        assert door.request("POST", path, right).json() == {"match": True}
        assert door.request("POST", path, {"sha256": "0" * 64}).json() == {"match": False}
        view = door.request("GET", f"/v1/shares/{share['id']}").json()
        assert view["files"][0]["verifications"] == 1

    def test_stats_count(self, door: Any) -> None:
        before = door.request("GET", "/v1/stats?range=hour").json()["totals"]
        share = self.make(door, b"counted")
        self.hashed(door, share)
        for _ in range(3):
            door.request("GET", f"/s/{share['id']}/1")

        def check() -> Any:
            now = door.request("GET", "/v1/stats?range=hour").json()
            return now if now["totals"]["downloads"] - before["downloads"] >= 3 else None

        now = door.eventually(check)
        assert len(now["buckets"]) == 60
        assert now["totals"]["uploads"] >= before["uploads"] + 1
        assert now["totals"]["bytes"] >= before["bytes"] + 7
        assert now["totals"]["latency"]["p50_ms"] is not None

    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "kind"),
        [
            ("POST", "/v1/shares", "{", 400, "malformed"),
            ("POST", "/v1/shares", "[]", 400, "malformed"),
            ("POST", "/v1/shares", "{}", 422, "invalid"),
            ("POST", "/v1/shares", '{"files": []}', 422, "invalid"),
            ("POST", "/v1/shares", '{"files": [{"name": "a"}]}', 422, "invalid"),
            ("POST", "/v1/shares", '{"files": [{"name": "../a", "size": 1}]}', 422, "invalid"),
            ("POST", "/v1/shares", '{"files": [{"name": "a", "size": -1}]}', 422, "invalid"),
            ("POST", "/v1/shares", '{"files": [{"name": "a", "size": 1e99}]}', 422, "invalid"),
            ("POST", "/v1/shares", f'{{"files": [{{"name": "a", "size": {10**15}}}]}}', 413, None),
            ("GET", "/v1/shares/nope", "", 404, "not-found"),
            ("GET", f"/v1/shares/{'a' * 22}", "", 404, "not-found"),
            ("GET", f"/s/{'a' * 22}/1", "", 404, "not-found"),
            ("GET", "/v1/hashes/xyz", "", 400, "malformed"),
            ("GET", f"/v1/hashes/{'0' * 11}", "", 400, "malformed"),
            ("GET", f"/v1/hashes/{'0' * 64}", "", 404, "not-found"),
            ("GET", f"/h/{'0' * 64}.sha3", "", 400, "malformed"),
            ("GET", "/v1/stats?range=year", "", 400, "malformed"),
            ("GET", "/v1/nothing", "", 404, "not-found"),
            ("POST", "/v1/stats", "", 405, "method-not-allowed"),
            ("DELETE", "/v1/shares", "", 405, "method-not-allowed"),
        ],
    )
    def test_bad_input(
        self, door: Any, method: str, path: str, body: str, status: int, kind: str | None
    ) -> None:
        answer = door.request(method, path, body=body)
        assert answer.status == status, answer.body
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert set(document) >= {"type", "title", "status", "detail", "instance"}
        assert document["status"] == status and document["instance"]
        if kind:
            assert document["type"] == f"urn:lambdashare:problem:{kind}"
        if status == 405:
            assert answer.headers["allow"]
