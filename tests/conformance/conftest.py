"""One bare cloudlet for all tests of real clients: what they make has names of their own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("cloudlet") / "data"
    server = Server(data, None, "--retry-seconds", "0.2").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    return (f"test-{number}" for number in itertools.count(1))


@pytest.fixture
def bucket(server: Server, names: Iterator[str]) -> str:
    name = next(names)
    server.client("s3").create_bucket(Bucket=name)
    return name
