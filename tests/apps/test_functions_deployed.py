"""A SAM application of function URLs, provisioned concurrency and built code, deployed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Open:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return {"path": event["rawPath"], "version": context.function_version}
      AutoPublishAlias: live
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1}
      FunctionUrlConfig:
        AuthType: NONE
        Cors: {AllowOrigins: ["*"]}
  Streaming:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      CodeUri: streaming
      FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}
  Custom:
    Type: Custom::Answer
    Properties: {ServiceToken: !GetAtt Answering.Arn}
  Answering:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      Timeout: 20
      InlineCode: |
        const response = require("cfn-response");
        exports.handler = (event, context) =>
          response.send(event, context, response.SUCCESS, { Answer: "42" });
Outputs:
  OpenUrl: {Value: !GetAtt OpenUrl.FunctionUrl}
  StreamingUrl: {Value: !GetAtt StreamingUrl.FunctionUrl}
  Answer: {Value: !GetAtt Custom.Answer}
"""
STREAMING = """
const { word } = require("local-word");
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("text/plain");
  stream.end(word);
});
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="there is no Node.js with npm"
)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("functions")
    package = folder / "local-word"
    package.mkdir()
    (package / "package.json").write_text('{"name": "local-word", "version": "1.0.0"}')
    (package / "index.js").write_text('exports.word = "built";')
    packed = subprocess.run(
        ["npm", "pack", "--silent"], cwd=package, capture_output=True, text=True, check=True
    )
    archive = package / packed.stdout.split()[-1]
    code = folder / "streaming"
    code.mkdir()
    (code / "index.js").write_text(STREAMING)
    asked = {"name": "x", "version": "1.0.0", "dependencies": {"local-word": f"file:{archive}"}}
    (code / "package.json").write_text(json.dumps(asked))
    template = folder / "template.yaml"
    template.write_text(TEMPLATE)
    server = Server(folder / "data", template, "--no-watch")
    try:
        yield server.start()
    finally:
        server.stop()


def _outputs(server: Server) -> dict[str, str]:
    stack = server.client("cloudformation").describe_stacks()["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def test_urls_of_a_sam_template_answer(deployed: Server) -> None:
    outputs = _outputs(deployed)
    answer = deployed.http.request("GET", outputs["OpenUrl"] + "some/path")
    assert answer.json() == {"path": "/some/path", "version": "1"}
    answer = deployed.http.request("GET", outputs["StreamingUrl"])
    assert (answer.data, answer.headers["content-type"]) == (b"built", "text/plain")


def test_provisioned_concurrency_is_ready_when_the_stack_is(deployed: Server) -> None:
    client = deployed.client("lambda")
    names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
    (name,) = [each for each in names if "-Open-" in each]
    found = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    assert found["Status"] == "READY" and found["AllocatedProvisionedConcurrentExecutions"] == 1


def test_a_custom_resource_answers_from_node(deployed: Server) -> None:
    assert _outputs(deployed)["Answer"] == "42"
