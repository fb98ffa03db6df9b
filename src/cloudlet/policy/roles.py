"""Roles that services act in, on behalf of whoever named the role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html
"""

from collections import OrderedDict

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError

_ROLE_S = 900
_ROLES_MAX = 256


class Roles:
    """Assumed anew every quarter of an hour, by the service that `service` is."""

    def __init__(self, cloud: Cloud, service: Caller, session: str) -> None:
        self._cloud = cloud
        self._service = service
        self._session = session
        self._known: OrderedDict[tuple[str, str], tuple[int, Caller]] = OrderedDict()

    async def caller(self, role_arn: str, service: Caller | None = None) -> Caller:
        """Raises AwsError where the role does not trust the service, or the one given here."""
        service = service or self._service
        key = (role_arn, f"{service.arn} {service.context}")
        now_ms = self._cloud.config.now_ms()
        until_ms, caller = self._known.get(key, (0, None))
        if caller is not None and until_ms > now_ms:
            return caller
        params = {"RoleArn": role_arn, "RoleSessionName": self._session}
        assumed = await self._cloud.invoke("sts", "AssumeRole", params, service)
        found = self._cloud.caller_of(assumed["Credentials"]["AccessKeyId"])
        if found is None:
            raise AwsError("AccessDenied", f"The role {role_arn} cannot be assumed.", 403)
        self._known[key] = (now_ms + _ROLE_S * 1000, found)
        if len(self._known) > _ROLES_MAX:
            self._known.popitem(last=False)
        return found
