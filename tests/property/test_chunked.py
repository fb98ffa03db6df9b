"""How the network cuts a chunked body doesn't matter."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.auth.chunked import open_body
from cloudlet.exchange import Body
from tests.unit.auth.chunking import MODES, encode, request, verdict

TRAILERS = {"x-amz-checksum-crc32": "AAAAAA=="}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODES),
    st.lists(st.integers(8192, 9000), max_size=3),
    st.integers(1, 100),
    st.lists(st.integers(1, 3000), max_size=30),
)
def test_any_pieces(mode: str, sizes: list[int], last: int, cuts: list[int]) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate([*sizes, last])]
    data = encode(mode, chunks, TRAILERS)
    pieces, position = [], 0
    for cut in cuts:
        pieces.append(data[position : position + cut])
        position += cut
    waiting = iter([piece for piece in [*pieces, data[position:]] if piece])

    async def receive() -> bytes:
        return next(waiting, b"")

    asked = request(data, sum(map(len, chunks)), "x-amz-checksum-crc32")
    asked.body = Body(receive, len(data))
    body = open_body(asked, verdict(mode))
    assert asyncio.run(body.read(1 << 20)) == b"".join(chunks)
