"""transform: raw changes become the star schema. Nightly, or now and for some days.

Event: {} from the schedule, or {"dates": ["2026-03-01", …]}. Out: the partitions of these dates, or
of those that `capture` has marked since the last run, and the dimensions; the answer tells which.
A partition is computed anew from all raw changes of its day, so any run may be repeated, and late
or corrected orders need no care of their own. Two runs at once: the ETag a partition had *before*
the changes were listed must be that which is replaced, or the partition is done again.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import boto3
import lake
import pyarrow as pa
import star
from boto3.dynamodb.conditions import Key

DAYS_AT_ONCE = 31  # in memory
WORKERS = 8  # days side by side: S3 is asked more than computed
ATTEMPTS = 8
RESERVE_MS = 60_000
SMALL_OBJECTS_MAX = 8  # of raw changes of a day, before they become one
FACTS = ("fact_sales", "fact_orders")


@dataclass(frozen=True, slots=True)
class Day:
    date: str
    etags: dict[str, str]  # of the facts that are there
    objects: list[str]  # with raw changes
    changes: list[star.Row]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    marks = pending()
    wanted = sorted({date.fromisoformat(day).isoformat() for day in event.get("dates") or marks})
    rebuilt: list[str] = []
    while wanted and context.get_remaining_time_in_millis() > RESERVE_MS:
        some, wanted = wanted[:DAYS_AT_ONCE], wanted[DAYS_AT_ONCE:]
        rebuild(some)
        settle(name for day in some for name in marks.get(day, ()))
        rebuilt += some
    return {"rebuilt": rebuilt, "left": wanted}  # those left keep their marks for the next run


@cache
def state() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["STATE_TABLE"])


def pending() -> dict[str, list[str]]:
    """Date → marks. Read before the raw changes: a later mark stays."""
    marks: defaultdict[str, list[str]] = defaultdict(list)
    query = {"KeyConditionExpression": Key("kind").eq("pending"), "ConsistentRead": True}
    while True:
        page = state().query(**query)
        for mark in page["Items"]:
            marks[mark["date"]].append(mark["name"])
        if "LastEvaluatedKey" not in page:
            return marks
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def settle(names: Iterable[str]) -> None:
    with state().batch_writer() as batch:
        for name in names:
            batch.delete_item(Key={"kind": "pending", "name": name})


def rebuild(dates: list[str]) -> None:
    """Dimensions first: a fact never names a key that readers cannot find."""
    with ThreadPoolExecutor(WORKERS) as workers:
        for _ in range(ATTEMPTS):
            loaded = [day for day in workers.map(load, dates) if day]
            dimensions(change for day in loaded for change in day.changes)
            published = list(workers.map(publish, loaded))
            list(workers.map(compact, loaded))
            done = {day.date for day, is_done in zip(loaded, published, strict=True) if is_done}
            dates = [name for name in dates if name not in done]
            if not dates:
                return
    raise lake.Contended(f"others keep changing {dates}")


def load(name: str) -> Day | None:
    """None: another run compacts it just now."""
    etags = {fact: lake.etag_of(lake.key_of(fact, name)) for fact in FACTS}
    objects = lake.keys(f"{lake.place('raw')}date={name}/")
    try:
        tables = lake.read_all(objects)
    except lake.Contended:
        return None
    rows = [row for table in tables for row in table.to_pylist()]
    return Day(name, etags, objects, star.distinct(rows))


def publish(day: Day) -> bool:
    for fact, rows in zip(FACTS, star.facts(day.changes, day.date), strict=True):
        # How many changes went in is in the file, too: else two different days' histories could
        # end in equal bytes, and an ETag that came back would let an older run win.
        told = {"changes": str(len(day.changes))}
        table = lake.table_of(fact, rows).replace_schema_metadata(told)
        try:
            lake.write(lake.key_of(fact, day.date), table, day.etags[fact])
        except lake.Contended:
            return False
    return True


def dimensions(changes: Iterable[star.Row]) -> None:
    seen: defaultdict[str, list[star.Row]] = defaultdict(list)
    for change in changes:
        for table, row in star.observed(change):
            seen[table].append(row)
    for table, rows in seen.items():
        merge(table, rows)


def merge(table: str, rows: list[star.Row]) -> None:
    key = lake.key_of(table)
    for _ in range(ATTEMPTS):
        known, etag = lake.read(key)
        merged = star.merged(table, known.to_pylist() if known else [], rows)
        new = lake.table_of(table, merged)
        if known is not None and new.equals(known):
            return
        try:
            return lake.write(key, new, etag)
        except lake.Contended:
            continue
    raise lake.Contended(key)


def compact(day: Day) -> None:
    """Many small objects with raw changes become one.

    It is there before they go, and named by them, so another run's with fewer cannot replace it;
    whoever reads both, or a repeated batch, meets changes twice, which `distinct` takes.
    """
    if len(day.objects) <= SMALL_OBJECTS_MAX:
        return
    digest = hashlib.sha256("\n".join(day.objects).encode()).hexdigest()
    key = f"{lake.place('raw')}date={day.date}/compact-{digest[:32]}.parquet"
    lake.write(key, pa.Table.from_pylist(day.changes, lake.SCHEMAS["raw"]))
    lake.delete(day.objects)
