"""API keys and usage plans: who a key lets in, how fast, and how often a day, week or month.

Keys and plans are read live. Requests of plans with a quota are counted as they are admitted, in
one change with the look at the quota; of others soon after.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

import asyncio
from collections import Counter
from functools import partial
from typing import Any

from cloudlet.call import Cloud
from cloudlet.gateway.rest import snapshots
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage
from cloudlet.gateway.rest.snapshots import Admission
from cloudlet.gateway.throttle import Bucket
from cloudlet.store.database import Transaction

_BUCKETS_MAX = 10_000


class Admissions:
    """Live state: the keys' token buckets, and counts that are not stored yet."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._buckets: dict[tuple[str, ...], Bucket] = {}
        self._pending: Counter[tuple[str, str]] = Counter()
        self._flushing: asyncio.Task[None] | None = None

    async def check(self, passage: Passage, usage_key: str) -> None:
        """`usage_key` is what the authorizer found. Raises Fault."""
        served = passage.served
        if served.api.get("apiKeySource") == "AUTHORIZER":
            value = usage_key
        else:
            value = passage.request.headers.get("x-api-key", "")
        with self._cloud.database.snapshot() as view:
            found = snapshots.admission(view, value, served.api_id, served.stage) if value else None
        if found is None:
            raise Fault("INVALID_API_KEY")
        passage.context["identity"] |= {"apiKey": value, "apiKeyId": found.key["id"]}
        self._throttle(passage, found)
        await self._count(found, passage.now_ms)

    def _throttle(self, passage: Passage, found: Admission) -> None:
        """The plan's own limits, and closer ones of the method."""
        served, name = passage.served, (found.plan["id"], found.key["id"])
        limits: dict[str, Any] = {"": found.plan.get("throttle")}
        for stage in found.plan.get("apiStages") or []:
            if (stage["apiId"], stage["stage"]) == (served.api_id, served.stage):
                path, verb = passage.method.path, passage.method.document["httpMethod"]
                limits[f"{served.api_id}/{served.stage}{path}/{verb}"] = (
                    stage.get("throttle") or {}
                ).get(f"{path}/{verb}")
        for place, limit in limits.items():
            if limit and not self._bucket((*name, place), limit, passage.now_ms).take(
                passage.now_ms
            ):
                raise Fault("THROTTLED")

    def _bucket(self, key: tuple[str, ...], limit: dict[str, Any], now_ms: int) -> Bucket:
        fresh = Bucket.of(limit.get("rateLimit"), limit.get("burstLimit"), now_ms)
        known = self._buckets.get(key)
        if known is None or (known.rate, known.burst) != (fresh.rate, fresh.burst):
            if len(self._buckets) >= _BUCKETS_MAX:
                self._buckets.clear()
            known = self._buckets[key] = fresh
        return known

    async def _count(self, found: Admission, now_ms: int) -> None:
        plan, key_id = found.plan, found.key["id"]
        if not plan.get("quota"):
            self._pending[plan["id"], key_id] += 1
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.get_running_loop().create_task(self._flush())
            return

        def take(tx: Transaction) -> bool:
            left = snapshots.remaining(tx, plan, key_id, now_ms)
            if left is not None and left <= 0:
                return False
            snapshots.count(tx, plan["id"], key_id, now_ms)
            return True

        if not await self._cloud.database.write(take):
            raise Fault("QUOTA_EXCEEDED")

    async def _flush(self) -> None:
        while self._pending:
            counts, self._pending = self._pending, Counter()
            await self._cloud.database.write(partial(_store, counts, self._cloud.config.now_ms()))

    async def stop(self) -> None:
        if self._flushing is not None and not self._flushing.done():
            await self._flushing


def _store(counts: Counter[tuple[str, str]], now_ms: int, tx: Transaction) -> None:
    for (plan_id, key_id), requests in counts.items():
        snapshots.count(tx, plan_id, key_id, now_ms, requests)
