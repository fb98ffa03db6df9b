"""The tags of objects. Those of buckets are a setting.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

import json

from cloudlet.call import Call, Output, Result
from cloudlet.s3 import attributes, faults, records, settings
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.s3.bucket import of_call
from cloudlet.store.database import Transaction, View


def get_object_tagging(call: Call, view: View) -> Output:
    attributes.check_version(call.params)
    record = records.load(view, of_call(call, view).id, call.params["Key"])
    if record is None:
        raise faults.no_such_key(call.params["Key"])
    return {"TagSet": settings.tag_set(record.tags)}


def put_object_tagging(call: Call, tx: Transaction) -> Output:
    tags = (call.params.get("Tagging") or {}).get("TagSet")
    if tags is None:
        raise faults.malformed_xml()
    _replace(call, tx, settings.checked_tags(tags, 10), "Put")
    return {}


def delete_object_tagging(call: Call, tx: Transaction) -> Result:
    _replace(call, tx, {}, "Delete")
    return Result({}, 204)


def _replace(call: Call, tx: Transaction, tags: dict[str, str], how: str) -> None:
    attributes.check_version(call.params)
    bucket, key = of_call(call, tx), call.params["Key"]
    record = records.load(tx, bucket.id, key)
    if record is None:
        raise faults.no_such_key(key)
    tx.run(
        "UPDATE s3_object SET tags = ? WHERE bucket = ? AND key = ?",
        (json.dumps(tags), bucket.id, key),
    )
    event = Event(
        f"ObjectTagging:{how}", "", key, records.next_version(tx), record.size, record.etag
    )
    announce(call.config, tx, bucket, event, Actor.of(call))
