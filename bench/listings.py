"""What many keys cost: listing a page of them, listing their prefixes, and single objects beside
them.

Every number of keys has 1,000 prefixes, so that all listings answer as much; the time of a listing
then tells what it read. Contenders are filled through their API; cloudlet with many keys is one of
its own, filled through its store before it serves.
"""

import os
import time
from collections.abc import Iterator
from functools import partial

from bench import load
from bench.contenders import Contender
from bench.results import Row
from bench.storage import windows
from cloudlet.s3.bucket import of_name
from cloudlet.s3.records import COLUMNS, Record, next_version, store
from cloudlet.store.database import Database, Transaction

_FEW, _MORE, _MANY = 10**3, 10**5, 10**6
_PREFIXES = 1000
_BATCH = 20_000
_FILLERS = 16  # connections
_FILL_S = 40.0  # of one peer, at most
NOTE = (
    "Listings: times of one client's requests (p50). With any number of keys they lie under 1,000"
    " prefixes. 1,000 keys were put through the API, 100,000 too where a peer takes so many in"
    f" {_FILL_S:.0f} s; cloudlet's 100,000 and its million through its store, before it served."
)


def rows(contenders: list[Contender], seconds: float) -> Iterator[Row]:
    own, *peers = contenders
    few = [contender for contender in contenders if _fill(contender, "few", _FEW)]
    yield from _listed("10³", "few", few, seconds)
    yield from _singles("10³", "few", own, seconds)
    full = _filled({"more": _MORE, "many": _MANY})
    try:
        more = [contender for contender in peers if _fill(contender, "more", _MORE)]
        yield from _listed("10⁵", "more", [full, *more], seconds)
        yield from _listed("10⁶", "many", [full], seconds)
        yield from _singles("10⁶", "many", full, seconds)
    finally:
        full.stop()


def _key(number: int) -> str:
    return f"{number % _PREFIXES:03}/{number // _PREFIXES:04}"


def _fill(contender: Contender, bucket: str, count: int) -> bool:
    """Whether it took them in time. Peers check no signature: theirs need not be right."""
    began = time.perf_counter()
    contender.client("s3").create_bucket(Bucket=bucket)
    signed = _object(contender, "PUT", bucket, _key(0))
    for number in range(0, count, _BATCH):
        end = min(count, number + _BATCH)
        keys = map(_key, range(number, end))
        until = began + _FILL_S * end / count  # who is late at first is late at the end
        if contender.name == "cloudlet":
            requests = [_object(contender, "PUT", bucket, key) for key in keys]
        else:
            first = f"/{bucket}/{_key(0)} ".encode()
            requests = [signed.replace(first, f"/{bucket}/{key} ".encode()) for key in keys]
        if not load.send(contender.endpoint, requests, connections=_FILLERS, until=until):
            return False
    return True


def _object(contender: Contender, method: str, bucket: str, key: str) -> load.Request:
    body = os.urandom(1024) if method == "PUT" else b""
    path = f"/{bucket}/{key}"
    return load.signed(contender.endpoint, contender.key, "s3", method, path, body=body)


def _filled(counts: dict[str, int]) -> Contender:
    """One of cloudlet's own with so many empty objects in buckets of these names."""
    contender = Contender("cloudlet").start()
    for bucket in counts:
        contender.client("s3").create_bucket(Bucket=bucket)
    contender.pause()
    database = Database(contender.folder)
    for bucket, count in counts.items():
        for number in range(0, count, _MORE):
            database.write_now(partial(_store, bucket, count // _PREFIXES, number))
    database.close()
    return contender.start()


def _store(name: str, in_prefix: int, first: int, tx: Transaction) -> None:
    """Rows as PutObject makes them: one, then its likes, in order."""
    bucket = of_name(tx, name)
    assert bucket is not None
    checksum = ("CRC64NVME", "FULL_OBJECT", "AAAAAAAAAAA=")
    record = Record(bucket.id, "~", 0, "0" * 32, 1_700_000_000_000, checksum)
    record.version = next_version(tx)
    store(tx, record, None)
    columns = COLUMNS.replace(" key,", " printf('%03d/%04d', n / :each, n % :each),")
    numbers = "WITH RECURSIVE number (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number"
    tx.run(
        f"{numbers} WHERE n + 1 < :end) INSERT INTO s3_object ({COLUMNS}) SELECT {columns}"
        " FROM number, s3_object WHERE bucket = :bucket AND key = '~'",
        {"each": in_prefix, "first": first, "end": first + _MORE, "bucket": bucket.id},
    )
    tx.run("DELETE FROM s3_object WHERE bucket = ? AND key = '~'", (bucket.id,))


def _listed(count: str, bucket: str, contenders: list[Contender], seconds: float) -> Iterator[Row]:
    for what, query in (("keys", ""), ("prefixes", "&delimiter=%2F")):
        path = f"/{bucket}?list-type=2{query}"
        asked = {c.name: [load.signed(c.endpoint, c.key, "s3", "GET", path)] for c in contenders}
        yield _p50(f"list 1,000 {what} of {count} keys", contenders, asked, seconds)


def _singles(count: str, bucket: str, server: Contender, seconds: float) -> Iterator[Row]:
    for method in ("PUT", "GET"):
        requests = [_object(server, method, bucket, _key(each)) for each in range(500, 1000, 7)]
        load.send(server.endpoint, requests, connections=1)
        title = f"{method} 1 KiB beside {count} keys, 1 client"
        yield _p50(title, [server], {server.name: requests}, seconds)


def _p50(
    what: str, contenders: list[Contender], asked: dict[str, list[load.Request]], seconds: float
) -> Row:
    taken = windows(what, contenders, asked, connections=1, seconds=seconds / 2)
    times = {name: window.p50_ms for name, window in taken.items()}
    return Row(what, "ms", times, more_is_better=False)
