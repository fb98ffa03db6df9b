"""Flipped bits, files that are gone: never served, found, named, and healed from a replica."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from tests.server import Server

pytestmark = pytest.mark.fault
BROKEN = (ClientError, IncompleteReadError, ResponseStreamingError, ProtocolError)
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


def scrub(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "cloudlet", "scrub", *map(str, arguments)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def blobs(data: Path) -> set[Path]:
    return {file for file in (data / "blobs").rglob("*") if file.is_file()}


def stored(server: Server, client: Any, key: str, body: bytes, **params: Any) -> Path:
    """Puts an object; returns its one file."""
    before = blobs(server.data)
    client.put_object(Bucket="scrub", Key=key, Body=body, **params)
    (file,) = blobs(server.data) - before
    return file


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << random.randrange(8)
    file.write_bytes(data)


@pytest.fixture(scope="module", params=["alone", "replica"])
def server(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("scrub")
    options = ["--replica", str(folder / "other")] if request.param == "replica" else []
    server = Server(folder / "data", None, *options).start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="scrub")
    rules = {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}]}
    s3.put_bucket_encryption(Bucket="scrub", ServerSideEncryptionConfiguration=rules)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


def test_a_damaged_blob_is_never_served(server: Server) -> None:
    """s3-070: an error before the first byte, or a connection that ends in the middle."""
    client = server.client("s3")
    body = os.urandom(3 << 20)
    file = stored(server, client, "damaged", body)
    good = file.read_bytes()
    for place in (0, random.randrange(len(good)), len(good) - 1):
        file.write_bytes(good)
        flip(file, place)
        if server.options:
            assert client.get_object(Bucket="scrub", Key="damaged")["Body"].read() == body
            assert file.read_bytes() == good  # healed
        else:
            with pytest.raises(BROKEN):
                client.get_object(Bucket="scrub", Key="damaged")["Body"].read()
    code, text = scrub("--data", server.data)
    assert code == (0 if server.options else 1) and ("s3://scrub/damaged" in text) != (code == 0)
    client.delete_object(Bucket="scrub", Key="damaged")
    assert "blob " in server.log.read_text()


def test_damage_at_the_beginning_is_an_internal_error(server: Server) -> None:
    client = server.client("s3")
    body = os.urandom(1 << 20)
    file = stored(server, client, "first", body)
    spoils: list[Callable[[], None]] = [partial(flip, file, 5), partial(os.truncate, file, 0)]
    for spoil in (*spoils, file.unlink):
        spoil()
        if server.options:
            got = client.get_object(Bucket="scrub", Key="first", Range="bytes=10-19")
            assert got["Body"].read() == body[10:20]
        else:
            with pytest.raises(ClientError) as refused:
                client.get_object(Bucket="scrub", Key="first", Range="bytes=10-19")
            assert refused.value.response["Error"]["Code"] == "InternalError"
    client.delete_object(Bucket="scrub", Key="first")


def test_scrub_finds_exactly_what_is_damaged(server: Server) -> None:
    """Under a client's own key, too: no key is needed to know."""
    client = server.client("s3")
    files = {
        key: stored(server, client, key, os.urandom(200_000), **more)
        for key, more in {"a": {}, "b": SSE_C, "c": {}, "d": {}}.items()
    }
    client.put_object(Bucket="scrub", Key="small", Body=b"small")
    assert scrub("--data", server.data)[0] == 0
    flip(files["b"], random.randrange(200_000))
    files["c"].unlink()
    code, text = scrub("--data", server.data)
    named = {key for key in (*files, "small") if f"s3://scrub/{key}\n" in text}
    assert (code, named) == (1, {"b", "c"})
    code, text = scrub("--data", server.data, "--repair")
    if server.options:
        assert code == 0 and "2 healed" in text
        assert scrub("--data", server.data)[0] == 0
        flip(Path(server.options[1]) / files["d"].relative_to(server.data), 7)
        assert scrub("--data", server.data)[0] == 1
        assert scrub("--data", server.data, "--repair")[0] == 0
    else:
        assert code == 1 and "healed" not in text
    for key in files:
        client.delete_object(Bucket="scrub", Key=key)
    assert scrub("--data", server.data)[0] == 0
