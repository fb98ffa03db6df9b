"""Which door a request is for, on each of the two public ports.

The AWS port: the health page, APIs under their own address, bucket websites, AWS's protocols. The
application's port: its front door, and S3 for requests that carry a signature in the query: so one
public name, one certificate and one open port suffice.
"""

from collections.abc import Awaitable
from urllib.parse import urlsplit

import orjson

from cloudlet.auth.sigv4 import is_presigned
from cloudlet.config import Config
from cloudlet.exchange import Request, Response, Socket
from cloudlet.front.accounts import Accounts
from cloudlet.front.aws import AwsDoor
from cloudlet.gateway import addresses
from cloudlet.gateway.cloudfront.edge import Edge
from cloudlet.gateway.service import GatewayState

HEALTH_PATH = "/_cloudlet/health"


class Doors:
    def __init__(self, config: Config, aws: AwsDoor, accounts: Accounts) -> None:
        self._config = config
        self._aws = aws
        self._accounts = accounts
        self.is_ready = False
        aws.specials.insert(0, self._special)

    def aws(self, request: Request) -> Awaitable[Response]:
        return self._aws.answer(request)

    async def front(self, request: Request) -> Response:
        if is_presigned(request.query):
            return await self._aws.answer(request, only_s3=True)
        self._see_through_proxy(request)
        own = self._of_domain(request)
        answer = await own.gateway.answer_domain(request) if own else None
        return answer or await self._edge(request).answer(request)

    async def aws_socket(self, socket: Socket) -> None:
        address = addresses.match(socket.request)
        own = self._of_domain(socket.request) if address is None else None
        if own is not None:
            await own.connections.connect_domain(socket)
            return
        if address is None:
            await socket.refuse(Response(404, [], b"Not Found"))
            return
        gateway = self._accounts.gateway_of_api(address[0])
        await gateway.connections.connect(socket, *address)

    async def front_socket(self, socket: Socket) -> None:
        self._see_through_proxy(socket.request)
        own = self._of_domain(socket.request)
        if own is not None:
            await own.connections.connect_domain(socket)
            return
        await self._edge(socket.request).connect(socket)

    def _edge(self, request: Request) -> Edge:
        edge = self._accounts.gateway_of_host(request.host).edge
        edge.origins.inside = self._inside
        return edge

    async def _inside(self, request: Request) -> Response | None:
        """What another address of this cloud answers: origins of a distribution ask."""
        for special in self._aws.specials:
            answering = special(request)
            response = await answering if answering else None
            if response is not None:
                return response
        return None

    def _special(self, request: Request) -> Awaitable[Response | None] | None:
        if request.raw_path == HEALTH_PATH:
            return self._health()
        address = addresses.match(request)
        if address is None:
            own = self._of_domain(request)
            return own.gateway.answer_domain(request) if own else None
        if addresses.management_path(address[1]):
            return None
        gateway = self._accounts.gateway_of_api(address[0])
        return gateway.gateway.answer(request, *address)

    def _of_domain(self, request: Request) -> GatewayState | None:
        """Whose custom domain the host is."""
        for universe in self._accounts.opened.values():
            if universe.gateway.gateway.domains.has(request.host):
                may = self._accounts.of_host(request.host)
                return universe.gateway if universe in may else None
        return None

    async def _health(self) -> Response:
        body = orjson.dumps({"ready": self.is_ready, "region": self._config.region})
        return Response(200, [("Content-Type", "application/json")], body)

    def _see_through_proxy(self, request: Request) -> None:
        """Behind a proxy on this machine the client's address and scheme come in headers."""
        if not self._config.public_url or request.client not in ("127.0.0.1", "::1"):
            return
        forwarded = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
        if forwarded:
            request.client = forwarded
        request.scheme = urlsplit(self._config.public_url).scheme
