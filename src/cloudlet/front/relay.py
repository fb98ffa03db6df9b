"""Writes of items that readers take in and the main process performs.

A reader has read, verified and allowed the request; what is left crosses the channel as JSON: the
operation with its parameters one way, the output or the error the other. It is performed at most
once: a reader that does not hear of the outcome says so, as a server that was cut off would.
"""

import asyncio
import itertools
from functools import partial
from typing import Any

import orjson

from cloudlet.call import Call, Caller, Cloud, Output
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.front.channel import Channel, Document
from cloudlet.front.connection import Connection
from cloudlet.wire.service import Operation

_FOREIGN = b"arn:aws:dynamodb:"  # perhaps another account's table


class Relay:
    """The reader's side: `perform` in place of an operation."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Output]] = {}
        self._sent: set[str] = set()  # ids of requests

    async def perform(self, call: Call) -> Output:
        data = orjson.dumps(call.params)
        if self.channel is None or not self.channel.is_open or _FOREIGN in data:
            raise AwsError("ServiceUnavailable", "This process cannot pass that on.", 503)
        number = next(self._numbers)
        self._sent.add(call.request.id)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        account = call.caller.account
        head = {"call": number, "operation": call.operation, "account": account}
        self.channel.say(head, data)
        output: Output = await future
        return output

    def was_sent(self, request: Request) -> bool:
        """Whether its answer is the one that is to be given, be it an error; asked once."""
        was_sent = request.id in self._sent
        self._sent.discard(request.id)
        return was_sent

    def heard(self, head: Document, data: bytes) -> None:
        future = self._waiting.pop(head["call"])
        if future.done():  # its client is gone
            return
        if error := head.get("error"):
            future.set_exception(AwsError(*error, **orjson.loads(data)))
        else:
            future.set_result(orjson.loads(data))

    def cut(self) -> None:
        """The main process is gone: whether it did what it was asked, nobody knows."""
        for future in self._waiting.values():
            if not future.done():
                text = "The server was stopped before it knew the outcome."
                future.set_exception(AwsError("InternalServerError", text, 500))
        self._waiting.clear()


def perform(cloud: Cloud, operation: Operation, asked: tuple[Document, bytes], to: Channel) -> None:
    """The main process's side: answers when the outcome is durable."""
    head, data = asked
    Connection.latest = None  # none of this process's is alone
    caller = Caller("user", "", head["account"])  # allowed already
    request = Request("POST", "/", "", {}, Body.of(b""))
    params = orjson.loads(data)
    call = Call(cloud, "dynamodb", operation.name, params, caller, request, takes_json=True)
    future: asyncio.Future[Any] = cloud.database.write(lambda tx: operation.run(call, tx))
    future.add_done_callback(partial(_answer, to, head["call"]))


def _answer(to: Channel, number: int, future: "asyncio.Future[Any]") -> None:
    if not to.is_open or future.cancelled():
        return
    error = future.exception()
    if error is None:
        to.say({"call": number}, orjson.dumps(future.result() or {}))
        return
    if not isinstance(error, AwsError):
        asyncio.get_running_loop().call_exception_handler(
            {"message": "an operation that a reader passed on failed", "exception": error}
        )
        text = "We encountered an internal error. Please try again."
        error = AwsError("InternalError", text, 500)
    head = {"call": number, "error": (error.code, error.message, error.status)}
    to.say(head, orjson.dumps(error.fields))
