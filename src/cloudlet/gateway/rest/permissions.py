"""What calls need: `apigateway:VERB` on the path of the request, as AWS names its resources.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-iam-policy-examples.html
"""

import re

from cloudlet.call import Call, Requirement
from cloudlet.wire import models

_LABEL = re.compile(r"\{([^}]+)\}")


def requirements(call: Call) -> list[Requirement]:
    operation = models.load("apigateway").operation(call.operation)
    shape = operation.input_shape
    values = {
        str(models.serialization(member).get("name", name)): str(call.params.get(name, "*"))
        for name, member in (shape.members if shape else {}).items()
    }
    path = operation.http["requestUri"].partition("?")[0]
    path = _LABEL.sub(lambda label: values.get(label[1], "*"), path)
    resource = f"arn:aws:apigateway:{call.config.region}::{path}"
    return [Requirement(f"apigateway:{operation.http['method']}", resource)]
