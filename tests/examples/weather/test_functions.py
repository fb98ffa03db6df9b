"""weather: what rows, days, months, observations and the custom resource's answers are made of."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from tests.examples.conftest import Load

Item = dict[str, Any]


def test_rows_become_items(load: Load) -> None:
    app = load("weather/load")
    days: dict[str, Item] = {}
    hours = [
        {"temp": "50.0", "date": "2010/01/01 00:00:00"},
        {"date": "2010/01/01 01:00", "temp": "41"},
    ]
    items = list(app.items_of(hours, "here", "fahrenheit", days))
    assert items == [
        {"station": "here", "time": "hour#2010-01-01T00:00", "temp": Decimal("10.00")},
        {"station": "here", "time": "hour#2010-01-01T01:00", "temp": Decimal("5.00")},
    ]
    assert days["2010-01-01"] == {
        "station": "here",
        "time": "day#2010-01-01",
        "temp_max": Decimal("10.00"),
        "temp_min": Decimal("5.00"),
        "hours": 2,
    }
    day = {
        "date": "2012/01/02",
        "precipitation": "10.9",
        "temp_max": "10.6",
        "temp_min": "2.8",
        "wind": "4.5",
        "weather": "rain",
    }
    (item,) = app.items_of([day], "here", "celsius", {})
    assert item["time"] == "day#2012-01-02" and item["temp_min"] == Decimal("2.80")
    assert item["precipitation"] == Decimal("10.9") and item["weather"] == "rain"


class Throttled:
    """A DynamoDB that takes ten items of each request."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.takes = 10

    def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        assert len(requests) <= 25
        self.taken += [each["PutRequest"]["Item"]["time"] for each in requests[: self.takes]]
        left = requests[self.takes :]
        return {"UnprocessedItems": {table: left} if left else {}}


def test_unprocessed_items_are_written_again(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    app, dynamodb = load("weather/load"), Throttled()
    monkeypatch.setenv("TABLE", "t")
    monkeypatch.setattr(app, "dynamodb", lambda: dynamodb)
    monkeypatch.setattr(app.time, "sleep", lambda _: None)
    wanted = [f"hour#{n:03}" for n in range(60)]
    assert app.store({"station": "s", "time": time} for time in wanted) == 60
    assert sorted(dynamodb.taken) == wanted
    assert app.store([{"station": "s", "time": "twice"}] * 2) == 2  # one request in the batch
    dynamodb.takes = 0
    with pytest.raises(RuntimeError, match="unprocessed"):
        app.store([{"station": "s", "time": "never"}])


def test_months_of_several_years(load: Load) -> None:
    def day(date: str, low: int, high: int, **more: Any) -> Item:
        return {"time": f"day#{date}", "temp_min": Decimal(low), "temp_max": Decimal(high), **more}

    rain = {"precipitation": Decimal("3.0")}
    months = load("weather/climate").climates(
        [
            day("2012-01-01", -5, 3, **rain),
            day("2012-01-02", 0, 4, precipitation=Decimal("0.5")),
            day("2013-01-01", 2, 8, **rain),
            day("2010-07-01", 12, 25),
        ]
    )
    assert list(months) == ["01", "07"]
    assert months["01"] == {
        "days": 3,
        "temp_max": Decimal("5.00"),
        "temp_min": Decimal("-1.00"),
        "record_high": Decimal(8),
        "record_low": Decimal(-5),
        "precipitation": Decimal("3.2"),
        "wet_days": Decimal("1.0"),
    }
    assert "precipitation" not in months["07"]


def test_observations_of_the_service(load: Load) -> None:
    app = load("weather/ingest")
    facts = {
        "timestamp": "2026-03-01T16:53:00-08:00",
        "temperature": {"value": 12},
        "windSpeed": {"value": Decimal("18.36")},
        "textDescription": "Fair",
    }
    assert app.observed({"properties": facts}) == {
        "moment": "2026-03-02T00:53",
        "temp": Decimal("12.00"),
        "wind": Decimal("5.10"),
        "weather": "Fair",
    }
    calm = {"timestamp": facts["timestamp"], "temperature": {"value": Decimal("-3.9")}}
    assert "wind" not in app.observed({"properties": {**calm, "windSpeed": {"value": None}}})
    for useless in ({}, {"properties": {**facts, "temperature": {"value": None}}}, {"x": 1}):
        with pytest.raises(app.Unanswered):
            app.observed(useless)


def test_ranges_that_make_no_sense(load: Load) -> None:
    app = load("weather/api")
    for first, last, told in (
        ("2014-01-01", "2013-01-01", "from must not be after to"),
        ("yesterday", "2013-01-01", "from must be a day like 2014-06-30"),
        ("1900-01-01", "2013-01-01", "at most 3660 days at once"),
    ):
        with pytest.raises(app.Problem, match=told) as refused:
            app.days({"id": "seattle", "from": first, "to": last})
        assert refused.value.status == 400


@pytest.fixture
def cloudformation() -> Iterator[tuple[str, list[Item]]]:
    """A ResponseURL, and the answers that were put there."""
    answers: list[Item] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_cloudformation_is_told_of_failures(
    load: Load, cloudformation: tuple[str, list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load("weather/publish")
    url, answers = cloudformation

    def fail(_: str) -> None:
        raise RuntimeError("the bucket is gone")

    monkeypatch.setattr(app, "empty", fail)
    event = {
        "RequestType": "Delete",
        "ResponseURL": url,
        "StackId": "s",
        "RequestId": "r",
        "LogicalResourceId": "SiteFiles",
        "ResourceProperties": {"Bucket": "b"},
    }
    app.handler(event, SimpleNamespace(log_stream_name="stream"))
    assert answers == [
        {
            "Status": "FAILED",
            "Reason": "the bucket is gone (log stream stream)",
            "PhysicalResourceId": "site-of-b",
            "StackId": "s",
            "RequestId": "r",
            "LogicalResourceId": "SiteFiles",
        }
    ]
