"""Retention and legal holds of object versions, as operations. What they mean is in `locks`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
"""

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.s3 import faults, locks, records, versions
from cloudlet.s3.bucket import of_call
from cloudlet.s3.locks import Lock
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction, View


def put_object_retention(call: Call, tx: Transaction) -> None:
    record = _lockable(call, tx)
    _store(tx, record, locks.changed_retention(call, record.traits.get("lock", {})))


def get_object_retention(call: Call, view: View) -> Output:
    lock = _lockable(call, view).traits.get("lock", {})
    if "mode" not in lock:
        raise _nothing()
    return {"Retention": {"Mode": lock["mode"], "RetainUntilDate": lock["until_ms"] / 1000}}


def put_object_legal_hold(call: Call, tx: Transaction) -> None:
    status = (call.params.get("LegalHold") or {}).get("Status")
    if of_call(call, tx) and status not in ("ON", "OFF"):
        raise faults.malformed_xml()
    record = _lockable(call, tx)
    _store(tx, record, {**record.traits.get("lock", {}), "hold": status})


def get_object_legal_hold(call: Call, view: View) -> Output:
    """Once there was a hold, "OFF" is told of; before, there is nothing to tell."""
    lock = _lockable(call, view).traits.get("lock", {})
    if "hold" not in lock:
        raise _nothing()
    return {"LegalHold": {"Status": lock["hold"]}}


def _lockable(call: Call, view: View) -> Record:
    if locks.configuration(view, of_call(call, view)) is None:
        raise locks.missing_configuration()
    return versions.existing(call, view)[1]


def _store(tx: Transaction, record: Record, lock: Lock) -> None:
    record.traits["lock"] = lock
    records.put_traits(tx, record)


def _nothing() -> AwsError:
    return AwsError(
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
        404,
    )
