"""stats: the counters of the last hour, day or month (`GET /v1/stats`)."""

from collections import Counter, defaultdict
from typing import Any

from lambdashare_core import counters, tables
from lambdashare_core.moments import now_ms
from lambdashare_core.problems import malformed
from lambdashare_core.web import Answer, Request, dispatch, json_answer

RANGES = {"hour": ("minute", 60), "day": ("hour", 24), "month": ("day", 30)}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return dispatch(event, {"GET /v1/stats": show})


def show(request: Request) -> Answer:
    name = request.query.get("range", "hour")
    if name not in RANGES:
        raise malformed(f"'range' must be one of {', '.join(RANGES)}.")
    step, count = RANGES[name]
    now = now_ms()
    step_ms = counters.STEP_S[step] * 1000
    moments = [counters.moment_of(now - i * step_ms, step) for i in reversed(range(count))]
    found = _counts(step, moments[0])
    buckets = [{"at": counters.start_of(at), **_bucket(found.get(at, Counter()))} for at in moments]
    document = {
        "range": name,
        "step_s": counters.STEP_S[step],
        "buckets": buckets,
        "totals": _bucket(counters.summed(found.get(at, {}) for at in moments)),
    }
    return json_answer(document)


def _counts(step: str, since: str) -> dict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for metric in counters.row_names(step):
        names = {"metric": metric, "since": since}
        condition = "metric = :metric AND moment >= :since"
        for row in tables.query(counters.table(), condition, names):
            found[row["moment"]].update(counters.counters_of(row))
    return found


def _bucket(counts: Counter[str]) -> dict[str, Any]:
    document = counters.view(counts)
    histogram = document.pop("histogram")
    document["latency"] = {
        "p50_ms": counters.percentile(histogram, 0.50),
        "p99_ms": counters.percentile(histogram, 0.99),
        "histogram": histogram,
    }
    return document
