"""What the tests of every example use: its functions as modules, its deployment, its page."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, Page

from tests.server import Server

EXAMPLES = Path(__file__).parents[2] / "examples"
_PATIENCE_S = 90

Load = Callable[..., ModuleType]
Face = Callable[[Server], None]
Deploy = Callable[..., Server]
OpenPage = Callable[..., Page]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of a folder as Lambda does; all of the folder's are forgotten afterwards."""
    loaded: set[str] = set()

    def imported(folder: str, name: str = "app") -> ModuleType:
        monkeypatch.syspath_prepend(EXAMPLES / folder)
        names = {path.stem for path in (EXAMPLES / folder).glob("*.py")}
        loaded.update(names)
        for each in names:
            sys.modules.pop(each, None)
        return importlib.import_module(name)

    yield imported
    for each in loaded:
        sys.modules.pop(each, None)


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> Face:
    """Makes the environment one in which AWS is this server, as `cloudlet env` does."""

    def faced(server: Server) -> None:
        for name, value in server.credentials().items():
            monkeypatch.setenv(name.upper(), value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    return faced


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Starts an example; options are of `cloudlet up`."""
    servers: list[Server] = []

    def started(name: str, *options: str) -> Server:
        data = tmp_path_factory.mktemp(name) / "data"
        server = Server(data, EXAMPLES / name / "template.yaml", "--no-watch", *options)
        servers.append(server)
        return server.start()

    yield started
    for server in servers:
        server.stop()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages; the test fails if a script of one of them does."""
    contexts, complaints = [], list[str]()

    def opened(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def outputs(server: Server) -> dict[str, str]:
    """Of the only stack."""
    (stack,) = server.client("cloudformation").describe_stacks()["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def eventually(check: Callable[[], Any]) -> Any:
    """What `check` returns as soon as it is true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (result := check()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return result
