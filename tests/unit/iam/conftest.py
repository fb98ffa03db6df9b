"""A cloud with IAM and STS, whose calls are guarded as in a running cloudlet if a test asks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.auth import guard
from cloudlet.call import Call, Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.iam.credentials import Credentials
from cloudlet.iam.schema import SCHEMA
from cloudlet.iam.service import service
from tests.harness import ROOT, Bench

ACCOUNT = "000000000000"


class Iam(Bench):
    """`iam("CreateUser", …)` and `sts("AssumeRole", …)` by AWS's names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SCHEMA)
        self.state = Credentials(self.config, self.database)
        self._iam, self._sts = service(self.state)

    def iam(self, operation: str, caller: Any = ROOT, **params: Any) -> Any:
        return self._run(self._iam, operation, caller, params)

    def sts(self, operation: str, caller: Any = ROOT, **params: Any) -> Any:
        return self._run(self._sts, operation, caller, params)

    def _run(self, known: Any, operation: str, caller: Caller, params: dict[str, Any]) -> Any:
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(self.cloud, known.name, operation, params, caller, request, self.state)
        with self.database.snapshot() as view:
            guard.authorize(call, known, view)
        run = known.operations[operation]
        if run.mode == "write":
            return self.database.write_now(lambda tx: run.run(call, tx))
        with self.database.snapshot() as view:
            return run.run(call, view)

    def caller(self, credentials: dict[str, Any]) -> Caller:
        """Who comes with these credentials."""
        found = self.state.find(credentials["AccessKeyId"])
        assert found is not None
        caller: Caller = found.caller
        return caller

    def user(self, name: str, *statements: dict[str, Any]) -> Caller:
        """A new user with a key and exactly these permissions."""
        self.iam("CreateUser", UserName=name)
        if statements:
            document = policy(*statements)
            self.iam("PutUserPolicy", UserName=name, PolicyName="own", PolicyDocument=document)
        return self.caller(self.iam("CreateAccessKey", UserName=name)["AccessKey"])

    def role(self, name: str, trust: dict[str, Any], *statements: dict[str, Any]) -> str:
        made = self.iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=policy(trust))
        if statements:
            document = policy(*statements)
            self.iam("PutRolePolicy", RoleName=name, PolicyName="own", PolicyDocument=document)
        return str(made["Role"]["Arn"])


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(action: str | list[str] = "sts:AssumeRole", **more: Any) -> dict[str, Any]:
    """Of everybody in the account, as far as their own policies let them."""
    return {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": action, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def refused(call: Any, *words: Any, **params: Any) -> str:
    with pytest.raises(AwsError) as caught:
        call(*words, **params)
    return f"{caught.value.code}: {caught.value.message}"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Iam]:
    bench = Iam(tmp_path)
    yield bench
    bench.close()
