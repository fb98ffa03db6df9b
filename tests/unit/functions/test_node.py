"""Node.js functions: what AWS's machines have beside them, and under which addresses."""

import io
import json
import logging
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cloudlet import npm
from tests.unit.functions.cloud import run as run_async
from tests.unit.functions.cloud import running

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
NODE = {"Runtime": "nodejs22.x", "Handler": "index.handler"}
REQUIRED = 'const sdk = require("@aws-sdk/client-one");\nexports.handler = async () => sdk.NAME;'
IMPORTED = 'import { NAME } from "@aws-sdk/client-one";\nexport const handler = async () => NAME;'
PACKAGES = ("@aws-sdk/client-one@^3",)


def zipped(**files: str) -> dict[str, bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return {"ZipFile": buffer.getvalue()}


def installed(data: Path, *packages: str) -> None:
    """As npm would have done."""
    for package in packages:
        name = package[: package.rindex("@")]
        place = npm.folder(data, packages) / "node_modules" / name
        place.mkdir(parents=True)
        (place / "index.js").write_text(f"exports.NAME = {name + ' of the cache'!r};")


@pytest.fixture
def no_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "command", lambda: ["/no/such/npm"])


@pytest.mark.usefixtures("no_npm")
def test_the_sdk_is_found_below_what_the_function_brings(tmp_path: Path) -> None:
    own = "node_modules/@aws-sdk/client-one/index.js"
    cases: dict[str, dict[str, str]] = {
        "required": {"index.js": REQUIRED},
        "imported": {"index.mjs": IMPORTED},
        "later": {"index.js": 'exports.handler = async () => (await import("@aws-sdk/client-one")).NAME;'},  # noqa: E501
        "own": {"index.js": REQUIRED, own: 'exports.NAME = "its own";'},
        "own-module": {"index.mjs": IMPORTED, own: 'exports.NAME = "its own";'},
    }  # fmt: skip

    async def test() -> None:
        async with running(tmp_path) as bed:
            installed(tmp_path, *PACKAGES)
            for name, files in cases.items():
                await bed.create(name, "", **NODE, Code=zipped(**files))
                answer = json.loads((await bed.run(name))["Payload"])
                wanted = "its own" if "own" in name else "@aws-sdk/client-one of the cache"
                assert answer == wanted, (name, answer)

    run_async(test)


@pytest.mark.usefixtures("no_npm")
def test_layers_are_scanned_and_found_by_modules(tmp_path: Path) -> None:
    """A layer's module imports the SDK; the function imports the layer's module."""
    module = {
        "nodejs/node_modules/of-layer/package.json": '{"type": "module", "exports": "./main.js"}',
        "nodejs/node_modules/of-layer/main.js": 'export { NAME } from "@smithy/two";',
    }
    source = 'import { NAME } from "of-layer";\nexport const handler = async () => NAME;'

    async def test() -> None:
        async with running(tmp_path) as bed:
            installed(tmp_path, "@smithy/two@*")
            layer = await bed.operate(
                "PublishLayerVersion", LayerName="with", Content=zipped(**module)
            )
            arn = layer["LayerVersionArn"]
            await bed.create("uses", "", **NODE, Layers=[arn], Code=zipped(**{"index.mjs": source}))
            assert json.loads((await bed.run("uses"))["Payload"]) == "@smithy/two of the cache"

    run_async(test)


@pytest.mark.usefixtures("no_npm")
def test_without_npm_the_function_is_deployed_and_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("lacks", "", **NODE, Code=zipped(**{"index.js": REQUIRED}))
            answer = json.loads((await bed.run("lacks"))["Payload"])
            assert answer["errorType"] == "Runtime.ImportModuleError"
            assert "npm could not install the AWS SDK" in "\n".join(await bed.log("lacks"))

    run_async(test)
    told = [each.getMessage() for each in caplog.records if "@aws-sdk" in each.getMessage()]
    assert told == [
        f"lacks imports what AWS's runtime brings; npm installs: {PACKAGES[0]}",
        f"lacks will fail to start: it lacks {PACKAGES[0]}, and there is no npm on the PATH",
    ]


@pytest.fixture
def cloud_port() -> Iterator[int]:
    """A cloud that answers every request with its Host header and path."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = f"{self.headers['Host']} {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


ASKING = """import { request } from "node:https";
const ask = (...input) => new Promise((resolve, reject) => {
  const sent = request(...input, (answer) => {
    let text = "";
    answer.on("data", (chunk) => (text += chunk));
    answer.on("end", () => resolve(text));
  });
  sent.on("error", reject);
  sent.end();
});
const api = "abc.execute-api.us-east-1.amazonaws.com";
export const handler = async () => [
  await ask({ host: api, port: 443, path: "/prod/x?y=1", method: "POST", headers: { host: api } }),
  await ask(`https://${api}/prod/z`, { method: "POST" }),
  await ask({ hostname: "127.0.0.1", port: 443, path: "/answer", method: "POST" }),
];
"""


def test_gateways_and_cloudformation_are_here(tmp_path: Path, cloud_port: int) -> None:
    """HTTPS to a gateway's AWS address, and to port 443 where CloudFormation is told to listen."""
    environment = {"Variables": {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{cloud_port}"}}

    async def test() -> None:
        async with running(tmp_path) as bed:
            code = zipped(**{"index.mjs": ASKING})
            await bed.create("asks", "", **NODE, Environment=environment, Code=code)
            api = "abc.execute-api.us-east-1.amazonaws.com"
            assert json.loads((await bed.run("asks"))["Payload"]) == [
                f"{api} /prod/x?y=1",
                f"{api} /prod/z",
                f"127.0.0.1:{cloud_port} /answer",
            ]

    run_async(test)
