"""kill -9 under writers and resharding: what was answered is in the stream, each key in order."""

import random
import threading
import time
from collections import defaultdict
from contextlib import suppress
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from tests.server import Server

pytestmark = pytest.mark.fault
ROUNDS = 2
WRITERS = 5
GONE = (BotoCoreError, ClientError, HTTPError, OSError)
STREAM = {"StreamName": "s"}


class Producers:
    """Each has a key of its own, and goes on when what it wrote last was answered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answered: dict[str, list[str]] = {str(n): [] for n in range(WRITERS)}  # by key
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(key,)) for key in self.answered]
        self._threads.append(threading.Thread(target=self._reshard))

    @property
    def count(self) -> int:
        return sum(map(len, self.answered.values()))

    def run_for(self, more: int) -> None:
        wanted, deadline = self.count + more, time.monotonic() + 90
        while self.count < wanted and time.monotonic() < deadline:
            time.sleep(0.002)
        assert self.count >= wanted

    def __enter__(self) -> "Producers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(90)

    def _write(self, key: str) -> None:
        client, done = self.server.client("kinesis"), self.answered[key]
        while not self._is_over.is_set():
            try:
                if len(done) % 3:
                    put = client.put_record(Data=b"%d" % len(done), PartitionKey=key, **STREAM)
                    done.append(put["SequenceNumber"])
                    continue
                some = [{"Data": b"%d" % (len(done) + n), "PartitionKey": key} for n in range(4)]
                put = client.put_records(Records=some, **STREAM)
                assert not put["FailedRecordCount"]
                done += [each["SequenceNumber"] for each in put["Records"]]
            except GONE:
                self._is_over.wait(0.05)

    def _reshard(self) -> None:
        client, target = self.server.client("kinesis"), 1
        while not self._is_over.wait(0.3):
            target = 3 - target  # one and two by turns
            with suppress(*GONE):
                client.update_shard_count(
                    TargetShardCount=target, ScalingType="UNIFORM_SCALING", **STREAM
                )


def everything(server: Server) -> dict[str, list[tuple[str, int]]]:
    """Of each key what is there, parents before children."""
    client = server.client("kinesis")
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    shards: list[dict[str, Any]] = client.list_shards(**STREAM)["Shards"]
    for shard in shards:  # in order of their creation
        place = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON", **STREAM}
        iterator = client.get_shard_iterator(**place).get("ShardIterator")
        while iterator:
            page = client.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                entry = (record["SequenceNumber"], int(record["Data"]))
                found[record["PartitionKey"]].append(entry)
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return found


def test_what_was_answered_is_there_in_order(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    client = server.client("kinesis")
    client.create_stream(ShardCount=1, **STREAM)
    client.start_stream_encryption(EncryptionType="KMS", KeyId="alias/aws/kinesis", **STREAM)
    with Producers(server) as producers:
        for _ in range(ROUNDS):
            producers.run_for(random.randint(20, 120))
            server.kill()
            server.start()
        producers.run_for(20)
    found = everything(server)
    for key, answered in producers.answered.items():
        by_number = dict(found[key])
        assert [by_number[number] for number in answered] == list(range(len(answered)))
        firsts = sorted({data for _, data in found[key]})
        assert firsts == list(range(len(firsts)))
        # what was written but not answered comes again: only ever a batch, right behind itself
        order = [data for data, _ in groupby(data for _, data in found[key])]
        late = [data for data, after in pairwise(order) if after < data]
        assert len(late) <= ROUNDS
    assert server.stop() == 0
