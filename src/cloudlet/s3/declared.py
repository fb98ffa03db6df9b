"""Configurations that are kept and answered, and that change nothing here: storage class analysis
(on AWS, advice after a month of watching), Intelligent-Tiering's archive tiers (for what nobody
read in 90 days and more; here all stays in the tier of frequent access) and acceleration (speed).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAnalyticsConfiguration.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketIntelligentTieringConfiguration.html
"""

from cloudlet.call import Call, Output, Result
from cloudlet.s3 import configurations, faults
from cloudlet.s3.bucket import of_call, put_setting, setting
from cloudlet.s3.configurations import ANALYTICS, TIERING, Document
from cloudlet.store.database import Transaction, View

_DAYS_MIN = {"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}
_DAYS_MAX = 730


def put_bucket_analytics_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.put(call, tx, ANALYTICS, _check_analytics)


def get_bucket_analytics_configuration(call: Call, view: View) -> Output:
    return configurations.get(call, view, ANALYTICS)


def delete_bucket_analytics_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.delete(call, tx, ANALYTICS)


def list_bucket_analytics_configurations(call: Call, view: View) -> Output:
    return configurations.listed(call, view, ANALYTICS)


def _check_analytics(wanted: Document) -> None:
    export = (wanted.get("StorageClassAnalysis") or {}).get("DataExport")
    _check_filter(wanted)
    if "StorageClassAnalysis" not in wanted:
        raise faults.malformed_xml()
    if export is None:
        return
    to = (export.get("Destination") or {}).get("S3BucketDestination") or {}
    if export.get("OutputSchemaVersion") != "V_1" or to.get("Format") != "CSV":
        raise faults.malformed_xml()
    configurations.check_destination(to.get("Bucket"))


def put_bucket_intelligent_tiering_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.put(call, tx, TIERING, _check_tiering)


def get_bucket_intelligent_tiering_configuration(call: Call, view: View) -> Output:
    return configurations.get(call, view, TIERING)


def delete_bucket_intelligent_tiering_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.delete(call, tx, TIERING)


def list_bucket_intelligent_tiering_configurations(call: Call, view: View) -> Output:
    return configurations.listed(call, view, TIERING)


def _check_tiering(wanted: Document) -> None:
    tiers = {each.get("AccessTier"): each.get("Days") for each in wanted.get("Tierings") or []}
    _check_filter(wanted)
    fits = (
        wanted.get("Status") in ("Enabled", "Disabled")
        and 0 < len(tiers) == len(wanted["Tierings"])
        and all(tier in _DAYS_MIN and days is not None for tier, days in tiers.items())
    )
    if not fits:
        raise faults.malformed_xml()
    for tier, days in tiers.items():
        if not _DAYS_MIN[tier] <= days <= _DAYS_MAX:
            raise faults.invalid_argument(
                f"'Days' for access tier {tier} must be between {_DAYS_MIN[tier]} and {_DAYS_MAX}",
                "Days",
                days,
            )


def _check_filter(wanted: Document) -> None:
    """One of prefix, tag and both of them; none is no filter."""
    chosen = wanted.get("Filter")
    if chosen is not None and len(chosen) != 1:
        raise faults.malformed_xml()


def put_bucket_accelerate_configuration(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    if "." in bucket.name:
        raise faults.invalid_request(
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        )
    status = (call.params.get("AccelerateConfiguration") or {}).get("Status")
    if status not in ("Enabled", "Suspended"):
        raise faults.malformed_xml()
    put_setting(tx, bucket.id, "accelerate", status)


def get_bucket_accelerate_configuration(call: Call, view: View) -> Output:
    """Empty: never enabled."""
    status = setting(view, of_call(call, view).id, "accelerate")
    return {"Status": status} if status else {}
