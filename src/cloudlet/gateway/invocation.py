"""How gateways call functions: as API Gateway's service principal, or in a role's name.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-access-control-lambda.html
"""

from cloudlet.call import Caller, Cloud

# gateway-004: a throttled or unreachable function is 503, a refused call 500
UNAVAILABLE = frozenset(("TooManyRequestsException", "ServiceUnavailable", "ServiceException"))


class FunctionFailed(Exception):
    """The function raised, was killed or ran out of time; `payload` is what it answered."""

    def __init__(self, error: str, payload: bytes = b"") -> None:
        super().__init__(error)
        self.payload = payload


def service(cloud: Cloud, source_arn: str = "") -> Caller:
    """API Gateway itself, on behalf of the API that `source_arn` names."""
    account = cloud.config.account
    context = {"aws:SourceAccount": account} | ({"aws:SourceArn": source_arn} if source_arn else {})
    return Caller("service", "apigateway.amazonaws.com", account, context=context)


async def invoke(
    cloud: Cloud, function: str, event: bytes, caller: Caller, trace: str = ""
) -> bytes:
    """The function's answer; raises FunctionFailed, or AwsError if it cannot be called. `trace` is
    the X-Ray header that goes on."""
    params = {"FunctionName": function, "InvocationType": "RequestResponse", "Payload": event}
    answer = await cloud.invoke(
        "lambda", "Invoke", params | ({"TraceHeader": trace} if trace else {}), caller
    )
    payload: bytes = answer.get("Payload") or b""
    if answer.get("FunctionError"):
        raise FunctionFailed(answer["FunctionError"], payload)
    return payload
