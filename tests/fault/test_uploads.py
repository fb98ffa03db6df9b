"""Many clients with bodies under way, and a very big one: what they cost the server's memory."""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3
from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.server import Server

pytestmark = pytest.mark.fault
BUCKET = "uploads"
CLIENTS = 2000
BODY_BYTES = 64 << 10
SENT_BYTES = BODY_BYTES // 2
PER_CLIENT_BYTES_MAX = SENT_BYTES + (48 << 10)
BIG_BYTES = 512 << 20
READERS = 300


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data").start()
    try:
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()


class _Unsigned(S3SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return UNSIGNED_PAYLOAD


def head(server: Server, key: str, size_bytes: int) -> bytes:
    """A signed PUT, up to its body."""
    headers = {"Content-Length": str(size_bytes), "x-amz-content-sha256": UNSIGNED_PAYLOAD}
    request = AWSRequest("PUT", f"{server.endpoint}/{BUCKET}/{key}", headers=headers)
    root = server.root_key
    credentials = Credentials(root["AccessKeyId"], root["SecretAccessKey"])
    _Unsigned(credentials, "s3", "us-east-1").add_auth(request)
    lines = [f"PUT /{BUCKET}/{key} HTTP/1.1", f"Host: 127.0.0.1:{server.aws_port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def resident_bytes(server: Server) -> int:
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


def open_files(server: Server) -> int:
    """0 for all but root: the server hides its memory, and so its files."""
    with contextlib.suppress(PermissionError):
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    return 0


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * CLIENTS:
        pytest.skip("this user may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * CLIENTS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_slow_clients_cost_little_more_than_what_they_sent(server: Server) -> None:
    """s3-085: a body under way holds its bytes and no thread; others are served meanwhile."""
    before, files = resident_bytes(server), open_files(server)
    with contextlib.ExitStack() as stack:
        request = head(server, "slow", BODY_BYTES) + b"x" * SENT_BYTES
        clients = []
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", server.aws_port), timeout=60)
            clients.append(stack.enter_context(client))
            client.sendall(request)
        # an answer to somebody who came last: the server has seen all the others
        server.client("s3").put_object(Bucket=BUCKET, Key="quick", Body=b"quick")
        assert open_files(server) - files <= CLIENTS + 16
        assert resident_bytes(server) - before < CLIENTS * PER_CLIENT_BYTES_MAX
        for client in clients[:20]:
            client.sendall(b"x" * (BODY_BYTES - SENT_BYTES))
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200 ") for client in clients[:20])
    listed = server.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [each["Key"] for each in listed] == ["quick", "slow"]  # the others left nothing


def answered(clients: list[socket.socket]) -> list[bytes]:
    """What those have got who got something; they are taken from the list."""
    ready = select.select(clients, [], [], 0.1)[0]
    for client in ready:
        clients.remove(client)
    return [client.recv(4096) for client in ready]


def test_too_many_are_told_to_slow_down(server: Server) -> None:
    """s3-109: before the store itself lacks files. Who was let in goes on."""
    body, part = bytes(2 << 20), 60_000  # beyond 1 MiB it is a file
    limit = open_files(server) + 100
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(100):
            client = socket.create_connection(("127.0.0.1", server.aws_port), timeout=60)
            clients.append(stack.enter_context(client))
            client.sendall(head(server, f"u{number}", len(body)) + body[:part])
        refused: list[bytes] = []
        while len(refused) < 10:  # connections
            refused += answered(clients)
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(body[part : 3 << 19])
        files = server.data / "blobs" / "tmp"
        while len(list(files.iterdir())) < len(clients):  # all others are refused theirs
            refused += answered(clients)
        assert len(refused) > 25
        assert all(b" 503 " in each and b"SlowDown" in each for each in refused)
        for client in clients[:5]:
            client.sendall(body[3 << 19 :])
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    server.client("s3").put_object(Bucket=BUCKET, Key="after", Body=body)
    assert "Traceback" not in server.log.read_text()


def test_slow_readers_hold_a_chunk_each(server: Server) -> None:
    """s3-110: however big the object, what they do not take is not read for them."""
    s3 = server.client("s3")
    s3.put_object(Bucket=BUCKET, Key="big", Body=bytes(16 << 20))
    url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "big"}))
    request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: 127.0.0.1:{server.aws_port}\r\n\r\n"
    before, held = resident_bytes(server), -1
    with contextlib.ExitStack() as stack:
        for _ in range(READERS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            client.connect(("127.0.0.1", server.aws_port))
            client.sendall(request.encode())
        while held != (held := resident_bytes(server)):  # until nobody takes any more
            time.sleep(1)
    assert held - before < READERS * (384 << 10)


def test_memory_does_not_grow_with_an_object(server: Server) -> None:
    """s3-086: neither upload nor download of a big object holds more than a few blocks of it."""
    chunk = bytes(1 << 20)
    before = resident_bytes(server)
    with socket.create_connection(("127.0.0.1", server.aws_port), timeout=120) as client:
        client.sendall(head(server, "big", BIG_BYTES))
        peak = 0
        for number in range(BIG_BYTES // len(chunk)):
            client.sendall(chunk)
            if number % 64 == 0:
                peak = max(peak, resident_bytes(server))
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert peak - before < 96 << 20
    url = server.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "big"}
    )
    with urllib3.PoolManager().request("GET", url, preload_content=False) as answer:
        size_bytes = sum(len(piece) for piece in answer.stream(1 << 20))
    assert size_bytes == BIG_BYTES
    assert resident_bytes(server) - before < 96 << 20
