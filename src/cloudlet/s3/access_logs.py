"""Server access logs: which buckets have them, and delivering what `front` records.

Lines gather in memory and go as an object to the target bucket every half minute, or sooner when
there are many; as AWS says, delivery is best effort: what a crash takes is not logged. Whether logs
may be put there, the target bucket's policy decides at each delivery.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cloudlet.call import Call, Caller, Cloud, Output
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import ENFORCED, drop_setting, of_call, of_name, put_setting, setting
from cloudlet.store.database import Transaction, View

TOPIC = "s3-access-logs"
DELIVERY_S = 30
PRINCIPAL = "logging.s3.amazonaws.com"
_LINES_MAX = 10_000  # of one bucket; then it is delivered at once, or the oldest are lost
_log = logging.getLogger(__name__)


def put_bucket_logging(call: Call, tx: Transaction) -> None:
    """s3-079: whether the target lets logs in is not asked now, but when there are some."""
    bucket = of_call(call, tx)
    wanted = (call.params.get("BucketLoggingStatus") or {}).get("LoggingEnabled")
    tx.touch(TOPIC)
    if wanted is None:
        drop_setting(tx, bucket.id, "logging")
        return
    if not wanted.get("TargetBucket") or wanted.get("TargetPrefix") is None:
        raise faults.malformed_xml()
    _check_target(tx, bucket.region, wanted)
    _check_format(wanted.get("TargetObjectKeyFormat"))
    put_setting(tx, bucket.id, "logging", wanted)


def _check_target(tx: Transaction, region: str, wanted: Mapping[str, Any]) -> None:
    target = of_name(tx, wanted["TargetBucket"])
    if target is None:
        raise AwsError(
            "InvalidTargetBucketForLogging",
            "The target bucket for logging does not exist",
            400,
            TargetBucket=wanted["TargetBucket"],
        )
    if target.region != region:
        here = {} if region == "us-east-1" else {"SourceBucketLocation": region}
        raise AwsError(
            "CrossLocationLoggingProhibitted",  # AWS's own spelling
            "Cross S3 location logging not allowed. ",
            403,
            **here,
            TargetBucketLocation=target.region,
        )
    if wanted.get("TargetGrants") and target.ownership == ENFORCED:
        raise faults.invalid_argument(
            "The target bucket for logging has ownership controls set to BucketOwnerEnforced, "
            "which does not support target grants",
            "TargetGrants",
        )


def _check_format(found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    kinds = [name for name in ("SimplePrefix", "PartitionedPrefix") if found.get(name) is not None]
    if len(kinds) != 1:
        raise faults.malformed_xml()
    source = (found.get("PartitionedPrefix") or {}).get("PartitionDateSource", "DeliveryTime")
    if source not in ("EventTime", "DeliveryTime"):
        raise faults.malformed_xml()


def get_bucket_logging(call: Call, view: View) -> Output:
    kept = setting(view, of_call(call, view).id, "logging")
    return {"LoggingEnabled": kept} if kept else {}


class AccessLogs:
    """Of one account. `is_on` costs nothing where no bucket has logs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._wanted: dict[str, dict[str, Any]] = {}  # bucket → its setting
        self._lines: dict[str, list[str]] = {}
        self._is_stale = True
        cloud.database.subscribe(TOPIC, self._forget)

    def _forget(self, _: str) -> None:
        self._is_stale = True

    @property
    def is_on(self) -> bool:
        if self._is_stale:
            self._is_stale = False
            self._wanted = _settings(self._cloud.database.view())
        return bool(self._wanted)

    def add(self, bucket: str, line: str) -> None:
        if self.is_on and bucket in self._wanted:
            lines = self._lines.setdefault(bucket, [])
            lines.append(line)
            del lines[:-_LINES_MAX]

    async def deliver(self) -> None:
        taken, self._lines = self._lines, {}
        for bucket, lines in taken.items():
            wanted = self._wanted.get(bucket)
            if wanted is None:
                continue
            try:
                await self._put(bucket, wanted, lines)
            except AwsError as error:
                _log.warning("access logs of %s are lost: %s", bucket, error)

    async def _put(self, bucket: str, wanted: Mapping[str, Any], lines: list[str]) -> None:
        config = self._cloud.config
        context = {"aws:SourceArn": f"arn:aws:s3:::{bucket}", "aws:SourceAccount": config.account}
        caller = Caller("service", PRINCIPAL, config.account, context=context)
        moment = datetime.fromtimestamp(config.now_ms() / 1000, UTC)
        unique = config.new_id().replace("-", "")[-16:].upper()
        name = _name(wanted, (config.account, config.region, bucket), moment)
        params = {
            "Bucket": wanted["TargetBucket"],
            "Key": f"{name}-{unique}",
            "Body": "".join(f"{line}\n" for line in lines).encode(),
            "ContentType": "text/plain",
        }
        await self._cloud.invoke("s3", "PutObject", params, caller)


def _settings(view: View) -> dict[str, dict[str, Any]]:
    rows = view.all(
        "SELECT s3_bucket.id, s3_bucket.name FROM s3_bucket JOIN s3_setting ON bucket = id"
        " AND s3_setting.name = 'logging'"
    )
    return {row["name"]: setting(view, row["id"], "logging") for row in rows}


def _name(wanted: Mapping[str, Any], place: tuple[str, str, str], moment: datetime) -> str:
    """Without the unique end. Partitioned by the event's time, names don't tell that of delivery.

    Lines wait less than a minute, so that the day of delivery stands for that of the event.
    """
    prefix, partitioned = wanted["TargetPrefix"], _partitioned(wanted)
    if partitioned is None:
        return f"{prefix}{moment:%Y-%m-%d-%H-%M-%S}"
    clock = "00-00-00" if partitioned == "EventTime" else f"{moment:%H-%M-%S}"
    return f"{prefix}{'/'.join(place)}/{moment:%Y/%m/%d}/{moment:%Y-%m-%d}-{clock}"


def _partitioned(wanted: Mapping[str, Any]) -> str | None:
    found = (wanted.get("TargetObjectKeyFormat") or {}).get("PartitionedPrefix")
    return None if found is None else found.get("PartitionDateSource", "DeliveryTime")
