"""A mapping at work: what all that read for it have in common.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from cloudlet.call import Caller, Cloud
from cloudlet.functions import names, records
from cloudlet.functions.positions import Mapping
from cloudlet.functions.queue_mappings import role_of
from cloudlet.functions.records import Found
from cloudlet.functions.worker_process import Answer

Invoke = Callable[[str, bytes, str], Awaitable[Answer]]
_BACK_OFF_MAX_S = 60.0


class Running:
    def __init__(self, cloud: Cloud, mapping: Mapping, invoke: Invoke, back_off_s: float) -> None:
        self.cloud = cloud
        self.mapping = mapping
        self.invoke = invoke
        self.back_off_s = back_off_s
        self.stopping = asyncio.Event()
        self.result = ""  # LastProcessingResult, as far as it is known here
        metrics = (mapping.config.get("MetricsConfig") or {}).get("Metrics") or []
        self._is_counting = "EventCount" in metrics

    def found(self) -> Found:
        reference = names.parse(self.mapping.function_arn)
        return records.find(self.cloud.database.view(), self.cloud.config, *reference)

    async def role(self) -> Caller:
        """The function's role, assumed."""
        return await role_of(self.cloud, self.found())

    async def pause(self, failures: int) -> None:
        """Longer with every failure, but not beyond the mapping's end."""
        pause_s = min(_BACK_OFF_MAX_S, self.back_off_s * 2 ** min(failures - 1, 10))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self.stopping.wait()

    def count(self, metric: str, number: int) -> None:
        """A metric of the mapping, when it wants them."""
        if self._is_counting and number:
            dimensions = (("EventSourceMappingUUID", self.mapping.uuid),)
            self.cloud.meter.add("AWS/Lambda", metric, dimensions, float(number))
