"""thumbnails: uploaded at once, refused, deleted; over HTTP and in the browser."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError
from PIL import Image
from playwright.sync_api import expect

from tests.examples.conftest import Deploy, Load, OpenPage, eventually, outputs
from tests.server import Server

SETTLED = ("ready", "failed")
MADE_OF_BYTES = """([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
  return transfer;
}"""


@pytest.fixture(scope="module")
def server(deploy: Deploy) -> Server:
    return deploy("thumbnails")


@pytest.fixture
def samples(load: Load) -> ModuleType:
    return load("thumbnails", "make_pictures")


def gallery(server: Server) -> dict[str, dict[str, Any]]:
    images = server.http.request("GET", f"{server.url}/images").json()["images"]
    return {image["id"]: image for image in images}


def settled(server: Server, ids: list[str]) -> dict[str, dict[str, Any]]:
    def all_settled() -> dict[str, dict[str, Any]]:
        images = gallery(server)
        found = {id_: images[id_] for id_ in ids if images[id_]["state"] in SETTLED}
        return found if len(found) == len(ids) else {}

    found: dict[str, dict[str, Any]] = eventually(all_settled)
    return found


def dead_letters(server: Server) -> list[str]:
    """Keys of the uploads in the dead-letter queue."""
    sqs, queue = server.client("sqs"), outputs(server)["BrokenUploadsQueue"]
    found = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            (record,) = json.loads(message["Body"])["Records"]
            found.append(record["s3"]["object"]["key"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def sizes_in_bucket(server: Server, image: str) -> dict[str, str]:
    """Key → ETag."""
    listed = server.client("s3").list_objects_v2(
        Bucket=outputs(server)["SizesBucket"], Prefix=f"{image}/"
    )
    return {each["Key"]: each["ETag"] for each in listed.get("Contents", [])}


def test_twenty_at_once_and_three_that_are_broken(server: Server, samples: ModuleType) -> None:
    good, bad = list(samples.pictures(seed=5)), samples.broken(5)
    with ThreadPoolExecutor(8) as several:
        ids = list(several.map(lambda file: samples.upload(server.url, file), [*bad, *good]))
    images = settled(server, ids)
    assert [images[id_]["state"] for id_ in ids] == ["failed"] * 3 + ["ready"] * 20
    assert "3,600 MB" in images[ids[0]]["reason"] and "truncated" in images[ids[1]]["reason"]
    letters: list[str] = []

    def has_three() -> bool:
        letters.extend(dead_letters(server))
        return len(letters) >= 3

    eventually(has_three)
    assert sorted(letters) == sorted(ids[:3])
    for id_ in ids[3:]:
        assert set(sizes_in_bucket(server, id_)) == {
            f"{id_}/{name}.webp" for name in ("web", "tablet", "phone")
        }
        size = images[id_]["sizes"]["phone"]
        redirect = server.http.request("GET", f"{server.url}/{size['url']}")
        shown = server.http.request("GET", redirect.headers["Location"])
        assert shown.headers["Content-Type"] == "image/webp"
        assert Image.open(BytesIO(shown.data)).size == (size["width"], size["height"])


def test_events_that_come_twice_or_late_change_nothing(server: Server, samples: ModuleType) -> None:
    id_ = samples.upload(server.url, next(samples.pictures(seed=6)))
    before = settled(server, [id_])[id_]
    etags = sizes_in_bucket(server, id_)
    names = [each["FunctionName"] for each in server.client("lambda").list_functions()["Functions"]]
    resize = next(name for name in names if "Resize" in name)
    bucket = outputs(server)["OriginalsBucket"]
    etag = server.client("s3").head_object(Bucket=bucket, Key=id_)["ETag"].strip('"')
    thing = {"key": id_, "eTag": etag, "size": before["bytes"]}
    record = {"s3": {"bucket": {"name": bucket}, "object": thing}, "eventTime": before["created"]}
    message = {
        "messageId": "m",
        "receiptHandle": "r",
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": json.dumps({"Records": [record]}),
    }

    def again() -> dict[str, Any]:
        payload = json.dumps({"Records": [message]})
        answer = server.client("lambda").invoke(FunctionName=resize, Payload=payload)
        document: dict[str, Any] = json.loads(answer["Payload"].read())
        return document

    assert again() == {"batchItemFailures": []}
    assert gallery(server)[id_] == before and sizes_in_bucket(server, id_) == etags

    assert server.http.request("DELETE", f"{server.url}/images/{id_}").status == 204
    assert id_ not in gallery(server)
    eventually(lambda: not sizes_in_bucket(server, id_))
    with pytest.raises(ClientError, match="404"):
        server.client("s3").head_object(Bucket=bucket, Key=id_)
    assert again() == {"batchItemFailures": []}
    assert id_ not in gallery(server) and not sizes_in_bucket(server, id_)
    assert server.http.request("DELETE", f"{server.url}/images/nothing").status == 404


def test_only_what_was_agreed_can_be_uploaded(server: Server) -> None:
    def asked(**wanted: Any) -> urllib3.BaseHTTPResponse:
        return server.http.request("POST", f"{server.url}/images", json=wanted)

    assert asked(name="a.svg", type="image/svg+xml", size=9).status == 415
    assert asked(name="a.png", type="image/png", size=26 * 2**20).status == 413
    assert asked(name="a.png").status == 400
    place = asked(name="a.png", type="image/png", size=4).json()
    longer = server.http.request("PUT", place["url"], body=b"12345", headers=place["headers"])
    assert longer.status == 403
    for name in ("OriginalsBucket", "SizesBucket"):
        key = f"{server.endpoint}/{outputs(server)[name]}/{place['id']}"
        assert server.http.request("GET", key).status == 403


@pytest.mark.browser
def test_a_dropped_picture_gets_its_sizes(
    server: Server, samples: ModuleType, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(f"{server.url}/", viewport={"width": 390, "height": 844})
    dropped, chosen = next(samples.pictures(seed=8)), samples.broken(8)[1]
    (tmp_path / chosen.name).write_bytes(chosen.content)
    page.set_input_files("#files", tmp_path / chosen.name)
    transfer = page.evaluate_handle(MADE_OF_BYTES, [dropped.name, list(dropped.content)])
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    cards = page.locator(".card")
    good = cards.filter(has_text="orientation 1.jpg").filter(has_text="900×1200").first
    expect(good.locator(".state")).to_have_text("Ready")
    picture = good.locator("img")
    eventually(lambda: picture.evaluate("image => image.complete && image.naturalWidth"))
    assert picture.evaluate("image => image.currentSrc").endswith(("/phone", "/tablet"))
    bad = cards.filter(has_text="truncated").first
    expect(bad.locator(".state")).to_have_text("Refused")
    expect(bad.locator(".detail")).to_contain_text("a broken file")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")

    count = cards.count()
    bad.get_by_role("button", name="Delete").click()
    expect(cards).to_have_count(count - 1)
