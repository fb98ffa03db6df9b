"""StartQuery and its like: Logs Insights queries run in threads of their own, one after another.

Results are kept in memory for a while; after a restart a query is unknown.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Call, Cloud, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.log_groups import require_group
from cloudlet.monitoring.log_streams import offset
from cloudlet.monitoring.query_expressions import Moment, Record, text
from cloudlet.monitoring.query_language import LIMIT, Query
from cloudlet.store.database import Row, View

_log = logging.getLogger(__name__)
_KEPT_MAX = 20
_GROUPS_MAX = 50
_FIELDS_MAX = 200  # that are found in one event
_REPORT = re.compile(r"^(START|END|REPORT) RequestId: (\S+)")
_NUMBERS = {
    "@duration": re.compile(r"\tDuration: ([\d.]+) ms"),
    "@billedDuration": re.compile(r"Billed Duration: ([\d.]+) ms"),
    "@memorySize": re.compile(r"Memory Size: ([\d.]+) MB"),
    "@maxMemoryUsed": re.compile(r"Max Memory Used: ([\d.]+) MB"),
    "@initDuration": re.compile(r"Init Duration: ([\d.]+) ms"),
}


@dataclass
class Running:
    """One query, from its start until it is forgotten."""

    id: str
    source: str
    query: Query
    groups: list[str]
    span: tuple[int, int]
    limit: int
    created_ms: int
    status: str = "Scheduled"
    rows: list[Record] = field(default_factory=list)
    scanned: int = 0
    scanned_bytes: int = 0


class Queries:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._turn = asyncio.Semaphore(1)  # they are work for a core, and there are others
        self._tasks: set[asyncio.Task[None]] = set()
        self.known: dict[str, Running] = {}

    def start(self, running: Running) -> None:
        self.known[running.id] = running
        for old in [r for r in self.known.values() if r.status != "Running"][: -_KEPT_MAX or None]:
            del self.known[old.id]
        task = asyncio.get_running_loop().create_task(self._run(running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for running in self.known.values():
            running.status = "Cancelled"
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, running: Running) -> None:
        async with self._turn:
            if running.status == "Cancelled":
                return
            running.status = "Running"
            try:
                await asyncio.to_thread(self._work, running)
            except Exception:  # of a query; it says so, and the log why
                _log.exception("query %s failed", running.id)
                running.status = "Failed"

    def _work(self, running: Running) -> None:
        with self._cloud.database.snapshot() as view:
            running.rows = running.query.run(self._records(view, running), running.limit)
        if running.status == "Running":
            running.status = "Complete"

    def _records(self, view: View, running: Running) -> Iterator[Record]:
        names = orjson.dumps(running.groups).decode()
        rows = view.rows(
            "SELECT e.*, s.name, s.log_group FROM log_streams AS s JOIN log_events AS e"
            " ON e.stream = s.id WHERE s.log_group IN (SELECT value FROM json_each(?))"
            " AND e.time_ms BETWEEN ? AND ? ORDER BY e.time_ms DESC, e.id DESC",
            (names, *running.span),
        )
        for row in rows:
            if running.status != "Running":
                return
            running.scanned += 1
            running.scanned_bytes += len(row["message"])
            yield _record(self._cloud.config.account, row)


def _record(account: str, row: Row) -> Record:
    message = row["message"]
    record: Record = {}
    if message.startswith("{"):
        try:
            _flatten(orjson.loads(message), "", record)
        except ValueError:
            record = {}
    elif match := _REPORT.match(message):
        record = {"@type": match[1], "@requestId": match[2]}
        for name, pattern in _NUMBERS.items():
            if found := pattern.search(message):
                record[name] = float(found[1])
    record |= {
        "@timestamp": Moment(row["time_ms"]),
        "@ingestionTime": Moment(row["ingested_ms"]),
        "@message": message,
        "@logStream": row["name"],
        "@log": f"{account}:{row['log_group']}",
        "@ptr": str(row["id"]),
    }
    return record


def _flatten(value: Any, path: str, record: Record) -> None:
    """`{"a": {"b": [1]}}` → "a.b.0": 1."""
    if len(record) >= _FIELDS_MAX:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{path}.{name}" if path else name, record)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _flatten(inner, f"{path}.{index}", record)
    elif value is not None:
        record[path] = value


async def start_query(call: Call) -> Output:
    params = call.params
    if params.get("queryLanguage", "CWLI") != "CWLI":
        raise NotImplementedByCloudlet(f"The query language {params['queryLanguage']}")
    given = [params.get(n) for n in ("logGroupName", "logGroupNames", "logGroupIdentifiers")]
    if sum(map(bool, given)) != 1:
        raise invalid(
            "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers is needed."
        )
    names = next(each for each in given if each)
    names = [names] if isinstance(names, str) else names
    if len(names) > _GROUPS_MAX:
        raise invalid(f"A query can have {_GROUPS_MAX} log groups.")
    view = call.cloud.database.view()
    groups = [require_group(call, view, name) for name in names]
    start_s, end_s = params["startTime"], params["endTime"]
    if start_s > end_s:
        raise invalid("startTime must not be after endTime.")
    running = Running(
        call.config.new_id(),
        params["queryString"],
        Query(params["queryString"]),
        groups,
        (start_s * 1000, end_s * 1000 + 999),
        min(params.get("limit") or LIMIT, LIMIT),
        call.now_ms,
    )
    call.state.queries.start(running)
    return {"queryId": running.id}


async def get_query_results(call: Call) -> Output:
    running, names = _required(call), _required(call).query.shown
    start = offset(call.params.get("nextToken"))
    end = start + (call.params.get("maxItems") or LIMIT)
    results = [
        [
            *({"field": n, "value": _shown(row[n])} for n in names if row.get(n) is not None),
            *([{"field": "@ptr", "value": row["@ptr"]}] if "@ptr" in row else []),
        ]
        for row in running.rows[start:end]
    ]
    return {
        "queryLanguage": "CWLI",
        "results": results,
        "status": running.status,
        "nextToken": str(end) if len(running.rows) > end else None,
        "statistics": {
            "recordsMatched": float(len(running.rows)),
            "recordsScanned": float(running.scanned),
            "bytesScanned": float(running.scanned_bytes),
        },
    }


def _shown(value: Any) -> str:
    if isinstance(value, Moment):
        moment = datetime.fromtimestamp(value / 1000, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{int(value) % 1000:03d}"
    return text(value)


async def stop_query(call: Call) -> Output:
    running = _required(call)
    if running.status not in ("Scheduled", "Running"):
        raise invalid("Query has already ended.")
    running.status = "Cancelled"
    return {"success": True}


async def describe_queries(call: Call) -> Output:
    params = call.params
    group = params.get("logGroupName")
    found = [
        {
            "queryLanguage": "CWLI",
            "queryId": running.id,
            "queryString": running.source,
            "status": running.status,
            "createTime": running.created_ms,
            "logGroupName": running.groups[0],
        }
        for running in reversed(call.state.queries.known.values())
        if params.get("status") in (None, running.status)
        and (group is None or group in running.groups)
    ]
    return {"queries": found[: params.get("maxResults") or 1000]}


async def get_log_record(call: Call) -> Output:
    pointer = call.params["logRecordPointer"]
    view = call.cloud.database.view()
    row = view.one(
        "SELECT e.*, s.name, s.log_group FROM log_events AS e JOIN log_streams AS s"
        " ON s.id = e.stream WHERE e.id = ?",
        (pointer if pointer.isascii() and pointer.isdigit() and len(pointer) < 18 else -1,),
    )
    if row is None:
        raise AwsError("ResourceNotFoundException", "There is no such log record.")
    record = _record(call.config.account, row)
    return {"logRecord": {name: text(value) for name, value in record.items()}}


def _required(call: Call) -> Running:
    running: Running | None = call.state.queries.known.get(call.params["queryId"])
    if running is None:
        raise AwsError("ResourceNotFoundException", "Query not found.")
    return running
