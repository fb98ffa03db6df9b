"""λShare in a server of its own that may be killed at any time, and uploads into it."""

import base64
import hashlib
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from awscrt.checksums import crc64nvme
from blake3 import blake3

from tests.server import LAMBDASHARE, Server

Found = TypeVar("Found")


class SharingServer(Server):
    """`cloudlet up` on λShare's template; failed events are tried again after a second."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, LAMBDASHARE, "--retry-seconds", "1", "--no-watch")

    def _command(self) -> list[str]:
        places = [f"-p{name}={self.url}" for name in ("PublicUrl", "S3Endpoint")]
        return ["-m", "cloudlet", "up", str(LAMBDASHARE), *places]

    def ask(self, method: str, path: str, document: Any = None, token: str = "") -> Any:
        """A call of λShare's API; its JSON. Raises HTTPError when the server is gone."""
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.http.request(
            method, f"{self.url}{path}", json=document, headers=headers, redirect=False
        )
        assert answer.status < 500, (answer.status, answer.data)
        assert answer.status < 400, (path, answer.data)
        return answer.json() if answer.data else None

    def upload(self, name: str, data: bytes, part_size: int = 64 << 20) -> str:
        """Sends one file through presigned URLs; the share's id, once S3 has said yes."""
        pieces = [data[at : at + part_size] for at in range(0, len(data), part_size)] or [b""]
        sums = [base64.b64encode(hashlib.sha256(piece).digest()).decode() for piece in pieces]
        parts = [{"number": number, "sha256": each} for number, each in enumerate(sums, 1)]
        file = {"name": name, "size": len(data), "part_size": part_size, "parts": parts}
        share = self.ask("POST", "/v1/shares", {"files": [file]})
        plan = share["uploads"][0]
        for part, piece in zip(plan["urls"], pieces, strict=True):
            answer = self.http.request("PUT", part["url"], body=piece, headers=part["headers"])
            assert answer.status == 200, answer.data
        if plan["method"] == "multipart":
            path = f"/v1/shares/{share['id']}/files/1/complete"
            self.ask("POST", path, {}, share["owner_token"])
        return str(share["id"])

    def file(self, share: str) -> dict[str, Any]:
        file: dict[str, Any] = self.ask("GET", f"/v1/shares/{share}")["files"][0]
        return file

    def digests(self, share: str, within_s: float = 90) -> dict[str, str]:
        """The seven sums, waited for."""
        digests: dict[str, str] = eventually(lambda: self.file(share)["digests"], within_s)
        return digests


def sums(data: bytes) -> dict[str, str]:
    found = {name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256")}
    return found | {
        "sha512": hashlib.sha512(data).hexdigest(),
        "crc32": f"{zlib.crc32(data):08x}",
        "crc64nvme": f"{crc64nvme(data):016x}",
        "blake3": blake3(data).hexdigest(),
    }


def eventually(probe: Callable[[], Found], within_s: float = 90, pause_s: float = 0.02) -> Found:
    """The first true value of `probe`; connections that break meanwhile are tried again."""
    deadline, value = time.monotonic() + within_s, None
    while time.monotonic() < deadline:
        with suppress(urllib3.exceptions.HTTPError):
            value = probe()
        if value:
            return value
        time.sleep(pause_s)
    raise AssertionError(f"not within {within_s} s: {value!r}")


def descendants(pid: int) -> list[int]:
    """The process ids below a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def all_have_ended(pids: list[int]) -> bool:
    """A zombie has, too, where nobody reaps it."""
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                return False
    return True


def cpu_ticks(pid: int) -> int:
    """What a process has computed so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
