"""Requests and responses as every layer below `front` sees them.

Bodies stream both ways. A request body is read with back-pressure; a response body is bytes, or an
asynchronous iterator that the front drains as fast as the client reads. A body that holds resources
has `aclose()`, which the front always calls.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from cloudlet.errors import AwsError

Receive = Callable[[], Awaitable[bytes]]  # the next chunk; b"" at the end


class Body:
    """A request body: `async for chunk in body`, or `await body.read(limit)` for a small one, which
    can be read again."""

    _whole: bytes | None = None

    def __init__(self, receive: Receive, length: int | None) -> None:
        self.receive = receive
        self.length = length  # bytes as announced; None while unknown
        self.trailers: dict[str, str] = {}  # headers that followed it; complete at its end

    @classmethod
    def of(cls, data: bytes) -> "Body":
        chunks = [data]

        async def receive() -> bytes:
            return chunks.pop() if chunks else b""

        return cls(receive, len(data))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._whole:
            yield self._whole
        while chunk := await self.receive():
            yield chunk

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; a body over the limit is refused before it is kept."""
        if self.length is not None and self.length > limit_bytes:
            raise AwsError("RequestEntityTooLarge", "Request body is too large.", 413)
        if self._whole is None:
            chunks: list[bytes] = []
            size_bytes = 0
            while chunk := await self.receive():
                size_bytes += len(chunk)
                if size_bytes > limit_bytes:
                    raise AwsError("RequestEntityTooLarge", "Request body is too large.", 413)
                chunks.append(chunk)
            self._whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self.length = size_bytes
        return self._whole

    async def within(self, limit_bytes: int) -> bytes | None:
        """The whole body; None if it is over the limit."""
        try:
            return await self.read(limit_bytes)
        except AwsError as error:
            if error.status != 413:
                raise
            return None


@dataclass(slots=True)
class Request:
    """One HTTP request.

    `raw_path` and `query` are exactly as received (percent-encoded), because signatures cover
    them. `headers` has lower-case names; repeated headers are joined with "," ("; " for cookies).
    `sent` has them as the client spelled and repeated them, where they came over the network.
    `signer` is the caller that a part of this cloud signs as, in place of a signature. `seen`
    takes what a log is told of the request, where there is one. `region` is what it was signed
    for, where that is another than ours. `is_alone`: small, and lately no other connection asked.
    """

    method: str
    raw_path: str
    query: str
    headers: dict[str, str]
    body: Body
    client: str = "127.0.0.1"
    scheme: str = "http"
    id: str = ""
    sent: Sequence[tuple[bytes, bytes]] = ()
    signer: Any = None
    client_port: int = 0
    seen: Any = None
    region: str = ""
    is_alone: bool = False

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def host(self) -> str:
        return self.headers.get("host", "")

    def arguments(self) -> list[tuple[str, str]]:
        """The decoded query string, in order; a bare name has the value ""."""
        return parse_qsl(self.query, keep_blank_values=True)


class Interrupted(Exception):
    """Raised by a streamed body that cannot go on: the connection is closed in the middle of it."""


class Streamed(Protocol):
    """A response body that is produced while it is sent."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Response:
    """`headers` may repeat names (Set-Cookie). The front adds Content-Length for bytes bodies."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Streamed = b""


class Socket(Protocol):
    """A WebSocket that asks to be opened: `accept` or `refuse` it first, then exchange messages."""

    request: Request
    gone: tuple[int, str]  # code and reason of the peer's end, once `receive` has told it

    async def accept(self, headers: list[tuple[str, str]]) -> None: ...

    async def refuse(self, response: Response) -> None: ...

    async def receive(self) -> str | bytes | None:
        """The next message; None when the peer is gone or the socket was closed."""
        ...

    async def send(self, message: str | bytes) -> None: ...

    async def close(self, code: int, reason: str = "") -> None: ...
