"""Writes that readers take in, and a server that is killed: what was told as done is there."""

import json
import threading
from contextlib import suppress
from pathlib import Path

from tests.conformance.building import eventually
from tests.lines import NAME, Line, ReaderServer, connections_of, has_reader, make_table, readers
from tests.server import Server

WRITERS = 12
ROUNDS = 2


def test_what_was_told_as_done_survives(tmp_path: Path) -> None:
    server = ReaderServer(tmp_path / "data").start()
    make_table(server, NAME)
    done: dict[str, int] = {}
    for _ in range(ROUNDS):
        pid = has_reader(server)
        over = threading.Event()
        threads = [
            threading.Thread(target=_write, args=(server, f"item-{n}", done, over))
            for n in range(WRITERS)
        ]
        for thread in threads:
            thread.start()

        def is_relaying(pid: int = pid) -> bool:
            return connections_of(pid) > 0

        eventually(is_relaying)
        before = sum(done.values())
        eventually(lambda least=before + 200: sum(done.values()) > least)
        server.kill()
        over.set()
        for thread in threads:
            thread.join()
        server.start()
        line = Line(server)
        for name, number in done.items():
            status, body = line.ask(line.item(Key={"k": {"S": name}}, ConsistentRead=True))
            found = int(json.loads(body)["Item"]["n"]["N"])
            assert status == 200 and found in (number, number + 1)  # the last one was not told
            done[name] = found
        line.close()
    assert server.stop() == 0
    eventually(lambda: not readers(server))


def _write(server: Server, name: str, done: dict[str, int], over: threading.Event) -> None:
    """Counts up until the server is gone."""
    line = Line(server)
    with suppress(OSError, IndexError, ValueError):
        while not over.is_set():
            number = done.get(name, 0) + 1
            item = {"k": {"S": name}, "n": {"N": str(number)}}
            if line.ask(line.item("PutItem", Item=item)) == (200, b"{}"):
                done[name] = number
    line.close()
