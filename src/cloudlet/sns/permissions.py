"""What calls need, and topic policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Requirement
from cloudlet.sns import topics
from cloudlet.store.database import View

UNSIGNED = frozenset(("ConfirmSubscription", "Unsubscribe"))  # by the links that endpoints get
_RESOURCES = ("TopicArn", "TargetArn", "ResourceArn", "PlatformApplicationArn", "EndpointArn")


def requirements(call: Call) -> list[Requirement]:
    if call.caller.kind == "anonymous" and call.operation in UNSIGNED:
        return []
    if call.params.get("SubscriptionArn") and call.params["SubscriptionArn"].count(":") != 6:
        return []  # which the operation says in its own words
    operation = "Publish" if call.operation == "PublishBatch" else call.operation
    context = {}
    if operation == "Subscribe":
        context = {"sns:Protocol": call.params["Protocol"]}
        if call.params.get("Endpoint"):
            context["sns:Endpoint"] = call.params["Endpoint"]
    return [Requirement(f"SNS:{operation}", _resource(call), context)]


def resource_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    topic = topics.find(view, _resource(call).split(":", 5)[-1])
    return [topic.policy(call.config)] if topic is not None else []


def _resource(call: Call) -> str:
    params = call.params
    if call.operation == "CreateTopic":
        return call.config.arn("sns", params["Name"])
    if params.get("SubscriptionArn"):  # its topic's
        return ":".join(str(params["SubscriptionArn"]).split(":")[:6])
    found = (params[name] for name in _RESOURCES if params.get(name))
    return str(next(found, "*"))
