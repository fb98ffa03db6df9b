"""Answers of IAM and STS as botocore's own parser reads them."""

import json
from pathlib import Path
from typing import Any

from botocore.parsers import create_parser

from cloudlet.call import Caller, Result
from cloudlet.iam import roles, sessions, users
from cloudlet.iam.schema import SCHEMA
from cloudlet.wire.protocol import protocol
from tests.harness import Bench

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def parsed(service: str, operation: str, output: dict[str, Any]) -> dict[str, Any]:
    answer = protocol(service).response(operation, Result(output), "id")
    model = protocol(service).model
    document = {"status_code": 200, "headers": dict(answer.headers), "body": answer.body}
    shape = model.operation(operation).output_shape
    found: dict[str, Any] = create_parser(model.protocol).parse(document, shape)
    return found


def test_answers(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SCHEMA)
    create = {"RoleName": "r", "AssumeRolePolicyDocument": json.dumps(TRUST)}
    role = parsed("iam", "CreateRole", bench.call(roles.create_role, **create))["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/r"
    assert role["CreateDate"].year == 2026
    listed = parsed("iam", "ListRoles", bench.call(roles.list_roles))
    assert [item["RoleName"] for item in listed["Roles"]] == ["r"]
    assert listed["IsTruncated"] is False
    bench.call(users.create_user, UserName="u")
    key = parsed("iam", "CreateAccessKey", bench.call(users.create_access_key, UserName="u"))
    assert key["AccessKey"]["Status"] == "Active"
    who = Caller("service", "lambda.amazonaws.com", "000000000000")
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "s"}
    session = parsed("sts", "AssumeRole", bench.call(sessions.assume_role, caller=who, **asked))
    assert session["Credentials"]["Expiration"].timestamp() * 1000 > bench.clock.now_ms
    identity = parsed("sts", "GetCallerIdentity", bench.call(sessions.get_caller_identity))
    assert identity["Account"] == "000000000000"
    bench.close()
