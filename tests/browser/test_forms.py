"""Forms of web pages that post a file straight into a bucket."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def s3(lambdashare: Server) -> Iterator[Any]:
    s3 = lambdashare.client("s3", config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="forms")
    yield s3
    for each in s3.list_objects_v2(Bucket="forms").get("Contents", []):
        s3.delete_object(Bucket="forms", Key=each["Key"])
    s3.delete_bucket(Bucket="forms")


def _show(page: Page, s3: Any, **fields: str) -> None:
    conditions = [{name: value} for name, value in fields.items()]
    post = s3.generate_presigned_post("forms", "in/${filename}", fields, conditions)
    inputs = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in post["fields"].items()
    )
    page.set_content(
        f'<meta charset="utf-8"><form action="{post["url"]}" method="post" '
        f'enctype="multipart/form-data">{inputs}<input type="file" name="file"><button>Go'
    )


def test_a_form_gets_its_document(open_page: OpenPage, s3: Any, sample: Path) -> None:
    page = open_page(forgiven="status of 404")  # the browser looks for an icon beside the document
    _show(page, s3, success_action_status="201")
    page.set_input_files("input[type=file]", sample)
    with page.expect_response("**/forms") as answer:
        page.click("button")
    assert answer.value.status == 201
    assert answer.value.headers["content-type"] == "application/xml"
    assert "in/sample%20%C3%BC.txt" in answer.value.headers["location"]
    page.get_by_text("in/sample ü.txt").first.wait_for(state="attached")
    got = s3.get_object(Bucket="forms", Key="in/sample ü.txt")
    assert got["Body"].read() == sample.read_bytes()


def test_a_form_goes_elsewhere(page: Page, lambdashare: Server, s3: Any, sample: Path) -> None:
    _show(page, s3, success_action_redirect=f"{lambdashare.url}/?done=1")
    page.set_input_files("input[type=file]", sample)
    page.click("button")
    page.wait_for_url("**/?done=1&bucket=forms&key=in%2Fsample%20%C3%BC.txt&etag=*")
    assert s3.head_object(Bucket="forms", Key="in/sample ü.txt")["ContentType"]
