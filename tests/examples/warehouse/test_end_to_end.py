"""The warehouse on a real cloudlet: what DuckDB reads through the endpoint is what was sold."""

import json
from collections.abc import Iterator
from datetime import date
from types import ModuleType
from typing import Any

import pytest

from tests.examples.conftest import Deploy, Load, eventually
from tests.examples.warehouse.running import Running, sums

LAST = date(2026, 11, 20)
Document = dict[str, Any]


ASKED = "SELECT count(DISTINCT order_id), count(*), sum(amount_cents) FROM fact_sales"


def asked(running: Running, load: Load, monkeypatch: pytest.MonkeyPatch, sql: str) -> Any:
    key = running.server.root_key
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    load("warehouse/lake", "lake")
    connection = load("warehouse", "query").connected(running.outputs["Lake"])
    try:
        return connection.sql(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def running(deploy: Deploy) -> Running:
    return Running(deploy("warehouse", "-p", "BatchWindowSeconds=1", "-p", "CaptureRetries=1"))


@pytest.fixture
def simulate(load: Load) -> ModuleType:
    return load("warehouse", "simulate")


@pytest.fixture(scope="module")
def sold(running: Running) -> list[Document]:
    """What has been written so far by the tests of this module, which build on each other."""
    return []


def test_facts_equal_what_was_sold(
    running: Running,
    simulate: ModuleType,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    sold: list[Document],
) -> None:
    orders = simulate.simulated(7, 500, LAST, 12)
    assert simulate.simulated(7, 500, LAST, 12) == orders
    assert simulate.write(running.table, orders) == 500
    running.settle(orders)
    assert asked(running, load, monkeypatch, ASKED) == [sums(orders)]

    corrections = list(simulate.corrected(7, orders))
    assert {order["status"] for order in corrections} == {"placed", "cancelled"}
    assert simulate.write(running.table, corrections) == len(corrections)
    assert simulate.write(running.table, orders[:40]) == 0  # never over a newer version
    running.settle(corrections)
    sold += orders + corrections
    assert asked(running, load, monkeypatch, ASKED) == [sums(sold)]
    late = sum(o["recorded_at"][:10] > o["ordered_at"][:10] for o in orders)
    counted = "SELECT count(*) FILTER (is_late), count(*) FILTER (is_cancelled) FROM fact_orders"
    cancelled = sum(o["status"] == "cancelled" for o in corrections)
    assert asked(running, load, monkeypatch, counted) == [(late, cancelled)] and late > 10


def test_sql_joins_the_star(
    running: Running, load: Load, monkeypatch: pytest.MonkeyPatch, sold: list[Document]
) -> None:
    """Every key leads to one row; the mart says the same as the facts."""
    joined = (
        "SELECT count(*), sum(amount_cents) FROM fact_sales JOIN dim_customer USING (customer_key)"
        " JOIN dim_product USING (product_key) JOIN dim_store USING (store_key)"
        " JOIN dim_date USING (date_key)"
        " WHERE ordered_at::DATE BETWEEN valid_from AND coalesce(valid_to, DATE '9999-12-31')"
    )
    _, lines, cents = sums(sold)
    assert asked(running, load, monkeypatch, joined) == [(lines, cents)]
    for mart in ("daily_sales", "product_sales", "daily_orders"):
        total = f"SELECT sum(amount_cents) FROM {mart}"
        assert asked(running, load, monkeypatch, total) == [(cents,)]
    pruned = "SELECT count(*) FROM fact_sales WHERE date = '2026-11-14'"
    expected = "SELECT count(*) FROM fact_sales WHERE date_key = 20261114"
    assert asked(running, load, monkeypatch, pruned) == asked(running, load, monkeypatch, expected)


def test_repeated_events_change_nothing(running: Running, sold: list[Document]) -> None:
    """The stream once more, from its beginning, in other batches."""
    streams = running.server.client("dynamodbstreams")
    (stream,) = streams.list_streams()["Streams"]
    described = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]
    before = running.etags("warehouse/")
    for shard in described["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=stream["StreamArn"], ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]  # fmt: skip
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=190)
            if not page["Records"]:
                break
            event = json.loads(json.dumps({"Records": page["Records"]}, default=_seconds))
            assert running.invoke("CaptureFunction", event) == {"batchItemFailures": []}
            iterator = page.get("NextShardIterator")
    assert running.invoke("TransformFunction", {})["rebuilt"]
    assert running.etags("warehouse/") == before


def _seconds(moment: Any) -> float:
    return float(moment.timestamp())


def test_the_night_comes(running: Running) -> None:
    """What the schedule does: transform without an answer, rollup behind it."""
    before = running.get("/api/report")["report"]["generated_at"]
    name = running.outputs["TransformFunction"]
    running.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    eventually(lambda: running.get(f"/api/report?since={before.replace('+', '%2B')}")["report"])
    (schedule,) = running.server.client("scheduler").list_schedules()["Schedules"]
    found = running.server.client("scheduler").get_schedule(Name=schedule["Name"])
    assert found["ScheduleExpressionTimezone"] == "Europe/Vienna"


def test_reports(running: Running, sold: list[Document]) -> None:
    _, _, cents = sums(sold)
    for name in ("top-products", "revenue", "corrections"):
        rows = running.get(f"/api/reports/{name}")["rows"]
        assert sum(row["amount_cents"] for row in rows) == cents
    (month,) = running.get("/api/reports/corrections?month=2026-11")["rows"]
    assert month["effect_cents"] == month["amount_cents"] - month["first_amount_cents"] < 0
    assert running.get("/api/reports/baskets?month=2020-01")["rows"] == []
    for path, status in (("/api/reports/x", 404), ("/api/reports/revenue?month=1", 400)):
        assert running.server.http.request("GET", running.server.url + path).status == status
    assert running.server.http.request("GET", running.server.url + "/app.py").status == 404


def test_what_is_no_order_is_set_apart(running: Running, simulate: ModuleType) -> None:
    (good,) = simulate.simulated(8, 1, LAST, 1)
    running.table.put_item(Item={"order_id": "nonsense"})
    simulate.write(running.table, [good])
    queue = running.outputs["Failures"]
    sqs = running.server.client("sqs")
    (message,) = eventually(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages")
    )
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1
    eventually(lambda: good["order_date"] in running.get("/api/report")["pending_days"])
    assert running.invoke("RollupFunction", {})["unreadable"] == 1


@pytest.fixture
def fresh(deploy: Deploy) -> Iterator[Running]:
    running = Running(deploy("warehouse", "-p", "BatchWindowSeconds=1"))
    yield running
    running.server.stop()


@pytest.mark.fault
def test_killed_in_the_middle_of_capture(
    fresh: Running, simulate: ModuleType, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = simulate.simulated(9, 300, LAST, 60)
    for part in (orders[:150], orders[150:]):
        simulate.write(fresh.table, part)
        before = len(fresh.etags("raw/"))
        while len(fresh.etags("raw/")) == before:  # the first of many
            pass
        fresh.server.kill()
        fresh.server.start()
    fresh.settle(orders)
    assert asked(fresh, load, monkeypatch, ASKED) == [sums(orders)]
