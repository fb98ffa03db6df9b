"""Attacks on λShare, each of which once worked or nearly did: what holds against them."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from lambdashare import receiving
from tests.apps.lambdashare_local import Context, LocalShare, function, s3_record


@pytest.mark.parametrize(
    "kind",
    ["image/png,text/html", "image/ png", "text/html\t", "image/", "a/b;", "a/b; c", "a/b\r\nX: y"],
)
def test_a_type_that_a_browser_could_read_twice_is_refused(share: LocalShare, kind: str) -> None:
    wish = {"files": [{"name": "a", "size": 1, "type": kind}]}
    answer = share.request("POST", "/v1/shares", wish)
    assert answer.status == 422
    assert answer.json()["errors"][0]["pointer"] == "/files/0/type"


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", 'a/b;c="d e"', "image/svg+xml"])
def test_proper_types_are_taken(share: LocalShare, kind: str) -> None:
    wish = {"files": [{"name": "a", "size": 1, "type": kind}]}
    assert share.request("POST", "/v1/shares", wish).status == 201


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("image/png", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("image/SVG+xml", "attachment"),
        ("image/x+xml", "attachment"),
        ("image/svg ;a=b", "attachment"),
        ("text/html", "attachment"),
        ("image/png,text/html", "attachment"),
        ("image/png;a=b,text/html", "attachment"),
        ("video/<script>", "attachment"),
    ],
)
def test_only_harmless_types_are_shown_in_place(kind: str, how: str) -> None:
    """A page shown in place would have the origin of the service's own pages."""
    function("downloads")
    import download_files

    item = {"share": "x" * 22, "n": 1, "name": "a", "type": kind}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPLOADS_BUCKET", "uploads")
        patch.setattr(download_files.tables, "signer", _Signer)
        query = parse_qs(urlsplit(download_files._signed_get(item, inline=True)).query)
    assert query["disposition"][0].partition(";")[0] == how


class _Signer:
    def generate_presigned_url(self, _: str, Params: dict[str, Any], ExpiresIn: int) -> str:
        from urllib.parse import urlencode

        assert ExpiresIn <= 300
        return "http://s3/?" + urlencode({"disposition": Params["ResponseContentDisposition"]})


def test_a_second_write_with_the_same_etag_is_hashed_again(
    share: LocalShare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ETags are MD5 sums, of which two files can have the same: here by a storage that lies."""
    hasher = function("hasher")
    import hasher_job

    found = share.request("PUT", "/data.bin").headers["x-share-id"]
    key = f"shares/{found}/1"
    etag = boto3.client("s3").put_object(Bucket="uploads", Key=key, Body=b"good")["ETag"]
    first = s3_record(key, etag, 4, "2026-01-01T00:00:00.000Z")
    assert hasher.handler({"Records": [first]}, Context())["outcomes"] == ["hashed"]
    again = s3_record(key, etag, 4, "2026-01-01T00:00:01.000Z")
    assert hasher.handler({"Records": [again]}, Context())["outcomes"] == ["known"]
    assert _phase(share, found) == "hashed"
    monkeypatch.setattr(hasher_job, "fetch", lambda job, first, end: b"evil"[first:end])
    assert hasher.handler({"Records": [first]}, Context())["outcomes"] == ["known"]
    assert hasher.handler({"Records": [again]}, Context())["outcomes"] == ["replaced"]
    assert _phase(share, found) == "quarantined"
    assert share.request("GET", f"/s/{found}/1").status == 409


def _phase(share: LocalShare, found: str) -> str:
    return str(share.request("GET", f"/v1/shares/{found}").json()["files"][0]["phase"])


@pytest.mark.parametrize("name", ["a\x9b31m", "a\x7f", "exe\u202egpj.txt", "a\u2028b", "a\u2066b"])
def test_names_cannot_drive_a_terminal_or_turn_text_around(share: LocalShare, name: str) -> None:
    answer = share.request("POST", "/v1/shares", {"files": [{"name": name, "size": 1}]})
    assert answer.status == 422
    with pytest.raises(ValueError, match="not a safe file name"):
        receiving.local_name(name)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\\..\\b", "a//b", "\x1b[2J", "a\0b", "."])
def test_hostile_servers_names_stay_below(name: str) -> None:
    with pytest.raises(ValueError, match="not a safe file name"):
        receiving.local_name(name)


@pytest.mark.parametrize("topic", ["", "share:", "x" * 5000, "share:" + "x" * 3000, [], None])
@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_odd_topics_get_an_answer(
    share: LocalShare, monkeypatch: pytest.MonkeyPatch, action: str, topic: Any
) -> None:
    assert _say(monkeypatch, {"action": action, "topic": topic})["type"] == "error"


@pytest.mark.parametrize("action", [[], {}, None, 1, "__class__"])
def test_odd_actions_get_an_answer(monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    assert _say(monkeypatch, {"action": action})["type"] == "error"


def _say(monkeypatch: pytest.MonkeyPatch, message: Any) -> dict[str, Any]:
    from lambdashare_core import broadcast

    sent: list[dict[str, Any]] = []

    def post(_: str, data: bytes) -> bool:
        sent.append(json.loads(data))
        return True

    monkeypatch.setattr(broadcast, "_post", post)
    context = {"connectionId": "c1", "eventType": "MESSAGE", "requestId": "r1"}
    event = {"requestContext": context, "body": json.dumps(message)}
    assert function("realtime").handler(event, None) == {"statusCode": 200}
    return sent[-1]
