"""What calls of IAM and STS need, and the trust policies of roles.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.call import Call, Requirement
from cloudlet.errors import AwsError
from cloudlet.iam import sessions
from cloudlet.iam.entities import GROUP, PROFILE, ROLE, USER, Kind
from cloudlet.iam.identifiers import iam_arn
from cloudlet.store.database import View

_LISTS = {
    "ListRoles": "role",
    "ListUsers": "user",
    "ListGroups": "group",
    "ListPolicies": "policy",
    "ListInstanceProfiles": "instance-profile",
}
# Of several names in a call the first of these is what it is about
_NAMED: tuple[Kind, ...] = (PROFILE, GROUP, ROLE, USER)
_NAMES_NOTHING = (
    *("GetAccountSummary", "GetAccountAuthorizationDetails", "ListAccountAliases"),
    *("CreateAccountAlias", "DeleteAccountAlias", "SimulateCustomPolicy"),
    "GetContextKeysForCustomPolicy",
)
_FREE = ("GetCallerIdentity", "GetSessionToken", "GetAccessKeyInfo")


def of_iam(call: Call) -> list[Requirement]:
    _refuse_sessions(call)
    arn, tags = _resource(call)
    context = _context(call)
    for key, value in tags.items():
        context[f"aws:ResourceTag/{key}"] = context[f"iam:ResourceTag/{key}"] = value
    needed = [Requirement(f"iam:{call.operation}", arn, context)]
    if call.operation == "AddRoleToInstanceProfile":
        role = _of_kind(call, ROLE, call.params["RoleName"])[0]
        needed.append(Requirement("iam:PassRole", role))
    return needed


def of_sts(call: Call) -> list[Requirement]:
    """AWS lets everybody ask who they are, and users have session tokens."""
    if call.operation in _FREE:
        return []
    _refuse_sessions(call)
    if call.operation == "GetFederationToken":
        arn = f"arn:aws:sts::{call.config.account}:federated-user/{call.params.get('Name')}"
        return [Requirement(f"sts:{call.operation}", arn, _context(call))]
    if call.operation != "AssumeRole":
        return [Requirement(f"sts:{call.operation}", "*")]
    return _of_assume_role(call)


def _of_assume_role(call: Call) -> list[Requirement]:
    params = call.params
    arn, context = params.get("RoleArn", "*"), _context(call)
    context["sts:RoleSessionName"] = params.get("RoleSessionName")
    if params.get("ExternalId"):
        context["sts:ExternalId"] = params["ExternalId"]
    if params.get("TransitiveTagKeys"):
        context["sts:TransitiveTagKeys"] = params["TransitiveTagKeys"]
    source = params.get("SourceIdentity") or call.caller.context.get(sessions.SOURCE)
    if source:
        context["sts:SourceIdentity"] = source
    needed = [Requirement("sts:AssumeRole", arn, context)]
    if params.get("Tags") or sessions.inherited(call.caller):
        needed.append(Requirement("sts:TagSession", arn, context))
    if source:
        needed.append(Requirement("sts:SetSourceIdentity", arn, context))
    return needed


def trust_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    if call.operation != "AssumeRole":
        return []
    role = sessions.named_role(view, call.params.get("RoleArn", ""), call.config.account)
    return [orjson.loads(role["trust"])] if role is not None else []


def _refuse_sessions(call: Call) -> None:
    """Session tokens of users and federated users open neither IAM nor, but for AssumeRole, STS."""
    caller = call.caller
    is_token = caller.access_key.startswith("ASIA") and caller.kind in ("user", "root", "federated")
    if is_token and not (call.operation == "AssumeRole" and caller.kind == "user"):
        text = "The security token included in the request is invalid"
        raise AwsError("InvalidClientTokenId", text, 403)


def _resource(call: Call) -> tuple[str, dict[str, str]]:
    """The ARN that IAM's own permissions are about, and the tags of what is there."""
    params, config, operation = call.params, call.config, call.operation
    listed = _LISTS.get(operation)
    if listed:
        end = "*" if listed == "policy" else ""
        return iam_arn(config, listed, params.get("PathPrefix", "/"), end), {}
    if operation in _NAMES_NOTHING:
        return "*", {}
    for kind in _NAMED:
        name = params.get(kind.member)
        if name and not (kind is USER and operation == "GetAccessKeyLastUsed"):
            return _of_kind(call, kind, name)
    if params.get("PolicySourceArn") or params.get("PolicyArn"):
        return _of_arn(call, str(params.get("PolicySourceArn") or params["PolicyArn"]))
    if operation == "CreatePolicy":
        path = params.get("Path", "/")
        return iam_arn(config, "policy", path, params.get("PolicyName", "")), {}
    if operation.endswith("ServiceLinkedRole"):
        path = f"/aws-service-role/{params.get('AWSServiceName', '*')}/"
        return iam_arn(config, "role", path, "*"), {}
    is_user = call.caller.kind == "user"
    return (call.caller.arn if is_user else iam_arn(config, "user", "/", "*")), {}


def _of_kind(call: Call, kind: Kind, name: str) -> tuple[str, dict[str, str]]:
    """As given on creation, else as stored: ARNs in policies have the path."""
    path, tags = call.params.get("Path", "/"), {}
    if call.operation != f"Create{kind.title}":
        sql = f"SELECT * FROM {kind.table} WHERE name = ?"
        row = call.cloud.database.view().one(sql, (name,))
        path = row["path"] if row is not None else "/"
        if row is not None and kind is not GROUP:
            tags = orjson.loads(row["tags"])
    return iam_arn(call.config, kind.name, path, name), tags


def _of_arn(call: Call, arn: str) -> tuple[str, dict[str, str]]:
    sql = "SELECT tags FROM iam_policy WHERE arn = ?"
    tags = call.cloud.database.view().value(sql, (arn,))
    return arn, orjson.loads(tags) if tags else {}


def _context(call: Call) -> dict[str, Any]:
    params = call.params
    context: dict[str, Any] = {}
    if params.get("PolicyArn"):
        context["iam:PolicyARN"] = params["PolicyArn"]
    if params.get("PermissionsBoundary"):
        context["iam:PermissionsBoundary"] = params["PermissionsBoundary"]
    if params.get("AWSServiceName"):
        context["iam:AWSServiceName"] = params["AWSServiceName"]
    for tag in params.get("Tags") or []:
        context[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
    keys = params.get("TagKeys") or [tag["Key"] for tag in params.get("Tags") or []]
    if keys:
        context["aws:TagKeys"] = keys
    return context
