"""A key service in front of a cloud: calls go through its permissions."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Caller, Output
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.kms import service
from cloudlet.kms.schema import SCHEMA
from tests.harness import ROOT, Bench

ACCOUNT = ROOT.account


class Keys(Bench):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SCHEMA)
        self.dispatcher = Dispatcher()
        self.dispatcher.cloud = self.cloud
        self.dispatcher.add(service.service())

    def ask(self, operation: str, caller: Caller = ROOT, **params: Any) -> Output:
        return asyncio.run(self.dispatcher.invoke("kms", operation, params, caller))

    def make(self, **params: Any) -> str:
        key_id: str = self.ask("CreateKey", **params)["KeyMetadata"]["KeyId"]
        return key_id

    def arn(self, key_id: str) -> str:
        return self.config.arn("kms", f"key/{key_id}")


def user(*statements: dict[str, Any], **context: Any) -> Caller:
    policies = ({"Version": "2012-10-17", "Statement": list(statements)},)
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    return replace(ROOT, kind="user", arn=arn, policies=policies, context=context)


def allow(*actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    bench = Keys(tmp_path)
    yield bench
    bench.close()
