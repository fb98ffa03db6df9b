"""Analytics, Intelligent-Tiering, acceleration: kept as they came, refused as AWS does."""

from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import declared
from tests.unit.s3.conftest import Shelf

EXPORT = {
    "OutputSchemaVersion": "V_1",
    "Destination": {"S3BucketDestination": {"Format": "CSV", "Bucket": "arn:aws:s3:::shelf"}},
}
ANALYSIS = {"Id": "a", "Filter": {"Prefix": "x"}, "StorageClassAnalysis": {"DataExport": EXPORT}}
TIERS = {"Id": "a", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}


def analyze(shelf: Shelf, **document: Any) -> None:
    shelf.call(
        declared.put_bucket_analytics_configuration,
        Bucket="shelf", Id="a", AnalyticsConfiguration=document,
    )  # fmt: skip


def tier(shelf: Shelf, **document: Any) -> None:
    shelf.call(
        declared.put_bucket_intelligent_tiering_configuration,
        Bucket="shelf", Id="a", IntelligentTieringConfiguration=document,
    )  # fmt: skip


def test_documents_are_kept_as_they_came(shelf: Shelf) -> None:
    analyze(shelf, **ANALYSIS)
    tier(shelf, **TIERS)
    kept = shelf.call(declared.get_bucket_analytics_configuration, Bucket="shelf", Id="a")
    assert kept == {"AnalyticsConfiguration": ANALYSIS}
    kept = shelf.call(declared.list_bucket_intelligent_tiering_configurations, Bucket="shelf")
    assert kept == {"IntelligentTieringConfigurationList": [TIERS], "IsTruncated": False}
    shelf.call(declared.delete_bucket_analytics_configuration, Bucket="shelf", Id="a")
    shelf.call(declared.delete_bucket_intelligent_tiering_configuration, Bucket="shelf", Id="a")
    kept = shelf.call(declared.list_bucket_analytics_configurations, Bucket="shelf")
    assert kept == {"IsTruncated": False}
    with pytest.raises(AwsError, match="NoSuchConfiguration"):
        shelf.call(declared.get_bucket_intelligent_tiering_configuration, Bucket="shelf", Id="a")


@pytest.mark.parametrize(
    "change",
    [
        {"Id": "b"},  # s3-090
        {"Filter": {}},
        {"StorageClassAnalysis": {"DataExport": {**EXPORT, "OutputSchemaVersion": "V_2"}}},
    ],
)
def test_analyses_that_are_none(shelf: Shelf, change: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="MalformedXML"):
        analyze(shelf, **{**ANALYSIS, **change})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Id": "b"}, "MalformedXML"),  # s3-090
        ({"Status": "enabled"}, "MalformedXML"),
        ({"Tierings": []}, "MalformedXML"),
        ({"Tierings": TIERS["Tierings"] * 2}, "MalformedXML"),
        ({"Tierings": [{"Days": 89, "AccessTier": "ARCHIVE_ACCESS"}]}, "InvalidArgument"),
        ({"Tierings": [{"Days": 731, "AccessTier": "DEEP_ARCHIVE_ACCESS"}]}, "InvalidArgument"),
    ],
)
def test_tiers_that_are_none(shelf: Shelf, change: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        tier(shelf, **{**TIERS, **change})


def test_acceleration_is_a_status(shelf: Shelf) -> None:
    ask, put = (
        declared.get_bucket_accelerate_configuration,
        declared.put_bucket_accelerate_configuration,
    )
    assert shelf.call(ask, Bucket="shelf") == {}
    shelf.call(put, Bucket="shelf", AccelerateConfiguration={"Status": "Enabled"})
    assert shelf.call(ask, Bucket="shelf") == {"Status": "Enabled"}
    with pytest.raises(AwsError, match="MalformedXML"):
        shelf.call(put, Bucket="shelf", AccelerateConfiguration={"Status": "enabled"})
