"""Request bodies → contents: streamed to a blob with back-pressure, hashed on the way.

Small bodies stay in memory and end up in the database row. Bigger ones go through two threads, one
for MD5 and one for writing and the checksum, with a few blocks in flight; `feed` waits for a free
slot, and so does the client. A body that breaks off leaves nothing. The body's length, Content-MD5
and checksums are verified before anything refers to the contents.
"""

import asyncio
import hashlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.s3 import checksums
from cloudlet.s3.records import Inline, sealed
from cloudlet.s3.seals import Seal
from cloudlet.store.blobs import Blobs, BlobWriter, Segment
from cloudlet.store.database import Database, Transaction
from cloudlet.store.sealing import Wrapper
from cloudlet.wire import digests as bodies
from cloudlet.wire.multipart_form import FileBody

T = TypeVar("T")
INLINE_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 5 << 30
_BLOCK_BYTES = 1 << 20
_BLOCKS_IN_FLIGHT = 4
Block = list[bytes]


@dataclass(slots=True)
class Contents:
    """Bytes that arrived, and what they hash to. `data` is None when they are in segments.
    However they are kept, they are sealed."""

    size: int
    md5: bytes
    checksums: dict[str, bytes]
    data: Inline | None = None
    segments: tuple[Segment, ...] = ()
    writer: BlobWriter | None = None

    def value(self, algorithm: str) -> str:
        return checksums.encode(self.checksums[algorithm])

    def discard(self) -> None:
        if self.writer is not None:
            self.writer.discard()

    async def keep(self, database: Database, change: Callable[[Transaction], T]) -> T:
        """Commits the change that refers to these contents; they go if it fails.

        A caller that is cancelled meanwhile can't know whether the change was made: then the
        writer's outcome decides, not the cancellation.
        """
        writing = database.write(change)
        if self.writer is None:
            return await writing
        writing.add_done_callback(self._settle)
        return await asyncio.shield(writing)

    def _settle(self, writing: "asyncio.Future[Any]") -> None:
        # Cancelled at shutdown: the commit may still happen; an orphan is collected at next start.
        if not writing.cancelled() and writing.exception() is not None:
            self.discard()


async def receive(call: Call, algorithms: Iterable[str], seal: Seal, *, inline: bool) -> Contents:
    """Takes the call's body, verified against all that the request says of it."""
    body = _body(call)
    _check_length(call.request, body)
    if body.length is not None and body.length > BODY_BYTES_MAX:
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            ProposedSize=body.length,
            MaxSizeAllowed=BODY_BYTES_MAX,
        )
    wanted_md5 = bodies.of_content_md5(call.params.get("ContentMD5"))
    brought = checksums.announced(call)
    names = tuple(dict.fromkeys([*algorithms, *([brought] if brought else [])]))
    contents = await _take(_Place(call.cloud.blobs, seal.wrapper, inline), body, names)
    try:
        _verify(call, body, contents, wanted_md5, brought)
    except BaseException:
        contents.discard()
        raise
    return contents


def _check_length(request: Request, body: Body) -> None:
    """s3-031: a body of unknown length is refused by what announces it; none at all, too."""
    if body.length is None and not isinstance(body, FileBody):
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
            Header="Transfer-Encoding",
        )
    is_announced = not request.headers.keys().isdisjoint(("content-length", "transfer-encoding"))
    if request.sent and not is_announced:
        raise AwsError(
            "MissingContentLength", "You must provide the Content-Length HTTP header.", 411
        )


def _body(call: Call) -> Body:
    body = call.params.get("Body", call.body)
    return Body.of(bytes(body)) if isinstance(body, bytes | bytearray) else body


def _verify(
    call: Call, body: Body, contents: Contents, wanted_md5: bytes | None, brought: str
) -> None:
    if contents.size != body.length:
        raise AwsError(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
            400,
        )
    bodies.check_md5(wanted_md5, contents.md5, of_part=call.operation == "UploadPart")
    if brought:
        digest = checksums.expected(call, getattr(body, "trailers", {}), brought)
        if digest is not None and digest != contents.checksums[brought]:
            raise bodies.mismatch(brought)


class _Place(NamedTuple):
    """Where bytes go, and what seals them."""

    blobs: Blobs
    wrapper: Wrapper
    inline: bool  # small ones stay in memory

    def create(self) -> BlobWriter:
        return self.blobs.create(self.wrapper.new_key())


async def _take(place: _Place, body: Body, algorithms: tuple[str, ...]) -> Contents:
    chunks: Block = []
    size_bytes = 0
    stream = aiter(body)
    async for chunk in stream:
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= _BLOCK_BYTES:
            return await _pipeline(place, chunks, stream, algorithms)
    if place.inline and size_bytes <= INLINE_BYTES_MAX:
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        kept = sealed(data, place.wrapper)
        return Contents(size_bytes, *_digests([data], algorithms), data=kept)
    # One shielded hop: a thread can't be cancelled, and it must not outlive the answer's decision.
    storing = asyncio.ensure_future(asyncio.to_thread(_store, place, chunks, algorithms))
    try:
        return await asyncio.shield(storing)
    except asyncio.CancelledError:
        storing.add_done_callback(_forget)
        raise


def _forget(storing: "asyncio.Future[Contents]") -> None:
    if not storing.cancelled() and storing.exception() is None:
        storing.result().discard()


def _digests(chunks: Block, algorithms: tuple[str, ...]) -> tuple[bytes, dict[str, bytes]]:
    md5 = hashlib.md5(usedforsecurity=False)
    digests = {name: checksums.new(name) for name in algorithms}
    for chunk in chunks:
        md5.update(chunk)
        for digest in digests.values():
            digest.update(chunk)
    return md5.digest(), {name: digest.digest() for name, digest in digests.items()}


def _store(place: _Place, chunks: Block, algorithms: tuple[str, ...]) -> Contents:
    md5, digests = _digests(chunks, algorithms)
    if not any(chunks):
        return Contents(0, md5, digests)  # an empty part needs no blob
    writer = place.create()
    try:
        for chunk in chunks:
            writer.write(chunk)
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    segments = (writer.segment,)
    return Contents(writer.size_bytes, md5, digests, segments=segments, writer=writer)


async def _pipeline(
    place: _Place, first: Block, rest: AsyncIterator[bytes], algorithms: tuple[str, ...]
) -> Contents:
    md5 = hashlib.md5(usedforsecurity=False)
    digests = {name: checksums.new(name) for name in algorithms}
    writer = place.create()

    def write(chunk: bytes) -> None:
        writer.write(chunk)
        for digest in digests.values():
            digest.update(chunk)

    hashing = _Stage("md5", md5.update, lambda: None, lambda: None)
    writing = _Stage("blob", write, writer.finish, writer.discard)
    try:
        block, size_bytes = first, 0
        await _feed(block, hashing, writing)
        block = []
        async for chunk in rest:
            block.append(chunk)
            size_bytes += len(chunk)
            if size_bytes >= _BLOCK_BYTES:
                await _feed(block, hashing, writing)
                block, size_bytes = [], 0
        await _feed(block, hashing, writing)
        await hashing.finish()
        await writing.finish()
    except BaseException:
        hashing.abandon()
        writing.abandon()
        raise
    segments = (writer.segment,)
    values = {name: digest.digest() for name, digest in digests.items()}
    return Contents(writer.size_bytes, md5.digest(), values, segments=segments, writer=writer)


async def _feed(block: Block, *stages: "_Stage") -> None:
    for stage in stages:
        await stage.feed(block)


class _Stage:
    """A thread that takes blocks in order. `finish` waits for all of them, `abandon` for none."""

    def __init__(
        self,
        name: str,
        take: Callable[[bytes], object],
        complete: Callable[[], object],
        undo: Callable[[], object],
    ) -> None:
        self._take, self._complete, self._undo = take, complete, undo
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(_BLOCKS_IN_FLIGHT)
        self._queue: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._abandoned = self._over = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name=f"s3-{name}", daemon=True).start()

    async def feed(self, block: Block) -> None:
        await self._slots.acquire()
        if self._error is not None:
            raise self._error
        self._queue.put(block)

    async def finish(self) -> None:
        self._queue.put(None)
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Whoever is last, this or the thread's end, undoes the work."""
        self._queue.put(None)
        with self._lock:
            self._abandoned = True
            undo = self._over
        if undo:
            self._undo()

    def _run(self) -> None:
        try:
            while (block := self._queue.get()) is not None:
                if self._error is None and not self._abandoned:
                    self._work(block)
                self._signal(self._slots.release)
            if self._error is None and not self._abandoned:
                self._complete()
        except BaseException as error:
            self._error = error
        with self._lock:
            self._over = True
            undo = self._abandoned
        if undo:
            self._undo()
        self._signal(self._ended.set)

    def _work(self, block: Block) -> None:
        try:
            for chunk in block:
                self._take(chunk)
        except Exception as error:  # the feeder raises it at its next block
            self._error = error

    def _signal(self, action: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(action)
