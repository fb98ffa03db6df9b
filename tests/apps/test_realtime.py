"""realtime and site: the WebSocket's conversation, and the custom resource's."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.apps.api_suite import ApiSuite
from tests.apps.lambdashare_local import Context, LocalShare, function

Sent = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    from lambdashare_core import broadcast

    found: Sent = []

    def post(connection: str, data: bytes) -> bool:
        found.append((connection, json.loads(data)))
        return connection != "gone"

    monkeypatch.setattr(broadcast, "_post", post)
    return found


def say(message: Any, connection: str = "c1", kind: str = "MESSAGE") -> None:
    context = {"connectionId": connection, "eventType": kind, "requestId": "r1"}
    body = message if isinstance(message, str) else json.dumps(message)
    answer = function("realtime").handler({"requestContext": context, "body": body}, None)
    assert answer == {"statusCode": 200}


def subscriptions() -> int:
    return int(boto3.client("dynamodb").scan(TableName="Connections")["Count"])


def test_conversation(share: LocalShare, sent: Sent) -> None:
    made = ApiSuite().make(share, b"live")
    topic = f"share:{made['id']}"
    say("", kind="CONNECT")
    say({"action": "subscribe", "topic": topic})
    assert sent[-1][1]["type"] == "subscribed" and sent[-1][1]["share"]["id"] == made["id"]
    say({"action": "subscribe", "topic": "stats"})
    say({"action": "subscribe", "topic": "stats"}, "c2")
    share.pump()
    kinds = [(connection, message["type"]) for connection, message in sent]
    assert ("c1", "file") in kinds and ("c2", "stats") in kinds and ("c2", "file") not in kinds
    say({"action": "ping"})
    assert sent[-1] == ("c1", {"type": "pong"})
    say({"action": "unsubscribe", "topic": "stats"}, "c2")
    assert sent[-1][1] == {"type": "unsubscribed", "topic": "stats"}
    say("", kind="DISCONNECT")
    assert subscriptions() == 0


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ({"action": "shout"}, 400),
        ({"action": "subscribe", "topic": "everything"}, 400),
        ({"action": "subscribe", "topic": "share:nope"}, 404),
        ({"action": "subscribe", "topic": f"share:{'a' * 22}"}, 404),
    ],
)
def test_bad_messages(share: LocalShare, sent: Sent, message: Any, status: int) -> None:
    say(message)
    assert sent[-1][1]["type"] == "error" and sent[-1][1]["status"] == status
    assert subscriptions() == 0


def test_a_connection_that_is_gone_is_forgotten(share: LocalShare, sent: Sent) -> None:
    say({"action": "subscribe", "topic": "stats"}, "gone")
    assert subscriptions() == 0


def test_topics_are_limited(share: LocalShare, sent: Sent) -> None:
    for n in range(21):
        row = {"topic": {"S": f"t{n}"}, "connection": {"S": "c1"}}
        boto3.client("dynamodb").put_item(TableName="Connections", Item=row)
    say({"action": "subscribe", "topic": "stats"})
    assert sent[-1][1]["status"] == 429


class CloudFormation:
    """Takes the answers of custom resources."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        taken = self.answers

        class Taker(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                length = int(self.headers["content-length"])
                taken.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Taker)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def ask(self, kind: str, bucket: str = "site") -> dict[str, Any]:
        event = {
            "RequestType": kind,
            "ResponseURL": self.url,
            "StackId": "stack",
            "RequestId": "r",
            "LogicalResourceId": "Site",
            "ResourceProperties": {"Bucket": bucket},
        }
        function("site").handler(event, Context())
        return self.answers[-1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_site_is_copied_replaced_and_emptied(
    share: LocalShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, asker = boto3.client("s3"), CloudFormation()
    s3.create_bucket(Bucket="site")
    monkeypatch.setattr(function("site"), "DIST", tmp_path / "dist")
    assert asker.ask("Create")["Data"] == {"Files": 1}
    assert b"not been built" in s3.get_object(Bucket="site", Key="index.html")["Body"].read()
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    for name in ("index.html", "verify.html", "assets/app.js", "assets/chunk-1a2b.js", "a.svg"):
        (tmp_path / "dist" / name).write_text(name)
    assert asker.ask("Update")["Status"] == "SUCCESS"
    page = s3.head_object(Bucket="site", Key="verify")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert "must-revalidate" in page["CacheControl"]
    chunk = s3.head_object(Bucket="site", Key="assets/chunk-1a2b.js")
    assert "immutable" in chunk["CacheControl"] and "javascript" in chunk["ContentType"]
    assert "immutable" not in s3.head_object(Bucket="site", Key="assets/app.js")["CacheControl"]
    (tmp_path / "dist" / "a.svg").unlink()
    asker.ask("Update")
    assert "a.svg" not in function("site").keys("site")
    assert asker.ask("Delete")["Status"] == "SUCCESS" and function("site").keys("site") == []
    failed = asker.ask("Create", "no-such-bucket")
    assert failed["Status"] == "FAILED" and "NoSuchBucket" in failed["Reason"]
    asker.close()
