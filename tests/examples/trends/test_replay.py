"""trends: a recording gives the same answer however it is sent; the API; the page."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.pages import violations
from tests.examples.conftest import Deploy, Face, Load, OpenPage, eventually, outputs
from tests.examples.trends.test_counting import SAMPLE, folded, sample
from tests.examples.trends.test_counting import count as count  # a fixture
from tests.server import Server

Reach = Callable[[Server], ModuleType]


@pytest.fixture(scope="module")
def server(deploy: Deploy) -> Server:
    return deploy("trends")


@pytest.fixture
def reach(load: Load, face: Face) -> Reach:
    """The generator, as if started in an environment of this server."""

    def loaded(server: Server) -> ModuleType:
        face(server)
        load("trends", "posts")
        return load("trends", "generate")

    return loaded


def table(server: Server) -> dict[Any, Any]:
    """All rows, without what tells how they came about."""
    pages = server.client("dynamodb").get_paginator("scan")
    items = [
        item
        for page in pages.paginate(TableName=outputs(server)["Counts"], ConsistentRead=True)
        for item in page["Items"]
    ]
    found = {}
    for item in items:
        step, part = item["row"]["S"].split("#")
        found[int(part), step, int(item["start"]["N"])] = {
            "posts": int(item["posts"]["N"]),
            "counts": json.loads(item["counts"]["S"]),
            "ids": set(json.loads(item.get("ids", {"S": "[]"})["S"])),
        }
    return found


def expected_of(count: ModuleType) -> dict[Any, Any]:
    rows = folded(count, [sample()]).items()
    return {key: {name: row[name] for name in ("posts", "counts", "ids")} for key, row in rows}


def get(server: Server, path: str, status: int = 200) -> Any:
    answer = server.http.request("GET", f"{server.url}/{path}")
    assert answer.status == status, answer.data
    return answer.json()


def answers(server: Server) -> list[Any]:
    moments = range(1777917730, 1777919500, 830)
    return [
        get(server, f"top?window={window}&by={by}&at={at}")
        for window in ("1m", "5m", "1h")
        for by in ("score", "count")
        for at in moments
    ]


def all_counted(server: Server, expected: dict[Any, Any]) -> None:
    posts = sum(row["posts"] for (_, step, _), row in expected.items() if step == "1m")
    eventually(lambda: get(server, "top?window=1h")["posts"] >= posts)


def test_a_replay_gives_the_same_answer(
    server: Server, deploy: Deploy, reach: Reach, count: ModuleType
) -> None:
    """Once as recorded; once in pieces, some twice, out of order, over a kill."""
    expected = expected_of(count)
    reach(server).main(["--replay", str(SAMPLE)])
    all_counted(server, expected)
    assert table(server) == expected

    other = deploy("trends")
    stream = reach(other).Stream("trends")
    order, posts = random.Random(4), sample()
    pieces = [posts[first : first + 90] for first in range(0, len(posts), 90)]
    order.shuffle(pieces)
    for place, piece in enumerate(pieces):
        stream.send(piece)
        if place % 5 == 0:
            stream.send(order.sample(posts, 40))
        if place == len(pieces) // 2:
            other.kill()
            other.start()
    all_counted(other, expected)
    assert table(other) == expected
    assert answers(other) == answers(server)


def test_what_is_no_post_is_set_aside(server: Server, reach: Reach, count: ModuleType) -> None:
    stream = reach(server).Stream("trends")
    stream.kinesis.put_record(StreamName=stream.name, Data=b'{"id": 1}', PartitionKey="1")
    sqs, queue = server.client("sqs"), outputs(server)["Failures"]
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    assert "KeyError" in json.loads(message["Body"])["error"]
    assert table(server) == expected_of(count)


def test_the_api(server: Server) -> None:
    latest = get(server, "top")
    assert (latest["first"], latest["last"]) == (1777917600, 1777919400)
    assert latest["to"] == latest["last"] and latest["from"] == latest["to"] - 300
    scores = [one["score"] for one in latest["tags"]]
    assert len(scores) == 10 and scores == sorted(scores, reverse=True)
    most = get(server, "top?window=1h&by=count")["tags"][0]
    assert most["tag"] == "news"
    series = get(server, "tags/NEWS?from=1777917600&to=1777919400")
    assert series["step"] == 10 and len(series["points"]) == 180
    assert sum(value for _, value in series["points"]) == most["count"]
    by_minute = get(server, "tags/news?from=1777917600&to=1777924800")
    assert by_minute["step"] == 60
    assert sum(value for _, value in by_minute["points"]) == most["count"]
    assert get(server, "tags/caf%C3%A9")["tag"] == "café"
    assert not get(server, "top?at=100")["tags"]
    for wrong in ("top?window=2m", "top?by=x", "top?at=now", "tags/a?from=5&to=5"):
        assert "must be" in get(server, wrong, 400)["message"]
    get(server, "nothing.html", 404)


@pytest.mark.browser
def test_the_page(deploy: Deploy, reach: Reach, open_page: OpenPage, tmp_path: Path) -> None:
    """`--basetemp` keeps the pictures; busy.png is the README's."""
    server = deploy("trends")
    page = open_page(server.url, viewport={"width": 1280, "height": 860})
    expect(page.get_by_text("generate.py")).to_be_visible()
    page.screenshot(path=tmp_path / "empty.png")
    generate = reach(server)
    crowd = generate.Crowd(9, generate.milliseconds("2026-05-04T18:00:00Z"), 2)
    crowd.shares = [40, 15, 15, 10, 0, 0]  # letters that every machine can show
    generate.paced(generate.limited(crowd, 45), generate.Stream("trends"), 0, 0)
    expect(page.locator("#moment")).to_have_text("4 May, 18:45:00 UTC")
    expect(page.locator("#bars li")).to_have_count(10)
    expect(page.locator("#lines polyline")).to_have_count(3)
    page.get_by_text("Most used").click()
    expect(page.locator("#bars li").first).to_contain_text("#news")
    page.locator("#bars button", has_text="#music").click()
    expect(page.locator("#lines polyline")).to_have_count(1)
    page.locator("#bars button", has_text="#music").click()
    page.get_by_label("Moment").fill("1777919880")
    expect(page.locator("#state")).to_contain_text(re.compile(r"posts in the five minutes"))
    expect(page.locator("#moment")).to_have_text("4 May, 18:38:00 UTC")
    expect(page.get_by_role("button", name="Latest")).to_have_attribute("aria-pressed", "false")
    page.get_by_text("Trending").click()
    expect(page.locator("#top-note")).to_contain_text("unlikeliest")
    assert violations(page) == []
    page.screenshot(path=tmp_path / "busy.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=tmp_path / "dark.png")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#moment")).not_to_have_text("4 May, 18:38:00 UTC")
    page.get_by_role("button", name="Latest").click()
    expect(page.locator("#moment")).to_have_text("4 May, 18:45:00 UTC")
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    server.kill()
    expect(page.locator("#state")).to_have_class("lost")
    page.screenshot(path=tmp_path / "lost.png")
