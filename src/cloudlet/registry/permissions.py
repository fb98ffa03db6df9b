"""What calls of Systems Manager and ECR need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
"""

import json
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Requirement
from cloudlet.registry import parameters, repositories
from cloudlet.store.database import View


def of_ssm(call: Call) -> list[Requirement]:
    params, action = call.params, f"ssm:{call.operation}"
    names = params.get("Names") or [
        params[key] for key in ("Name", "Path", "ResourceId") if params.get(key)
    ]
    if call.operation == "DescribeParameters" or not names:
        return [Requirement(action, "*")]
    plain = [parameters.plain_name(name).partition(":")[0] for name in names]
    return [Requirement(action, parameters.arn(call, name), _tags(params)) for name in plain]


def of_ecr(call: Call) -> list[Requirement]:
    params = call.params
    arn = params.get("resourceArn")
    names = params.get("repositoryNames") or [params.get("repositoryName") or "*"]
    targets = [arn] if arn else [repositories.arn(call, name) for name in names]
    action = f"ecr:{call.operation}"
    return [Requirement(action, target, _tags(params)) for target in targets]


def _tags(params: Mapping[str, Any]) -> dict[str, Any]:
    tags = params.get("Tags") or params.get("tags") or []
    return {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}


def repository_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    name = call.params.get("repositoryName")
    sql = "SELECT policy FROM registry_repositories WHERE name = ?"
    text = view.value(sql, (name,)) if name else None
    return [json.loads(text)] if text else []
