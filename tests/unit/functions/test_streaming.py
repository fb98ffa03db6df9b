"""Pieces of an answer between a worker and a reader: all of them, in order, never too many."""

import asyncio

from cloudlet.functions import traces
from cloudlet.functions.streaming import Events, ResponseStream
from cloudlet.functions.worker_process import Answer


async def _fill(stream: ResponseStream, count: int) -> None:
    stream.begin("text/plain")
    for number in range(count):
        await stream.put(b"%d" % number)


def test_a_slow_reader_slows_the_function_and_misses_nothing() -> None:
    async def test() -> None:
        stream, end = ResponseStream(), asyncio.get_running_loop().create_future()
        filling = asyncio.create_task(_fill(stream, 100))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not filling.done()  # it waits for the reader
        filling.add_done_callback(lambda _: end.set_result(Answer(b"", False)))
        read = [event async for event in Events(stream, end, has_tail=False)]
        pieces = [event["PayloadChunk"]["Payload"] for event in read[:-1]]
        assert pieces == [b"%d" % number for number in range(100)]
        assert read[-1] == {"InvokeComplete": {}}

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_reader_that_is_gone_stops_nobody() -> None:
    async def test() -> None:
        stream, end = ResponseStream(), asyncio.get_running_loop().create_future()
        filling = asyncio.create_task(_fill(stream, 100))
        await asyncio.sleep(0)
        await Events(stream, end, has_tail=False).aclose()
        await filling

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_lineage_counts_each_function_of_a_chain() -> None:
    header = "Root=1-6b043e87-29bba75a0407aa725a51aa86;Sampled=0"
    counts = []
    for name in ("a", "b", "a", "a", "b"):
        header, count = traces.descended(header, f"arn:{name}")
        counts.append(count)
    assert counts == [0, 0, 1, 2, 1]
    assert header.startswith("Root=1-6b043e87-29bba75a0407aa725a51aa86;Sampled=0;Lineage=")
    assert traces.shown(header) == "Root=1-6b043e87-29bba75a0407aa725a51aa86;Sampled=0"
    assert traces.descended("Root=1;Lineage=nonsense|x:y", "arn:a")[1] == 0
