"""The real `sam deploy`, unchanged, against a bare cloudlet: a small application, and λShare."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps.api_suite import ApiSuite
from tests.apps.http_door import HttpDoor
from tests.server import LAMBDASHARE, Server

SAM = Path(os.environ.get("SAM_VENV", ".venv-sam")).absolute() / "bin" / "sam"
HELLO = Path(__file__).parent / "hello" / "template.yaml"
WAKE = "Wake=2099-01-01T00:00:00"
BUCKET = "sam-code"


class Sam:
    """The command in an environment of its own."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        key = server.credentials()
        self.environment = {
            "PATH": f"{SAM.parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": key["aws_secret_access_key"],
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(SAM), *arguments],
            env=self.environment, cwd=self.environment["HOME"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-6000:]
        return done.stdout

    def deploy(self, template: Path, stack: str, *more: str, code: int = 0) -> str:
        names: tuple[str, ...] = ("--template-file", str(template), "--stack-name", stack)
        if "--resolve-s3" not in more:
            names += ("--s3-bucket", BUCKET)
        acknowledged = ("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset")
        return self.run("deploy", *names, *acknowledged, *more, code=code)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sam]:
    assert SAM.exists(), "the SAM command line is missing: run `script/test` once"
    home = tmp_path_factory.mktemp("sam")
    server = Server(home / "data", None, "--retry-seconds", "1").start()
    try:
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield Sam(server, home)
    finally:
        server.stop()


def outputs(sam: Sam, stack: str) -> dict[str, Any]:
    found = sam.server.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def test_deploy_update_and_use(sam: Sam, tmp_path: Path) -> None:
    said = sam.deploy(HELLO, "hello", "--resolve-s3", "--parameter-overrides", WAKE)
    managed = outputs(sam, "aws-sam-cli-managed-default")["SourceBucket"]
    assert managed in said
    assert "Successfully created/updated stack - hello" in said
    assert outputs(sam, "hello")["Cards"] == "hello-cards-000000000000"
    door = HttpDoor(sam.server.url)
    assert door.request("GET", "/hello/you").json() == {"hello": "you", "visits": 1}
    again = sam.deploy(HELLO, "hello", "--resolve-s3", "--parameter-overrides", WAKE, code=1)
    assert "No changes to deploy. Stack hello is up to date" in again
    answer = sam.run(
        "remote", "invoke", "Greeter", "--stack-name", "hello", "--event", '{"clock": 1}'
    )
    assert "REPORT RequestId" in answer
    assert "REPORT RequestId" in sam.run("logs", "--stack-name", "hello", "--name", "Greeter")
    changed = tmp_path / "template.yaml"
    text = HELLO.read_text().replace("Timeout: 10", "Timeout: 11")
    changed.write_text(text.replace("CodeUri: greeter", f"CodeUri: {HELLO.parent / 'greeter'}"))
    said = sam.deploy(changed, "hello", "--parameter-overrides", WAKE)
    assert "UPDATE_COMPLETE" in said
    assert door.request("GET", "/hello/you").json()["visits"] == 2, "the table is the same"


def test_a_failing_deployment_is_rolled_back(sam: Sam, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("""
Resources:
  First: {Type: 'AWS::SQS::Queue'}
  Second: {Type: 'AWS::SQS::Queue', DependsOn: First, Properties: {QueueName: 'not a name'}}
""")
    said = sam.deploy(template, "broken", code=1)
    assert "ROLLBACK_COMPLETE" in said and "CREATE_FAILED" in said
    (status,) = sam.server.client("cloudformation").describe_stacks(StackName="broken")["Stacks"]
    assert status["StackStatus"] == "ROLLBACK_COMPLETE"
    assert not sam.server.client("sqs").list_queues(QueueNamePrefix="broken").get("QueueUrls")


@pytest.fixture(scope="module")
def lambdashare_url(sam: Sam) -> str:
    door = sam.server.url
    given = ("--parameter-overrides", f"PublicUrl={door}", f"S3Endpoint={door}")
    sam.deploy(LAMBDASHARE, "lambdashare", *given, "--tags", "team=one")
    assert outputs(sam, "lambdashare")["Url"] == door
    retag(sam, "two")
    return door


def retag(sam: Sam, team: str) -> None:
    """Every resource that has tags gets the stack's new one, and is otherwise what it was."""
    client = sam.server.client("cloudformation")
    stack = client.describe_stacks(StackName="lambdashare")["Stacks"][0]
    client.update_stack(
        StackName="lambdashare",
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True}
            for each in stack["Parameters"]
        ],
        Tags=[{"Key": "team", "Value": team}],
    )
    client.get_waiter("stack_update_complete").wait(
        StackName="lambdashare", WaiterConfig={"Delay": 0.2, "MaxAttempts": 450}
    )
    lambdas = sam.server.client("lambda")
    mapping = lambdas.list_event_source_mappings()["EventSourceMappings"][0]
    for arn in (mapping["EventSourceMappingArn"], mapping["FunctionArn"]):
        assert lambdas.list_tags(Resource=arn)["Tags"]["team"] == team


class TestLambdaShare(ApiSuite):
    """λShare's own template, deployed by `sam deploy`, is what it is on `lambdashare up`."""

    @pytest.fixture
    def door(self, lambdashare_url: str) -> HttpDoor:
        return HttpDoor(lambdashare_url)
