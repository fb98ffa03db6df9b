"""Log groups, streams and events."""

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.monitoring import ingestion
from cloudlet.monitoring.log_events import filter_log_events, get_log_events, put_log_events
from cloudlet.monitoring.log_filters import (
    delete_metric_filter,
    describe_metric_filters,
    describe_subscription_filters,
    put_metric_filter,
    put_subscription_filter,
)
from cloudlet.monitoring.log_filters import (
    test_metric_filter as try_metric_filter,
)
from cloudlet.monitoring.log_groups import (
    create_log_group,
    delete_log_group,
    describe_log_groups,
    list_log_groups,
    list_tags_for_resource,
    put_retention_policy,
    tag_resource,
    untag_resource,
)
from cloudlet.monitoring.log_streams import (
    create_log_stream,
    describe_log_streams,
)
from tests.harness import Bench
from tests.unit.monitoring.conftest import flush, points

GROUP = {"logGroupName": "/g"}
STREAM = {**GROUP, "logStreamName": "s"}


def put(bench: Bench, *messages: str, **where: Any) -> Any:
    now_ms = bench.clock.now_ms
    events = [{"timestamp": now_ms + n, "message": text} for n, text in enumerate(messages)]
    return bench.call(put_log_events, **{**STREAM, **where}, logEvents=events)


def texts(output: Any) -> list[str]:
    return [event["message"] for event in output["events"]]


@pytest.fixture
def stream(logs: Bench) -> Bench:
    logs.call(create_log_group, **GROUP)
    logs.call(create_log_stream, **STREAM)
    return logs


def test_a_stream_is_read_both_ways(stream: Bench) -> None:
    put(stream, *(f"line {n}" for n in range(5)))
    first = stream.call(get_log_events, **STREAM, limit=2, startFromHead=True)
    assert texts(first) == ["line 0", "line 1"]
    rest = stream.call(get_log_events, **STREAM, nextToken=first["nextForwardToken"])
    assert texts(rest) == ["line 2", "line 3", "line 4"]
    end = stream.call(get_log_events, **STREAM, nextToken=rest["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == rest["nextForwardToken"]
    last = stream.call(get_log_events, **STREAM, limit=2)
    assert texts(last) == ["line 3", "line 4"]
    before = stream.call(get_log_events, **STREAM, limit=2, nextToken=last["nextBackwardToken"])
    assert texts(before) == ["line 1", "line 2"]


def test_events_are_in_order_of_their_time(stream: Bench) -> None:
    now_ms = stream.clock.now_ms
    for shift in (2000, 0, 1000):
        stream.clock.now_ms = now_ms + shift
        put(stream, f"at {shift}")
    read = stream.call(get_log_events, **STREAM, startFromHead=True)
    assert texts(read) == ["at 0", "at 1000", "at 2000"]
    assert texts(stream.call(filter_log_events, **GROUP)) == ["at 0", "at 1000", "at 2000"]


def test_a_search_goes_over_all_streams_in_pages(stream: Bench) -> None:
    stream.call(create_log_stream, **{**STREAM, "logStreamName": "t"})
    put(stream, "a 1", "b 1", "a 2")
    put(stream, "a 3", "b 2", logStreamName="t")
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = stream.call(filter_log_events, **GROUP, filterPattern="a", limit=1, **token)
        found += texts(page)
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == ["a 1", "a 3", "a 2"]
    only = stream.call(filter_log_events, **GROUP, logStreamNames=["t"])
    assert texts(only) == ["a 3", "b 2"]
    for wrong in ("x", "1" * 39, "٣" * 40):
        with pytest.raises(AwsError, match="nextToken is invalid"):
            stream.call(filter_log_events, **GROUP, nextToken=wrong)


def test_events_too_old_or_too_new_are_refused_by_index(stream: Bench) -> None:
    now_ms, day_ms = stream.clock.now_ms, 86_400_000

    def put_at(*times: int) -> Any:
        events = [{"timestamp": time_ms, "message": "m"} for time_ms in times]
        return stream.call(put_log_events, **STREAM, logEvents=events)

    info = put_at(now_ms, now_ms + 3 * 3_600_000)["rejectedLogEventsInfo"]
    assert info["tooNewLogEventStartIndex"] == 1
    info = put_at(now_ms - 14 * day_ms - 1, now_ms - 14 * day_ms + 1)["rejectedLogEventsInfo"]
    assert info["tooOldLogEventEndIndex"] == 1
    stream.call(put_retention_policy, **GROUP, retentionInDays=1)
    info = put_at(now_ms - day_ms - 1, now_ms - day_ms + 1)["rejectedLogEventsInfo"]
    assert info["expiredLogEventEndIndex"] == 1
    with pytest.raises(AwsError, match="chronological"):
        put_at(now_ms, now_ms - 1)
    with pytest.raises(AwsError, match="24 hours"):
        put_at(now_ms - day_ms - 1, now_ms)


def test_groups_are_found_by_part_and_tell_their_size(stream: Bench) -> None:
    stream.call(create_log_group, logGroupName="/other/api", tags={"a": "1"})
    put(stream, "12345", "1")
    groups = stream.call(describe_log_groups)["logGroups"]
    assert [(g["logGroupName"], g["storedBytes"]) for g in groups] == [
        ("/g", 5 + 1 + 52), ("/other/api", 0)]  # fmt: skip
    found = stream.call(describe_log_groups, logGroupNamePattern="er/a")["logGroups"]
    assert [g["logGroupName"] for g in found] == ["/other/api"]
    assert stream.call(list_log_groups, logGroupNamePattern="oth")["logGroups"]
    with pytest.raises(AwsError, match="mutually exclusive"):
        stream.call(describe_log_groups, logGroupNamePattern="a", logGroupNamePrefix="b")
    arn = found[0]["logGroupArn"]
    stream.call(tag_resource, resourceArn=arn, tags={"b": "2"})
    stream.call(untag_resource, resourceArn=arn, tagKeys=["a"])
    assert stream.call(list_tags_for_resource, resourceArn=arn)["tags"] == {"b": "2"}
    stream.call(delete_log_group, **GROUP)
    with pytest.raises(AwsError) as caught:
        stream.call(describe_log_streams, **GROUP)
    assert caught.value.code == "ResourceNotFoundException"


def test_retention_and_the_bound_on_rows(stream: Bench) -> None:
    put(stream, *(f"line {n}" for n in range(50)))
    stream.database.write_now(lambda tx: ingestion.sweep(tx, 0, rows_max=10))
    assert len(texts(stream.call(filter_log_events, **GROUP))) == 10
    shown = stream.call(describe_log_streams, **GROUP)["logStreams"][0]
    assert shown["storedBytes"] == 10 * (7 + 26)
    stream.call(put_retention_policy, **GROUP, retentionInDays=1)
    later_ms = stream.clock.now_ms + 3 * 86_400_000
    stream.database.write_now(lambda tx: ingestion.sweep(tx, later_ms))
    assert stream.call(filter_log_events, **GROUP)["events"] == []
    assert stream.call(describe_log_streams, **GROUP)["logStreams"] == []


def test_the_journal_makes_groups_and_says_what_it_dropped(logs: Bench) -> None:
    logs.cloud.journal.line("/fresh", "s", "hello")
    for _ in range(3):
        logs.cloud.journal.line("/fresh", "s", "x" * (9 << 20))
    flush(logs)
    messages = texts(logs.call(filter_log_events, logGroupName="/fresh"))
    assert messages[0] == "hello"
    assert messages[-1] == "[cloudlet] 1 lines were dropped"


# --- metric filters and subscriptions ---


def transformation(value: str = "1", **more: Any) -> dict[str, Any]:
    return {"metricNamespace": "App", "metricName": "Errors", "metricValue": value, **more}


def metric_filter(bench: Bench, pattern: str, **config: Any) -> None:
    bench.call(
        put_metric_filter, **GROUP, filterName="f", filterPattern=pattern,
        metricTransformations=[transformation(**config)],
    )  # fmt: skip


def test_a_metric_filter_counts(stream: Bench) -> None:
    metric_filter(stream, "ERROR", defaultValue=0)
    put(stream, "ERROR one", "fine", "ERROR two")
    now_ms = stream.clock.now_ms
    assert points(stream) == [("App", "Errors", "[]", now_ms, 2, 2)]
    stream.clock.advance(60)
    put(stream, "fine")
    assert points(stream)[1] == ("App", "Errors", "[]", now_ms + 60_000, 0, 1)
    assert stream.call(describe_log_groups)["logGroups"][0]["metricFilterCount"] == 1
    described = stream.call(describe_metric_filters, **GROUP)["metricFilters"]
    assert described[0]["metricTransformations"][0]["metricName"] == "Errors"
    stream.call(delete_metric_filter, **GROUP, filterName="f")
    with pytest.raises(AwsError, match="does not exist"):
        stream.call(delete_metric_filter, **GROUP, filterName="f")


def test_a_metric_filter_takes_values_and_dimensions(stream: Bench) -> None:
    metric_filter(stream, "{ $.ms > 0 }", value="$.ms", dimensions={"Path": "$.path"})
    put(stream, '{"ms": 5, "path": "/a"}', '{"ms": 7, "path": "/a"}', '{"ms": 1}', '{"ms": -1}')
    start_ms = stream.clock.now_ms
    assert points(stream) == [("App", "Errors", '[["Path","/a"]]', start_ms, 12, 2)]
    metric_filter(stream, "[ip, size > 10]", value="$size")
    put(stream, "1.2.3.4 11", "1.2.3.4 9")
    assert points(stream)[-1] == ("App", "Errors", "[]", start_ms, 11, 1)


def test_wrong_metric_filters_are_refused(stream: Bench) -> None:
    for pattern, config in (
        ("{ $.a }", {}),
        ("ERROR", {"value": "$.a"}),
        ("{ $.a = 1 }", {"defaultValue": 0.0, "dimensions": {"d": "$.d"}}),
        ("{ $.a = 1 }", {"dimensions": {"d": "fixed"}}),
    ):
        with pytest.raises(AwsError) as caught:
            metric_filter(stream, pattern, **config)
        assert caught.value.code == "InvalidParameterException", pattern


def test_a_filter_is_tried(logs: Bench) -> None:
    output = logs.call(
        try_metric_filter,
        filterPattern="[ip, status = 4*]",
        logEventMessages=["1.1.1.1 200", "1.1.1.1 404"],
    )
    assert output["matches"] == [{
        "eventNumber": 2, "eventMessage": "1.1.1.1 404",
        "extractedValues": {"$ip": "1.1.1.1", "$status": "404"},
    }]  # fmt: skip


def test_a_subscription_sends_what_matches(stream: Bench) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    stream.call(
        put_subscription_filter, **GROUP, filterName="s", filterPattern="ERROR", destinationArn=arn
    )
    put(stream, "ERROR one", "fine")
    fact = stream.facts()[0]
    assert fact.target == arn
    assert fact.attributes["source_arn"].endswith(":log-group:/g:*")
    data = json.loads(fact.payload)["awslogs"]["data"]
    document = json.loads(gzip.decompress(base64.b64decode(data)))
    assert document["messageType"] == "DATA_MESSAGE"
    assert document["subscriptionFilters"] == ["s"]
    found = stream.call(filter_log_events, **GROUP, filterPattern="ERROR")["events"][0]
    assert document["logEvents"] == [
        {"id": found["eventId"], "timestamp": found["timestamp"], "message": "ERROR one"}
    ]
    shown = stream.call(describe_subscription_filters, **GROUP)["subscriptionFilters"]
    assert shown[0]["destinationArn"] == arn


def embedded(**changes: Any) -> str:
    directive = {
        "Namespace": "Shop", "Dimensions": [["Service"], ["Service", "Region"]],
        "Metrics": [{"Name": "Orders", "Unit": "Count"}], **changes,
    }  # fmt: skip
    return json.dumps({
        "_aws": {"Timestamp": 1_795_000_000_000, "CloudWatchMetrics": [directive]},
        "Service": "web", "Region": "eu", "Orders": [1, 2], "Nothing": None,
    })  # fmt: skip


def test_embedded_metrics_are_measured(stream: Bench) -> None:
    put(stream, embedded(), embedded())
    assert [row[2:] for row in points(stream)] == [
        ('[["Region","eu"],["Service","web"]]', 1_794_999_960_000, 6, 4),
        ('[["Service","web"]]', 1_794_999_960_000, 6, 4),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"Namespace": ""},
        {"Namespace": 1},
        {"Dimensions": [["Missing"]]},
        {"Dimensions": "Service"},
        {"Metrics": [{"Name": "Service"}]},
        {"Metrics": [{"Name": "Nothing"}, {}, 5]},
        {"Metrics": [{"Name": "Orders", "Unit": "Bananas"}]},
        {"Metrics": {"Name": "Orders"}},
    ],
)
def test_embedded_metrics_that_break_the_rules_are_lines_only(
    stream: Bench, changes: dict[str, Any]
) -> None:
    put(stream, embedded(**changes), '{"_aws": {"CloudWatchMetrics": []}}', '"_aws"')
    assert points(stream) == []


def test_lines_with_their_metrics_survive_an_orderly_stop(logs: Bench) -> None:
    async def run() -> None:
        logs.state.journal.start()
        logs.state.meter.start()
        logs.cloud.journal.line("/g", "s", embedded())
        logs.cloud.meter.add("Own", "Count", ())
        await logs.state.stop()

    asyncio.run(run())
    assert len(points(logs)) == 3
