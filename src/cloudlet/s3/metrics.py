"""S3's storage metrics: how much each bucket holds. AWS measures once a day, we each hour.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
"""

import asyncio

from cloudlet.call import Cloud
from cloudlet.store.database import Row

_NAMESPACE = "AWS/S3"


async def measure(cloud: Cloud) -> None:
    for row in await asyncio.to_thread(_held, cloud):
        bucket = ("BucketName", row["name"])
        sizes, counts = ("StorageType", "StandardStorage"), ("StorageType", "AllStorageTypes")
        cloud.meter.add(_NAMESPACE, "BucketSizeBytes", (bucket, sizes), row["bytes"], "Bytes")
        cloud.meter.add(_NAMESPACE, "NumberOfObjects", (bucket, counts), row["count"])


def _held(cloud: Cloud) -> list[Row]:
    """Former versions and delete markers are objects, too."""
    return cloud.database.view().all(
        "SELECT name, total(size) AS bytes, total(size NOT NULL) AS count FROM s3_bucket LEFT JOIN"
        " (SELECT bucket, size FROM s3_object UNION ALL SELECT bucket, size FROM s3_version)"
        " ON bucket = id GROUP BY id"
    )
