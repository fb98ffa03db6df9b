"""What calls of IAM and STS need, and the trust policies of roles.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.call import Call, Requirement
from cloudlet.iam import sessions
from cloudlet.iam.identifiers import iam_arn
from cloudlet.store.database import View

_LISTS = {"ListRoles": "role", "ListUsers": "user", "ListPolicies": "policy"}


def of_iam(call: Call) -> list[Requirement]:
    context = _context(call)
    return [Requirement(f"iam:{call.operation}", _resource(call), context)]


def of_sts(call: Call) -> list[Requirement]:
    """GetCallerIdentity and GetSessionToken need nothing: AWS allows them to everybody."""
    if call.operation != "AssumeRole":
        return []
    params = call.params
    arn = params.get("RoleArn", "*")
    context: dict[str, Any] = {"sts:RoleSessionName": params.get("RoleSessionName")}
    if params.get("ExternalId"):
        context["sts:ExternalId"] = params["ExternalId"]
    tags = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in params.get("Tags", [])}
    needed = [Requirement("sts:AssumeRole", arn, {**context, **tags})]
    if tags:
        keys = {"aws:TagKeys": [tag["Key"] for tag in params["Tags"]]}
        needed.append(Requirement("sts:TagSession", arn, {**context, **tags, **keys}))
    return needed


def trust_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    if call.operation != "AssumeRole":
        return []
    role = sessions.named_role(view, call.params.get("RoleArn", ""), call.config.account)
    return [orjson.loads(role["trust"])] if role is not None else []


def _resource(call: Call) -> str:
    """The ARN that IAM's own permissions are about."""
    params, config = call.params, call.config
    kind = _LISTS.get(call.operation)
    if kind:
        return iam_arn(config, kind, params.get("PathPrefix", "/"), "*" if kind == "policy" else "")
    if params.get("RoleName"):
        return iam_arn(
            config, "role", _path(call, "iam_role", params["RoleName"]), params["RoleName"]
        )
    if "Policy" in call.operation and params.get("PolicyArn") and not params.get("UserName"):
        return str(params["PolicyArn"])
    if call.operation == "CreatePolicy":
        return iam_arn(config, "policy", params.get("Path", "/"), params.get("PolicyName", ""))
    name = params.get("UserName")
    if name is None:
        is_user = call.caller.kind == "user"
        return call.caller.arn if is_user else iam_arn(config, "user", "/", "*")
    return iam_arn(config, "user", _path(call, "iam_user", name), name)


def _path(call: Call, table: str, name: str) -> str:
    """As given on creation, else as stored: ARNs in policies have the path."""
    if call.operation in ("CreateRole", "CreateUser"):
        return str(call.params.get("Path", "/"))
    view = call.cloud.database.view()
    path = view.value(f"SELECT path FROM {table} WHERE name = ?", (name,))
    return str(path) if path is not None else "/"


def _context(call: Call) -> dict[str, Any]:
    params = call.params
    context: dict[str, Any] = {}
    if params.get("PolicyArn"):
        context["iam:PolicyARN"] = params["PolicyArn"]
    if params.get("PermissionsBoundary"):
        context["iam:PermissionsBoundary"] = params["PermissionsBoundary"]
    for tag in params.get("Tags") or []:
        context[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
    if params.get("Tags"):
        context["aws:TagKeys"] = [tag["Key"] for tag in params["Tags"]]
    return context
