"""λShare under kill -9: every stored file gets its sums, and everything is counted exactly once."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from tests.fault.sharing import (
    SharingServer,
    all_have_ended,
    cpu_ticks,
    descendants,
    eventually,
    sums,
)

pytestmark = pytest.mark.fault
KILLS = 3
WRITERS = 3
BIG = 400 << 20
SIZES = (0, 1, 1000, 70_000, 3_000_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharingServer]:
    server = SharingServer(tmp_path / "data").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def big() -> bytes:
    return os.urandom(1 << 20) * (BIG >> 20)


class Traffic:
    """People who upload and download until the server is gone."""

    def __init__(self, server: SharingServer, truth: dict[str, bytes]) -> None:
        self.server = server
        self.truth = truth
        self.stored = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._go) for _ in range(WRITERS)]

    def run_and_kill(self) -> None:
        for thread in self._threads:
            thread.start()
        wanted = random.randint(3, 15)
        eventually(lambda: self.stored >= wanted, 90, 0.002)
        time.sleep(random.random() * 0.2)  # anywhere between two answers
        self.server.kill()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()

    def _go(self) -> None:
        try:
            while True:
                data = os.urandom(random.choice(SIZES))
                share = self.server.upload("a file.bin", data)
                with self._lock:
                    self.truth[share] = data
                    self.stored += 1
                url = f"{self.server.url}/s/{random.choice(list(self.truth))}/1"
                self.server.http.request("GET", url, redirect=False)
        except HTTPError:
            return


def test_sums_and_counts_after_kills(server: SharingServer) -> None:
    truth: dict[str, bytes] = {}
    for _ in range(KILLS):
        Traffic(server, truth).run_and_kill()
        server.start()
    for share, data in truth.items():
        assert server.digests(share) == sums(data), share

    s3 = server.client("s3")
    (bucket,) = [b["Name"] for b in s3.list_buckets()["Buckets"] if "-uploads-" in b["Name"]]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    objects = {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}
    shares = {key.split("/")[1] for key in objects}
    assert truth.keys() <= shares  # and a few whose answer the kill took away
    for share in shares:
        server.digests(share)
    wanted = {
        "uploads": len(objects),
        "bytes": sum(objects.values()),
        "hashes": len(objects),
        "downloads": sum(server.file(share)["downloads"] for share in shares),
    }

    def counted() -> dict[str, int]:
        totals = server.ask("GET", "/v1/stats?range=hour")["totals"]
        return {name: totals[name] for name in wanted}

    eventually(lambda: counted() == wanted)
    time.sleep(1)  # an event counted twice would come now
    assert counted() == wanted


def hashing(server: SharingServer, share: str, before: dict[int, int]) -> list[int]:
    """The process that has been hashing for 0.3 seconds, no other computes that long; none if all
    is hashed before anybody sees it."""
    while not server.file(share)["digests"]:
        busy = {pid: cpu_ticks(pid) - before.get(pid, 0) for pid in descendants(server.pid)}
        if found := [pid for pid, ticks in busy.items() if ticks >= 30]:
            return found[:1]
    return []


def test_hashing_of_a_big_file_goes_on_after_a_kill(server: SharingServer, big: bytes) -> None:
    share = server.upload("big.bin", big)
    before = {pid: cpu_ticks(pid) for pid in descendants(server.pid)}
    hashing(server, share, before)
    server.kill()
    server.start()
    assert server.digests(share) == sums(big)


def test_hashing_survives_its_worker(server: SharingServer, big: bytes) -> None:
    """kill -9 of the process that hashes: the event is tried again."""
    for _ in range(5):
        share = server.upload("big.bin", big)
        before = {pid: cpu_ticks(pid) for pid in descendants(server.pid)}
        for pid in hashing(server, share, before):
            os.kill(pid, signal.SIGKILL)
        if not server.file(share)["digests"]:  # it was in the middle of it
            break
    else:
        raise AssertionError("it was always done before the kill")
    assert server.digests(share) == sums(big)


def test_functions_survive_the_death_of_all_their_processes(server: SharingServer) -> None:
    page = f"{server.url}/v1/stats"
    for _ in range(2):
        share = server.upload("small", b"abc")
        assert server.digests(share)["crc32"] == sums(b"abc")["crc32"]
        for pid in descendants(server.pid):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.http.request("GET", page).status == 200)


def test_workers_end_with_a_killed_server(server: SharingServer) -> None:
    server.digests(server.upload("small", b"abc"))
    workers = descendants(server.pid)
    assert workers
    server.kill()
    eventually(lambda: all_have_ended(workers))
    server.start()
