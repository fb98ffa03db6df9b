"""kill -9 at any moment of puts, uploads, copies, deletions and lifecycle sweeps.

What was answered is there and whole; what was not is as before or as wanted, never between; every
file on disk belongs to an object, and all listings tell the same.
"""

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudlet.s3 import buckets, lifecycle
from cloudlet.s3.records import known_blobs
from cloudlet.s3.schema import SCHEMA
from tests.fault.test_kill import Writers
from tests.server import Server
from tests.unit.s3.conftest import Shelf
from tests.unit.s3.test_listing import keys, v2
from tests.unit.s3.test_versions import everything, turn

pytestmark = pytest.mark.fault
ROUNDS = 4
KEYS_EACH = 4  # of each writer, in each bucket
BUCKETS = ("plain", "kept")  # "kept" keeps versions
SIZES = (0, 100, 60_000, 70_000, 300_000)
MIN_PART = 5 << 20
Place = tuple[str, str]  # bucket, key
State = str | None  # SHA-256 of the contents; None: there is no object


class Changes(Writers):
    """Each thread changes keys of its own, so that before and after are known for each of them."""

    def __init__(self, server: Server, round_: int, truth: dict[Place, State]) -> None:
        super().__init__(server, round_)
        self.truth = truth
        self.pending: dict[Place, State] = {}
        self.versions: dict[tuple[str, str], str] = {}  # key, id → SHA-256

    def client(self) -> Any:
        return self.server.client("s3")

    def write(self, client: Any, name: str) -> None:
        writer = name.split("-")[1]
        place = random.choice(BUCKETS), f"{writer}/{random.randrange(KEYS_EACH)}"
        change = random.choice([self._put, self._put, self._upload, self._copy, self._delete])
        output = change(client, place)
        state = self.pending.pop(place)
        self.truth[place] = state
        if state is not None and "VersionId" in output:
            self.versions[place[1], output["VersionId"]] = state
        self.note(name, state)

    def _will(self, place: Place, data: bytes) -> bytes:
        self.pending[place] = hashlib.sha256(data).hexdigest()
        return data

    def _put(self, client: Any, place: Place) -> Any:
        data = self._will(place, os.urandom(random.choice(SIZES)))
        return client.put_object(Bucket=place[0], Key=place[1], Body=data)

    def _upload(self, client: Any, place: Place) -> Any:
        where = {"Bucket": place[0], "Key": place[1]}
        first = random.choice([(), (os.urandom(MIN_PART),)])
        pieces = [*first, os.urandom(random.choice(SIZES))]
        where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
        parts = []
        for number, piece in enumerate(pieces, 1):
            answer = client.upload_part(PartNumber=number, Body=piece, **where)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._will(place, b"".join(pieces))
        return client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **where)

    def _copy(self, client: Any, place: Place) -> Any:
        source = place[0], f"{place[1].split('/')[0]}/{random.randrange(KEYS_EACH)}"
        if self.truth.get(source) is None or source == place:
            return self._put(client, place)
        self.pending[place] = self.truth[source]
        where = {"Bucket": source[0], "Key": source[1]}
        return client.copy_object(Bucket=place[0], Key=place[1], CopySource=where)

    def _delete(self, client: Any, place: Place) -> Any:
        self.pending[place] = None
        return client.delete_object(Bucket=place[0], Key=place[1])


def test_changes(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    client = server.client("s3")
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    truth: dict[Place, State] = {}
    versions: dict[tuple[str, str], str] = {}
    for round_ in range(ROUNDS):
        changes = Changes(server, round_, truth)
        changes.run_and_kill()
        versions |= changes.versions
        server.start()
        assert _orphans(server) == set()
        client = server.client("s3")
        for place in truth.keys() | changes.pending.keys():
            state = _state(client, *place)
            assert state in (truth.get(place), changes.pending.get(place, truth.get(place))), place
            truth[place] = state
        for bucket in BUCKETS:
            _check_listings(client, bucket, truth)
        for (key, version_id), wanted in versions.items():
            assert _state(client, "kept", key, VersionId=version_id) == wanted
    _empty(client)
    server.stop()
    assert [path for path in (server.data / "blobs").rglob("*") if path.is_file()] == []


def _state(client: Any, bucket: str, key: str, **version: str) -> State:
    try:
        answer = client.get_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey"
        return None
    data = answer["Body"].read()
    assert len(data) == answer["ContentLength"]
    return hashlib.sha256(data).hexdigest()


def _orphans(server: Server) -> set[str]:
    """Files that nothing refers to, and what is referred to without a file."""
    database = f"file:{server.data / 'cloudlet.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        known = {row[0] for row in connection.execute("SELECT blob FROM s3_blob")}
    return known ^ {path.name for path in (server.data / "blobs").rglob("*") if path.is_file()}


def _check_listings(client: Any, bucket: str, truth: dict[Place, State]) -> None:
    there = sorted(key for (name, key), state in truth.items() if name == bucket and state)
    for operation in (client.list_objects, client.list_objects_v2):
        assert [each["Key"] for each in operation(Bucket=bucket).get("Contents", [])] == there
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    rows = [row for page in pages for row in page.get("Versions", [])]
    assert [row["Key"] for row in rows if row["IsLatest"]] == there


def _empty(client: Any) -> None:
    for bucket in BUCKETS:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for row in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                client.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                where = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                client.abort_multipart_upload(**where)


SWEEP = """
import asyncio, sys
from pathlib import Path
from unittest import mock
from cloudlet.s3 import sweep
from cloudlet.s3.schema import SCHEMA
from tests.unit.s3.conftest import Shelf

shelf = Shelf(Path(sys.argv[1]), SCHEMA)
shelf.clock.advance(5 * 86_400)
print("sweeping", flush=True)
with mock.patch.object(sweep, "_BATCH", 3):
    asyncio.run(sweep.sweep_lifecycle(shelf.cloud))
"""


@pytest.mark.parametrize("status", ["", "Enabled"])
def test_lifecycle_sweeps(tmp_path: Path, status: str) -> None:
    """However often it is killed, a sweep leaves objects whole or expired, and ends its work."""
    objects = {f"{number:02}": os.urandom(70_000) for number in range(30)}
    _fill(tmp_path, objects, status)
    left = len(objects)
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", SWEEP, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"sweeping\n"
            time.sleep(random.random() * 0.04 * attempt)
            process.kill()
        with closing(Shelf(tmp_path, SCHEMA)) as shelf:
            shelf.blobs.collect(known_blobs(shelf.database.view()))
            there = keys(v2(shelf))
            assert all(shelf.get(key)["Body"] == objects[key] for key in there)
            kept = everything(shelf)
            assert len(there) <= left
            assert len(kept["Versions"]) == (len(objects) if status else len(there))
            assert len(kept["DeleteMarkers"]) == (len(objects) - len(there) if status else 0)
            assert len(shelf.files()) == len(kept["Versions"])
            left = len(there)
        if not left:
            break


def _fill(folder: Path, objects: dict[str, bytes], status: str) -> None:
    rule = {"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
    with closing(Shelf(folder, SCHEMA)) as shelf:
        shelf.call(buckets.create_bucket, Bucket="shelf")
        if status:
            turn(shelf, status)
        shelf.call(
            lifecycle.put_bucket_lifecycle_configuration,
            Bucket="shelf", LifecycleConfiguration={"Rules": [rule]},
        )  # fmt: skip
        for key, data in objects.items():
            shelf.put(key, data)
