"""Facts into streams: the payload becomes a record's data, as it is.

Who tells a fact acts in a role's name, or needs the stream's policy to let it; cloudlet's own facts
need neither.
"""

import logging

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.policy.roles import Roles

_log = logging.getLogger(__name__)
_RETRY_S = 1.0
_AGE_MAX_MS = 86_400_000
_PASSING = ("ProvisionedThroughputExceededException", "InternalFailure", "ServiceUnavailable")


class Deliveries:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        own = Caller("service", "kinesis.amazonaws.com", cloud.config.account)
        self._roles = Roles(cloud, own, "kinesis")

    async def deliver(self, fact: Fact) -> Outcome:
        """The handler for "kinesis". What fails for good is dropped, and said in the log."""
        params = {
            "StreamARN": fact.target,
            "Data": fact.payload,
            "PartitionKey": str(fact.attributes.get("partition_key") or fact.id)[:256],
        }
        try:
            await self._cloud.invoke("kinesis", "PutRecord", params, await self._caller(fact))
        except AwsError as error:
            is_old = self._cloud.config.now_ms() - fact.created_ms > _AGE_MAX_MS
            if error.code in _PASSING and not is_old:
                return Later(_RETRY_S)
            _log.error("an event of %s for %s is dropped: %s", fact.source, fact.target, error)
        return DONE

    async def _caller(self, fact: Fact) -> Caller | None:
        told = fact.attributes
        if not told.get("principal"):
            return None
        account = self._cloud.config.account
        source = {
            "aws:SourceArn": told.get("source_arn", fact.source),
            "aws:SourceAccount": told.get("source_account", account),
        }
        service = Caller("service", told["principal"], account, context=source)
        return await self._roles.caller(told["role"], service) if told.get("role") else service
