"""Bad input and bad luck: garbage, vanished clients, many idle ones, a full disk."""

import base64
import hashlib
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fault.sharing import SharingServer, eventually
from tests.server import Server

pytestmark = pytest.mark.fault
IDLE = 2000
DISK_MB = 48
MANY = b"".join(b"X-%d: a\r\n" % number for number in range(9000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharingServer]:
    server = SharingServer(tmp_path_factory.mktemp("garbage") / "data").start()
    server.client("s3").create_bucket(Bucket="mess")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(params=["aws", "door"])
def port(request: pytest.FixtureRequest, server: SharingServer) -> int:
    return server.aws_port if request.param == "aws" else server.port


def talk(port: int, data: bytes, within_s: float = 60) -> bytes:
    """Sends bytes and reads until the server closes or answers with a whole head."""
    with socket.create_connection(("127.0.0.1", port), within_s) as peer:
        with suppress(OSError):  # it may refuse before it has read all
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(OSError):
            while chunk := peer.recv(65536):
                received += chunk
        return received


def is_alive(server: Server) -> bool:
    return bool(server.http.request("GET", f"{server.endpoint}/_cloudlet/health").status == 200)


def test_random_bytes(server: SharingServer, port: int) -> None:
    chance = random.Random(7)
    for _ in range(100):
        answer = talk(port, chance.randbytes(chance.randint(1, 4000)))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert is_alive(server)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT /mess/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /mess/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /%ff%fe/%zz?%=%&&=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + MANY + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nX: \xff\r\n\r\n",
        b"NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\n"
        b"Content-Length: 3\r\n\r\n{\"a",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=\r\n\r\n",
        b"GET /?X-Amz-Algorithm=x&X-Amz-Signature=y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)  # fmt: skip
def test_broken_requests(server: SharingServer, port: int, head: bytes) -> None:
    answer = talk(port, head)
    status = answer.split(b" ", 2)[1] if answer else b""
    assert status[:1] in (b"", b"2", b"3", b"4"), answer[:500]
    assert is_alive(server)


@pytest.mark.parametrize(
    "body",
    [b"", b"<", b"<a><b></a>", b'<!DOCTYPE x [<!ENTITY e "e">]><D>&e;</D>', b"\xff" * 9, b"<D/>"],
)
def test_signed_nonsense(server: SharingServer, body: bytes) -> None:
    """What a signature lets in still gets a clear refusal of the right shape."""
    client = server.client("s3")

    def spoil(request: Any, **_: Any) -> None:
        request.data = body
        for name in list(request.headers):
            if name.lower().startswith("x-amz-checksum") or name.lower() == "content-md5":
                del request.headers[name]
        request.headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()

    client.meta.events.register("before-sign.s3.DeleteObjects", spoil)
    with pytest.raises(ClientError) as refused:
        client.delete_objects(Bucket="mess", Delete={"Objects": [{"Key": "k"}]})
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"]["Code"] in ("MalformedXML", "MissingRequestBodyError")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/shares", b"{", 400),
        ("POST", "/v1/shares", b"\xff\xfe", 400),
        ("POST", "/v1/shares", b"[]", 422),
        ("POST", "/v1/shares", b'{"files": 7}', 422),
        ("POST", "/v1/shares", b'{"files": [{"name": "../x", "size": 1}]}', 422),
        ("POST", "/v1/shares", b'{"files": [{"name": "x", "size": -1}]}', 422),
        ("POST", "/v1/shares", b'{"files": [{"name": "x", "size": 1e999}]}', 422),
        ("POST", "/v1/shares", b"[" * 100_000, 400),
        ("GET", "/v1/shares/nobody", None, 404),
        ("GET", "/v1/hashes/xyz", None, 400),
        ("GET", "/v1/stats?range=year", None, 400),
        ("DELETE", "/v1/stats", None, 405),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/s/%00%ff", None, 404),
    ],
)
def test_nonsense_for_the_application(
    server: SharingServer, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = server.http.request(
        method, server.url + path, body=body, headers={"Accept": "application/json"}
    )
    assert answer.status in (status, 400) and answer.status < 500, answer.data
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status and answer.json()["instance"]


def test_clients_that_vanish_leave_nothing(server: SharingServer) -> None:
    s3 = server.client("s3", config=Config(signature_version="s3v4"))
    blobs = server.data / "blobs"

    def files() -> set[Path]:
        return {path for path in blobs.rglob("*") if path.is_file()}

    before = files()
    for number in range(20):
        url = s3.generate_presigned_url("put_object", Params={"Bucket": "mess", "Key": "gone"})
        head = f"PUT {url.removeprefix(server.endpoint)} HTTP/1.1\r\n"
        head += f"Host: 127.0.0.1:{server.aws_port}\r\nContent-Length: 10000000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.aws_port)) as peer:
            peer.sendall(head.encode() + os.urandom(number * 100_000))
            if number % 2:  # with a reset
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually(lambda: files() == before)
    assert s3.list_objects_v2(Bucket="mess")["KeyCount"] == 0


def test_downloads_that_nobody_reads_to_the_end(server: SharingServer) -> None:
    s3 = server.client("s3", config=Config(signature_version="s3v4"))
    s3.put_object(Bucket="mess", Key="big", Body=os.urandom(30_000_000))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "mess", "Key": "big"})
    head = f"GET {url.removeprefix(server.endpoint)} HTTP/1.1\r\n"
    head += f"Host: 127.0.0.1:{server.aws_port}\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.aws_port)) as peer:
            peer.sendall(head.encode())
            assert peer.recv(1000).startswith(b"HTTP/1.1 200")
    s3.delete_object(Bucket="mess", Key="big")
    deleted = Path(f"/proc/{server.pid}/fd")

    def is_closed() -> bool:
        links = [str(fd.readlink()) for fd in _present(deleted)]
        return not any("(deleted)" in link and str(server.data) in link for link in links)

    eventually(is_closed)


def _present(folder: Path) -> list[Path]:
    with suppress(PermissionError):  # the server hides its memory, and so its files: root sees them
        return [path for path in folder.iterdir() if path.is_symlink()]
    return []


def test_many_idle_connections(server: SharingServer, port: int) -> None:
    peers = []
    try:
        for number in range(IDLE // 2):
            peer = socket.create_connection(("127.0.0.1", port), 60)
            peers.append(peer)
            if number % 2:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: x")  # and never more
        assert is_alive(server)
        server.client("s3").put_object(Bucket="mess", Key="k", Body=b"x")
        server.client("s3").delete_object(Bucket="mess", Key="k")
    finally:
        for peer in peers:
            peer.close()


def test_full_disk(small_disk: Path) -> None:
    server = Server(small_disk / "data")
    server.log = small_disk.parent / "full.log"
    server.start()
    client = server.client("s3", config=Config(retries={"total_max_attempts": 1}))
    dynamodb = server.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    client.create_bucket(Bucket="full")
    dynamodb.create_table(
        TableName="full",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    stored: dict[str, bytes] = {}
    with pytest.raises(ClientError) as refused:
        for number in range(DISK_MB):
            data = os.urandom(3 << 20)
            client.put_object(Bucket="full", Key=str(number), Body=data)
            stored[str(number)] = data
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert refused.value.response["Error"]["Code"] in ("ServiceUnavailable", "SlowDown")
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    items = 0
    with pytest.raises(ClientError) as refused:
        for items in range(10_000):
            item = {"k": {"S": str(items)}, "v": {"S": "x" * 100_000}}
            dynamodb.put_item(TableName="full", Item=item)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503)

    listed = client.list_objects_v2(Bucket="full")["Contents"]
    assert {each["Key"] for each in listed} == stored.keys()  # nothing half stored
    for key, data in stored.items():
        assert client.get_object(Bucket="full", Key=key)["Body"].read() == data
    assert _count(dynamodb) == items

    filler.unlink()
    client.delete_object(Bucket="full", Key="0")
    eventually(lambda: _puts(client))
    dynamodb.put_item(TableName="full", Item={"k": {"S": "again"}})
    server.kill()
    server.start()
    assert client.get_object(Bucket="full", Key="1")["Body"].read() == stored["1"]
    assert _count(dynamodb) == items + 1
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


def _count(dynamodb: Any) -> int:
    """Over all pages: one ends after a megabyte."""
    pages = dynamodb.get_paginator("scan").paginate(TableName="full", Select="COUNT")
    return sum(page["Count"] for page in pages)


def _puts(client: Any) -> bool:
    try:
        client.put_object(Bucket="full", Key="again", Body=b"x" * 1_000_000)
    except ClientError:
        return False
    return True
