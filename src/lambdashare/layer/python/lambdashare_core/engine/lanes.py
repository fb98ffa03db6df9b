"""One face for all algorithms: `update`, `state`, `hexdigest`.

`state()` is None where an algorithm cannot export it: BLAKE3 always (its Python library has no way;
who resumes re-reads for BLAKE3 alone, at several times the speed of the others), the OpenSSL ones
when libcrypto did not pass its self-test.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import blake3
from awscrt import checksums

from lambdashare_core.engine import libcrypto

ALGORITHMS = ("md5", "sha1", "sha256", "sha512", "crc32", "crc64nvme", "blake3")


class Lane(Protocol):
    def update(self, data: bytes) -> None: ...
    def state(self) -> bytes | None: ...
    def hexdigest(self) -> str: ...


class OpenSsl:
    def __init__(self, name: str, state: bytes | None = None) -> None:
        self._resumable = bool(libcrypto.version())
        if state is not None and not self._resumable:
            raise ValueError("this libcrypto cannot take over a state")
        made: Any = libcrypto.MidState(name, state) if self._resumable else hashlib.new(name)
        self._sum = made

    def update(self, data: bytes) -> None:
        self._sum.update(data)

    def state(self) -> bytes | None:
        return bytes(self._sum.state()) if self._resumable else None

    def hexdigest(self) -> str:
        return bytes(self._sum.digest()).hex()


class Crc:
    def __init__(self, name: str, state: bytes | None = None) -> None:
        self._step: Callable[[bytes, int], int] = (
            zlib.crc32 if name == "crc32" else checksums.crc64nvme
        )
        self._digits = 8 if name == "crc32" else 16
        self._value = int.from_bytes(state, "big") if state else 0

    def update(self, data: bytes) -> None:
        self._value = self._step(data, self._value)

    def state(self) -> bytes:
        return self._value.to_bytes(self._digits // 2, "big")

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


class Blake3:
    def __init__(self, _name: str, state: bytes | None = None) -> None:
        if state is not None:
            raise ValueError("BLAKE3 cannot take over a state")
        self._sum = blake3.blake3()

    def update(self, data: bytes) -> None:
        self._sum.update(data)

    def state(self) -> None:
        return None

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


class Composite:
    """S3's digest of part digests: SHA-256 of the SHA-256 of each part of `part_size` bytes."""

    def __init__(self, part_size: int, state: bytes | None = None) -> None:
        self._part_size = part_size
        self._filled = 0
        parts = part = None
        if state is not None:
            (self._filled,) = struct.unpack_from(">Q", state)
            half = 8 + libcrypto.STRUCTURES["sha256"][1]
            parts, part = state[8:half], state[half:]
        self._parts = OpenSsl("sha256", parts)
        self._part = OpenSsl("sha256", part)

    def update(self, data: bytes) -> None:
        while data:
            if self._filled == self._part_size:
                self._end_part()
            piece = data[: self._part_size - self._filled]
            self._part.update(piece)
            self._filled += len(piece)
            data = data[len(piece) :]

    def _end_part(self) -> None:
        self._parts.update(bytes.fromhex(self._part.hexdigest()))
        self._part, self._filled = OpenSsl("sha256"), 0

    def state(self) -> bytes | None:
        parts, part = self._parts.state(), self._part.state()
        if parts is None or part is None:
            return None
        return struct.pack(">Q", self._filled) + parts + part

    def hexdigest(self) -> str:
        """Ends the last part: call it once, at the end."""
        if self._filled:
            self._end_part()
        return self._parts.hexdigest()


def lane(name: str, state: bytes | None = None) -> Lane:
    """The lane of one of ALGORITHMS, or of `composite:<part size>`."""
    if name.startswith("composite:"):
        return Composite(int(name.partition(":")[2]), state)
    if name == "blake3":
        return Blake3(name, state)
    return (Crc if name.startswith("crc") else OpenSsl)(name, state)
