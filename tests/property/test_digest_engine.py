"""The digest engine gives hashlib's sums, wherever its state is cut and carried on."""

import hashlib
import zlib
from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from lambdashare_core.engine import libcrypto
from lambdashare_core.engine.lanes import ALGORITHMS, lane
from lambdashare_core.engine.pipeline import Pipeline
from lambdashare_core.engine.ranges import read_ahead

from lambdashare import sums  # puts the layer on the path

OPENSSL = tuple(libcrypto.STRUCTURES)
RESUMABLE = (*OPENSSL, "crc32", "crc64nvme")
COMPOSITE = "composite:100"
DATA = st.binary(max_size=2000)
CUTS = st.lists(st.integers(0, 2000), max_size=4)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)] or [b""]


def truth(name: str, data: bytes) -> str:
    if name == "blake3":
        return blake3(data).hexdigest()
    if name == "crc32":
        return f"{zlib.crc32(data):08x}"
    return hashlib.new(name, data).hexdigest()


def composite(data: bytes, size: int) -> str:
    parts = [hashlib.sha256(data[i : i + size]).digest() for i in range(0, len(data), size)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def crc64nvme(data: bytes) -> str:
    """Bit by bit, from the definition (reflected, polynomial 0x9a6c9329ac4bc9b5)."""
    value = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
    return f"{value ^ 0xFFFFFFFFFFFFFFFF:016x}"


def test_libcrypto_is_usable_here() -> None:
    assert libcrypto.version().startswith("OpenSSL")


@pytest.mark.parametrize("name", RESUMABLE)
@given(data=DATA, cuts=CUTS)
def test_a_state_carried_on_gives_the_same_sum(name: str, data: bytes, cuts: list[int]) -> None:
    state = None
    for piece in pieces(data, cuts):
        running = lane(name, state)
        running.update(piece)
        state = running.state()
        assert state is not None
    expected = crc64nvme(data) if name == "crc64nvme" else truth(name, data)
    assert lane(name, state).hexdigest() == expected


@given(data=DATA, cuts=CUTS)
def test_composite_is_the_digest_of_part_digests(data: bytes, cuts: list[int]) -> None:
    state = None
    for piece in pieces(data, cuts):
        running = lane(COMPOSITE, state)
        running.update(piece)
        state = running.state()
    assert lane(COMPOSITE, state).hexdigest() == composite(data, 100)


@settings(max_examples=25, deadline=None)
@given(data=DATA, cuts=CUTS, taken=st.integers(0, 4))
def test_pipeline_resumes_anywhere(data: bytes, cuts: list[int], taken: int) -> None:
    blocks = pieces(data, cuts)
    done, left = blocks[:taken], blocks[taken:]
    first = Pipeline(extra=[COMPOSITE])
    for block in done:
        first.feed(block)
    states = first.states().result(timeout=60)
    first.close()
    second = Pipeline({k: v for k, v in states.items() if v is not None}, [COMPOSITE])
    second.feed_only("blake3", b"".join(done))
    for block in left:
        second.feed(block)
    found = second.finish()
    for name in ALGORITHMS:
        expected = crc64nvme(data) if name == "crc64nvme" else truth(name, data)
        assert found[name] == expected, name
    assert found[COMPOSITE] == composite(data, 100)


@given(data=st.binary(max_size=300), start=st.integers(0, 300), block=st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_reading_ahead_keeps_order(data: bytes, start: int, block: int) -> None:
    start = min(start, len(data))
    read = list(read_ahead(lambda first, end: data[first:end], start, len(data), block))
    assert b"".join(piece for _, piece in read) == data[start:]
    assert [offset for offset, _ in read] == sorted({offset for offset, _ in read})


def test_a_short_answer_is_an_error() -> None:
    with pytest.raises(EOFError):
        list(read_ahead(lambda first, end: b"", 0, 10))


def test_a_failing_lane_fails_the_pipeline() -> None:
    pipeline = Pipeline()
    pipeline.feed("no bytes")  # type: ignore[arg-type]
    with pytest.raises((TypeError, Exception)):
        pipeline.finish()


def test_a_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="112 bytes"):
        libcrypto.MidState("sha256", b"short")
    with pytest.raises(ValueError, match="BLAKE3"):
        lane("blake3", b"state")


@pytest.mark.parametrize(
    ("text", "kind"),
    [("d41d8cd98f00b204e9800998ecf8427e", "md5"), ("1B2M2Y8AsgTpgAmY7PhCfg==", "md5")],
)
def test_spellings_of_digests(text: str, kind: str) -> None:
    digest = sums.parse(text)
    assert digest == hashlib.md5(b"").hexdigest() and sums.algorithms_of(digest) == [kind]


def test_a_word_is_no_digest() -> None:
    assert sums.parse("3q2+7w==") == "deadbeef"
    for word in ("nohash", "elevenchars", "3q2+7w"):
        with pytest.raises(ValueError, match="digest is"):
            sums.parse(word)
