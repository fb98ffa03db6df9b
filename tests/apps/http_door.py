"""λShare over HTTP: a door to a running service, and a small server in front of `LocalShare`."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from tests.apps.lambdashare_local import LocalShare, Response


class HttpDoor:
    """The API suite's door to whatever runs at `base`."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self._pool = urllib3.PoolManager(maxsize=8)

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        headers: dict[str, str] | None = None,
        body: str | None = None,
    ) -> Response:
        if body is None:
            body = "" if document is None else json.dumps(document)
        answer = self._pool.request(
            method, self.base + path, body=body.encode(), headers=headers or {}, redirect=False
        )
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, named, answer.data)

    def eventually(self, check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 90
        while not (result := check()):
            if time.monotonic() > deadline:
                raise AssertionError("it never came true")
            time.sleep(0.05)
        return result


@contextmanager
def served(share: LocalShare) -> Iterator[str]:
    """`share` behind a port. Events are delivered when somebody looks."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            with lock:
                if self.command == "GET" and self.path.startswith("/v1/"):
                    share.pump()
                found = share.request(
                    self.command, self.path, headers=dict(self.headers), body=body
                )
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
