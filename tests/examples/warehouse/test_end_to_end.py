"""The warehouse on a real cloudlet: what DuckDB reads through the endpoint is what was sold."""

import json
from collections.abc import Iterator
from datetime import date
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.examples.conftest import Deploy, Load, OpenPage, eventually, outputs
from tests.server import Server

LAST = date(2026, 11, 20)
Document = dict[str, Any]


class Running:
    """A deployed warehouse, and what one asks of it."""

    def __init__(self, server: Server) -> None:
        self.server, self.outputs = server, outputs(server)
        self.lambda_ = server.client("lambda")
        self.functions = {
            name.split("-")[1]: name
            for found in self.lambda_.list_functions()["Functions"]
            if (name := found["FunctionName"])
        }

    @property
    def table(self) -> Any:
        key = self.server.credentials()
        dynamodb = boto3.resource(
            "dynamodb", endpoint_url=self.server.endpoint, region_name="us-east-1", **key
        )
        return dynamodb.Table(self.outputs["OrdersTable"])

    def invoke(self, function: str, event: Document) -> Document:
        name, payload = self.functions[function], json.dumps(event)
        answer = self.lambda_.invoke(FunctionName=name, Payload=payload)
        document: Document = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, document
        return document

    def get(self, path: str) -> Document:
        answer = self.server.http.request("GET", self.server.url + path)
        assert answer.status == 200, answer.data
        document: Document = answer.json()
        return document

    def is_captured(self) -> bool:
        """Nothing is on its way: the warehouse, brought up to date, is what Orders is."""
        self.invoke("TransformFunction", {})
        return bool(self.invoke("RollupFunction", {})["is_equal"])

    def etags(self, prefix: str) -> dict[str, str]:
        pages = self.server.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.outputs["Lake"], Prefix=prefix)
        return {each["Key"]: each["ETag"] for page in found for each in page.get("Contents", [])}


def sums(orders: list[Document]) -> tuple[int, int, int]:
    """Orders, lines and cents of the last versions."""
    last = {order["order_id"]: order for order in sorted(orders, key=lambda o: o["version"])}
    lines = [
        (order["order_id"], line)
        for order in last.values()
        if order["status"] == "placed"
        for line in order["lines"]
    ]
    cents = sum(ln["quantity"] * ln["unit_price_cents"] - ln["discount_cents"] for _, ln in lines)
    return len({order_id for order_id, _ in lines}), len(lines), cents


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
    eventually(running.is_captured)
    assert asked(running, load, monkeypatch, ASKED) == [sums(orders)]

    corrections = list(simulate.corrected(7, orders))
    assert {order["status"] for order in corrections} == {"placed", "cancelled"}
    assert simulate.write(running.table, corrections) == len(corrections)
    assert simulate.write(running.table, orders[:40]) == 0  # never over a newer version
    eventually(running.is_captured)
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


@pytest.mark.browser
def test_page(running: Running, open_page: OpenPage, sold: list[Document]) -> None:
    page = open_page(running.server.url)
    page.get_by_role("heading", name="The numbers reconcile").wait_for()
    _, lines, cents = sums(sold)
    shown = page.locator("#check-rows").inner_text()
    assert shown.count(f"€{cents / 100:,.2f}") == 2 and shown.count(f"{lines:,}") == 2
    page.get_by_label("Report", exact=True).select_option("baskets")
    page.get_by_role("cell", name="Wien Mitte").wait_for()
    assert "most on" in (page.locator("#days svg").get_attribute("aria-label") or "")
    page.route("**/api/report?**", lambda route: route.abort())
    page.get_by_role("alert").filter(has_text="does not answer").wait_for()
    page.unroute("**/api/report?**")
    page.get_by_role("alert").wait_for(state="hidden")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


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


@pytest.fixture
def fresh(deploy: Deploy) -> Iterator[Running]:
    running = Running(deploy("warehouse", "-p", "BatchWindowSeconds=1"))
    yield running
    running.server.stop()


@pytest.mark.fault
def test_killed_in_the_middle_of_capture(
    fresh: Running, simulate: ModuleType, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = simulate.simulated(9, 300, LAST, 10)
    for part in (orders[:150], orders[150:]):
        simulate.write(fresh.table, part)
        before = len(fresh.etags("raw/"))
        eventually(lambda before=before: len(fresh.etags("raw/")) > before)  # of ten a batch
        fresh.server.kill()
        fresh.server.start()
    eventually(lambda: _captured(fresh))
    assert asked(fresh, load, monkeypatch, ASKED) == [sums(orders)]


def _captured(running: Running) -> bool:
    try:
        return running.is_captured()
    except (BotoCoreError, ClientError):
        return False
