"""`up`: edits reload, restarts and kills keep shares, the public name is everywhere."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.apps.api_suite import ApiSuite, b64
from tests.apps.http_door import HttpDoor
from tests.server import LAMBDASHARE, Server

SUITE = ApiSuite()
HTTP = urllib3.PoolManager()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The application alone, elsewhere, without its page."""
    copy = tmp_path / "copy"
    for name in ("functions", "layer"):
        ignored = shutil.ignore_patterns("__pycache__", "dist")
        shutil.copytree(LAMBDASHARE.parent / name, copy / name, ignore=ignored)
    shutil.copy(LAMBDASHARE, copy)
    return copy


@pytest.fixture
def edited(copy: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", copy / LAMBDASHARE.name)
    server.options = ("-p", f"PublicUrl={server.url}", "-p", f"S3Endpoint={server.url}")
    try:
        yield server.start()
    finally:
        server.stop()


def change(path: Path, old: str, new: str) -> None:
    """As editors do: a new file takes the old one's place."""
    text = path.read_text()
    assert old in text
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(old, new))
    fresh.replace(path)


def test_edits_of_code_layer_and_template_reload(edited: Server, copy: Path) -> None:
    door = HttpDoor(edited.url)
    share = SUITE.make(door, os.urandom(1000))
    SUITE.hashed(door, share)
    about = copy / "functions" / "about" / "about_openapi.py"
    pid = edited.pid

    def title() -> str:
        return str(door.request("GET", "/v1/openapi.json").json()["info"]["title"])

    assert title() == "λShare"
    change(about, '"title": "λShare"', '"title": "Edited once"')
    door.eventually(lambda: title() == "Edited once")

    layer = copy / "layer" / "python" / "lambdashare_core" / "shares.py"
    change(layer, "There is no such share.", "Nobody knows that share.")

    def detail() -> str:
        return str(door.request("GET", f"/v1/shares/{'a' * 22}").json()["detail"])

    door.eventually(lambda: detail() == "Nobody knows that share.")

    template = copy / LAMBDASHARE.name
    change(template, "    Timeout: 15\n", "    Timeout: soon\n")
    door.eventually(lambda: "not deployed" in edited.log.read_text())
    assert door.request("GET", f"/v1/shares/{share['id']}").status == 200
    change(template, "    Timeout: soon\n", "    Timeout: 14\n")
    lambdas = edited.client("lambda")

    def timeouts() -> set[int]:
        return {each["Timeout"] for each in lambdas.list_functions()["Functions"]}

    door.eventually(lambda: 14 in timeouts() and 15 not in timeouts())
    assert door.request("GET", f"/v1/shares/{share['id']}").json()["phase"] == "hashed"
    assert edited.pid == pid


def test_shares_outlive_restarts_and_kills(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", LAMBDASHARE, "--no-watch").start()
    try:
        door = HttpDoor(server.url)
        data = os.urandom(300_000)
        share = SUITE.make(door, data)
        view = SUITE.hashed(door, share)
        assert server.stop() == 0
        server.start()
        server.kill()
        server.start()
        assert door.request("GET", f"/v1/shares/{share['id']}").json() == view
        location = door.request("GET", f"/s/{share['id']}/1").headers["location"]
        assert HTTP.request("GET", location).data == data
        assert "created" not in server.log.read_text().rpartition("stopping")[2]
    finally:
        server.stop()


def test_links_and_signatures_carry_the_public_name(tmp_path: Path) -> None:
    public = "https://share.example"
    server = Server(tmp_path / "data", LAMBDASHARE, "--no-watch", "--public-url", public).start()

    def through_the_proxy(method: str, url: str, **more: object) -> urllib3.BaseHTTPResponse:
        """As a TLS proxy passes it on: another address, the same Host."""
        assert url.startswith(public + "/"), url
        parts = urlsplit(url)
        headers = {"Host": "share.example", **more.pop("headers", {})}  # type: ignore[dict-item]
        target = f"{server.url}{parts.path}?{parts.query}"
        return HTTP.request(method, target, headers=headers, redirect=False, **more)  # type: ignore[arg-type]

    try:
        door = HttpDoor(server.url)
        data = os.urandom(100_000)
        file = {"name": "a.bin", "size": len(data), "parts": [{"number": 1, "sha256": b64(data)}]}
        share = door.request("POST", "/v1/shares", {"files": [file]}).json()
        assert share["url"] == f"{public}/s/{share['id']}"
        upload = share["uploads"][0]["urls"][0]
        stored = through_the_proxy("PUT", upload["url"], body=data, headers=upload["headers"])
        assert stored.status == 200, stored.data
        view = SUITE.hashed(door, share)
        assert view["files"][0]["url"].startswith(share["url"])
        answer = through_the_proxy("GET", view["files"][0]["url"])
        assert answer.status == 302
        assert through_the_proxy("GET", answer.headers["location"]).data == data
        curl = through_the_proxy("PUT", f"{public}/notes.txt")
        assert curl.headers["x-share-url"].startswith(f"{public}/s/")
        assert through_the_proxy("PUT", curl.headers["location"], body=b"x").status == 200
        forged = answer.headers["location"].replace("share.example", "other.example")
        assert (
            HTTP.request("GET", forged.replace("https://other.example", server.url)).status == 403
        )
    finally:
        server.stop()


def test_ctrl_c_ends_a_deployment_that_hangs(tmp_path: Path) -> None:
    """A custom resource that never answers; the next start would resume."""
    template = tmp_path / "template.yaml"
    template.write_text(HANGS)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "cloudlet", "up", str(template), "--no-watch"]
    command += ["--port", "0", "--aws-port", "0", "--data", str(tmp_path / "data")]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 90
    while "create Never" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    assert "stopping" in log.read_text() and "Traceback" not in log.read_text()


HANGS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: "def handler(event, context): pass"
  Never:
    Type: Custom::Never
    Properties:
      ServiceToken: !GetAtt Function.Arn
"""


MOCK = """
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        openapi: 3.0.1
        info: {title: %(name)s, version: "1"}
        paths:
          /:
            get:
              responses: {"200": {description: it}}
              x-amazon-apigateway-integration:
                type: mock
                requestTemplates: {application/json: '{"statusCode": 200}'}
                responses:
                  default: {statusCode: "200", responseTemplates: {application/json: %(name)s}}
  Deployment:
    Type: AWS::ApiGateway::Deployment
    Properties: {RestApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: live}
"""


def test_the_front_door_is_the_template_s_that_was_named(tmp_path: Path) -> None:
    """Whatever else was deployed into the same folder before."""
    templates = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        templates.append(folder / "template.yaml")
        templates[-1].write_text(MOCK % {"name": name})
    for template in (*templates, templates[0]):
        server = Server(tmp_path / "data", template).start()
        try:
            assert HTTP.request("GET", server.url).data.decode() == template.parent.name
        finally:
            server.stop()
