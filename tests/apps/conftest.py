"""λShare against moto's server, one server for all tests of a module."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

pytest.register_assert_rewrite("tests.apps.api_suite")

from tests.apps import lambdashare_local as local  # noqa: E402


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """One request at a time: moto's writes are not isolated from each other (DynamoDB's are)."""
    moto, one = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def alone(*request: Any) -> Iterable[bytes]:
        with one:
            return moto(*request)

    server = make_server("127.0.0.1", 0, alone, True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def share(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.LocalShare]:
    import urllib3

    with local.environment(moto_url, monkeypatch.setenv):
        urllib3.PoolManager().request("POST", f"{moto_url}/moto-api/reset")
        local.make_tables()
        yield local.LocalShare()
        boto3.DEFAULT_SESSION = None
