"""S3's storage metrics: how much each bucket holds. AWS measures once a day, we each hour.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
"""

import asyncio

from cloudlet.call import Cloud
from cloudlet.s3.traits import STANDARD
from cloudlet.store.database import Row

_NAMESPACE = "AWS/S3"
_TYPES = {  # storage class → what its metric is called
    STANDARD: "StandardStorage",
    "REDUCED_REDUNDANCY": "ReducedRedundancyStorage",
    "STANDARD_IA": "StandardIAStorage",
    "ONEZONE_IA": "OneZoneIAStorage",
    "INTELLIGENT_TIERING": "IntelligentTieringFAStorage",
    "GLACIER_IR": "GlacierInstantRetrievalStorage",
    "GLACIER": "GlacierStorage",
    "DEEP_ARCHIVE": "DeepArchiveStorage",
}


async def measure(cloud: Cloud) -> None:
    counts: dict[str, float] = {}
    for row in await asyncio.to_thread(_held, cloud):
        name = row["name"]
        counts[name] = counts.get(name, 0) + row["count"]
        place = ("BucketName", name), ("StorageType", _TYPES[row["class"]])
        cloud.meter.add(_NAMESPACE, "BucketSizeBytes", place, row["bytes"], "Bytes")
    for name, count in counts.items():
        place = ("BucketName", name), ("StorageType", "AllStorageTypes")
        cloud.meter.add(_NAMESPACE, "NumberOfObjects", place, count)


def _held(cloud: Cloud) -> list[Row]:
    """By bucket and storage class. Former versions and delete markers are objects, too."""
    return cloud.database.view().all(
        "SELECT name, coalesce(class, ?) AS class, total(size) AS bytes,"
        " total(size NOT NULL) AS count FROM s3_bucket LEFT JOIN"
        " (SELECT bucket, size, traits ->> 'class' AS class FROM s3_object UNION ALL"
        " SELECT bucket, size, traits ->> 'class' FROM s3_version) ON bucket = id GROUP BY id, 2",
        (STANDARD,),
    )
