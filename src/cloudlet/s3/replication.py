"""Bucket replication: the configuration, which rules an object falls under, and its status.

A write and the facts of what is to be copied are one transaction; `replicas` carries the facts out.
An object's trait `replication` has the status for each destination (`{bucket: status}`), and is
"REPLICA" where the object itself was made by replication: such objects are not copied on.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-status.html
"""

from collections.abc import Mapping
from typing import Any

import orjson

from cloudlet.call import Call, Output, Result
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.s3 import remotes, replication_rules
from cloudlet.s3.bucket import Bucket, drop_setting, of_call, of_name, put_setting, setting
from cloudlet.s3.locks import configuration as locking
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction, View

TRAIT, REPLICA = "replication", "REPLICA"
MARK = "_Replica"  # the member of an inner call that writes a replica
PENDING, COMPLETED, FAILED = "PENDING", "COMPLETED", "FAILED"
Rule = dict[str, Any]


async def put_bucket_replication(call: Call) -> None:
    """A rule with ExistingObjectReplication also takes what is there already."""
    bucket = of_call(call, call.cloud.database.view())
    wanted = call.params.get("ReplicationConfiguration") or {}
    configuration = replication_rules.checked(call.config, bucket, wanted)
    for name in sorted({destination(rule) for rule in configuration["Rules"]}):
        await _check_destination(call, bucket, name)

    def change(tx: Transaction) -> None:
        bucket = of_call(call, tx)
        put_setting(tx, bucket.id, "replication", configuration)
        for rule in configuration["Rules"]:
            status = (rule.get("ExistingObjectReplication") or {}).get("Status")
            if status == rule["Status"] == "Enabled":
                job = {"kind": "backfill", "after": ["", 0], "until_ms": call.now_ms}
                put(call.config, tx, bucket, _job(configuration, rule, job))

    await call.cloud.database.write(change)


def get_bucket_replication(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    configuration = setting(view, bucket.id, "replication")
    if configuration is None:
        raise AwsError(
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
            404,
            BucketName=bucket.name,
        )
    return {"ReplicationConfiguration": configuration}


def delete_bucket_replication(call: Call, tx: Transaction) -> Result:
    """What was written before is still copied."""
    drop_setting(tx, of_call(call, tx).id, "replication")
    return Result({}, 204)


async def _check_destination(call: Call, bucket: Bucket, name: str) -> None:
    """s3-075: that a bucket is not there at all is told in the same words. Buckets elsewhere, and
    others' that don't let us look, are asked when there is something to copy. What is locked here
    must be there, too."""
    if remotes.find(call.config, name) is not None:
        return
    try:
        found = await call.cloud.invoke("s3", "GetBucketVersioning", {"Bucket": name})
    except AwsError as error:
        if error.status == 403:
            return
        found = {}
    if found.get("Status") != "Enabled":
        raise AwsError("InvalidRequest", "Destination bucket must have versioning enabled.", 400)
    view = call.cloud.database.view()
    there = of_name(view, name)
    if there and locking(view, bucket) and not locking(view, there):
        raise AwsError("InvalidRequest", "Destination bucket must have object lock enabled.", 400)


def destination(rule: Rule) -> str:
    name: str = rule["Destination"]["Bucket"].rpartition(":")[2]
    return name


# What writes ask


def is_copy(call: Call) -> bool:
    """Whether it is replication that writes. Another cloudlet says so: or two that replicate to
    each other would never come to an end."""
    return bool(call.params.get(MARK)) or remotes.HEADER in call.request.headers


def begun(call: Call, tx: Transaction, bucket: Bucket, record: Record) -> list[Rule]:
    """The rules that a new object falls under; it is pending from the start."""
    if bucket.versioning != "Enabled" or is_copy(call):
        return []
    return begin(setting(tx, bucket.id, "replication"), record)


def begin(configuration: Mapping[str, Any] | None, record: Record) -> list[Rule]:
    if configuration is None:
        return []
    rules = replication_rules.chosen(configuration, record)
    if rules:
        # s3-076: nobody but the client has the key of SSE-C, so that there is no copy to be made
        sealed = "SSECustomerKeyMD5" in record.encryption
        status = dict.fromkeys(map(destination, rules), FAILED if sealed else PENDING)
        record.traits = {**record.traits, TRAIT: status}
        return [] if sealed else rules
    return []


def told(record: Record, kind: str = "object") -> dict[str, Any]:
    """Names a version that is to be copied, or whose tags are ("tags")."""
    return {
        "kind": kind,
        "key": record.key,
        "version": record.version,
        "version_id": record.version_id or "null",
        "size": record.size,
    }


def queue(
    config: Config, tx: Transaction, bucket: Bucket, rules: list[Rule], job: dict[str, Any]
) -> None:
    """Facts of it, for each rule."""
    if rules:
        configuration = setting(tx, bucket.id, "replication")
        for rule in rules:
            put(config, tx, bucket, _job(configuration, rule, job))


def queue_marker(call: Call, tx: Transaction, bucket: Bucket, key: str) -> None:
    """A delete marker was made. Versions that are deleted for good are never deleted elsewhere."""
    if bucket.versioning != "Enabled" or is_copy(call):
        return
    configuration = setting(tx, bucket.id, "replication")
    rules = replication_rules.for_marker(configuration, key) if configuration else []
    queue(call.config, tx, bucket, rules, {"kind": "marker", "key": key, "size": 0})


def retagged(call: Call, tx: Transaction, bucket: Bucket, record: Record) -> None:
    """Tags follow the copies that were made."""
    status = record.traits.get(TRAIT)
    configuration = setting(tx, bucket.id, "replication") if isinstance(status, dict) else None
    if configuration is None or is_copy(call):
        return
    rules = replication_rules.chosen(configuration, record)
    for rule in rules:
        note(tx, record, destination(rule), PENDING)
    queue(call.config, tx, bucket, rules, told(record, "tags"))


def _job(configuration: Mapping[str, Any], rule: Rule, job: dict[str, Any]) -> dict[str, Any]:
    return {**job, "role": configuration["Role"], "rule": rule}


def put(config: Config, tx: Transaction, bucket: Bucket, job: dict[str, Any]) -> None:
    """What concerns a key stays in its order for each destination."""
    outbox.put(
        tx,
        config.arn("s3", destination(job["rule"])),
        orjson.dumps({**job, "bucket": bucket.id, "source": bucket.name}),
        source=f"arn:aws:s3:::{bucket.name}",
        now_ms=config.now_ms(),
        key=f"{bucket.id}/{job.get('key', '')}",
    )


def note(tx: Transaction, record: Record, name: str, status: str, version_id: str = "") -> None:
    """Keeps how the version fares at a destination, and which version it is over there."""
    for table in ("s3_object", "s3_version"):
        where = "WHERE bucket = ? AND key = ? AND version = ?"
        place = (record.bucket, record.key, record.version)
        text = tx.value(f"SELECT traits FROM {table} {where}", place)
        if text is None:
            continue
        traits = orjson.loads(text)
        statuses = traits.get(TRAIT)
        traits[TRAIT] = {**(statuses if isinstance(statuses, dict) else {}), name: status}
        if version_id:
            traits["replicas"] = {**traits.get("replicas", {}), name: version_id}
        tx.run(f"UPDATE {table} SET traits = ? {where}", (orjson.dumps(traits).decode(), *place))


def status_of(traits: Mapping[str, Any]) -> str | None:
    """As x-amz-replication-status tells it: of several destinations the worst counts."""
    found = traits.get(TRAIT)
    if not isinstance(found, dict):
        return found
    return next(each for each in (FAILED, PENDING, COMPLETED) if each in found.values())
