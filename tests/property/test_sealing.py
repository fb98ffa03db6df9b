"""Sealed blobs: whatever the pieces in which they are written and read, the bytes are the same."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudlet.store.blobs import Blobs
from cloudlet.store.sealing import CHUNK_BYTES, SEALED_BYTES

WHOLE = bytes(range(251)) * (3 * CHUNK_BYTES // 251 + 1)
NEAR = st.builds(
    lambda chunks, more: max(0, chunks * CHUNK_BYTES + more),
    st.integers(0, 2),
    st.sampled_from([-1, 0, 1, 17]),
)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    numbers = itertools.count()
    folder: Path = tmp_path_factory.mktemp("sealed") / "blobs"
    return Blobs(folder, lambda: f"{next(numbers):032x}")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(NEAR, max_size=4), first=NEAR, length=NEAR, is_cached=st.booleans())
def test_pieces(blobs: Blobs, pieces: list[int], first: int, length: int, is_cached: bool) -> None:
    data = b""
    writer = blobs.create(blobs.master.wrapper.new_key())
    for size in pieces:
        writer.write(WHOLE[len(data) : len(data) + size])
        data += WHOLE[len(data) : len(data) + size]
    writer.finish()
    segment = writer.segment
    assert segment.length == len(data)
    on_disk = blobs.path(segment.blob).stat().st_size
    chunks = -(-len(data) // CHUNK_BYTES)
    assert on_disk == len(data) + chunks * (SEALED_BYTES - CHUNK_BYTES)
    first = min(first, len(data))
    length = min(length, len(data) - first)
    reader = blobs.reader([segment._replace(offset=first, length=length)])
    got = b""
    while True:
        piece = reader.read_cached(1 << 20) if is_cached else None
        piece = reader.read() if piece is None else piece
        if not piece:
            break
        got += piece
    reader.close()
    assert got == data[first : first + length]
    blobs.delete([segment.blob])
