"""Roles that services act in, on behalf of whoever named the role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html
"""

from collections import OrderedDict

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError

_ROLE_S = 900
_ROLES_MAX = 256


class Roles:
    """Assumed anew every quarter of an hour, by the service that `service` is. What a role may do
    is looked up each time."""

    def __init__(self, cloud: Cloud, service: Caller, session: str) -> None:
        self._cloud = cloud
        self._service = service
        self._session = session
        self._keys: OrderedDict[tuple[str, str], tuple[int, str]] = OrderedDict()

    async def caller(self, role_arn: str, service: Caller | None = None) -> Caller:
        """Raises AwsError where the role does not trust the service, or the one given here."""
        service = service or self._service
        known = (role_arn, f"{service.arn} {service.context}")
        now_ms = self._cloud.config.now_ms()
        until_ms, key = self._keys.get(known, (0, ""))
        caller = self._cloud.caller_of(key) if until_ms > now_ms else None
        if caller is not None:
            return caller
        params = {"RoleArn": role_arn, "RoleSessionName": self._session}
        assumed = await self._cloud.invoke("sts", "AssumeRole", params, service)
        key = assumed["Credentials"]["AccessKeyId"]
        caller = self._cloud.caller_of(key)
        if caller is None:
            raise AwsError("AccessDenied", f"The role {role_arn} cannot be assumed.", 403)
        self._keys[known] = (now_ms + _ROLE_S * 1000, key)
        if len(self._keys) > _ROLES_MAX:
            self._keys.popitem(last=False)
        return caller
