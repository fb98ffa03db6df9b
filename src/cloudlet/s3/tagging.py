"""The tags of objects. Those of buckets are a setting.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

import json
from dataclasses import replace

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import records, replication, settings, versions
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.store.database import Transaction, View


def get_object_tagging(call: Call, view: View) -> Output:
    try:
        bucket, record = versions.existing(call, view)
    except AwsError as error:
        if error.code == "NoSuchKey":  # s3-093: the key is told with its bucket, here alone
            error.fields["Key"] = f"{call.params['Bucket']}/{call.params['Key']}"
        raise
    tags = dict(sorted(record.tags.items()))
    return {"TagSet": settings.tag_set(tags), **bucket.version(record.version_id)}


def put_object_tagging(call: Call, tx: Transaction) -> Output:
    return _replace(call, tx, settings.checked_tags(settings.asked_tags(call), 10), "Put")


def delete_object_tagging(call: Call, tx: Transaction) -> Result:
    return Result(_replace(call, tx, {}, "Delete"), 204)


def _replace(call: Call, tx: Transaction, tags: dict[str, str], how: str) -> Output:
    bucket, record = versions.existing(call, tx)
    for table in ("s3_object", "s3_version"):
        tx.run(
            f"UPDATE {table} SET tags = ? WHERE bucket = ? AND key = ? AND version = ?",
            (json.dumps(tags), bucket.id, record.key, record.version),
        )
    replication.retagged(call, tx, bucket, replace(record, tags=tags))
    event = replace(
        Event.about(f"ObjectTagging:{how}", "", record), version=records.next_version(tx)
    )
    announce(call.config, tx, bucket, event, Actor.of(call))
    return bucket.version(record.version_id)
