"""tractor: telemetry in, exactly one order per worn part out; over a kill, and in the browser."""

import base64
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.pages import violations
from tests.examples.conftest import Deploy, Face, Load, OpenPage, eventually, outputs
from tests.examples.tractor.test_detection import START, worked
from tests.examples.tractor.test_detection import measure as measure  # a fixture
from tests.server import Server


@pytest.fixture(scope="module")
def server(deploy: Deploy) -> Server:
    return deploy("tractor")


Reach = Callable[[Server], ModuleType]


@pytest.fixture
def reach(load: Load, face: Face) -> Reach:
    """The simulator, as if started in an environment of this server."""

    def loaded(server: Server) -> ModuleType:
        face(server)
        return load("tractor", "simulate")

    return loaded


@pytest.fixture
def simulate(reach: Reach, server: Server) -> ModuleType:
    return reach(server)


def get(server: Server, path: str) -> Any:
    answer = server.http.request("GET", f"{server.url}/{path}")
    assert answer.status == 200, answer.data
    return answer.json()


def orders(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(server, "orders")["orders"]
    return found


def caught_up(server: Server, records: list[dict[str, Any]]) -> bool:
    """Every machine's state has seen its latest reading."""
    latest: dict[str, int] = {}
    for record in records:
        latest[record["machine"]] = max(record["at"], latest.get(record["machine"], 0))
    machines = get(server, "fleet")["machines"]
    return {one["machine"]: one["at"] for one in machines} == latest


def test_a_fleet_from_telemetry_to_fitted_parts(
    server: Server, simulate: ModuleType, measure: ModuleType
) -> None:
    fleet = simulate.Fleet(4, 37, START, {})
    records = worked(fleet, 2.8)
    half = len(records) // 2
    cloud = simulate.Cloud("tractor")
    cloud.send(records[:half])
    server.kill()
    server.start()
    cloud.send(records[half:])
    expected = measure.orders_of(records)
    assert len(expected) >= 3
    eventually(partial(caught_up, server, records))

    def accepted() -> bool:
        return len(orders(server)) == len(expected) and all(
            order["state"] == "accepted" and "announced_at" in order for order in orders(server)
        )

    eventually(accepted)
    found = {(o["machine"], o["name"], o["installation"]): o["ordered_at"] for o in orders(server)}
    assert found == expected  # exactly once, and exactly as the readings have it, over the kill

    fleet.now = max(record["at"] for record in records) + simulate.DELIVERY_S
    deliveries = cloud.deliveries(fleet)
    assert len(deliveries) == len(expected)
    cloud.send([fleet.replace(machine, part) for machine, part in deliveries])
    eventually(lambda: {order["state"] for order in orders(server)} == {"fitted"})
    assert cloud.deliveries(fleet) == []
    start, installed = cloud.resume()
    assert start > max(record["at"] for record in records) - 3600
    for machine, part in deliveries:
        assert installed[machine][part] == 2


def test_everything_again_changes_nothing(server: Server, simulate: ModuleType) -> None:
    """The functions get what the stream could bring twice: readings, and the news of an order."""
    fleet = simulate.Fleet(1, 3, START, {})
    fleet.machines["again"] = machine = fleet.machines.pop("tractor-01")
    machine.name = "again"
    for part in machine.parts.values():
        part.damage = 0.85
    batch = [{"kinesis": {"data": encoded(one), "sequenceNumber": "1"}} for one in worked(fleet, 1)]
    detect, desk = function(server, "Detect"), function(server, "Desk")
    for first in (0, 0, 100, 50, 0):
        assert invoke(server, detect, batch[first : first + 250]) is None

    def five() -> list[dict[str, Any]]:
        mine = [order for order in orders(server) if order["machine"] == "again"]
        return mine if [one["state"] for one in mine] == ["accepted"] * 5 else []

    before = eventually(five)
    body = json.dumps({name: before[0][name] for name in ("id", "part", "installation")})
    assert invoke(server, desk, [{"messageId": "1", "body": body}]) == {"batchItemFailures": []}
    assert invoke(server, detect, batch) is None
    assert five() == before


def test_what_is_no_reading_is_set_aside(server: Server, simulate: ModuleType) -> None:
    cloud = simulate.Cloud("tractor")
    name, stream = outputs(server)["Failures"], outputs(server)["Stream"]
    good = worked(simulate.Fleet(1, 9, START + 10**6, {}), 0.5)
    cloud.kinesis.put_record(StreamName=stream, Data=b"{", PartitionKey="tractor-01")
    cloud.send(good)
    eventually(lambda: caught_up_to(server, "tractor-01", good[-1]["at"]))
    sqs = server.client("sqs")
    message = eventually(lambda: sqs.receive_message(QueueUrl=name).get("Messages"))[0]
    assert json.loads(message["Body"])["data"] == base64.b64encode(b"{").decode()


def caught_up_to(server: Server, machine: str, at: int) -> bool:
    machines = {one["machine"]: one["at"] for one in get(server, "fleet")["machines"]}
    return bool(machines.get(machine, 0) >= at)


def encoded(record: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(record).encode()).decode()


def function(server: Server, name: str) -> str:
    listed = server.client("lambda").list_functions()["Functions"]
    return str(next(one["FunctionName"] for one in listed if f"{name}Function" in str(one)))


def invoke(server: Server, name: str, records: list[dict[str, Any]]) -> Any:
    payload = json.dumps({"Records": records})
    answer = server.client("lambda").invoke(FunctionName=name, Payload=payload)
    return json.loads(answer["Payload"].read())


@pytest.mark.browser
def test_the_page(deploy: Deploy, reach: Reach, open_page: OpenPage, tmp_path: Path) -> None:
    """`--basetemp` keeps the pictures; the README's is of a longer day."""
    server = deploy("tractor")
    page = open_page(server.url, viewport={"width": 1280, "height": 940})
    expect(page.get_by_text("simulate.py")).to_be_visible()
    page.screenshot(path=tmp_path / "empty.png")
    simulate = reach(server)
    fleet, cloud = simulate.Fleet(4, 37, START, {}), simulate.Cloud("tractor")
    readings: list[dict[str, Any]] = []
    for hours in (2.1, 1.1):
        cloud.send([fleet.replace(*one) for one in cloud.deliveries(fleet)])
        records = worked(fleet, hours)
        cloud.send(records)
        readings += [one for one in records if one["type"] == "reading"]
        eventually(partial(caught_up, server, readings))
        eventually(lambda: all(order["state"] != "ordered" for order in orders(server)))
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("#order-list .tag.fitted").first).to_be_visible()
    chosen = page.locator("tbody button").nth(7)
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#chart-title")).to_have_text("Air filter of tractor-02")
    expect(page.locator("#plot polyline").first).to_be_visible()
    assert violations(page) == []
    expect(page.locator("#order-list .tag").first).to_have_text("accepted")
    expect(page.locator("#plot text.limit")).to_be_visible()
    page.screenshot(path=tmp_path / "busy.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=tmp_path / "dark.png")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    server.kill()
    expect(page.locator("#state")).to_have_class("lost")
    page.screenshot(path=tmp_path / "lost.png")
