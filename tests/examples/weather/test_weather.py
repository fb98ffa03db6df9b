"""weather: every row of three files, asked through the API's cache; what is observed now, through
its proxy; the site, from its bucket and in the browser."""

import csv
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3
from playwright.sync_api import expect

from tests.examples.conftest import EXAMPLES, Deploy, Load, OpenPage, eventually, outputs
from tests.server import Server

Item = dict[str, Any]


class Service:
    """A weather service that says what it is told to; None: it is down."""

    def __init__(self) -> None:
        self.facts: Item | None = None
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append((self.path, self.headers["user-agent"]))
                body = json.dumps({"properties": service.facts}).encode()
                self.send_response(200 if service.facts else 503)
                self.send_header("content-type", "application/geo+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def server(deploy: Deploy, service: Service) -> Server:
    never = "IngestEvery=at(2099-01-01T00:00:00)"
    return deploy("weather", "-p", f"ObservationsUrl={service.url}", "-p", never)


@pytest.fixture
def files(load: Load) -> Any:
    return load("weather", "load")


@pytest.fixture
def loaded(server: Server, files: Any) -> Server:
    """The stations' own counts are written last."""
    if days(server, "seattle") is None:
        files.upload(server.client("s3"), outputs(server)["ObservationsBucket"])
    eventually(lambda: (days(server, "seattle") or 0) >= 1826)
    eventually(lambda: (days(server, "san-francisco") or 0) >= 365)
    return server


@pytest.fixture
def seattle(server: Server, files: Any) -> Server:
    """With its days alone: enough for the page."""
    if days(server, "seattle") is None:
        with (files.folder() / "seattle-weather.csv").open("rb") as body:
            server.client("s3").put_object(
                Bucket=outputs(server)["ObservationsBucket"],
                Key="seattle/days.csv",
                Body=body,
                Metadata={"name": "Seattle"},
            )
    eventually(lambda: (days(server, "seattle") or 0) >= 1461)
    return server


def item(server: Server, station: str, time: str) -> Item:
    key = {"station": {"S": station}, "time": {"S": time}}
    found = server.client("dynamodb").get_item(TableName=outputs(server)["Table"], Key=key)
    return {name: next(iter(value.values())) for name, value in found.get("Item", {}).items()}


def days(server: Server, station: str) -> int | None:
    found = item(server, "stations", station).get("days")
    return None if found is None else int(found)


def count(server: Server, station: str, kind: str) -> int:
    pages = (
        server.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=outputs(server)["Table"],
            Select="COUNT",
            KeyConditionExpression="station = :s AND begins_with(#t, :k)",
            ExpressionAttributeNames={"#t": "time"},
            ExpressionAttributeValues={":s": {"S": station}, ":k": {"S": kind}},
        )
    )
    return sum(page["Count"] for page in pages)


def ask(server: Server, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    url = f"{server.endpoint}/_aws/execute-api/{outputs(server)['ApiId']}/prod{path}"
    return server.http.request("GET", url, headers=headers)


def is_cached(answer: urllib3.BaseHTTPResponse) -> bool:
    return answer.headers["x-made-for"] != answer.headers["x-amzn-RequestId"]


def rows(files: Any, name: str) -> list[dict[str, str]]:
    with (files.folder() / name).open() as file:
        return list(csv.DictReader(file))


def days_of_files(files: Any) -> dict[str, tuple[float, float]]:
    """Seattle's lowest and highest, °C, computed here from the files alone."""
    hours: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows(files, "seattle-temps.csv"):
        hours[row["date"][:10].replace("/", "-")].append((float(row["temp"]) - 32) / 1.8)
    found = {day: (min(temps), max(temps)) for day, temps in hours.items()}
    for row in rows(files, "seattle-weather.csv"):
        found[row["date"].replace("/", "-")] = (float(row["temp_min"]), float(row["temp_max"]))
    return found


def test_all_rows_are_there_and_stay_when_loaded_again(loaded: Server, files: Any) -> None:
    assert count(loaded, "seattle", "hour#") == len(rows(files, "seattle-temps.csv"))
    assert count(loaded, "san-francisco", "hour#") == len(rows(files, "sf-temps.csv"))
    measured = len(rows(files, "seattle-weather.csv"))
    assert count(loaded, "seattle", "day#") == measured + 365
    names = [each["FunctionName"] for each in loaded.client("lambda").list_functions()["Functions"]]
    again = {
        "s3": {
            "bucket": {"name": outputs(loaded)["ObservationsBucket"]},
            "object": {"key": "seattle/days.csv"},
        }
    }
    answer = loaded.client("lambda").invoke(
        FunctionName=next(name for name in names if "Load-" in name),
        Payload=json.dumps({"Records": [again]}),
    )
    assert json.loads(answer["Payload"].read()) == {"seattle/days.csv": measured}
    assert count(loaded, "seattle", "day#") == measured + 365


def test_answers_are_what_the_files_say(loaded: Server, files: Any) -> None:
    truth = days_of_files(files)
    for first, last in (("2012-02-27", "2012-03-02"), ("2010-06-01", "2014-05-31")):
        answer = ask(loaded, f"/stations/seattle/days?from={first}&to={last}").json()
        wanted = {day: truth[day] for day in sorted(truth) if first <= day <= last}
        assert [day["date"] for day in answer["days"]] == list(wanted)
        told = [day[name] for day in answer["days"] for name in ("temp_min", "temp_max")]
        assert told == pytest.approx([each for pair in wanted.values() for each in pair], abs=0.006)

    months = ask(loaded, "/stations/seattle/climate").json()["months"]
    rain: defaultdict[str, float] = defaultdict(float)
    for row in rows(files, "seattle-weather.csv"):
        rain[row["date"][5:7]] += float(row["precipitation"])
    for month in months:
        of_month = [pair for day, pair in truth.items() if int(day[5:7]) == month["month"]]
        assert month["days"] == len(of_month)
        assert month["temp_min"] == pytest.approx(
            sum(low for low, _ in of_month) / len(of_month), abs=0.02
        )
        assert month["record_high"] == pytest.approx(max(high for _, high in of_month), abs=0.006)
        assert month["precipitation"] == pytest.approx(rain[f"{month['month']:02}"] / 4, abs=0.06)

    newest = ask(loaded, "/stations/san-francisco/latest").json()
    assert newest["time"] == "2010-12-31T23:00"
    assert newest["temp"] == pytest.approx((48.3 - 32) / 1.8, abs=0.006)
    assert ask(loaded, "/stations/atlantis/latest").status == 404


def test_the_second_request_is_answered_by_the_cache(loaded: Server) -> None:
    path = "/stations/seattle/days?from=2013-01-01&to=2013-01-31"
    first, second = ask(loaded, path), ask(loaded, path)
    assert not is_cached(first) and is_cached(second)
    assert first.data == second.data
    assert second.headers["x-made-for"] == first.headers["x-amzn-RequestId"]
    for other in (path.replace("-31", "-30"), path.replace("seattle", "san-francisco")):
        assert not is_cached(ask(loaded, other))


def test_questions_are_checked_and_the_site_may_read_the_answers(loaded: Server) -> None:
    site = outputs(loaded)["Page"]
    missing = ask(loaded, "/stations/seattle/days?from=2013-01-01", Origin=site)
    assert missing.status == 400
    assert missing.json() == {"message": "Missing required request parameters: [to]"}
    useless = ask(loaded, "/stations/seattle/days?from=2013-01-01&to=now", Origin=site)
    assert useless.status == 400 and "to must be a day" in useless.json()["message"]
    good = ask(loaded, "/stations", Origin=site)
    for answer in (missing, useless, good):
        assert answer.headers["Access-Control-Allow-Origin"] == site
    url = f"{loaded.endpoint}/_aws/execute-api/{outputs(loaded)['ApiId']}/prod/stations"
    asked = {"Origin": site, "Access-Control-Request-Method": "GET"}
    preflight = loaded.http.request("OPTIONS", url, headers=asked)
    assert preflight.headers["Access-Control-Allow-Origin"] == site


def turn(server: Server) -> None:
    """The schedule's next turn comes now: a rate begins at once."""
    scheduler = server.client("scheduler")
    known = scheduler.get_schedule(Name=outputs(server)["Schedule"])
    kept = {name: known[name] for name in ("Name", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, ScheduleExpression="rate(1 day)")


def outcome(server: Server) -> str:
    """As the page sees it; what is new is cached for a moment."""
    stations = {each["id"]: each for each in ask(server, "/stations").json()["stations"]}
    return str(stations["seattle"].get("ingested", {}).get("outcome"))


def test_what_is_observed_now_comes_through_the_proxy(loaded: Server, service: Service) -> None:
    service.facts = None
    turn(loaded)
    eventually(lambda: outcome(loaded) == "the service answered 503")
    assert count(loaded, "seattle", "hour#2031") == 0

    service.facts = {
        "timestamp": "2031-07-01T12:53:00+00:00",
        "temperature": {"value": 21.7},
        "windSpeed": {"value": 18.0},
        "textDescription": "Mostly Sunny",
    }
    turn(loaded)  # this is the retry
    eventually(lambda: item(loaded, "seattle", "hour#2031-07-01T12:53"))
    assert {"/stations/KSEA/observations/latest", "/stations/KSFO/observations/latest"} == {
        path for path, _ in service.asked
    }
    assert {agent for _, agent in service.asked} == {"serverless weather example"}
    stored = item(loaded, "seattle", "hour#2031-07-01T12:53")
    assert (stored["temp"], stored["wind"], stored["source"]) == ("21.7", "5", "KSEA")
    service.facts = {"timestamp": "2031-07-01T13:53:00+00:00", "temperature": {"value": 24}}
    turn(loaded)
    eventually(lambda: item(loaded, "seattle", "day#2031-07-01").get("hours") == "2")
    day = item(loaded, "seattle", "day#2031-07-01")
    assert (day["temp_min"], day["temp_max"]) == ("21.7", "24")
    eventually(lambda: days(loaded, "seattle") == 1827)  # `climate` has heard of it
    assert item(loaded, "stations", "seattle")["ingested"]["outcome"] == {"S": "ok"}


def test_the_site_is_in_its_bucket_until_the_stack_goes(server: Server) -> None:
    site = outputs(server)["Page"]
    host = site.removeprefix("http://")

    def page(path: str) -> urllib3.BaseHTTPResponse:
        return server.http.request("GET", f"{server.endpoint}{path}", headers={"Host": host})

    for file in (EXAMPLES / "weather" / "publish" / "site").iterdir():
        assert page(f"/{file.name}").data == file.read_bytes()
    assert page("/").headers["Content-Type"] == "text/html; charset=utf-8"
    assert page("/charts.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    api = f"{server.endpoint}/_aws/execute-api/{outputs(server)['ApiId']}/prod"
    assert page("/config.json").json() == {"api": api}
    assert host.endswith(f".s3-website-us-east-1.localhost:{server.aws_port}")

    functions = server.client("lambda").list_functions()["Functions"]
    publish = next(each["FunctionName"] for each in functions if "Publish" in each["FunctionName"])
    answers, bucket = outputs(server)["ObservationsBucket"], host.partition(".s3-website")[0]
    s3 = server.client("s3")
    for request, left in (("Delete", 0), ("Create", 5)):
        key = {"Bucket": answers, "Key": request}
        event = {
            "RequestType": request,
            "ResponseURL": s3.generate_presigned_url("put_object", Params=key),
            "StackId": "s",
            "RequestId": "r",
            "LogicalResourceId": "SiteFiles",
            "ResourceProperties": {"Bucket": bucket},
        }
        server.client("lambda").invoke(FunctionName=publish, Payload=json.dumps(event))
        assert json.loads(s3.get_object(**key)["Body"].read())["Status"] == "SUCCESS"
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == left


@pytest.mark.browser
def test_the_page_shows_charts_and_who_answered(seattle: Server, open_page: OpenPage) -> None:
    page = open_page(f"{outputs(seattle)['Page']}/", viewport={"width": 390, "height": 844})
    expect(page.get_by_label("Station")).to_contain_text("Seattle")
    expect(page.locator("#latest")).to_contain_text("°C")
    page.get_by_role("button", name="2013").click()
    band = page.locator("#band svg")
    expect(band).to_have_attribute(
        "aria-label",
        "Daily temperatures from 2013-01-01 to 2013-12-31, between −7.1 °C and 33.9 °C",
    )
    assert band.locator("polyline.high").get_attribute("points").count(",") == 365
    expect(page.locator("#rain rect.bars")).to_have_count(12)
    expect(page.locator("#climateband text", has_text="Jul")).to_be_visible()
    expect(page.locator("#requests .hit").first).to_be_visible()
    expect(page.locator("#cache")).to_contain_text("from the cache (median")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
