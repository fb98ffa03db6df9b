"""Bucket replication between buckets of one cloudlet and of two, with boto3."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.s3 import remotes
from tests.server import Server

TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}
ALL = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
}


def eventually(check: Callable[[], Any]) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


def role(server: Server, name: str = "copier", policy: Any = ALL) -> str:
    iam = server.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    arn: str = made["Role"]["Arn"]
    return arn


def bucket(client: Any, name: str) -> None:
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def rule(destination: str, **changes: Any) -> dict[str, Any]:
    return {
        "ID": destination,
        "Priority": 1,
        "Filter": {},
        "Status": "Enabled",
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
        **changes,
    }


def replicate(client: Any, source: str, role_arn: str, *rules: dict[str, Any]) -> None:
    client.put_bucket_replication(
        Bucket=source, ReplicationConfiguration={"Role": role_arn, "Rules": list(rules)}
    )


def status(client: Any, bucket: str, key: str) -> str | None:
    found: str | None = client.head_object(Bucket=bucket, Key=key).get("ReplicationStatus")
    return found


def is_copied(client: Any, bucket: str, key: str) -> Callable[[], bool]:
    return lambda: status(client, bucket, key) == "COMPLETED"


def remote_add(
    server: Server, name: str, other: Server, there: str, secret: str | None = None
) -> str:
    """What it warns of."""
    key = other.root_key
    return subprocess.run(
        [sys.executable, "-m", "cloudlet", "remote", "add", name, "--endpoint", other.endpoint,
         "--bucket", there, "--access-key", key["AccessKeyId"], "--data", str(server.data)],
        check=True, capture_output=True, text=True,
        env={**os.environ, "CLOUDLET_REMOTE_SECRET_KEY": secret or key["SecretAccessKey"]},
    ).stderr  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("here") / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def s3(server: Server) -> Any:
    return server.client("s3")


@pytest.fixture(scope="module")
def copier(server: Server) -> str:
    return role(server)


def test_locks_go_along(s3: Any, copier: str) -> None:
    """s3-112: a version is locked there as here, or as the other bucket's default says."""
    for name in ("locked-source", "locked-copy"):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    bucket(s3, "unlocked")
    with pytest.raises(ClientError, match="must have object lock enabled"):
        replicate(s3, "locked-source", copier, rule("unlocked"))
    default = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket="locked-copy",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": default},
    )
    for source in ("locked-source", "unlocked"):
        replicate(s3, source, copier, rule("locked-copy"))
    until = datetime(2126, 1, 1, tzinfo=UTC)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    s3.put_object(
        Bucket="locked-source", Key="own", Body=b"x", ObjectLockLegalHoldStatus="ON", **lock
    )
    s3.put_object(Bucket="unlocked", Key="default", Body=b"x" * 300_000)
    eventually(is_copied(s3, "locked-source", "own"))
    eventually(is_copied(s3, "unlocked", "default"))
    copy = s3.head_object(Bucket="locked-copy", Key="own")
    assert copy.items() >= {**lock, "ObjectLockLegalHoldStatus": "ON"}.items()
    assert s3.head_object(Bucket="locked-copy", Key="default")["ObjectLockMode"] == "GOVERNANCE"


def test_a_copy_has_all_that_the_object_has(s3: Any, copier: str) -> None:
    bucket(s3, "one-source")
    bucket(s3, "one-copy")
    replicate(s3, "one-source", copier, rule("one-copy"))
    said = {"Metadata": {"a": "b"}, "ContentType": "text/plain", "CacheControl": "no-cache"}
    s3.put_object(Bucket="one-source", Key="k", Body=b"body", Tagging="t=1", **said)
    eventually(is_copied(s3, "one-source", "k"))
    copy = s3.get_object(Bucket="one-copy", Key="k")
    assert copy["Body"].read() == b"body"
    assert copy["ReplicationStatus"] == "REPLICA"
    assert {name: copy[name] for name in said} == said
    tags = s3.get_object_tagging(Bucket="one-copy", Key="k")["TagSet"]
    assert tags == [{"Key": "t", "Value": "1"}]

    s3.put_object_tagging(
        Bucket="one-source", Key="k", Tagging={"TagSet": [{"Key": "t", "Value": "2"}]}
    )
    eventually(
        lambda: (
            s3.get_object_tagging(Bucket="one-copy", Key="k")["TagSet"][0]["Value"] == "2"
            and status(s3, "one-source", "k") == "COMPLETED"
        )
    )

    s3.delete_object(Bucket="one-source", Key="k")
    eventually(lambda: "Contents" not in s3.list_objects_v2(Bucket="one-copy"))
    versions = s3.list_object_versions(Bucket="one-copy")
    assert len(versions["Versions"]) == len(versions["DeleteMarkers"]) == 1


def test_parts_stay_parts(s3: Any, copier: str) -> None:
    bucket(s3, "parts-source")
    bucket(s3, "parts-copy")
    replicate(s3, "parts-source", copier, rule("parts-copy"))
    for key, more in (("a", {}), ("b", {"ChecksumAlgorithm": "SHA256"})):
        began = s3.create_multipart_upload(Bucket="parts-source", Key=key, **more)
        where = {"Bucket": "parts-source", "Key": key, "UploadId": began["UploadId"]}
        bodies = (b"x" * (5 << 20), b"tail")
        answers = [
            s3.upload_part(**where, PartNumber=number, Body=body, **more)
            for number, body in enumerate(bodies, 1)
        ]
        names = ("ETag", "ChecksumSHA256") if more else ("ETag",)
        parts = [
            {"PartNumber": number, **{name: answer[name] for name in names}}
            for number, answer in enumerate(answers, 1)
        ]
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        eventually(is_copied(s3, "parts-source", key))
        known = [
            s3.head_object(Bucket=name, Key=key, ChecksumMode="ENABLED")
            for name in ("parts-source", "parts-copy")
        ]
        same = ("ETag", "ContentLength", "ChecksumType", *(["ChecksumSHA256"] if more else []))
        assert [known[0][name] for name in same] == [known[1][name] for name in same]


def test_circles_and_chains_end(s3: Any, copier: str) -> None:
    for name in ("left", "right", "third"):
        bucket(s3, f"{name}-side")
    replicate(s3, "left-side", copier, rule("right-side"))
    replicate(s3, "right-side", copier, rule("left-side"), rule("third-side", Priority=2))
    s3.put_object(Bucket="left-side", Key="from-left", Body=b"1")
    s3.put_object(Bucket="right-side", Key="from-right", Body=b"2")
    eventually(is_copied(s3, "left-side", "from-left"))
    eventually(is_copied(s3, "right-side", "from-right"))
    listed = s3.list_object_versions(Bucket="left-side")["Versions"]
    assert [each["Key"] for each in listed] == ["from-left", "from-right"]
    third = s3.list_objects_v2(Bucket="third-side")["Contents"]
    assert [each["Key"] for each in third] == ["from-right"]


def test_a_role_that_may_not_fails(server: Server, s3: Any) -> None:
    bucket(s3, "poor-source")
    bucket(s3, "poor-copy")
    only = {**ALL, "Statement": {**ALL["Statement"], "NotResource": "arn:aws:s3:::*/secret*"}}
    del only["Statement"]["Resource"]
    replicate(s3, "poor-source", role(server, "poor", only), rule("poor-copy"))
    s3.put_object(Bucket="poor-source", Key="secret", Body=b"1")
    s3.put_object(Bucket="poor-source", Key="open", Body=b"1")
    eventually(is_copied(s3, "poor-source", "open"))
    eventually(lambda: status(s3, "poor-source", "secret") == "FAILED")


def test_a_destination_of_somebody_else_fails(server: Server, s3: Any, copier: str) -> None:
    bucket(s3, "mine-source")
    bucket(s3, "mine-copy")
    to = {"Bucket": "arn:aws:s3:::mine-copy", "Account": "111111111111"}
    replicate(s3, "mine-source", copier, rule("mine-copy", Destination=to))
    s3.put_object(Bucket="mine-source", Key="k", Body=b"1")
    eventually(lambda: status(s3, "mine-source", "k") == "FAILED")


def test_remotes_are_listed_and_forgotten(server: Server) -> None:
    def remote(*words: str) -> str:
        command = [sys.executable, "-m", "cloudlet", "remote", *words, "--data", str(server.data)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout

    assert "cannot be used yet: NoSuchBucket: " in remote_add(
        server, "listed-one", server, "over-there"
    )
    server.client("s3").create_bucket(Bucket="over-there")
    assert "SignatureDoesNotMatch" in remote_add(server, "listed-one", server, "over-there", "no")
    assert remote_add(server, "listed-one", server, "over-there") == ""
    assert f"listed-one  {server.endpoint}  over-there" in remote("list")
    kept = (server.data / "remotes" / "listed-one.json").read_text()
    assert server.root_key["SecretAccessKey"] not in kept
    remote("remove", "listed-one")
    assert "listed-one" not in remote("list")


def test_what_was_there_before_is_copied_when_asked(server: Server, s3: Any, copier: str) -> None:
    bucket(s3, "old-source")
    bucket(s3, "old-copy")
    for number in range(3):
        s3.put_object(Bucket="old-source", Key=f"k{number}", Body=b"1")
    replicate(s3, "old-source", copier, rule("old-copy"))
    assert status(s3, "old-source", "k1") is None
    subprocess.run(
        [sys.executable, "-m", "cloudlet", "remote", "sync", "old-source",
         "--data", str(server.data)], check=True,
    )  # fmt: skip
    for number in range(3):
        eventually(is_copied(s3, "old-source", f"k{number}"))
    assert len(s3.list_object_versions(Bucket="old-copy")["Versions"]) == 3


def test_another_cloudlet_that_is_down_for_a_while(
    server: Server, s3: Any, copier: str, tmp_path: Path
) -> None:
    other = Server(tmp_path / "other").start()
    try:
        there = other.client("s3")
        bucket(there, "shelf")
        bucket(s3, "shelf")
        bucket(s3, "near-copy")
        remote_add(server, "far-away", other, "shelf")
        replicate(s3, "shelf", copier, rule("far-away"), rule("near-copy", Priority=2))
        s3.put_object(Bucket="shelf", Key="first", Body=b"1" * 100_000)
        eventually(is_copied(s3, "shelf", "first"))
        assert there.get_object(Bucket="shelf", Key="first")["Body"].read() == b"1" * 100_000

        other.kill()
        s3.put_object(Bucket="shelf", Key="second", Body=b"2")
        eventually(lambda: s3.list_objects_v2(Bucket="near-copy")["KeyCount"] == 2)
        assert status(s3, "shelf", "second") == "PENDING"
        other.start()
        eventually(is_copied(s3, "shelf", "second"))
        assert there.get_object(Bucket="shelf", Key="second")["Body"].read() == b"2"

        bucket_gone = rule("nowhere")
        remote_add(server, "nowhere", other, "nowhere")
        replicate(s3, "shelf", copier, bucket_gone)
        s3.put_object(Bucket="shelf", Key="third", Body=b"3")
        eventually(lambda: status(s3, "shelf", "third") == "FAILED")
    finally:
        other.stop()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Destination": {"Bucket": "arn:aws:s3:::not-there-at-all"}}, "InvalidRequest"),
        ({"Destination": {"Bucket": "not-there"}}, "InvalidArgument"),
        ({"Priority": None}, "InvalidRequest"),
        ({"DeleteMarkerReplication": None}, "InvalidRequest"),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, "InvalidRequest"),
        ({"Status": "On"}, "MalformedXML"),
        ({"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}},
         "InvalidRequest"),
    ],
)  # fmt: skip
def test_what_rules_must_be(s3: Any, copier: str, changes: dict[str, Any], code: str) -> None:
    """s3-075: a destination that is not there is told as one without versions."""
    for name in ("checked-source", "checked-copy"):
        bucket(s3, name)
    wanted = {
        name: each for name, each in rule("checked-copy", **changes).items() if each is not None
    }
    with pytest.raises(ClientError) as caught:
        replicate(s3, "checked-source", copier, wanted)
    assert caught.value.response["Error"]["Code"] == code


def test_circles_between_cloudlets_end(
    server: Server, s3: Any, copier: str, tmp_path: Path
) -> None:
    other = Server(tmp_path / "there").start()
    try:
        there = other.client("s3")
        bucket(s3, "circle-here")
        bucket(there, "circle-there")
        remote_add(server, "to-there", other, "circle-there")
        remote_add(other, "to-here", server, "circle-here")
        replicate(s3, "circle-here", copier, rule("to-there"))
        replicate(there, "circle-there", role(other), rule("to-here"))
        s3.put_object(Bucket="circle-here", Key="k", Body=b"1")
        eventually(is_copied(s3, "circle-here", "k"))
        assert status(there, "circle-there", "k") == "REPLICA"
        s3.put_object_tagging(
            Bucket="circle-here", Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
        )
        there.put_object(Bucket="circle-there", Key="end", Body=b"2")
        eventually(is_copied(there, "circle-there", "end"))
        eventually(is_copied(s3, "circle-here", "k"))
        assert status(s3, "circle-here", "end") == "REPLICA"
        for client, name in ((s3, "circle-here"), (there, "circle-there")):
            assert len(client.list_object_versions(Bucket=name)["Versions"]) == 2
    finally:
        other.kill()


class Hostile(BaseHTTPRequestHandler):
    """Answers a PUT as its key says."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/redirects"):
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.endswith("/endless"):
            self.send_response(400)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        else:
            body = f"<Error><Code>No</Code><Message>a\nb{'x' * 10_000}</Message></Error>".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("key", "code", "told"),
    [
        ("redirects", "ServiceUnavailable", r"redirects \(307\)"),
        ("endless", "ServiceUnavailable", "does not end"),
        ("forges", "No", "^No: a bx{497}$"),
    ],
)
def test_hostile_destinations(tmp_path: Path, key: str, code: str, told: str) -> None:
    config = Config(data=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as service:
        Thread(target=service.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{service.server_port}"
        remotes.add(config, remotes.Remote("far", place, "us-east-1", "there", "AKIA", "secret"))
        remote = remotes.find(config, "far")
        assert remote is not None
        with pytest.raises(AwsError, match=told) as caught:
            asyncio.run(remotes.ask(config, remote, "PutObject", {"Key": key, "Body": b"x"}))
        assert caught.value.code == code
        service.shutdown()
