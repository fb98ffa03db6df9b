"""Request metrics of buckets: which are wanted, and counting requests that `front` tells of.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
"""

import json
from typing import Any, NamedTuple

from cloudlet.call import Call, Cloud, Output, Result
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.s3 import configurations, faults
from cloudlet.s3.bucket import of_name
from cloudlet.s3.configurations import METRICS
from cloudlet.store.database import Transaction, View

_NAMES = {"GET": "GetRequests", "PUT": "PutRequests", "HEAD": "HeadRequests"}
_MORE = {"DELETE": "DeleteRequests", "POST": "PostRequests", "LIST": "ListRequests"}
Wanted = list[tuple[str, str, dict[str, str]]]  # id, prefix, tags


class Told(NamedTuple):
    """A request that was answered. `kind`: its method, or LIST."""

    kind: str
    key: str
    status: int
    sent: int
    received: int
    first_ms: float
    total_ms: float


def put_bucket_metrics_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.put(call, tx, METRICS, _check)


def get_bucket_metrics_configuration(call: Call, view: View) -> Output:
    return configurations.get(call, view, METRICS)


def delete_bucket_metrics_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.delete(call, tx, METRICS)


def list_bucket_metrics_configurations(call: Call, view: View) -> Output:
    return configurations.listed(call, view, METRICS)


def _check(wanted: dict[str, Any]) -> None:
    chosen = wanted.get("Filter")
    if chosen is None:
        return
    if len(chosen) != 1:
        raise faults.malformed_xml()
    if "AccessPointArn" in chosen or "AccessPointArn" in (chosen.get("And") or {}):
        raise NotImplementedByCloudlet("S3 access points")


def _filter(wanted: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    chosen = wanted.get("Filter") or {}
    both = chosen.get("And") or {}
    tags = [*([chosen["Tag"]] if chosen.get("Tag") else []), *(both.get("Tags") or [])]
    prefix = chosen.get("Prefix") or both.get("Prefix") or ""
    return wanted["Id"], prefix, {tag["Key"]: tag["Value"] for tag in tags}


class RequestMetrics:
    """Of one account. `is_on` costs nothing where no bucket has such metrics."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._wanted: dict[str, Wanted] = {}
        self._is_stale = True
        cloud.database.subscribe(configurations.TOPIC, self._forget)

    def _forget(self, _: str) -> None:
        self._is_stale = True

    @property
    def is_on(self) -> bool:
        if self._is_stale:
            self._is_stale = False
            self._wanted = {}
            for bucket, each in configurations.all_of(self._cloud.database.view(), METRICS):
                self._wanted.setdefault(bucket, []).append(_filter(each))
        return bool(self._wanted)

    def add(self, bucket: str, told: Told) -> None:
        if not self.is_on:
            return
        for filter_id, prefix, tags in self._wanted.get(bucket, ()):
            if told.key.startswith(prefix) and (not tags or self._has(bucket, told.key, tags)):
                self._count((("BucketName", bucket), ("FilterId", filter_id)), told)

    def _has(self, bucket: str, key: str, tags: dict[str, str]) -> bool:
        view = self._cloud.database.view()
        found = of_name(view, bucket)
        query = "SELECT tags FROM s3_object WHERE bucket = ? AND key = ?"
        text = view.value(query, (found.id, key)) if found else None
        return text is not None and tags.items() <= json.loads(text).items()

    def _count(self, place: tuple[tuple[str, str], ...], told: Told) -> None:
        add = self._cloud.meter.add
        for name, value, unit in _measured(told):
            add("AWS/S3", name, place, value, unit)


def _measured(told: Told) -> list[tuple[str, float, str]]:
    name = {**_NAMES, **_MORE}.get(told.kind)
    found = [("AllRequests", 1.0, "Count"), *([(name, 1.0, "Count")] if name else [])]
    found += [
        ("4xxErrors", float(400 <= told.status < 500), "Count"),
        ("5xxErrors", float(told.status >= 500), "Count"),
        ("FirstByteLatency", told.first_ms, "Milliseconds"),
        ("TotalRequestLatency", told.total_ms, "Milliseconds"),
    ]
    if told.sent:
        found.append(("BytesDownloaded", float(told.sent), "Bytes"))
    if told.received:
        found.append(("BytesUploaded", float(told.received), "Bytes"))
    return found
