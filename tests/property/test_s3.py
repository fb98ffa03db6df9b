"""Listings and ranges of S3 against Python's own sorting and slicing."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.s3 import buckets, listing
from cloudlet.s3.schema import SCHEMA
from tests.unit.s3.conftest import Shelf

ALPHABET = "\0ab/-\u00e4\ud7ff\ue000\U0010ffff"
KEYS = st.text(ALPHABET, min_size=1, max_size=5)
MIN_PART = 5 << 20


@contextmanager
def shelves() -> Iterator[Shelf]:
    folder = Path(tempfile.mkdtemp(prefix="s3-property-"))
    shelf = Shelf(folder, SCHEMA)
    try:
        shelf.call(buckets.create_bucket, Bucket="shelf")
        yield shelf
    finally:
        shelf.close()
        shutil.rmtree(folder)


def expected(keys: set[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    """Every item of a listing in order: (key or common prefix, whether it is a prefix)."""
    items: dict[str, bool] = {}
    for key in keys:
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            item = key if end < 0 else key[: end + len(delimiter)]
            items[item] = items.get(item, False) or end >= 0
    return sorted(items.items(), key=lambda item: item[0].encode())


def items_of(page: Any) -> list[tuple[str, bool]]:
    found = [(each["Key"], False) for each in page["Contents"]]
    found += [(each["Prefix"], True) for each in page["CommonPrefixes"]]
    return sorted(found, key=lambda item: item[0].encode())


@settings(max_examples=40, deadline=None)
@given(
    keys=st.sets(KEYS, max_size=30),
    prefix=st.text(ALPHABET, max_size=2),
    delimiter=st.sampled_from(["", "/", "a", "-/", "\0", "\U0010ffff"]),
    size=st.integers(1, 7),
)
def test_listings_are_the_sorted_model(
    keys: set[str], prefix: str, delimiter: str, size: int
) -> None:
    params = {"Bucket": "shelf", "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
    wanted = expected(keys, prefix, delimiter)
    with shelves() as shelf:
        insert(shelf, keys)
        for operation, follow in (
            (listing.list_objects_v2, _follow_v2),
            (listing.list_objects, _follow_v1),
        ):
            seen: list[tuple[str, bool]] = []
            more: dict[str, str] | None = {}
            while more is not None:
                page = shelf.call(operation, **params, **more)
                items = items_of(page)
                assert len(items) <= size
                seen += items
                more = follow(page, items)
            assert seen == wanted


def insert(shelf: Shelf, keys: Iterable[str]) -> None:
    """Rows without contents: quick to make."""
    row = (
        "INSERT INTO s3_object (bucket, key, size, etag, modified_ms, version, checksum, tags,"
        " headers, metadata, parts, segments)"
        """ VALUES (1, ?, 0, '', 0, 0, '["", "", ""]', '', '', '', '', '')"""
    )
    shelf.database.write_now(lambda tx: tx.run_many(row, [(key,) for key in keys]))


def _follow_v2(page: Any, items: list[tuple[str, bool]]) -> dict[str, str] | None:
    return {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else None


def _follow_v1(page: Any, items: list[tuple[str, bool]]) -> dict[str, str] | None:
    return {"Marker": page.get("NextMarker", items[-1][0])} if page["IsTruncated"] else None


@settings(max_examples=25, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4))
def test_any_range_of_any_object_is_a_slice(data: st.DataObject, sizes: list[int]) -> None:
    bodies = [bytes([65 + n]) * (MIN_PART + size) for n, size in enumerate(sizes[:-1])]
    bodies.append(b"!" * sizes[-1])
    whole = b"".join(bodies)
    with shelves() as shelf:
        upload = shelf.start("k")
        parts = []
        for number, body in enumerate(bodies, 1):
            etag = shelf.part("k", upload, number, body)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        shelf.complete("k", upload, parts)
        for _ in range(5):
            near = st.sampled_from([0, len(bodies[0]), len(whole)])
            first = max(0, data.draw(near) + data.draw(st.integers(-5, 5)))
            last = first + data.draw(st.integers(0, 5))
            if first >= len(whole):
                continue
            got = shelf.get("k", Range=f"bytes={first}-{last}")
            assert got["Body"] == whole[first : last + 1]
