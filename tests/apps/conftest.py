"""λShare against moto's server, one server for all tests of a module."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

pytest.register_assert_rewrite("tests.apps.api_suite")

from tests.apps import lambdashare_local as local  # noqa: E402


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def share(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.LocalShare]:
    import urllib3

    with local.environment(moto_url, monkeypatch.setenv):
        urllib3.PoolManager().request("POST", f"{moto_url}/moto-api/reset")
        local.make_tables()
        yield local.LocalShare()
        boto3.DEFAULT_SESSION = None
