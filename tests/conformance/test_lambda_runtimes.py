"""Runtimes other than cloudlet's own Python: Node.js, another Python, executables."""

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.building import make_role, zipped_files
from tests.server import Server

BOOTSTRAP = """#!/bin/bash
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -L -D "$headers" "$api/invocation/next") || exit 1
  id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  echo "serving $id" >&2
  case "$event" in
    *extension*)
      register="http://${AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension/register"
      code=$(curl -s -o /tmp/answer -w '%{http_code}' -X POST "$register" -d '{}')
      answer="{\\"code\\":$code,\\"said\\":$(cat /tmp/answer)}"
      curl -sS -X POST "$api/invocation/$id/response" -d "$answer" ;;
    *stream*)
      port=${event//[^0-9]/}
      (printf one,; read -r _ < "/dev/tcp/127.0.0.1/$port"; printf two) | curl -sS -X POST -T - \\
        -H "Lambda-Runtime-Function-Response-Mode: streaming" \\
        "$api/invocation/$id/response" ;;
    *fail*) curl -sS -X POST "$api/invocation/$id/error" \\
      -d '{"errorType":"Bad","errorMessage":"no"}' ;;
    *)
      answer="{\\"handler\\":\\"$_HANDLER\\",\\"got\\":$event}"
      curl -sS -X POST "$api/invocation/$id/response" -d "$answer" ;;
  esac
done
"""
COMMON = """
const { shared } = require("./lib/shared");
exports.nested = { handler: async (event, context) => {
  console.log("line one\\nline two", { a: 1 });
  if (event.fail) throw new TypeError(event.fail);
  return { event, shared, id: context.awsRequestId, arn: context.invokedFunctionArn,
    left: context.getRemainingTimeInMillis(), memory: context.memoryLimitInMB,
    client: context.clientContext, trace: process.env._X_AMZN_TRACE_ID, layer: layer() };
} };
function layer() { try { return require("of-layer"); } catch { return null; } }
exports.callback = (event, context, done) => {
  setTimeout(() => console.log("later"), 30);
  if (event.fail) done(event.fail);
  else { context.callbackWaitsForEmptyEventLoop = event.waits; done(null, "called back"); }
};
exports.nothing = () => undefined;
exports.crash = async () => {
  setTimeout(() => { throw new RangeError("thrown aside"); }, 5);
  await new Promise((resolve) => setTimeout(resolve, 5000));
};
exports.notFunction = 7;
"""
NODE_CLIENT = os.environ.get("CLOUDLET_NODE_CLIENT", "")  # the folder that has it
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


@pytest.fixture(scope="module")
def role(server: Server) -> str:
    return make_role(server, "runtimes")


def create(
    server: Server, role: str, name: str, files: dict[str, str], **settings: Any
) -> dict[str, Any]:
    found: dict[str, Any] = server.client("lambda").create_function(
        FunctionName=name, Role=role, Code={"ZipFile": zipped_files(files)},
        **{"Timeout": 20, "MemorySize": 256, "Handler": "index.handler", **settings},
    )  # fmt: skip
    return found


def invoke(server: Server, name: str, event: Any = None, **more: Any) -> tuple[Any, str, str]:
    """What it answered, its error kind and its log."""
    answer = server.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail", **more
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    return json.loads(answer["Payload"].read()), answer.get("FunctionError", ""), log


@pytest.fixture(scope="module")
def common(server: Server, role: str) -> str:
    files = {"app/main.js": COMMON, "app/lib/shared.js": "exports.shared = 'yes';"}
    layer = server.client("lambda").publish_layer_version(
        LayerName="node-layer",
        Content={"ZipFile": zipped_files({"nodejs/node_modules/of-layer/index.js":
                                          "module.exports = 'from a layer';"})},
    )  # fmt: skip
    create(server, role, "common", files, Runtime="nodejs20.x", Handler="app/main.nested.handler",
           Layers=[layer["LayerVersionArn"]])  # fmt: skip
    return "common"


@needs_node
def test_common_js_modules(server: Server, common: str) -> None:
    context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    answer, _, log = invoke(server, common, {"a": 1}, ClientContext=context)
    assert answer["event"] == {"a": 1} and answer["shared"] == "yes"
    assert answer["client"] == {"custom": {"k": "v"}} and answer["memory"] == "256"
    assert answer["arn"].endswith(":function:common") and 0 < answer["left"] <= 20_000
    assert answer["trace"].startswith("Root=1-") and answer["layer"] == "from a layer"
    assert f"\t{answer['id']}\tINFO\tline one\nline two {{ a: 1 }}\n" in log
    answer, kind, log = invoke(server, common, {"fail": "on purpose"})
    assert kind == "Unhandled" and answer["trace"][0] == "TypeError: on purpose"
    assert (answer["errorType"], answer["errorMessage"]) == ("TypeError", "on purpose")
    assert '\tERROR\tInvoke Error \t{"errorType":"TypeError"' in log


@needs_node
@pytest.mark.parametrize(
    ("handler", "event", "expected", "kind"),
    [
        ("callback", {"waits": True}, "called back", ""),
        ("callback", {"waits": False}, "called back", ""),
        ("callback", {"fail": "text"}, {"errorType": "string"}, "Unhandled"),
        ("nothing", {}, None, ""),
        ("crash", {}, {"errorType": "RangeError", "errorMessage": "thrown aside"}, "Unhandled"),
        ("absent", {}, {"errorType": "Runtime.HandlerNotFound"}, "Unhandled"),
        ("notFunction", {}, {"errorMessage": "main.notFunction is not a function"}, "Unhandled"),
    ],
)  # fmt: skip
def test_kinds_of_handlers(
    server: Server, role: str, names: Iterator[str], handler: str, event: Any, expected: Any,
    kind: str,
) -> None:  # fmt: skip
    name = next(names)
    files = {"main.js": COMMON, "lib/shared.js": "exports.shared = 'yes';"}
    create(server, role, name, files, Runtime="nodejs20.x", Handler=f"main.{handler}")
    answer, error, log = invoke(server, name, event)
    assert error == kind
    if kind:
        assert answer | expected == answer
    else:
        assert answer == expected
        assert ("later" in log) == bool(event.get("waits"))


@needs_node
def test_node_is_shut_in_as_python_is(server: Server, role: str, names: Iterator[str]) -> None:
    name = next(names)
    source = """
      const fs = require("fs");
      const attempt = (action) => { try { return String(action()); } catch (e) { return e.code; } };
      exports.handler = async ({ data }) => [
        attempt(() => fs.readFileSync(`${data}/cloudlet.db`)), attempt(() => fs.readdirSync(data)),
        attempt(() => fs.writeFileSync("/tmp/mine", "x") ?? "written"),
      ];"""
    create(server, role, name, {"index.js": source}, Runtime="nodejs20.x")
    database, listing, own = invoke(server, name, {"data": str(server.data)})[0]
    assert database in ("EACCES", "ENOENT") and "root-key" not in listing and own == "written"


@needs_node
def test_es_modules(server: Server, role: str, names: Iterator[str]) -> None:
    for files in (
        {"index.mjs": "const found = await Promise.resolve(5);\n"
                      "export const handler = async () => found;"},
        {"index.js": "export async function handler() { return 5; }",
         "package.json": '{"type": "module"}'},
        {"index.js": "export default { handler: async () => 5 };",
         "package.json": '{"type": "module"}'},
    ):  # fmt: skip
        name = next(names)
        create(server, role, name, files, Runtime="nodejs22.x")
        assert invoke(server, name)[0] == 5


@needs_node
def test_code_that_cannot_be_loaded(server: Server, role: str, names: Iterator[str]) -> None:
    for source, kind, said in (
        ("import { a } from 'not-there';", "Runtime.ImportModuleError", "Cannot find package"),
        ("const x = ;", "Runtime.UserCodeSyntaxError", "Unexpected token"),
        ("throw new RangeError('at start');", "RangeError", "at start"),
    ):
        name = next(names)
        create(server, role, name, {"index.mjs": source}, Runtime="nodejs20.x")
        answer, error, log = invoke(server, name)
        assert (answer["errorType"], error) == (kind, "Unhandled") and said in log


@needs_curl
def test_a_bootstrap_in_bash(server: Server, role: str, names: Iterator[str]) -> None:
    name = next(names)
    create(server, role, name, {"bootstrap": BOOTSTRAP}, Runtime="provided.al2023")
    answer, _, log = invoke(server, name, {"x": 1})
    assert answer == {"handler": "index.handler", "got": {"x": 1}} and "serving " in log
    answer, error, _ = invoke(server, name, {"fail": 1})
    assert (answer["errorType"], error) == ("Bad", "Unhandled")
    answer, _, _ = invoke(server, name, {"extension": 1})
    assert answer["code"] == 403 and "has no extensions" in answer["said"]["errorMessage"]


@needs_curl
def test_a_bootstrap_may_stream(server: Server, role: str, names: Iterator[str]) -> None:
    name = next(names)
    create(server, role, name, {"bootstrap": BOOTSTRAP}, Runtime="provided.al2023")
    with socket.create_server(("127.0.0.1", 0)) as gate:
        payload = json.dumps({"stream": gate.getsockname()[1]})
        answer = server.client("lambda").invoke_with_response_stream(
            FunctionName=name, Payload=payload
        )
        events = iter(answer["EventStream"])
        assert next(events)["PayloadChunk"]["Payload"] == b"one,"
    # which it waits for before it goes on
    assert next(events)["PayloadChunk"]["Payload"] == b"two"
    assert list(events) == [{"InvokeComplete": {}}]


@needs_curl
def test_a_bootstrap_from_a_layer(server: Server, role: str, names: Iterator[str]) -> None:
    name = next(names)
    layer = server.client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped_files({"bootstrap": BOOTSTRAP})}
    )
    create(server, role, name, {"data": ""}, Runtime="provided.al2",
           Layers=[layer["LayerVersionArn"]])  # fmt: skip
    assert invoke(server, name)[0]["got"] == {}


def another_python() -> str:
    """A `python3.X` on the PATH that runs and is not the server's."""
    for minor in range(9, 16):
        found = shutil.which(f"python3.{minor}")
        if found and minor != sys.version_info.minor:
            asked = [found, "-c", ""]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return f"python3.{minor}"
    return ""


@pytest.mark.skipif(not another_python(), reason="there is no other Python on the PATH")
def test_another_python(server: Server, role: str, names: Iterator[str]) -> None:
    name, runtime = next(names), another_python()
    source = (
        "import sys, boto3\ndef handler(event, context):\n    if event: raise KeyError('k')\n"
        "    return [sys.version_info[1], boto3.client('sts').get_caller_identity()['Arn']]"
    )
    create(server, role, name, {"index.py": source}, Runtime=runtime)
    answer, _, _ = invoke(server, name)
    assert f"python3.{answer[0]}" == runtime and answer[1].endswith(f"/{name}")
    assert invoke(server, name, {"a": 1})[0]["errorType"] == "KeyError"


def test_awslambdaric_as_a_bootstrap(server: Server, role: str, names: Iterator[str]) -> None:
    """AWS's own client for Python, unchanged and started as in a container image."""
    name = next(names)
    source = """
import logging
def handler(event, context):
    logging.warning("heard %s", event)
    if event: raise KeyError("k")
    left = context.get_remaining_time_in_millis()
    return [context.invoked_function_arn, context.memory_limit_in_mb, 0 < left <= 20_000]
"""
    start = f'#!/bin/sh\nexec {sys.executable} -m awslambdaric "$_HANDLER"\n'
    files = {"bootstrap": start, "app.py": source}
    made = create(server, role, name, files, Runtime="provided.al2023", Handler="app.handler")
    assert invoke(server, name)[0] == [made["FunctionArn"], "256", True]
    answer, error, log = invoke(server, name, {"a": 1})
    assert (answer["errorType"], answer["errorMessage"], error) == ("KeyError", "'k'", "Unhandled")
    assert "heard {'a': 1}" in log and "[ERROR] KeyError: 'k'" in log
    files["app.py"] = "import not_there"
    create(server, role, other := next(names), files, Runtime="provided.al2023",
           Handler="app.handler")  # fmt: skip
    answer = invoke(server, other)[0]
    assert answer["errorType"] == "Runtime.ImportModuleError" and "not_there" in str(answer)


def test_nobody_else_is_asked_for_the_events_of_a_bootstrap(
    server: Server, role: str, names: Iterator[str]
) -> None:
    """Such a function has no secret: the socket must be its own process's."""
    source = """
import http.client, os
def handler(event, context):
    peer = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"].partition("/")[0])
    peer.request("GET", "/2018-06-01/runtime/invocation/next")
    return peer.getresponse().status
"""
    start = f'#!/bin/sh\nexec {sys.executable} -m awslambdaric "$_HANDLER"\n'
    harmless = "def handler(event, context): return 1"
    victim, thief = next(names), next(names)
    files = {"bootstrap": start, "app.py": harmless}
    create(server, role, victim, files, Runtime="provided.al2023", Handler="app.handler")
    create(server, role, thief, {"index.py": source}, Runtime="python3.12")
    assert invoke(server, victim)[0] == 1
    assert invoke(server, thief)[0] == 404
    assert invoke(server, victim)[0] == 1


@pytest.mark.skipif(not NODE_CLIENT, reason="CLOUDLET_NODE_CLIENT names no node_modules")
def test_the_official_client_of_node(server: Server, role: str, names: Iterator[str]) -> None:
    """`npm install aws-lambda-ric` compiles for minutes, so it is not done for every run."""
    name, modules = next(names), Path(NODE_CLIENT)
    source = """export const handler = async (event, context) => {
        if (event.fail) throw new TypeError(event.fail);
        return [context.invokedFunctionArn, context.memoryLimitInMB]; };"""
    client = "node_modules/aws-lambda-ric/index.mjs"
    start = f'#!/bin/sh\nexec {shutil.which("node")} "$LAMBDA_TASK_ROOT/{client}" "$_HANDLER"\n'
    buffer = io.BytesIO(zipped_files({"bootstrap": start, "index.mjs": source}))
    with zipfile.ZipFile(buffer, "a") as archive:
        for part in ("aws-lambda-ric/*.*", "@aws/**/*"):
            for path in filter(Path.is_file, modules.glob(part)):
                archive.write(path, f"node_modules/{path.relative_to(modules)}")
    made = server.client("lambda").create_function(
        FunctionName=name, Role=role, Code={"ZipFile": buffer.getvalue()}, Timeout=20,
        MemorySize=256, Runtime="provided.al2023", Handler="index.handler",
    )  # fmt: skip
    assert invoke(server, name)[0] == [made["FunctionArn"], "256"]
    answer, error, _ = invoke(server, name, {"fail": "no"})
    assert (answer["errorType"], answer["errorMessage"], error) == ("TypeError", "no", "Unhandled")
