"""What calls need: `apigateway:VERB`, `cloudfront:*`.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
"""

import re

from cloudlet.call import Call, Requirement
from cloudlet.wire import models

_LABEL = re.compile(r"\{([^}]+)\}")


def apigateway(call: Call) -> list[Requirement]:
    """The verb, on the path of the request, as AWS names API Gateway's resources.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-iam-policy-examples.html
    """
    operation = models.load(call.service).operation(call.operation)
    shape = operation.input_shape
    values = {
        str(models.serialization(member).get("name", name)): str(call.params.get(name, "*"))
        for name, member in (shape.members if shape else {}).items()
    }
    path = operation.http["requestUri"].partition("?")[0].removeprefix("/v2")
    path = _LABEL.sub(lambda label: values.get(label[1], "*"), path)
    resource = f"arn:aws:apigateway:{call.config.region}::{path}"
    return [Requirement(f"apigateway:{operation.http['method']}", resource)]


def cloudfront(call: Call) -> list[Requirement]:
    kinds = {
        "Distribution": "distribution",
        "OriginAccessControl": "origin-access-control",
        "ResponseHeadersPolic": "response-headers-policy",
        "CachePolic": "cache-policy",
        "OriginRequestPolic": "origin-request-policy",
    }
    root = f"arn:aws:cloudfront::{call.config.account}:"
    action = call.operation.removesuffix("WithTags")
    if "Resource" in call.params:
        return [Requirement(f"cloudfront:{action}", call.params["Resource"])]
    if "DistributionId" in call.params:
        place = f"{root}distribution/{call.params['DistributionId']}"
        return [Requirement(f"cloudfront:{action}", place)]
    kind = next((kind for name, kind in kinds.items() if name in call.operation), "*")
    identifier = call.params.get("Id")
    resource = f"{root}{kind}/{identifier}" if identifier else f"{root}{kind}/*"
    if call.operation.startswith("List"):
        resource = "*"
    requirements = [Requirement(f"cloudfront:{action}", resource)]
    if call.operation == "CreateDistributionWithTags":
        requirements.append(Requirement("cloudfront:TagResource", resource))
    return requirements
