"""What the operations of CloudWatch and CloudWatch Logs require.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
"""

from typing import Any

from cloudlet.call import Call, Requirement

_SERVICE = "logs.amazonaws.com"
_ANY = {"TestMetricFilter", "StopQuery", "GetQueryResults", "DescribeQueries"}


def log_requirements(call: Call) -> list[Requirement]:
    params = call.params
    action = f"logs:{call.operation}"
    if call.operation in _ANY:
        return [Requirement(action, "*")]
    groups = [
        params.get("logGroupName"), params.get("logGroupIdentifier"), params.get("resourceArn"),
        *(params.get("logGroupIdentifiers") or []), *(params.get("logGroupNames") or []),
    ]  # fmt: skip
    names = [_group_name(each) for each in groups if each]
    needed = [Requirement(action, _log_arn(call, name)) for name in names or ["*"]]
    if role := params.get("roleArn"):
        needed.append(Requirement("iam:PassRole", role, {"iam:PassedToService": _SERVICE}))
    return needed


def _group_name(identifier: str) -> str:
    return identifier.split(":log-group:")[-1].removesuffix(":*")


def _log_arn(call: Call, group: str) -> str:
    stream = call.params.get("logStreamName")
    what = f"log-stream:{stream}" if stream else "*"
    return call.config.arn("logs", f"log-group:{group}:{what}")


def metric_requirements(call: Call) -> list[Requirement]:
    params, action = call.params, f"cloudwatch:{call.operation}"
    context: dict[str, Any] = {}
    if call.operation == "PutMetricData":
        context["cloudwatch:namespace"] = params.get("Namespace", "")
    return [Requirement(action, resource, context) for resource in _resources(call)]


def _resources(call: Call) -> list[str]:
    params, config = call.params, call.config
    if params.get("ResourceARN"):
        return [params["ResourceARN"]]
    dashboards = [params.get("DashboardName"), *(params.get("DashboardNames") or [])]
    if any(dashboards):
        # an ARN of dashboards has no region
        prefix = f"arn:aws:cloudwatch::{config.account}:dashboard/"
        return [prefix + name for name in dashboards if name]
    alarms = [params.get("AlarmName"), *(params.get("AlarmNames") or [])]
    named = [config.arn("cloudwatch", f"alarm:{name}") for name in alarms if name]
    if "Alarm" in call.operation:
        return named or [config.arn("cloudwatch", "alarm:*")]
    return ["*"]
