"""Inventories: what is refused, what a report lists, when it is due."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import inventory, objects, settings
from tests.unit.s3.conftest import Shelf


def want(shelf: Shelf, **changes: Any) -> None:
    to = {"Bucket": "arn:aws:s3:::reports", "Format": "CSV", "Prefix": "lists"}
    wanted = {
        "Id": "all",
        "Destination": {"S3BucketDestination": to},
        "IsEnabled": True,
        "IncludedObjectVersions": "All",
        "Schedule": {"Frequency": "Daily"},
        "OptionalFields": ["Size", "ETag"],
        **changes,
    }
    shelf.call(
        inventory.put_bucket_inventory_configuration,
        Bucket="shelf", Id="all", InventoryConfiguration=wanted,
    )  # fmt: skip


def reported(shelf: Shelf) -> dict[str, bytes]:
    """What a round of reports puts: key → contents."""
    put: dict[str, bytes] = {}

    async def whole(
        service: str, operation: str, params: dict[str, Any], caller: Any = None
    ) -> dict[str, Any]:
        put[params["Key"]] = await params["Body"].read(1 << 20)
        return {}

    shelf.cloud.invoke = whole
    asyncio.run(inventory.report(shelf.cloud))
    return put


def test_a_report_lists_versions(shelf: Shelf) -> None:
    enabled = {"Status": "Enabled"}
    shelf.call(settings.put_bucket_versioning, Bucket="shelf", VersioningConfiguration=enabled)
    shelf.put("a b", b"1")
    shelf.put("a b", b"22")
    shelf.put("c", b"333")
    shelf.call(objects.delete_object, Bucket="shelf", Key="c")
    want(shelf)
    found = reported(shelf)
    checksum, manifest, data = sorted(found)
    assert data.startswith("lists/shelf/all/data/")
    told = json.loads(found[manifest])
    assert found[checksum].decode() == hashlib.md5(found[manifest]).hexdigest()
    assert told["files"] == [
        {"key": data, "size": len(found[data]), "MD5checksum": hashlib.md5(found[data]).hexdigest()}
    ]
    columns = told["fileSchema"].split(", ")
    lines = csv.DictReader(io.StringIO(gzip.decompress(found[data]).decode()), columns)
    wanted = ("Key", "IsLatest", "IsDeleteMarker", "Size")
    assert [[line[name] for name in wanted] for line in lines] == [
        ["a+b", "true", "false", "2"],
        ["a+b", "false", "false", "1"],
        ["c", "true", "true", ""],
        ["c", "false", "false", "3"],
    ]


def test_it_is_due_each_day(shelf: Shelf) -> None:
    shelf.put("in/a")
    shelf.put("out")
    chosen = {"Filter": {"Prefix": "in/"}, "IncludedObjectVersions": "Current"}
    want(shelf, **chosen)
    first = reported(shelf)
    assert gzip.decompress(first[max(first)]).count(b"\n") == 1
    assert not reported(shelf)
    shelf.clock.advance(86_400)
    assert len(reported(shelf)) == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Id": "other"}, "IdMismatch"),
        ({"Schedule": {"Frequency": "Hourly"}}, "MalformedXML"),
        ({"OptionalFields": ["Colour"]}, "MalformedXML"),
        ({"OptionalFields": ["ObjectOwner"]}, "NotImplemented"),
        ({"Destination": {"S3BucketDestination": {"Bucket": "b", "Format": "CSV"}}},
         "InvalidS3DestinationBucket"),
    ],
)  # fmt: skip
def test_what_is_refused(shelf: Shelf, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        want(shelf, **changes)
