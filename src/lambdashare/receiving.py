"""Receiving files: hashed while they are saved, and kept only if every known sum agrees.

Bytes go to a temporary name beside the final one; after a match they are synced and renamed. A
broken connection goes on where it broke.
"""

import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lambdashare import sums
from lambdashare.client import ATTEMPTS, NETWORK_ERRORS, ApiError, Client, pauses

BLOCK_BYTES = 1 << 20
_PAGE = re.compile(r"/s/([0-9A-Za-z]{22})(?:/([1-9][0-9]*)(?:/[^/]*)?)?/?")
_UNSHOWABLE = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_HASH = re.compile(r"/(?:h|v1/hashes)/([^/.]+)(?:\.[a-z0-9]+)?/?")

Progress = Callable[[int], None]


class Mismatch(Exception):
    """What arrived is not what was promised."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a link or a hash asks for."""

    server: str
    share: str = ""
    n: int = 0  # 0: all files
    digest: str = ""
    promised: dict[int, str] = field(default_factory=dict)  # file number → SHA-256


def wanted(text: str, server: str) -> Wanted:
    """ValueError if it is neither a link nor a digest."""
    if not text.startswith(("http://", "https://")):
        try:
            return Wanted(server, digest=sums.parse(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is neither a link nor a digest. {error}") from None
    parts = urlsplit(text)
    origin = f"{parts.scheme}://{parts.netloc}"
    if found := _PAGE.fullmatch(parts.path):
        n = int(found[2] or 0)
        return Wanted(origin, found[1], n, promised=_promised(parts.fragment, n or 1))
    if found := _HASH.fullmatch(parts.path):
        return Wanted(origin, digest=sums.parse(found[1]))
    raise ValueError(f"{text} is no link to a share or a hash")


def _promised(fragment: str, n: int) -> dict[int, str]:
    """`#sha256=…` is for the file linked to (or the first), `#sha256.2=…` for the second."""
    found = {}
    for name, value in parse_qsl(fragment):
        algorithm, _, number = name.partition(".")
        if algorithm == "sha256":
            digest = sums.parse(value)
            if len(digest) != 64 or (number and not number.isdigit()):
                raise ValueError("the link's #sha256= is not a SHA-256")
            found[int(number or n)] = digest
    return found


def files_of(client: Client, want: Wanted) -> list[dict[str, Any]]:
    """The files to fetch, with `share` in each."""
    if want.digest:
        found = client.call("GET", f"/v1/hashes/{want.digest}")
        first = found["files"][0]
        return [first | {"digests": found["digests"]}]
    view = client.call("GET", f"/v1/shares/{want.share}")
    files = [file | {"share": want.share} for file in view["files"]]
    chosen = [file for file in files if want.n in (0, file["n"])]
    if not chosen:
        raise ApiError(404, {"detail": "There is no such file in this share."})
    return chosen


def expected(file: dict[str, Any], want: Wanted) -> dict[str, set[str]]:
    """Algorithm → every value that was promised by the link, the hash asked for, the server."""
    found: dict[str, set[str]] = {}
    for algorithm, value in file["digests"].items():
        if algorithm == "sha256":
            found.setdefault(algorithm, set()).add(value)
    if file["n"] in want.promised:
        found.setdefault("sha256", set()).add(want.promised[file["n"]])
    return found


def receive(
    client: Client, file: dict[str, Any], want: Wanted, target: Path, progress: Progress
) -> dict[str, str]:
    """Fetch one file to `target`. Mismatch leaves nothing under that name."""
    promises = expected(file, want)
    if not promises and not want.digest:
        raise ApiError(409, {"detail": f"{file['name']} has no sums yet: try again later."})
    running = sums.lanes({"sha256", *promises, *sums.algorithms_of(want.digest)})
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as out:
            fetch = Fetch(client, f"/s/{file['share']}/{file['n']}", file["size"])
            fetch.into(lambda block: _take(block, out, running, progress))
            out.flush()
            os.fsync(out.fileno())
        got = {name: each.hexdigest() for name, each in running.items()}
        _compare(file["name"], got, promises, want.digest)
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return got


def _take(block: bytes, out: Any, running: dict[str, Any], progress: Progress) -> None:
    out.write(block)
    for each in running.values():
        each.update(block)
    progress(len(block))


def _compare(name: str, got: dict[str, str], promises: dict[str, set[str]], digest: str) -> None:
    for algorithm, values in promises.items():
        for value in values - {got[algorithm]}:
            raise Mismatch(f"{name}: {algorithm} is {got[algorithm]}, not {value}")
    if digest and not any(value.startswith(digest) for value in got.values()):
        raise Mismatch(f"{name} does not have the hash {digest}")


class Fetch:
    """A download that survives broken connections."""

    def __init__(self, client: Client, path: str, size: int | None) -> None:
        self._client, self._size = client, size
        self._url = client.redirect(path)
        self._path = path
        self.position = 0

    def into(self, take: Callable[[bytes], None]) -> None:
        for pause in pauses(ATTEMPTS):
            try:
                if self._once(take):
                    return
            except NETWORK_ERRORS:
                if pause is None:
                    raise
            if pause is None:
                break
            time.sleep(pause)
        raise OSError(f"the download broke off after {self.position} of {self._size} bytes")

    def _once(self, take: Callable[[bytes], None]) -> bool:
        headers = {"accept-encoding": "identity"}
        if self.position:
            headers["range"] = f"bytes={self.position}-"
        answer = self._client.pool.request("GET", self._url, headers=headers, preload_content=False)
        try:
            if answer.status == 403:  # the URL has run out
                self._url = self._client.redirect(self._path)
                return False
            if answer.status != (206 if self.position else 200):
                if answer.status >= 500:
                    return False
                raise ApiError(answer.status, {"detail": f"storage answered {answer.status}"})
            for block in answer.stream(BLOCK_BYTES):
                self.position += len(block)
                if self._size is not None and self.position > self._size:
                    raise Mismatch(f"more than the {self._size} bytes that were promised")
                take(block)
        finally:
            answer.release_conn()
        return self._size is None or self.position >= self._size


def local_name(name: str) -> Path:
    """A name from elsewhere as a path that stays below where it is put, and can be printed."""
    segments = re.split(r"[/\\]", name)
    unsafe = any(segment in ("", ".", "..") for segment in segments) or _UNSHOWABLE.search(name)
    if unsafe or (os.name == "nt" and ":" in name):  # a drive, or a stream of a file
        raise ValueError(f"{name!r} is not a safe file name")
    return Path(*segments)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
