"""What calls need, and the policies of streams and consumers.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.call import Call, Requirement
from cloudlet.kinesis import consumers, lookup, resources
from cloudlet.store.database import View

_ON_EVERYTHING = ("ListStreams", "DescribeLimits")
_ON_CONSUMER = ("DescribeStreamConsumer", "DeregisterStreamConsumer", "SubscribeToShard")


def requirements(call: Call) -> list[Requirement]:
    tags = call.params.get("Tags") or {}
    context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return [Requirement(f"kinesis:{call.operation}", _resource(call), context)]


def _resource(call: Call) -> str:
    if call.operation in _ON_EVERYTHING:
        return "*"
    if "ResourceARN" in call.params:
        return str(call.params["ResourceARN"])
    if call.operation in _ON_CONSUMER:
        found = consumers.find(call, call.cloud.database.view())
        if found is not None:
            return str(found["arn"])
    return str(call.params.get("ConsumerARN") or lookup.arn(call))


def policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    found = resources.find(view, _resource(call))
    return [orjson.loads(found["policy"])] if found is not None and found["policy"] else []
