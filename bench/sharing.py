"""λShare as a person feels it: start-up to first answer; 1 GiB up → sums visible."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.contenders import LambdaShare
from bench.results import Row, Table

_SIZE_BYTES = 1 << 30
_ROUNDS = 3


def sharing() -> Table:
    table = Table("λShare", ["machine"])
    server = LambdaShare().start()
    try:
        starts = []
        for _ in range(_ROUNDS):
            server.restart(f"http://127.0.0.1:{server.door}/")
            starts.append(server.start_s)
        what = "start-up to the first page, data directory exists"
        table.rows.append(Row(what, "s", {"cloudlet": sorted(starts)[1]}, more_is_better=False))
        file = server.folder / "gigabyte"
        with file.open("wb") as stream:
            for _ in range(_SIZE_BYTES >> 20):
                stream.write(os.urandom(1 << 20))
        ours, floor = [], []
        for _ in range(_ROUNDS):
            floor.append(_floor(file))
            ours.append(_send(file, f"http://localhost:{server.door}"))
        figures = {"cloudlet": sorted(ours)[1], "machine": sorted(floor)[1]}
        table.rows.append(
            Row("send 1 GiB → seven sums visible", "s", figures, more_is_better=False)
        )
        memory = {"cloudlet": server.memory_mib()}
        table.rows.append(Row("memory afterwards, workers too", "MiB", memory, False))
        table.notes.append(
            "machine: `cp` with fsync, then SHA-256 (OpenSSL) of the same file. Sending also sums"
            " twice on the way (whole and parts), S3 checks both it and MD5, and `hasher` computes"
            " seven algorithms, which by itself takes several times as long as SHA-256."
        )
    finally:
        server.stop()
    return table


def _floor(file: Path) -> float:
    began = time.perf_counter()
    copy = file.with_suffix(".copy")
    shutil.copyfile(file, copy)
    descriptor = os.open(copy, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    with copy.open("rb") as stream:
        hashlib.file_digest(stream, "sha256")
    spent = time.perf_counter() - began
    copy.unlink()
    return spent


def _send(file: Path, server: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lambdashare.cli", "send", "--json", "--server", server, str(file)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began
