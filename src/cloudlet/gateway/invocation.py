"""How gateways call functions: as API Gateway's service principal, or in a role's name.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-access-control-lambda.html
"""

from collections import OrderedDict

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError

# gateway-004: a throttled or unreachable function is 503, a refused call 500
UNAVAILABLE = frozenset(("TooManyRequestsException", "ServiceUnavailable", "ServiceException"))
_ROLE_S = 900
_ROLES_MAX = 256


class FunctionFailed(Exception):
    """The function raised, was killed or ran out of time; `payload` is what it answered."""

    def __init__(self, error: str, payload: bytes = b"") -> None:
        super().__init__(error)
        self.payload = payload


class Roles:
    """Roles that API Gateway acts in (`CredentialsArn`), assumed anew every quarter of an hour."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: OrderedDict[str, tuple[int, Caller]] = OrderedDict()

    async def caller(self, role_arn: str) -> Caller:
        """Raises AwsError where the role does not trust apigateway.amazonaws.com."""
        now_ms = self._cloud.config.now_ms()
        until_ms, caller = self._known.get(role_arn, (0, None))
        if caller is not None and until_ms > now_ms:
            return caller
        params = {"RoleArn": role_arn, "RoleSessionName": "BackplaneAssumeRoleSession"}
        assumed = await self._cloud.invoke("sts", "AssumeRole", params, service(self._cloud))
        found = self._cloud.caller_of(assumed["Credentials"]["AccessKeyId"])
        if found is None:
            raise AwsError("AccessDenied", f"The role {role_arn} cannot be assumed.", 403)
        self._known[role_arn] = (now_ms + _ROLE_S * 1000, found)
        if len(self._known) > _ROLES_MAX:
            self._known.popitem(last=False)
        return found


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
