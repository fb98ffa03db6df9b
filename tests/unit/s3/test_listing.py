"""Listings, v1 and v2: prefixes, delimiters, markers, pages."""

from typing import Any

import pytest

from cloudlet.call import Call, Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.s3 import listing, version_listing
from cloudlet.wire.protocol import protocol
from tests.harness import ROOT
from tests.property.test_s3 import insert
from tests.unit.s3.conftest import Shelf

KEYS = ["a", "b/1", "b/2", "b/c/3", "c", "d/", "e", "ä", "\U0001f600", "\ue000"]


@pytest.fixture
def filled(shelf: Shelf) -> Shelf:
    for key in KEYS:
        shelf.put(key)
    return shelf


def v2(shelf: Shelf, **params: Any) -> Any:
    return shelf.call(listing.list_objects_v2, Bucket="shelf", **params)


def keys(output: Any) -> list[str]:
    return [each["Key"] for each in output["Contents"]]


def prefixes(output: Any) -> list[str]:
    return [each["Prefix"] for each in output["CommonPrefixes"]]


def test_keys_come_in_the_order_of_their_utf_8_bytes(filled: Shelf) -> None:
    assert keys(v2(filled)) == sorted(KEYS, key=lambda key: key.encode())


def test_delimiters_roll_up(filled: Shelf) -> None:
    page = v2(filled, Delimiter="/")
    assert prefixes(page) == ["b/", "d/"]
    assert "a" in keys(page) and "b/1" not in keys(page)
    page = v2(filled, Delimiter="/", Prefix="b/")
    assert (keys(page), prefixes(page)) == (["b/1", "b/2"], ["b/c/"])


def test_pages_of_v2(filled: Shelf) -> None:
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = v2(filled, Delimiter="/", MaxKeys=1, **token)
        assert page["KeyCount"] == 1
        seen += keys(page) + prefixes(page)
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert seen == ["a", "b/", "c", "d/", "e", "ä", "\ue000", "\U0001f600"]


def test_pages_of_v1(filled: Shelf) -> None:
    seen: list[str] = []
    marker = ""
    while True:
        page = filled.call(
            listing.list_objects, Bucket="shelf", Delimiter="/", MaxKeys=2, Marker=marker
        )
        seen += keys(page) + prefixes(page)
        assert all("Owner" in each for each in page["Contents"])
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert sorted(seen) == sorted(["a", "b/", "c", "d/", "e", "ä", "\ue000", "\U0001f600"])
    plain = filled.call(listing.list_objects, Bucket="shelf", MaxKeys=1)
    assert "NextMarker" not in plain


def test_start_after(filled: Shelf) -> None:
    page = v2(filled, StartAfter="b/2", MaxKeys=2)
    assert keys(page) == ["b/c/3", "c"]
    assert page["StartAfter"] == "b/2"


def test_max_keys(filled: Shelf) -> None:
    nothing = v2(filled, MaxKeys=0)
    assert (keys(nothing), nothing["IsTruncated"]) == ([], False)
    assert v2(filled, MaxKeys=5000)["MaxKeys"] == 1000
    assert v2(filled, MaxKeys=len(KEYS))["IsTruncated"] is False
    with pytest.raises(AwsError, match="InvalidArgument"):
        v2(filled, MaxKeys=-1)


def test_url_encoding(shelf: Shelf) -> None:
    shelf.put("a b/\x01+ü")
    page = v2(shelf, EncodingType="url", Prefix="a b/", Delimiter="|")
    assert keys(page) == ["a%20b/%01%2B%C3%BC"]
    assert (page["Prefix"], page["Delimiter"]) == ("a%20b/", "%7C")
    with pytest.raises(AwsError, match="InvalidArgument"):
        v2(shelf, EncodingType="base64")


def test_what_is_listed(shelf: Shelf) -> None:
    etag = shelf.put("k", b"data")["ETag"]
    (item,) = v2(shelf)["Contents"]
    assert (item["ETag"], item["Size"], item["StorageClass"]) == (etag, 4, "STANDARD")
    assert item["ChecksumAlgorithm"] == ["CRC64NVME"]
    assert "Owner" not in item
    assert "Owner" in v2(shelf, FetchOwner=True)["Contents"][0]


def test_wrong_tokens(shelf: Shelf) -> None:
    for token in ("%", "AAAA"):
        with pytest.raises(AwsError, match="continuation token"):
            v2(shelf, ContinuationToken=token)


@pytest.mark.parametrize(
    ("prefix", "following"),
    [("a", "b"), ("a/", "a0"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)],
)
def test_the_end_of_a_prefix(prefix: str, following: str | None) -> None:
    assert listing.after_prefix(prefix) == following


def test_a_thousand_prefixes_cost_a_seek_each(shelf: Shelf) -> None:
    """Rows below a common prefix are passed over, however many there are."""

    insert(shelf, (f"{folder:02}/{number:03}" for folder in range(20) for number in range(500)))
    steps: list[int] = []
    connection = shelf.database.view().connection
    connection.set_progress_handler(lambda: steps.append(1) and None, 100)
    page = v2(shelf, Delimiter="/")
    connection.set_progress_handler(None, 0)
    assert len(prefixes(page)) == 20
    assert len(steps) < 100  # × 100 virtual machine steps; a full scan takes ten times as many


def test_leaps_go_over_the_narrow_index_and_rows_do_not(shelf: Shelf) -> None:
    insert(shelf, ("a/1", "b/1", "c"))
    ran: list[str] = []
    connection = shelf.database.view().connection
    connection.set_trace_callback(ran.append)
    v2(shelf, Delimiter="/")
    connection.set_trace_callback(None)
    plans = {
        step["detail"].partition(" (")[0]
        for sql in ran
        if "FROM s3_object" in sql
        for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        if step["detail"].startswith("SEARCH")
    }
    assert plans == {
        "SEARCH s3_object USING PRIMARY KEY",
        "SEARCH o USING COVERING INDEX s3_object_key",
    }


def test_a_marker_within_a_common_prefix_passes_over_all_of_it(shelf: Shelf) -> None:
    """s3-067: V2's start-after doesn't."""
    for key in ("a/1", "a/2", "b"):
        shelf.put(key)
    asked = {"Bucket": "shelf", "Delimiter": "/"}
    first = shelf.call(listing.list_objects, **asked, Marker="a/1")
    assert (first["CommonPrefixes"], keys(first)) == ([], ["b"])
    second = shelf.call(listing.list_objects_v2, **asked, StartAfter="a/1")
    assert (second["CommonPrefixes"], keys(second)) == ([{"Prefix": "a/"}], ["b"])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"FetchOwner": True},
        {"Delimiter": "/", "EncodingType": "url"},
        {"OptionalObjectAttributes": ["RestoreStatus"], "Delimiter": "/"},
    ],
)
def test_what_is_spelled_from_rows_is_what_the_codec_spells(
    shelf: Shelf, asked: dict[str, Any]
) -> None:
    for key in ("a/1", "a/<&>\r", "<&>\"'", "b\r/1", "ü", "]]>"):
        shelf.put(key)
    shelf.put("cold", b"data", StorageClass="GLACIER", ChecksumAlgorithm="SHA256")
    for operation, listed in (
        ("ListObjectsV2", listing.list_objects_v2),
        ("ListObjects", listing.list_objects),
        ("ListObjectVersions", version_listing.list_object_versions),
    ):
        texts = []
        for takes_xml in (False, True):
            request = Request("GET", "/", "", {}, Body.of(b""))
            params = {"Bucket": "shelf", **asked}
            call = Call(shelf.cloud, "s3", operation, params, ROOT, request, takes_xml=takes_xml)
            with shelf.database.snapshot() as view:
                result = listed(call, view)
            result = result if isinstance(result, Result) else Result(result)
            texts.append(protocol("s3").response(operation, result, "id", "").body)
        assert texts[0] == texts[1]
