"""Two directories: kill -9, lose either one, fill it up, take it away: nothing is lost."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.building import make_function
from tests.fault.sharing import eventually
from tests.fault.test_kill import Items, Writers
from tests.fault.test_scrub import scrub
from tests.server import Server

pytestmark = pytest.mark.fault
ROUNDS = 2
DISK_MB = 12


def table(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


class Uploads(Writers):
    """Objects in rows, in files and of two parts."""

    def client(self) -> Any:
        return self.server.client("s3")

    def write(self, client: Any, name: str) -> None:
        data = os.urandom(random.choice([0, 100, 60_000, 70_000, 1_500_000, 5_300_000]))
        if len(data) > 5 << 20:
            upload = client.create_multipart_upload(Bucket="kill", Key=name)["UploadId"]
            at = {"Bucket": "kill", "Key": name, "UploadId": upload}
            parts = [
                {"PartNumber": number, "ETag": client.upload_part(
                    **at, PartNumber=number, Body=piece)["ETag"]}
                for number, piece in enumerate((data[: 5 << 20], data[5 << 20 :]), 1)
            ]  # fmt: skip
            client.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
        else:
            client.put_object(Bucket="kill", Key=name, Body=data)
        self.note(name, hashlib.sha256(data).hexdigest())


class Versions(Uploads):
    """The same few keys again and again, in a bucket with versions."""

    def write(self, client: Any, name: str) -> None:
        data = os.urandom(random.choice([100, 100_000]))
        key = f"key-{len(name) % 3}"
        made = client.put_object(Bucket="versions", Key=key, Body=data)["VersionId"]
        self.note(f"{key}?{made}", hashlib.sha256(data).hexdigest())


def is_whole(server: Server) -> bool:
    return "is behind" not in scrub("--data", server.data)[1]


def test_either_directory_may_be_lost_at_any_time(tmp_path: Path) -> None:
    """Each round: writers, kill -9, one directory gone, the other one goes on with a new second."""
    data, other = tmp_path / "0", tmp_path / "1"
    server = Server(data, None, "--replica", str(other)).start()
    s3 = server.client("s3")
    for bucket in ("kill", "versions"):
        s3.create_bucket(Bucket=bucket)
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration=enabled)
    table(server.client("dynamodb"), "kill")
    truth: list[dict[str, Any]] = [{}, {}, {}]
    for round_ in range(ROUNDS):
        writers = [kind(server, round_) for kind in (Uploads, Versions, Items)]
        writers[0].run_and_kill(*writers[1:])
        for known, each in zip(truth, writers, strict=True):
            known.update(each.acknowledged)
        lost = random.choice([data, other])
        data, other = other if lost == data else data, tmp_path / str(round_ + 2)
        shutil.rmtree(lost)
        server = Server(data, None, "--replica", str(other)).start()
        verify(server, *truth)
        eventually(partial(is_whole, server))
    assert server.stop() == 0
    assert scrub("--data", data)[0] == 0


def verify(server: Server, objects: Any, versions: Any, items: Any) -> None:
    s3, dynamodb = server.client("s3"), server.client("dynamodb")
    for key, digest in objects.items():
        body = s3.get_object(Bucket="kill", Key=key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == digest
    for name, digest in versions.items():
        key, _, version = name.partition("?")
        body = s3.get_object(Bucket="versions", Key=key, VersionId=version)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == digest
    pages = dynamodb.get_paginator("scan").paginate(TableName="kill")
    found = {item["pk"]["S"] for page in pages for item in page["Items"]}
    assert items.keys() <= found


def test_a_lost_data_directory_is_made_again(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    server = Server(data, None, "--replica", str(other)).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kill")
    s3.put_object(Bucket="kill", Key="k", Body=b"x" * 100_000)
    server.kill()
    shutil.rmtree(data)
    with pytest.raises(AssertionError, match="is empty"):
        Server(data, None, "--replica", str(other)).start()
    code, text = scrub("--data", data, "--replica", other, "--repair")
    assert code == 0, text
    server.start()
    assert server.client("s3").get_object(Bucket="kill", Key="k")["ContentLength"] == 100_000
    assert server.stop() == 0


def test_buckets_elsewhere_live_on_in_the_replica(tmp_path: Path) -> None:
    """From the moment on that the command ends, and no longer than that."""
    data, other = tmp_path / "data", tmp_path / "other"

    def remote(*words: str) -> str:
        command = [sys.executable, "-m", "cloudlet", "remote", *words, "--data", str(data)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, input="it's secret\n"
        ).stdout

    server = Server(data, None, "--replica", str(other)).start()
    server.kill()  # nobody else copies them
    where = ("--endpoint", "http://127.0.0.1:9", "--access-key", "AKIA1")
    for name in ("far", "away"):
        remote("add", name, *where)
    copy = other / "remotes" / "far.json"
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.parent.stat().st_mode & 0o777 == 0o700
    remote("remove", "away")
    assert [each.name for each in copy.parent.iterdir()] == ["far.json"]
    kept = (data / "remotes" / "far.json").read_bytes()
    shutil.rmtree(data)
    code, text = scrub("--data", data, "--replica", other, "--repair")
    assert code == 0, text
    assert remote("list") == "far  http://127.0.0.1:9  far\n"
    again = data / "remotes" / "far.json"
    assert again.read_bytes() == kept and again.stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700


def test_scrub_says_which_replica_there_is(tmp_path: Path) -> None:
    data, other, none = (tmp_path / name for name in ("data", "other", "none"))
    server = Server(data, None, "--replica", str(other)).start()
    told = f"replica {none} does not exist: the cloudlet that runs has its replica in {other}\n"
    code, text = scrub("--data", data, "--replica", none)
    assert code == 1 and told in text
    assert server.stop() == 0
    code, text = scrub("--data", data, "--replica", none)
    assert code == 1 and f"replica {none} does not exist: --repair makes it\n" in text
    server.options = ()
    server.start()
    code, text = scrub("--data", data, "--replica", other)
    assert code == 1 and f"replica {other} is behind: the cloudlet that runs has none\n" in text
    assert server.stop() == 0
    code, text = scrub("--data", data, "--replica", data)
    assert code == 1
    assert text == f"cloudlet: {data} is the data folder itself: a replica is another\n"


def test_a_replica_that_is_taken_away_and_put_back(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    server = Server(data, None, "--replica", str(other)).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kill")
    s3.put_object(Bucket="kill", Key="a", Body=b"a" * 100_000)
    other.rename(tmp_path / "away")
    other.write_text("no folder")  # nothing can be written there
    s3.put_object(Bucket="kill", Key="b", Body=b"b" * 100_000)
    s3.put_object(Bucket="kill", Key="c", Body=b"c")
    assert "is behind" in server.log.read_text()
    code, text = scrub("--data", data)
    assert code == 1 and "is behind" in text
    other.unlink()
    (tmp_path / "away").rename(other)
    eventually(lambda: is_whole(server))
    server.kill()
    shutil.rmtree(data)
    server = Server(other).start()
    listed = server.client("s3").list_objects_v2(Bucket="kill")["Contents"]
    assert [each["Key"] for each in listed] == ["a", "b", "c"]
    assert server.stop() == 0
    assert scrub("--data", other, "--replica", tmp_path / "none")[0] == 1  # there is none


def test_functions_and_accounts_live_on_in_the_replica(tmp_path: Path) -> None:
    """Code lies beside the store; its paths are those of the directory that is used."""
    data, other = tmp_path / "data", tmp_path / "other"
    server = Server(data, None, "--replica", str(other)).start()
    make_function(server, "echo", "def handler(event, context):\n    return event\n")
    made = subprocess.run(
        [sys.executable, "-m", "cloudlet", "account", "create", "second", "--data", str(data)],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    keys = {"aws_access_key_id": made[4], "aws_secret_access_key": made[-1]}
    second = server.client("s3", **keys)
    second.create_bucket(Bucket="second")
    second.put_object(Bucket="second", Key="k", Body=b"x" * 100_000)
    server.kill()
    shutil.rmtree(data)
    server = Server(other).start()
    answer = server.client("lambda").invoke(FunctionName="echo", Payload=b'"still"')
    assert answer["Payload"].read() == b'"still"'
    second = server.client("s3", **keys)
    assert second.get_object(Bucket="second", Key="k")["ContentLength"] == 100_000
    assert server.stop() == 0


def test_a_full_replica_falls_behind_and_catches_up(tmp_path: Path, small_disk: Path) -> None:
    """Writes go on, in the first directory alone, and are said to."""
    other = small_disk / "other"
    server = Server(tmp_path / "data", None, "--replica", str(other)).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kill")
    bodies = {str(number): os.urandom(3 << 20) for number in range(6)}
    for key, body in bodies.items():
        s3.put_object(Bucket="kill", Key=key, Body=body)
    for key, body in bodies.items():
        assert s3.get_object(Bucket="kill", Key=key)["Body"].read() == body
    assert "is behind: [Errno 28] No space left" in server.log.read_text()
    assert not is_whole(server)
    for key in list(bodies)[2:]:
        s3.delete_object(Bucket="kill", Key=key)
    eventually(lambda: is_whole(server))
    server.kill()
    with suppress(OSError):
        shutil.rmtree(server.data)
    server = Server(other)
    server.log = tmp_path / "other.log"
    server.start()
    for key in list(bodies)[:2]:
        got = server.client("s3").get_object(Bucket="kill", Key=key)["Body"].read()
        assert got == bodies[key]
    assert server.stop() == 0
