"""Metrics and their points in the store.

A point is what was measured in one minute (or second, of high-resolution metrics). Points that grow
old are rolled up into longer periods and go at last, at the ages that AWS documents:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from cloudlet.monitoring.distribution import Summary
from cloudlet.store.database import Transaction, View

_HOUR_MS = 3_600_000
# (period of a point, its age at most, the period it is rolled up into)
_AGES = (
    (1, 3 * _HOUR_MS, 60),
    (60, 15 * 24 * _HOUR_MS, 300),
    (300, 63 * 24 * _HOUR_MS, 3600),
    (3600, 455 * 24 * _HOUR_MS, 0),
)
_ROLLED_MAX = 2_000  # points at once: the writer thread has others waiting
_POINTS_MAX = 2_000_000  # what is beyond is rolled up early


def write_points(tx: Transaction, points: Mapping[tuple[Any, ...], Summary]) -> None:
    """Adds to what the store has for the same metric and period."""
    ids: dict[tuple[str, str, Any], int] = {}
    for (namespace, name, dimensions, unit, start_ms, period_s), summary in points.items():
        metric = (namespace, name, dimensions)
        if metric not in ids:
            ids[metric] = _metric_id(tx, *metric, start_ms)
        add_point(tx, (ids[metric], start_ms, period_s, unit), summary)


def add_point(tx: Transaction, key: tuple[int, int, int, str], summary: Summary) -> None:
    known = tx.value(
        "SELECT summary FROM metric_points"
        " WHERE metric = ? AND start_ms = ? AND period_s = ? AND unit = ?",
        key,
    )
    if known is not None:
        stored = Summary.loads(known)
        stored.merge(summary)
        summary = stored
    tx.run("INSERT OR REPLACE INTO metric_points VALUES (?, ?, ?, ?, ?)", (*key, summary.dumps()))


def _metric_id(tx: Transaction, namespace: str, name: str, dimensions: Any, time_ms: int) -> int:
    text = dimensions_text(dimensions)
    id_: int = tx.value(
        "INSERT INTO metrics (namespace, name, dimensions, last_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms) RETURNING id",
        (namespace, name, text, time_ms),
    )
    return id_


def read_points(
    view: View, metric: tuple[str, str, Any], span: tuple[int, int], period_s: int
) -> Iterator[tuple[int, str, Summary]]:
    """(start, unit, summary) of points that are not coarser than the period."""
    namespace, name, dimensions = metric
    rows = view.rows(
        "SELECT start_ms, unit, summary FROM metric_points WHERE metric = (SELECT id FROM metrics"
        " WHERE namespace = ? AND name = ? AND dimensions = ?)"
        " AND start_ms >= ? AND start_ms < ? AND period_s <= ?",
        (namespace, name, dimensions_text(dimensions), *span, period_s),
    )
    for row in rows:
        yield row["start_ms"], row["unit"], Summary.loads(row["summary"])


def dimensions_text(dimensions: Any) -> str:
    return orjson.dumps(sorted(dimensions)).decode()


def roll_up(tx: Transaction, now_ms: int, points_max: int = _POINTS_MAX) -> int:
    """Rolls up some points that are too old for their period, or too many; returns how many."""
    done = 0
    excess = tx.value("SELECT count(*) FROM metric_points") - points_max
    for period_s, age_ms, next_s in _AGES:
        rows = tx.all(
            "SELECT * FROM metric_points WHERE period_s = ? AND start_ms < ?"
            " ORDER BY start_ms LIMIT ?",
            (period_s, now_ms - age_ms if excess <= done else 1 << 62, _ROLLED_MAX - done),
        )
        for row in rows:
            key = (row["metric"], row["start_ms"], period_s, row["unit"])
            if next_s:
                start_ms = row["start_ms"] - row["start_ms"] % (next_s * 1000)
                coarse = (row["metric"], start_ms, next_s, row["unit"])
                add_point(tx, coarse, Summary.loads(row["summary"]))
            tx.run(
                "DELETE FROM metric_points"
                " WHERE metric = ? AND start_ms = ? AND period_s = ? AND unit = ?",
                key,
            )
        done += len(rows)
    tx.run(
        "DELETE FROM metrics WHERE last_ms < ?"
        " AND NOT EXISTS (SELECT 1 FROM metric_points WHERE metric = metrics.id)",
        (now_ms - _AGES[1][1],),  # not even listed any more
    )
    return done
