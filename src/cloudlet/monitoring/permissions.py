"""What the operations of CloudWatch and CloudWatch Logs require.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
"""

from cloudlet.call import Call, Requirement


def log_requirements(call: Call) -> list[Requirement]:
    params, config = call.params, call.config
    group = params.get("logGroupName") or params.get("logGroupIdentifier") or "*"
    group = str(group).split(":log-group:")[-1].removesuffix(":*")
    stream = params.get("logStreamName")
    resource = f"log-group:{group}:" + (f"log-stream:{stream}" if stream else "*")
    return [Requirement(f"logs:{call.operation}", config.arn("logs", resource))]
