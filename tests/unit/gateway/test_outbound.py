"""Services outside that are hostile: slow, endless, or behind a path that must not be left."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import urllib3

from cloudlet.wire import outbound


class Backend:
    """Answers each connection with `pieces`, with a pause after each."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.pieces: tuple[bytes, ...] = (b"Content-Length: 2\r\n\r\n", b"ok")
        self.times, self.pause_s = 1, 0.0
        self.asked: list[bytes] = []

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self.asked.append(client.recv(65536).partition(b"\r\n")[0])
                try:
                    client.sendall(b"HTTP/1.1 200 OK\r\n" + self.pieces[0])
                    for _ in range(self.times):
                        client.sendall(self.pieces[1])
                        time.sleep(self.pause_s)
                except OSError:
                    continue


@pytest.fixture
def backend() -> Iterator[Backend]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Backend(listener)
        thread = threading.Thread(target=made.run)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def ask(backend: Backend, path: str, timeout_s: float = 10) -> bytes:
    answer = outbound.whole(("GET", backend.url + path), {}, b"", timeout_s)
    assert isinstance(answer.body, bytes)
    return answer.body


def test_a_path_is_not_left(backend: Backend) -> None:
    for path in ("/in/../../admin?a=/../b", "/in/./..", "/in/a..b/...", "/../x"):
        assert ask(backend, path) == b"ok"
    assert [line.split()[1] for line in backend.asked] == [
        b"/in/%2E%2E/%2E%2E/admin?a=/../b",
        b"/in/%2E/%2E%2E",
        b"/in/a..b/...",
        b"/%2E%2E/x",
    ]


def test_an_answer_must_come_in_time(backend: Backend) -> None:
    backend.pieces, backend.times, backend.pause_s = (b"\r\n", b"x"), 200, 0.02
    with pytest.raises(urllib3.exceptions.TimeoutError):
        ask(backend, "/", 0.2)


def test_an_endless_answer_is_not_read_to_its_end(backend: Backend) -> None:
    backend.pieces, backend.times = (b"\r\n", b"x" * 1_000_000), 100_000
    with pytest.raises(outbound.TooLarge):
        ask(backend, "/", 60)


def test_what_nobody_waits_for_keeps_no_threads_of_clients() -> None:
    """However many slow destinations there are: a gateway's request finds a thread."""
    over = threading.Event()

    async def run() -> int:
        slow = [asyncio.create_task(outbound.behind(over.wait, 60)) for _ in range(200)]
        await asyncio.sleep(0)
        quick = await asyncio.wait_for(outbound.in_thread(int, "7"), 30)
        over.set()
        await asyncio.gather(*slow)
        return quick

    assert asyncio.run(run()) == 7
