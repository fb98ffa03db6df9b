"""What Lambda's operations require, and the policies functions themselves carry.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Requirement
from cloudlet.errors import AwsError
from cloudlet.functions import grants, names
from cloudlet.store.database import View

# operations whose IAM action has another name
_ACTIONS = {
    "Invoke": "InvokeFunction",
    "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "GetLayerVersionByArn": "GetLayerVersion",
}
_MAPPING = "EventSourceMapping"


def requirements(call: Call) -> list[Requirement]:
    action = f"lambda:{_ACTIONS.get(call.operation, call.operation)}"
    needed = [Requirement(action, _resource(call), _context(call))]
    role = call.params.get("Role")
    if role and call.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
        context = {"iam:PassedToService": "lambda.amazonaws.com"}
        needed.append(Requirement("iam:PassRole", role, context))
    return needed


def _resource(call: Call) -> str:
    params, config = call.params, call.config
    if _MAPPING in call.operation:
        uuid = params.get("UUID")
        return config.arn("lambda", f"event-source-mapping:{uuid}") if uuid else "*"
    if "Layer" in call.operation:
        if params.get("Arn"):
            return str(params["Arn"])
        name = str(params.get("LayerName", "*")).rsplit(":layer:", 1)[-1]
        version = params.get("VersionNumber")
        return config.arn("lambda", f"layer:{name}" + (f":{version}" if version else ""))
    if params.get("Resource"):
        return str(params["Resource"])
    if params.get("FunctionName"):
        name, qualifier = _reference(call)
        return names.function_arn(config, name, qualifier)
    return "*"


def _context(call: Call) -> dict[str, Any]:
    if _MAPPING in call.operation and call.params.get("FunctionName"):
        name, qualifier = _reference(call)
        return {"lambda:FunctionArn": names.function_arn(call.config, name, qualifier)}
    auth = call.params.get("FunctionUrlAuthType") or call.params.get("AuthType")
    return {"lambda:FunctionUrlAuthType": auth} if auth else {}


def _reference(call: Call) -> names.Reference:
    try:
        return names.parse(str(call.params["FunctionName"]), call.params.get("Qualifier"))
    except AwsError:  # told by the operation itself, to who may call it
        return names.Reference("*", "")


def resource_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    """The policy of the function, version or alias that is invoked."""
    if not call.params.get("FunctionName"):
        return []
    if call.state is not None:
        document = call.state.policy(view, _reference(call))
    else:
        document = grants.policy(view, *_reference(call))
    return [document] if document else []
