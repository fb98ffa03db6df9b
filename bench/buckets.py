"""S3 against moto, MiniStack and SeaweedFS, and against the machine: small objects, large ones,
listings. Listings of many keys are in `listings`."""

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from bench import listings, load
from bench.contenders import Contender, Loopback, SeaweedFS
from bench.results import Row, Table
from bench.storage import PEERS, ROUNDS, rates, warm

_SMALL_BYTES = 1024
_LARGE_BYTES = 256 << 20
_PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 4
_UNSIGNED = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
Transfer = Callable[[Contender, bytes], None]


def s3(seconds: float) -> Table:
    table = Table("S3", [*PEERS, "seaweedfs", "machine"])
    contenders = [*(Contender(name) for name in ("cloudlet", *PEERS)), SeaweedFS()]
    machine = Loopback()
    try:
        for contender in (*contenders, machine):
            contender.start()
        for contender in contenders:
            contender.client("s3").create_bucket(Bucket="bench")
        for row in _rows(contenders, machine, seconds):
            table.add(row)
    finally:
        for contender in (*contenders, machine):
            contender.stop()
    table.notes = [
        "machine: of 1 KiB, a server on the same loopback that does nothing at all (what the load"
        " generator can send at most); of 256 MiB, MD5, then write and fsync of the same bytes, and"
        " a plain read from the page cache.",
        "moto and MiniStack keep objects in memory or in an unsynced temporary file; SeaweedFS"
        " writes files and leaves it to the kernel when they reach the disk.",
        listings.NOTE,
    ]
    return table


def _rows(contenders: list[Contender], machine: Contender, seconds: float) -> Iterator[Row]:
    yield from _small([*contenders, machine], seconds)
    yield from _large(contenders)
    memory = {c.name: c.memory_mib() for c in contenders}
    yield Row("memory afterwards", "MiB", memory, more_is_better=False)
    yield from listings.rows(contenders, seconds)


def _small(contenders: list[Contender], seconds: float) -> Iterator[Row]:
    put = {c.name: [_small_put(c, number) for number in range(1000)] for c in contenders}
    get = {c.name: [_small_get(c, number) for number in range(100)] for c in contenders}
    warm(contenders, put)
    warm(contenders, get)
    for method, requests in (("PUT", put), ("GET", get)):
        for count in (1, 16):
            what = f"{method} 1 KiB, {_clients(count)}"
            yield rates(what, contenders, requests, seconds * (1 if count > 1 else 0.5), count)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _small_put(contender: Contender, number: int) -> load.Request:
    body = os.urandom(_SMALL_BYTES)
    return load.signed(
        contender.endpoint, contender.key, "s3", "PUT", f"/bench/small-{number}", body=body
    )


def _small_get(contender: Contender, number: int) -> load.Request:
    return load.signed(contender.endpoint, contender.key, "s3", "GET", f"/bench/small-{number}")


def _large(contenders: list[Contender]) -> list[Row]:
    data = os.urandom(1 << 20) * (_LARGE_BYTES >> 20)
    kinds: dict[str, Transfer] = {
        "PUT 256 MiB": _put,
        "GET 256 MiB": _get,
        "upload of 256 MiB in 16 parts, 4 at a time": _upload,
    }
    taken: dict[str, dict[str, list[float]]] = {what: {} for what in kinds}
    for _ in range(ROUNDS):
        for what, transfer in kinds.items():
            for contender in contenders:
                began = time.perf_counter()
                transfer(contender, data)
                speed = (_LARGE_BYTES >> 20) / (time.perf_counter() - began)
                taken[what].setdefault(contender.name, []).append(speed)
        write, read = _machine(data, contenders[0].folder)
        taken["PUT 256 MiB"].setdefault("machine", []).append(write)
        taken["GET 256 MiB"].setdefault("machine", []).append(read)
    return [
        Row(what, "MiB/s", {name: sorted(v)[len(v) // 2] for name, v in values.items()})
        for what, values in taken.items()
    ]


def _put(contender: Contender, data: bytes) -> None:
    _ask(contender, "PUT", "/bench/large", data)


def _get(contender: Contender, data: bytes) -> None:
    """Of what `_put` left there."""
    size, _ = _ask(contender, "GET", "/bench/large")
    if size != len(data):
        raise SystemExit(f"{contender.name}: GET answered {size} bytes")


def _upload(contender: Contender, data: bytes) -> None:
    client = contender.client("s3")
    named = {"Bucket": "bench", "Key": "parts"}
    upload = client.create_multipart_upload(**named)["UploadId"]
    view = memoryview(data)

    def part(number: int) -> dict[str, object]:
        start = (number - 1) * _PART_BYTES
        path = f"/bench/parts?partNumber={number}&uploadId={upload}"
        _, etag = _ask(contender, "PUT", path, view[start : start + _PART_BYTES])
        return {"PartNumber": number, "ETag": etag}

    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        parts = list(pool.map(part, range(1, len(data) // _PART_BYTES + 1)))
    client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})


def _ask(
    contender: Contender, method: str, path: str, data: bytes | memoryview = b""
) -> tuple[int, str]:
    """One request over a fresh connection, unsigned payload as browsers send it; size and ETag."""
    address = urlsplit(contender.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    head = load.signed(
        contender.endpoint, contender.key, "s3", method, path, headers=_UNSIGNED if data else {}
    )
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    headers["Content-Length"] = str(len(data))
    connection.request(method, path, body=data or None, headers=headers)
    answer = connection.getresponse()
    size, buffer = 0, bytearray(1 << 20)
    while got := answer.readinto(buffer):
        size += got
    if answer.status != 200:
        raise SystemExit(f"{contender.name}: {method} answered {answer.status}")
    connection.close()
    return size, answer.headers.get("ETag", "")


def _machine(data: bytes, folder: Path) -> tuple[float, float]:
    path = folder / "machine"
    began = time.perf_counter()
    hashlib.md5(data, usedforsecurity=False)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - began
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    read = time.perf_counter() - began
    path.unlink()
    return (_LARGE_BYTES >> 20) / written, (_LARGE_BYTES >> 20) / read
