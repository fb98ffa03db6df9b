"""Readers, writers and copiers of one key at once; and writers of blobs that are told to stop."""

import asyncio
import os
from pathlib import Path

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body
from cloudlet.s3 import copying, objects, reading
from tests.unit.s3.conftest import Shelf
from tests.unit.s3.test_versions import turn

SIZE = 200_000


async def _write(shelf: Shelf, letter: bytes, times: int) -> None:
    for _ in range(times):
        body = Body.of(letter * SIZE)
        await objects.put_object(shelf.made(Bucket="shelf", Key="k", Body=body))


async def _copy(shelf: Shelf, times: int) -> None:
    for _ in range(times):
        params = {"Bucket": "shelf", "Key": "copy", "CopySource": "shelf/k"}
        await copying.copy_object(shelf.made(**params, ChecksumAlgorithm="SHA256"))


async def _read(shelf: Shelf, key: str, times: int) -> int:
    found = 0
    for _ in range(times):
        try:
            output = (await reading.get_object(shelf.made(Bucket="shelf", Key=key))).output
        except AwsError as error:
            assert error.code == "NoSuchKey"
            await asyncio.sleep(0)
            continue
        data = b"".join([chunk async for chunk in output["Body"]])
        await output["Body"].aclose()
        assert len(data) == SIZE and data == data[:1] * SIZE
        found += 1
    return found


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_every_read_is_of_one_write(shelf: Shelf, versioning: str) -> None:
    if versioning:
        turn(shelf, versioning)

    async def run() -> None:
        await _write(shelf, b"0", 1)
        writers = [_write(shelf, letter, 15) for letter in (b"a", b"b")]
        readers = [_read(shelf, key, 60) for key in ("k", "k", "copy")]
        results = await asyncio.gather(*readers, *writers, _copy(shelf, 10))
        assert results[0] == results[1] == 60

    asyncio.run(run())
    held = shelf.database.view().all("SELECT blob FROM s3_blob")  # the copy may share k's
    assert {file.name for file in shelf.files()} == {row["blob"] for row in held}
    assert shelf.get("copy")["ContentLength"] == SIZE


def test_discarding_a_finished_blob_closes_no_other_file(shelf: Shelf, tmp_path: Path) -> None:
    writer = shelf.blobs.create()
    writer.write(b"data")
    writer.finish()
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]  # reuse the number
    writer.discard()
    for file in others:
        os.close(file)
    assert shelf.files() == []
