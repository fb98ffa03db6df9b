"""What many keys cost: listing a page of them, listing their prefixes, and single objects beside
them.

Every number of keys has 1,000 prefixes, so that all listings answer as much; the time of a listing
then tells what it read. Contenders are filled through their API; cloudlet with a million keys is
one of its own, filled through its store before it serves.
"""

import os
from functools import partial

from bench import load
from bench.contenders import Contender
from bench.results import Row
from bench.storage import windows
from cloudlet.s3.bucket import of_name
from cloudlet.s3.records import Record, next_version, store
from cloudlet.store.database import Database, Transaction
from cloudlet.store.sealing import Master

_FEW, _MORE, _MANY = 10**3, 10**5, 10**6
_BATCH = 20_000
_FILLERS = 16  # connections
# filling moto with more takes minutes
_MORE_AT = ("cloudlet", "ministack", "seaweedfs")
NOTE = (
    "Listings: times of one client's requests (p50). With any number of keys they lie under 1,000"
    " prefixes. 1,000 and 100,000 keys were put through the API (moto: 1,000 alone); the million of"
    " cloudlet's through its store, before it served."
)


def rows(contenders: list[Contender], seconds: float) -> list[Row]:
    for contender in contenders:
        _fill(contender, "few", _FEW)
        if contender.name in _MORE_AT:
            _fill(contender, "more", _MORE)
    full = _filled()
    try:
        more = [contender for contender in contenders if contender.name in _MORE_AT]
        found = _listed("10³", "few", contenders, seconds) + _listed("10⁵", "more", more, seconds)
        found += _listed("10⁶", "many", [full], seconds)
        for what, bucket, server in (("10³", "few", contenders[0]), ("10⁶", "many", full)):
            found += _singles(what, bucket, server, seconds)
        return found
    finally:
        full.stop()


def _key(number: int) -> str:
    return f"{number % 1000:03}/{number // 1000:04}"


def _fill(contender: Contender, bucket: str, count: int) -> None:
    """Peers check no signature: theirs need not be right."""
    contender.client("s3").create_bucket(Bucket=bucket)
    signed = _object(contender, "PUT", bucket, _key(0))
    for number in range(0, count, _BATCH):
        keys = map(_key, range(number, min(count, number + _BATCH)))
        if contender.name == "cloudlet":
            requests = [_object(contender, "PUT", bucket, key) for key in keys]
        else:
            first = f"/{bucket}/{_key(0)} ".encode()
            requests = [signed.replace(first, f"/{bucket}/{key} ".encode()) for key in keys]
        load.send(contender.endpoint, requests, connections=_FILLERS)


def _object(contender: Contender, method: str, bucket: str, key: str) -> load.Request:
    body = os.urandom(1024) if method == "PUT" else b""
    path = f"/{bucket}/{key}"
    return load.signed(contender.endpoint, contender.key, "s3", method, path, body=body)


def _filled() -> Contender:
    contender = Contender("cloudlet").start()
    contender.client("s3").create_bucket(Bucket="many")
    contender.pause()
    database = Database(contender.folder)
    wrapper = Master(contender.folder / "master-key").wrapper
    for number in range(0, _MANY, _BATCH):
        keys = [_key(each) for each in range(number, number + _BATCH)]
        database.write_now(partial(_store, keys, wrapper.new_key().wrapped))
    database.close()
    return contender.start()


def _store(keys: list[str], key: str, tx: Transaction) -> None:
    """Rows as PutObject makes them; nobody reads the bytes."""
    bucket = of_name(tx, "many")
    assert bucket is not None
    for name in keys:
        checksum = ("CRC64NVME", "FULL_OBJECT", "AAAAAAAAAAA=")
        record = Record(bucket.id, name, 1024, "0" * 32, 1_700_000_000_000, checksum)
        record.version = next_version(tx)
        store(tx, record, (bytes(1040), key))


def _listed(count: str, bucket: str, contenders: list[Contender], seconds: float) -> list[Row]:
    made = []
    for what, query in (("keys", ""), ("prefixes", "&delimiter=%2F")):
        path = f"/{bucket}?list-type=2{query}"
        asked = {c.name: [load.signed(c.endpoint, c.key, "s3", "GET", path)] for c in contenders}
        title = f"list 1,000 {what} of {count} keys"
        taken = windows(title, contenders, asked, connections=1, seconds=seconds / 2)
        times = {name: window.p50_ms for name, window in taken.items()}
        made.append(Row(title, "ms", times, more_is_better=False))
    return made


def _singles(count: str, bucket: str, server: Contender, seconds: float) -> list[Row]:
    made = []
    for method, keys in (("PUT", range(500, 1500, 7)), ("GET", range(500, 1500, 7))):
        requests = [_object(server, method, bucket, _key(number)) for number in keys]
        title = f"{method} 1 KiB beside {count} keys, 1 client"
        taken = windows(title, [server], {server.name: requests}, connections=1, seconds=seconds)
        times = {name: window.p50_ms for name, window in taken.items()}
        made.append(Row(title, "ms", times, more_is_better=False))
    return made
