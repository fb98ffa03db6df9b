"""Sending files: parts in parallel, each with its SHA-256, resumed where an earlier try stopped.

What is on its way is remembered beside nothing of the user's: in the cache folder, until it is
complete.
"""

import base64
import hashlib
import json
import mimetypes
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdashare.client import ATTEMPTS, NETWORK_ERRORS, ApiError, Client, pauses

WORKERS = 4
BATCH = 8  # parts whose URLs are asked for together
READ_BYTES = 1 << 20

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    name: str
    size: int
    mtime_ns: int


def sources(paths: list[Path]) -> list[Source]:
    """Files as they are; folders with all that is in them."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            root = path.resolve()
            found += [_source(p, f"{root.name}/{p.relative_to(path).as_posix()}") for p in inside]
        else:
            found.append(_source(path, path.name))
    return found


def _source(path: Path, name: str) -> Source:
    stat = path.stat()
    return Source(path, name, stat.st_size, stat.st_mtime_ns)


class Slice:
    """A part of a file as a body: streamed, never whole in memory."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb")
        self._file.seek(start)
        self._left = size

    def read(self, amount: int = -1) -> bytes:
        wanted = self._left if amount is None or amount < 0 else min(amount, self._left)
        data = self._file.read(min(wanted, READ_BYTES))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


class Sending:
    """One share on its way."""

    def __init__(self, client: Client, files: list[Source], progress: Progress) -> None:
        self._client = client
        self._files = files
        self._progress = progress
        self._note = _note_path(client.server, files)
        self._slots = threading.Semaphore(2 * BATCH)
        self.share: dict[str, Any] = {}

    def begin(self, wishes: dict[str, Any]) -> dict[str, Any]:
        """Take up an earlier try with the same files, or make a share."""
        self.share = self._remembered() or self._create(wishes)
        return self.share

    def _remembered(self) -> dict[str, Any] | None:
        try:
            note: dict[str, Any] = json.loads(self._note.read_text())
            view = self._client.call("GET", f"/v1/shares/{note['id']}")
        except (OSError, ValueError, KeyError, ApiError):
            return None
        if all(file["phase"] != "uploading" for file in view["files"]):
            return None
        return note

    def _create(self, wishes: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": each.name, "size": each.size, **_type(each)} for each in self._files]
        share = self._client.call("POST", "/v1/shares", {"files": files, **wishes})
        self._note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as note:
            json.dump(share, note)
        return share

    def run(self) -> None:
        """Send everything; returns when all files are complete and witnessed."""
        with ThreadPoolExecutor(WORKERS + 1) as pool:
            for source, upload in zip(self._files, self.share["uploads"], strict=True):
                digest = pool.submit(_whole_sha256, source)
                self._send(pool, source, upload)
                self._call(upload, "digest", {"sha256": digest.result()})
        self._note.unlink(missing_ok=True)

    def _send(self, pool: ThreadPoolExecutor, source: Source, upload: dict[str, Any]) -> None:
        there = self._there(upload)
        if there is None:
            self._progress(source.size)
            return
        pending: list[Future[None]] = []
        numbers = list(range(1, upload["parts"] + 1))
        for start in range(0, len(numbers), BATCH):
            batch = [Part.of(source, upload, n) for n in numbers[start : start + BATCH]]
            sums = list(pool.map(Part.sha256, batch))
            missing = []
            for part, sha256 in zip(batch, sums, strict=True):
                if part.is_there(there.get(part.number), sha256):
                    self._progress(part.size)
                else:
                    missing.append((part, sha256))
            pending += self._submit(pool, upload, missing)
        for future in wait(pending).done:
            future.result()
        self._call(upload, "complete", {})

    def _there(self, upload: dict[str, Any]) -> dict[int, dict[str, Any]] | None:
        """The parts that S3 has, by number; None if the file is complete."""
        found: dict[int, dict[str, Any]] = {}
        after: int | None = 0
        while after is not None:
            path = f"{self._path(upload)}/parts?after={after}"
            page = self._client.call("GET", path, token=self.share["owner_token"])
            if page["phase"] != "uploading":
                return None
            found |= {part["number"]: part for part in page["parts"]}
            after = page["next"]
        return found

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        upload: dict[str, Any],
        missing: list[tuple["Part", str]],
    ) -> list[Future[None]]:
        if not missing:
            return []
        urls = self._urls(upload, missing)
        futures = []
        for (part, sha256), url in zip(missing, urls, strict=True):
            self._slots.acquire()
            future = pool.submit(self._put, upload, part, sha256, url)
            future.add_done_callback(lambda _: self._slots.release())
            futures.append(future)
        return futures

    def _urls(
        self, upload: dict[str, Any], parts: list[tuple["Part", str]]
    ) -> list[dict[str, Any]]:
        asked = [{"number": part.number, "sha256": sha256} for part, sha256 in parts]
        urls: list[dict[str, Any]] = self._call(upload, "parts", {"parts": asked})["urls"]
        return urls

    def _put(self, upload: dict[str, Any], part: "Part", sha256: str, url: dict[str, Any]) -> None:
        """PUT one part; a new URL and another try when the network or S3 fails."""
        for pause in pauses(ATTEMPTS):
            status, data = self._try(part, url)
            if status == 200:
                self._progress(part.size)
                return
            if pause is None or status in (400, 404, 411):
                raise OSError(f"storage refuses part {part.number}: {status} {data[:200]!r}")
            time.sleep(pause)
            url = self._urls(upload, [(part, sha256)])[0]

    def _try(self, part: "Part", url: dict[str, Any]) -> tuple[int, bytes]:
        body = Slice(part.path, part.start, part.size)
        headers = url["headers"] | {"content-length": str(part.size)}
        try:
            sent: Any = body if part.size else b""
            answer = self._client.pool.request("PUT", url["url"], body=sent, headers=headers)
            return answer.status, answer.data
        except NETWORK_ERRORS as error:
            return 0, str(error).encode()
        finally:
            body.close()

    def _path(self, upload: dict[str, Any]) -> str:
        return f"/v1/shares/{self.share['id']}/files/{upload['n']}"

    def _call(self, upload: dict[str, Any], verb: str, document: Any) -> dict[str, Any]:
        path = f"{self._path(upload)}/{verb}"
        return self._client.call("POST", path, document, self.share["owner_token"])


@dataclass(frozen=True, slots=True)
class Part:
    path: Path
    number: int
    start: int
    size: int

    @classmethod
    def of(cls, source: Source, upload: dict[str, Any], number: int) -> "Part":
        start = (number - 1) * upload["part_size"]
        return cls(source.path, number, start, min(upload["part_size"], source.size - start))

    def is_there(self, listed: dict[str, Any] | None, sha256: str) -> bool:
        """Some storages list no SHA-256; the ETag of a part is its MD5."""
        if listed is None or listed["size"] != self.size:
            return False
        if listed["sha256"]:
            return bool(listed["sha256"] == sha256)
        return bool(listed["etag"].strip('"') == self._sum("md5").hexdigest())

    def sha256(self) -> str:
        return base64.b64encode(self._sum("sha256").digest()).decode()

    def _sum(self, algorithm: str) -> Any:
        running = hashlib.new(algorithm)
        body = Slice(self.path, self.start, self.size)
        while block := body.read(READ_BYTES):
            running.update(block)
        body.close()
        return running


def _whole_sha256(source: Source) -> str:
    with source.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _type(source: Source) -> dict[str, str]:
    kind = mimetypes.guess_type(source.name)[0]
    return {"type": kind} if kind else {}


def _note_path(server: str, files: list[Source]) -> Path:
    what = [server, *([str(f.path.resolve()), f.size, f.mtime_ns] for f in files)]
    name = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "lambdashare" / "uploads" / f"{name}.json"
