"""What our processes tell each other arrives whole, in order, each connection with its message."""

import asyncio
import os
import socket

from cloudlet.front.channel import Channel, Document

_COUNT = 400


def _are_closed(reading: int) -> bool:
    """All descriptors of a pipe's other end."""
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_messages_wait_in_order_for_who_does_not_listen() -> None:
    heard: list[tuple[int, int, bool]] = []
    reading, writing = os.pipe()

    async def tell() -> None:
        over = asyncio.Event()
        ours, theirs = socket.socketpair()

        def hear(head: Document, data: bytes, descriptor: int | None) -> None:
            heard.append((head["number"], len(data), descriptor is not None))
            if descriptor is not None:
                os.close(descriptor)
            if len(heard) == _COUNT:
                over.set()

        channel = Channel(ours, hear, over.set)
        for number in range(_COUNT):
            opens = number % 3 == 0
            descriptor = os.dup(writing) if opens else None
            channel.say({"number": number, "opens": opens}, bytes(number * 20), descriptor)
            if number % 100 == 99:
                await asyncio.sleep(0)
        assert not channel.is_clear
        other = Channel(theirs, hear, over.set)
        await over.wait()
        while not channel.is_clear:
            await asyncio.sleep(0)
        other.close()
        channel.close()

    asyncio.run(tell())
    assert heard == [(number, number * 20, number % 3 == 0) for number in range(_COUNT)]
    os.close(writing)
    assert _are_closed(reading)


def test_what_was_not_said_is_closed_with_the_channel() -> None:
    reading, writing = os.pipe()

    async def tell() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours, lambda *_: None, lambda: None)
        channel.say({"opens": True}, b"", writing)
        channel.close()
        theirs.close()

    asyncio.run(tell())
    assert _are_closed(reading)
