"""Raw connections to a server and its readers: requests without the cost of a client."""

import json
import socket
import subprocess
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from bench import load

from tests.conformance.building import eventually
from tests.server import Server

KEY = {"k": {"S": "one"}}
NAME = "readers"  # of the table


_EAGER = """
from cloudlet.cli import main
from cloudlet.front import readers
readers._BUSY, readers._IDLE_READS = 1.0, 0
main()
"""


class ReaderServer(Server):
    """To it a few reads are many: it has a reader however slow the machine is, and keeps it."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, None, "--readers", "1")

    def _command(self) -> list[str]:
        return ["-c", _EAGER, "up"]


def make_table(server: Server, name: str) -> None:
    server.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def readers(server: Server) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(server.pid)], capture_output=True, text=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if "cloudlet.reader" in line]


def connections_of(pid: int) -> int:
    """Open connections that the process has in hand."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    open_ones = {f"socket:[{fields[9]}]" for line in lines if (fields := line.split())[3] == "01"}
    names = []
    with suppress(FileNotFoundError):  # it has ended
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                names.append(str(descriptor.readlink()))
    return len(open_ones.intersection(names))


class Line:
    """One raw connection, on which requests follow each other."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.aws_port), 60)
        self.file = self.socket.makefile("rb")

    def request(self, service: str, method: str, path: str, **more: Any) -> bytes:
        key = tuple(self.server.credentials().values())
        return load.signed(self.server.endpoint, key, service, method, path, **more)

    def item(self, name: str = "GetItem", **params: Any) -> bytes:
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        headers["X-Amz-Target"] = f"DynamoDB_20120810.{name}"
        body = json.dumps({"TableName": NAME, **params}).encode()
        return self.request("dynamodb", "POST", "/", body=body, headers=headers)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        self.socket.sendall(request)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        status = int(self.file.readline().split()[1])
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self.file.read(length)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def has_reader(server: Server) -> int:
    """Reads until there is a reader with connections; its process."""
    over = threading.Event()

    def read() -> None:
        with closing(Line(server)) as line:
            request = line.item(Key=KEY)
            while not over.is_set():
                assert line.ask(request)[0] == 200

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        return eventually(lambda: next((p for p in readers(server) if connections_of(p) > 0), 0))
    finally:
        over.set()
        for thread in threads:
            thread.join()
