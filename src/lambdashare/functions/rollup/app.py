"""rollup: folds minutes into hours and hours into days, exactly once, however often it runs.

A row remembers which part of it was folded. One transaction adds the difference to the coarser
row and remembers; it is refused if another run was faster. Late counts make a new difference,
which the next run folds.
"""

from collections import Counter
from typing import Any

from botocore.exceptions import ClientError
from lambdashare_core import counters, tables
from lambdashare_core.moments import now_ms
from lambdashare_core.tables import Item

# how far back a frequent run looks; a run with {"full": true} looks at all that TTL has left
RECENT_S = {"minute": 2 * 3600, "hour": 49 * 3600}
FULL_S = {"minute": 4 * 86400, "hour": 40 * 86400}
COARSER = {"minute": "hour", "hour": "day"}
HOURS_S = 120 * 86400


def handler(event: dict[str, Any], _context: Any) -> dict[str, int]:
    reach = FULL_S if event.get("full") else RECENT_S
    return {f"{step}s": fold_all(step, reach[step]) for step in ("minute", "hour")}


def fold_all(step: str, reach_s: int) -> int:
    """How many rows had something new."""
    since = counters.moment_of(now_ms() - reach_s * 1000, step)
    condition = "metric = :metric AND moment >= :since"
    folded = 0
    for name in counters.row_names(step):
        names = {"metric": name, "since": since}
        rows = tables.query(counters.table(), condition, names, ConsistentRead=True)
        folded += sum(fold(row, COARSER[step]) for row in rows)
    return folded


def fold(row: Item, into: str) -> bool:
    """False if there is nothing new, or another run took it."""
    if row["revision"] == row.get("folded_revision"):
        return False
    now = counters.counters_of(row)
    difference = Counter(now)
    difference.subtract(row.get("folded") or {})
    try:
        tables.client("dynamodb").transact_write_items(
            TransactItems=[_add(row, into, +difference), _remember(row, now)]
        )
    except ClientError as error:
        if tables.failed_condition(error) or tables.contended(error):
            return False
        raise
    return True


def _add(row: Item, into: str, difference: Counter[str]) -> dict[str, Any]:
    moment = row["moment"][: len(counters.moment_of(0, into))]
    added = ", ".join(f"#{name} :{name}" for name in (*difference, "revision"))
    named: dict[str, Any] = {**difference, "revision": 1}
    change = f"ADD {added}"
    if into == "hour":
        change += " SET #ttl = :ttl"
        named["ttl"] = now_ms() // 1000 + HOURS_S
    key = {"metric": into, "moment": moment}
    return {"Update": tables.updating(counters.table(), key, change, "", named)}


def _remember(row: Item, now: Counter[str]) -> dict[str, Any]:
    before = row.get("folded_revision")
    unchanged = (
        "attribute_not_exists(folded_revision)" if before is None else "folded_revision = :before"
    )
    named: dict[str, Any] = {"now": dict(now), "revision": row["revision"]}
    if before is not None:
        named["before"] = before
    change = "SET folded = :now, folded_revision = :revision"
    key = {"metric": row["metric"], "moment": row["moment"]}
    # the row must still be there: TTL may have been faster
    condition = f"attribute_exists(metric) AND {unchanged}"
    return {"Update": tables.updating(counters.table(), key, change, condition, named)}
