"""What calls need, and the policies of streams and consumers.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html
"""

from cloudlet.call import Call, Requirement
from cloudlet.kinesis import lookup

_ON_EVERYTHING = ("ListStreams", "DescribeLimits")


def requirements(call: Call) -> list[Requirement]:
    resource = "*" if call.operation in _ON_EVERYTHING else lookup.arn(call)
    return [Requirement(f"kinesis:{call.operation}", resource)]
