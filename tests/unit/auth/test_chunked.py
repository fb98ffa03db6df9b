"""Bodies: chunk by chunk, plain, truncated, altered, oversized."""

import asyncio
import hashlib

import pytest

from cloudlet.auth import sigv4
from cloudlet.auth.chunked import CHUNK_BYTES_MAX, CheckedBody, Decoder, Signer, open_body
from cloudlet.auth.sigv4 import Verified, Verifier
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from tests.unit.auth.chunking import MODES, encode, request, unsigned, verdict
from tests.unit.auth.signing import Known

TRAILERS = {"x-amz-checksum-crc32": "AAAAAA=="}
NAME = "x-amz-checksum-crc32"
UNSIGNED = sigv4.UNSIGNED_CHUNKS_TRAILER
CHUNKS = [b"a" * 9000, b"b" * 8192, b"c"]


def contents(body: CheckedBody) -> bytes:
    return asyncio.run(body.read(1 << 30))


def code(body: Request, verified: Verified | None) -> str:
    with pytest.raises(AwsError) as caught:
        contents(open_body(body, verified))
    return caught.value.code


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pieces", [1, 7, 4096, 1 << 20])
def test_contents_and_trailers(mode: str, pieces: int) -> None:
    data = encode(mode, CHUNKS, TRAILERS)
    body = open_body(request(data, 17_193, NAME, pieces), verdict(mode))
    assert body.length == 17_193
    assert contents(body) == b"".join(CHUNKS)
    assert body.trailers == (TRAILERS if mode.endswith("TRAILER") else {})
    assert asyncio.run(body.receive()) == b""  # the end stays the end


@pytest.mark.parametrize("mode", MODES)
def test_truncated_anywhere(mode: str) -> None:
    data = encode(mode, [b"x" * 9000], TRAILERS)
    ends = [0, 3, 50, 8999, 9005, len(data) - len(data.split(b"\r\n0", 1)[1]) - 2]
    for end in ends:
        assert code(request(data[:end], 9000, NAME), verdict(mode)) == "IncompleteBody"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [8999, 9001])
def test_decoded_length_must_be_right(mode: str, length: int) -> None:
    data = encode(mode, [b"x" * 9000], TRAILERS)
    assert code(request(data, length, NAME), verdict(mode)) == "IncompleteBody"


def test_altered_chunk_is_never_released() -> None:
    mode = sigv4.SIGNED_CHUNKS
    data = encode(mode, [b"x" * 9000, b"y" * 10], {}).replace(b"yyy", b"yzy")
    seen: list[bytes] = []

    async def run() -> None:
        async for chunk in open_body(request(data, 9010, pieces=50), verdict(mode)):
            seen.append(chunk)

    with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
        asyncio.run(run())
    assert seen == [b"x" * 9000]


def test_altered_end_and_trailer() -> None:
    mode = sigv4.SIGNED_CHUNKS_TRAILER
    data = encode(mode, [b"x"], TRAILERS)
    wrong = data.replace(b"AAAAAA==", b"BAAAAA==")
    assert code(request(wrong, 1, NAME), verdict(mode)) == "SignatureDoesNotMatch"
    head, tail = data.split(b"\r\n0;chunk-signature=")
    wrong = head + b"\r\n0;chunk-signature=" + b"0" * 64 + tail[64:]
    assert code(request(wrong, 1, NAME), verdict(mode)) == "SignatureDoesNotMatch"
    missing = data.split(b"x-amz-trailer-signature")[0] + b"\r\n"
    assert code(request(missing, 1, NAME), verdict(mode)) == "MalformedTrailerError"


@pytest.mark.parametrize(
    "tail",
    [
        "",  # announced, absent
        "other:1\r\n",
        f"{NAME}:1\r\n{NAME}:1\r\n",
        f"{NAME}\r\n",
        f"{NAME}:1\r\nx-amz-trailer-signature:00\r\n",
        f"{NAME}:1\r\nx-amz-trailer-signature:00\r\nmore:1\r\n",
        f"{NAME}:{'1' * 20_000}\r\n",
    ],
)
def test_malformed_trailers(tail: str) -> None:
    data = b"1\r\nx\r\n0\r\n" + tail.encode() + b"\r\n"
    assert code(request(data, 1, NAME), verdict(UNSIGNED)) == "MalformedTrailerError"


@pytest.mark.parametrize(
    "data",
    [b"zz\r\n", b"-1\r\n", b"1;other=1\r\nx\r\n", b"1\r\nxy\r\n", b"1" * 2000, b"\r\n"],
)
def test_s3_105_malformed_chunks(data: bytes) -> None:
    assert code(request(data, 1), verdict(UNSIGNED)) == "IncompleteBody"


def test_signed_chunks_have_signatures_and_sizes() -> None:
    signed = verdict(sigv4.SIGNED_CHUNKS)
    assert code(request(b"1\r\nx\r\n0\r\n\r\n", 1), signed) == "IncompleteBody"
    huge = f"{CHUNK_BYTES_MAX + 1:x};chunk-signature=0\r\n".encode()
    assert code(request(huge, CHUNK_BYTES_MAX + 1), signed) == "InvalidRequest"


@pytest.mark.parametrize("mode", [sigv4.SIGNED_CHUNKS, UNSIGNED])
def test_s3_108_only_the_last_chunk_may_be_small(mode: str) -> None:
    small = encode(mode, [b"x", b"yz"], {})
    with pytest.raises(AwsError, match="InvalidChunkSizeError") as refused:
        contents(open_body(request(small, 3), verdict(mode)))
    assert refused.value.fields == {"Chunk": 2, "BadChunkSize": 1}


def test_length_is_required() -> None:
    body = request(b"", 0)
    for text in ("", "-1", "x", "9" * 30):
        body.headers["x-amz-decoded-content-length"] = text
        with pytest.raises(AwsError, match="MissingContentLength"):
            open_body(body, verdict(UNSIGNED))


def test_open_access_checks_no_chunk_signatures() -> None:
    data = encode(sigv4.SIGNED_CHUNKS_TRAILER, [b"x"], TRAILERS)
    loose = verdict(sigv4.SIGNED_CHUNKS_TRAILER, key=b"")
    assert contents(open_body(request(data, 1, NAME), loose)) == b"x"


def test_anonymous_bodies() -> None:
    body = request(unsigned([b"x"], {}), 1)
    body.headers["x-amz-content-sha256"] = UNSIGNED
    assert contents(open_body(body, None)) == b"x"
    body = request(b"", 0)
    body.headers["x-amz-content-sha256"] = sigv4.SIGNED_CHUNKS
    with pytest.raises(AwsError, match="AccessDenied"):
        open_body(body, None)
    assert contents(open_body(request(b"x", 0), None)) == b"x"
    body = request(b"x", 0)
    body.headers["x-amz-content-sha256"] = "0" * 64
    assert code(body, None) == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, (3 << 20) + 5])
def test_literal_hash(size: int) -> None:
    data = b"z" * size
    right = verdict(hashlib.sha256(data).hexdigest())
    assert contents(open_body(request(data, 0), right)) == data
    assert code(request(data, 0), verdict("0" * 64)) == "XAmzContentSHA256Mismatch"


def test_plain_body_must_have_its_length() -> None:
    body = request(b"x", 0)
    body.body.length = 2
    assert code(body, verdict(sigv4.UNSIGNED)) == "IncompleteBody"
    body = request(b"x", 0)
    body.body = Body(body.body.receive, None)
    assert contents(open_body(body, verdict(sigv4.UNSIGNED))) == b"x"


def documented(seed: str, payload: str) -> Verified:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    key = Verifier().signing_key(secret, "20130524", "us-east-1", "s3")
    scope = "20130524/us-east-1/s3/aws4_request"
    return Verified(Known(), "s3", payload, seed, key, scope, "20130524T000000Z", False)


def test_the_documented_chunks() -> None:
    """AWS's "Transferring payload in multiple chunks" example, 66,560 bytes."""
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    chunks = [b"a" * 65_536, b"a" * 1024, b""]
    signer = Signer(documented(seed, sigv4.SIGNED_CHUNKS))
    assert [signer.chunk(chunk) for chunk in chunks] == signatures
    data = b"".join(
        f"{len(c):x};chunk-signature={s}\r\n".encode() + c + b"\r\n"
        for c, s in zip(chunks, signatures, strict=True)
    )
    decoder = Decoder(66_560, Signer(documented(seed, sigv4.SIGNED_CHUNKS)), frozenset())
    assert b"".join(decoder.feed(data)) == b"a" * 66_560
    assert decoder.finish() == {}


def test_the_documented_trailer() -> None:
    """AWS's example with a trailing CRC32C, in the form the page shows."""
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    signer = Signer(documented(seed, sigv4.SIGNED_CHUNKS_TRAILER))
    assert [signer.chunk(c) for c in (b"a" * 65_536, b"a" * 1024, b"")] == signatures
    wanted = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    assert signer.trailer(b"x-amz-checksum-crc32c:sOO8/Q==\n") == wanted
