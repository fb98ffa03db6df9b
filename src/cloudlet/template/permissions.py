"""What calls of CloudFormation's API need; a stack's resources are made in the caller's own name.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
"""

from typing import Any

from cloudlet.call import Call, Requirement

_ON_ALL = frozenset(
    ("ListExports", "ListImports", "ListStacks", "ValidateTemplate", "DescribeAccountLimits")
)
_CONTEXT = {
    "ChangeSetName": "cloudformation:ChangeSetName",
    "RoleARN": "cloudformation:RoleArn",
    "TemplateURL": "cloudformation:TemplateUrl",
}


def requirements(call: Call) -> list[Requirement]:
    context: dict[str, Any] = {
        key: call.params[name] for name, key in _CONTEXT.items() if call.params.get(name)
    }
    for tag in call.params.get("Tags") or []:
        context[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
    needed = [Requirement(f"cloudformation:{call.operation}", _resource(call), context)]
    if call.params.get("RoleARN"):
        passed = {"iam:PassedToService": "cloudformation.amazonaws.com"}
        needed.append(Requirement("iam:PassRole", call.params["RoleARN"], passed))
    return needed


def _resource(call: Call) -> str:
    name = call.params.get("StackName") or call.params.get("ChangeSetName") or ""
    if call.operation in _ON_ALL or not name:
        return "*"
    if name.startswith("arn:"):
        return str(name)
    view = call.cloud.database.view()
    found = view.value("SELECT id FROM template_stacks WHERE name = ?", (name,))
    return str(found) if found else call.config.arn("cloudformation", f"stack/{name}/*")
