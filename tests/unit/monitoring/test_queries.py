"""Logs Insights: what queries find."""

import asyncio
import json
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.monitoring.ingestion import Line
from cloudlet.monitoring.log_queries import (
    describe_queries,
    get_log_record,
    get_query_results,
    start_query,
    stop_query,
)
from cloudlet.monitoring.query_language import Query
from tests.harness import ROOT, Bench

REPORT = "REPORT RequestId: r1\tDuration: 12.5 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\t"
MESSAGES = [
    json.dumps({"level": "INFO", "ms": 10, "user": {"name": "ann"}}),
    json.dumps({"level": "ERROR", "ms": 30, "user": {"name": "bob"}}),
    json.dumps({"level": "ERROR", "ms": 50, "user": {"name": "ann"}}),
    "GET /a took 7 ms",
    REPORT,
]


@pytest.fixture
def filled(logs: Bench) -> Bench:
    now_ms = logs.clock.now_ms
    lines = [Line("/g", "s", now_ms + 60_000 * n, text) for n, text in enumerate(MESSAGES)]
    logs.database.write_now(lambda tx: logs.state.intake.write(tx, lines))
    return logs


def ask(bench: Bench, source: str, **more: Any) -> list[dict[str, str]]:
    async def run() -> Any:
        async def call(operation: Any, **params: Any) -> Any:
            request = Request("POST", "/", "", {}, Body.of(b""))
            made = Call(bench.cloud, "logs", "", params, ROOT, request, bench.state)
            return await operation(made)

        now_s = bench.clock.now_ms // 1000
        params = {"logGroupName": "/g", "startTime": now_s - 60, "endTime": now_s + 3600, **more}
        id_ = (await call(start_query, queryString=source, **params))["queryId"]
        while True:
            found = await call(get_query_results, queryId=id_)
            if found["status"] not in ("Scheduled", "Running"):
                break
            await asyncio.sleep(0.001)
        assert found["status"] == "Complete"
        assert (await call(describe_queries, logGroupName="/g"))["queries"][0]["queryId"] == id_
        with pytest.raises(AwsError, match="already ended"):
            await call(stop_query, queryId=id_)
        for row in found["results"]:
            pointers = [each["value"] for each in row if each["field"] == "@ptr"]
            for pointer in pointers:
                record = await call(get_log_record, logRecordPointer=pointer)
                assert record["logRecord"]["@logStream"] == "s"
        return found["results"]

    rows = asyncio.run(run())
    return [
        {each["field"]: each["value"] for each in row if each["field"] != "@ptr"} for row in rows
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("filter level = 'ERROR' | fields ms, user.name | sort ms",
         [{"ms": "30", "user.name": "bob"}, {"ms": "50", "user.name": "ann"}]),
        ("fields ms * 2 as twice, toupper(level) | filter ms >= 30 and level like /^ERR/ | limit 1",
         [{"twice": "100", "toupper(level)": "ERROR"}]),
        ("filter ms > 0 | stats count(*) as n, avg(ms), max(ms) as top by level | sort n desc",
         [{"level": "ERROR", "n": "2", "avg(ms)": "40", "top": "50"},
          {"level": "INFO", "n": "1", "avg(ms)": "10", "top": "10"}]),
        ("stats pct(ms, 50) as p, count_distinct(user.name) as u, sum(ms), stddev(level) as s",
         [{"p": "30", "u": "2", "sum(ms)": "90"}]),
        ("parse @message 'GET * took * ms' as p, took | filter ispresent(p) | display p, took",
         [{"p": "/a", "took": "7"}]),
        ("parse /took (?<took>\\d+) ms/ | filter took = 7 | fields took + 1 as more",
         [{"more": "8"}]),
        ("filter @type = 'REPORT' | fields @duration, @billedDuration, @requestId",
         [{"@duration": "12.5000", "@billedDuration": "13", "@requestId": "r1"}]),
        ("fields user.name | filter ispresent(ms) | dedup user.name",
         [{"user.name": "ann"}, {"user.name": "bob"}]),
        ("filter user.name in ['bob', 'eve'] or ms not in [30, 50] and ms > 0 | sort ms desc"
         " | display ms",
         [{"ms": "30"}, {"ms": "10"}]),
        ("filter @message like 'took' # a comment stays\n| fields strlen(@message) as n",
         None),
        ("# all\nfilter not (level = 'INFO') and ms > 0 | stats earliest(ms), latest(ms)",
         [{"earliest(ms)": "30", "latest(ms)": "50"}]),
        ("filter ms = 10 | fields substr(level, 0, 2) as a, concat(level, '-', ms) as b,"
         " replace(level, 'I', 'i') as c, coalesce(absent, 'x') as d, abs(-ms) as e, ms % 3 as f,"
         " 1 / 0 as g, floor(2.5) + ceil(2.5) as h, greatest(ms, 11) as i, trim(' t ') as j",
         [{"a": "IN", "b": "INFO-10", "c": "iNFO", "d": "x", "e": "10", "f": "1", "h": "5",
           "i": "11", "j": "t"}]),
    ],
)  # fmt: skip
def test_queries(filled: Bench, source: str, expected: list[dict[str, str]] | None) -> None:
    if expected is None:
        with pytest.raises(AwsError):
            ask(filled, source)
    else:
        assert ask(filled, source) == expected


def test_times_are_dates_and_the_newest_first(filled: Bench) -> None:
    rows = ask(filled, "filter ispresent(level)")
    assert [row["@timestamp"][11:] for row in rows] == [
        f"{hour}:{minute:02}:00.000" for hour, minute in (
            (rows[0]["@timestamp"][11:13], int(rows[0]["@timestamp"][14:16]) - n) for n in range(3))
    ]  # fmt: skip
    assert set(rows[0]) == {"@timestamp", "@message"}
    (row,) = ask(filled, "filter ms > 0 | stats count() as n by bin(1h) as hour")
    assert row["n"] == "3" and row["hour"].endswith(":00:00.000")


@pytest.mark.parametrize(
    "source",
    ["", "nothing", "fields", "fields a |", "filter a =", "limit 0", "limit x", "stats foo(a)",
     "stats sum()", "filter f(a)", "parse 'a * b' as x, y", "filter a like /(/", "sort a b",
     "filter a like /(a+)+b/", "filter " + "(" * 300, "filter " + "not " * 300, "fields 'open",
     "fields a | " * 60 + "fields a"],
)  # fmt: skip
def test_wrong_queries_are_refused(source: str) -> None:
    with pytest.raises(AwsError) as caught:
        Query(source)
    assert caught.value.code == "MalformedQueryException"


def test_what_a_query_needs(filled: Bench) -> None:
    with pytest.raises(NotImplementedByCloudlet):
        ask(filled, "fields a", queryLanguage="SQL")
    for wrong in ({"logGroupNames": ["/g"]}, {"logGroupName": "/absent"}, {"endTime": 0}):
        with pytest.raises(AwsError):
            ask(filled, "fields a", **wrong)
