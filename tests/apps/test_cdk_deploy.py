"""The real `cdk`, unchanged, against a bare cloudlet: bootstrap, deploy, update, diff, destroy.

Needs npm: the CDK is installed once from tests/apps/cdk/package-lock.json.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

CDK = Path(__file__).parent / "cdk"


@pytest.fixture(scope="module")
def modules() -> Path:
    """The CDK's own folder; installed when the lock file is newer."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing: the CDK cannot be installed")
    installed = CDK / "node_modules" / ".package-lock.json"
    lock = CDK / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=CDK, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm could not install the CDK: {done.stderr[-500:]}")
        installed.touch()
    return CDK / "node_modules"


class Cdk:
    """The command as an administrator, who may assume the bootstrap's roles (root may not)."""

    def __init__(self, server: Server, modules: Path, home: Path) -> None:
        self.server, self.modules, self.home = server, modules, home
        iam = server.client("iam")
        iam.create_user(UserName="admin")
        policy = "arn:aws:iam::aws:policy/AdministratorAccess"
        iam.attach_user_policy(UserName="admin", PolicyArn=policy)
        key = iam.create_access_key(UserName="admin")["AccessKey"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CI": "true",
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        app = (
            "--app",
            f"node {CDK / 'app.js'}",
            "--no-notices",
            "--output",
            str(self.home / "out"),
        )
        done = subprocess.run(
            ["node", str(self.modules / "aws-cdk" / "bin" / "cdk"), *arguments, *app],
            env=self.environment, cwd=self.home,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-6000:]
        return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture(scope="module")
def cdk(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdk]:
    home = tmp_path_factory.mktemp("cdk")
    server = Server(home / "data").start()
    try:
        yield Cdk(server, modules, home)
    finally:
        server.stop()


def test_bootstrap_deploy_update_diff_destroy(cdk: Cdk) -> None:
    assert "bootstrapped" in cdk.run("bootstrap", "aws://000000000000/us-east-1")
    said = cdk.run("deploy", "--require-approval", "never")
    assert "could not be used to assume" not in said, "the bootstrap's roles are used"
    name = re.search(r"Counter\.FunctionName = (\S+)", said)
    assert name, said
    functions = cdk.server.client("lambda")

    def call() -> bytes:
        answer = functions.invoke(FunctionName=name[1], Payload=b'{"name": "a"}')
        return bytes(answer["Payload"].read())

    assert call() == b"1"
    variables = functions.get_function_configuration(FunctionName=name[1])["Environment"]
    assert "Queue" in variables["Variables"]["QUEUE"], "an output of the nested stack"
    tags = functions.get_function(FunctionName=name[1])["Tags"]
    assert tags["made-by"] == "cdk"
    memory = ("-c", "memory=256")
    assert "[+] 256" in cdk.run("diff", *memory)
    cdk.run("deploy", "--require-approval", "never", *memory)
    assert functions.get_function_configuration(FunctionName=name[1])["MemorySize"] == 256
    assert call() == b"2", "the table is the same"
    cdk.run("destroy", "--force")
    with pytest.raises(ClientError, match="does not exist"):
        cdk.server.client("cloudformation").describe_stacks(StackName="Counter")
