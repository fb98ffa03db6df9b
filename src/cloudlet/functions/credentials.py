"""Each function's temporary credentials: its role's, from STS, shared by its workers for a while.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
"""

import asyncio
import time
from datetime import datetime

from cloudlet.call import Caller, Cloud, Output
from cloudlet.errors import AwsError
from cloudlet.functions.worker_process import Spec

_SPARE_S = 120  # workers end this long before their credentials do
_SHARED_PART = 0.5  # of their life for which new workers get the same ones


class RoleCredentials:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: dict[tuple[str, str], tuple[dict[str, str], float, float]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def of(self, spec: Spec) -> tuple[dict[str, str], float]:
        """The environment variables, and until when (monotonic seconds) a worker may have them."""
        key = (spec.role, spec.name)
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._known.get(key)
            if known is None or time.monotonic() > known[2]:
                known = self._known[key] = await self._assume(spec)
            return known[0], known[1]

    async def _assume(self, spec: Spec) -> tuple[dict[str, str], float, float]:
        found = (await assume(self._cloud, spec.role, spec.name))["Credentials"]
        life_s = _seconds(found["Expiration"]) - self._cloud.config.now_ms() / 1000
        now_s = time.monotonic()
        environment = {
            "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"],
        }
        return environment, now_s + life_s - _SPARE_S, now_s + life_s * _SHARED_PART


async def assume(cloud: Cloud, role: str, session: str) -> Output:
    """STS's answer; AWS's refusal of a role that doesn't let Lambda in."""
    caller = Caller("service", "lambda.amazonaws.com", cloud.config.account)
    params = {"RoleArn": role, "RoleSessionName": session}
    try:
        return await cloud.invoke("sts", "AssumeRole", params, caller)
    except AwsError as error:
        message = "The role defined for the function cannot be assumed by Lambda."
        raise AwsError("InvalidParameterValueException", message) from error


def _seconds(moment: datetime | str | float) -> float:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
