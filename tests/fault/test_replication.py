"""kill -9 while objects are replicated: all arrive, and an upload goes on where it was."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.conformance.test_replication import (
    bucket,
    eventually,
    is_copied,
    remote_add,
    replicate,
    role,
    rule,
)
from tests.server import Server

pytestmark = pytest.mark.fault
PART = b"x" * (5 << 20)


@pytest.fixture
def two(tmp_path: Path) -> Any:
    servers = Server(tmp_path / "here").start(), Server(tmp_path / "there").start()
    yield servers
    for server in servers:
        server.stop()


def start(two: tuple[Server, Server]) -> tuple[Any, Any]:
    here, there = (server.client("s3") for server in two)
    bucket(here, "shelf")
    bucket(there, "copy")
    remote_add(two[0], "far-away", two[1], "copy")
    replicate(here, "shelf", role(two[0]), rule("far-away"))
    return here, there


def test_writes_that_were_answered_arrive(two: tuple[Server, Server]) -> None:
    here, there = start(two)
    answered: list[str] = []

    def write(name: str) -> None:
        client = two[0].client("s3")
        with suppress(BotoCoreError, ClientError):
            for number in range(1000):
                key = f"{name}/{number}"
                client.put_object(Bucket="shelf", Key=key, Body=key.encode())
                answered.append(key)

    for round_ in range(2):
        threads = [threading.Thread(target=write, args=(f"{round_}-{n}",)) for n in range(3)]
        wanted = len(answered) + 20
        for thread in threads:
            thread.start()
        wait_for(lambda wanted=wanted: len(answered) >= wanted)
        two[round_].kill()  # the source, then the destination
        if round_:
            two[0].kill()
        for thread in threads:
            thread.join(90)
        for server in two[: round_ + 1]:
            server.start()
    for key in answered:
        eventually(is_copied(here, "shelf", key))
        assert there.get_object(Bucket="copy", Key=key)["Body"].read() == key.encode()


def test_an_upload_goes_on_where_it_was(two: tuple[Server, Server]) -> None:
    here, there = start(two)
    began = here.create_multipart_upload(Bucket="shelf", Key="big")
    where = {"Bucket": "shelf", "Key": "big", "UploadId": began["UploadId"]}
    etag = here.upload_part(**where, PartNumber=1, Body=PART)["ETag"]
    parts = [{"PartNumber": 1, "ETag": etag}]
    for number in range(2, 13):
        here.upload_part(**where, PartNumber=number, Body=PART)
        parts.append({"PartNumber": number, "ETag": etag})
    here.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    def sent() -> dict[int, Any]:
        for upload in there.list_multipart_uploads(Bucket="copy").get("Uploads", []):
            found = {"Bucket": "copy", "Key": "big", "UploadId": upload["UploadId"]}
            with suppress(ClientError):
                listed = there.list_parts(**found).get("Parts", [])
                return {part["PartNumber"]: part["LastModified"] for part in listed}
        return {}

    wait_for(lambda: len(sent()) >= 2)
    two[0].kill()
    before = sent()
    uploads = there.list_multipart_uploads(Bucket="copy").get("Uploads", [])
    two[0].start()
    eventually(is_copied(here, "shelf", "big"))
    assert there.head_object(Bucket="copy", Key="big")["ContentLength"] == 12 * len(PART)
    if uploads:  # it was killed in the middle: the same upload was completed, none is left
        assert 2 <= len(before) <= 12
        assert not there.list_multipart_uploads(Bucket="copy").get("Uploads", [])
        assert len(there.list_object_versions(Bucket="copy")["Versions"]) == 1


def wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)
