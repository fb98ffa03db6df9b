"""`up` with an application inside an application: templates and code from local folders."""

import json
from pathlib import Path

from tests.server import Server

OUTER = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Inner:
    Type: AWS::Serverless::Application
    Properties: {Location: inner/template.yaml, Parameters: {Word: %s}}
Outputs:
  Name: {Value: !GetAtt Inner.Outputs.Name}
"""
INNER = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Word: {Type: String}}
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      CodeUri: echo
      Environment: {Variables: {WORD: !Ref Word}}
Outputs:
  Name: {Value: !Ref Echo}
"""
CODE = """
import os

def handler(event, context):
    return os.environ["WORD"]
"""


def test_a_nested_application_comes_up_and_changes(tmp_path: Path) -> None:
    (tmp_path / "inner" / "echo").mkdir(parents=True)
    (tmp_path / "inner" / "echo" / "app.py").write_text(CODE)
    (tmp_path / "inner" / "template.yaml").write_text(INNER)
    template = tmp_path / "outer.yaml"
    server = Server(tmp_path / "data", template, "--no-watch")
    words = []
    for word in ("one", "two"):
        template.write_text(OUTER % word)
        server.start()
        try:
            stacks = server.client("cloudformation").describe_stacks()["Stacks"]
            outer = next(each for each in stacks if not each.get("ParentId"))
            inner = next(each for each in stacks if each.get("ParentId") == outer["StackId"])
            assert inner["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            name = outer["Outputs"][0]["OutputValue"]
            answer = server.client("lambda").invoke(FunctionName=name)
            words.append(json.loads(answer["Payload"].read()))
        finally:
            server.stop()
    assert words == ["one", "two"]
