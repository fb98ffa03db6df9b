"""The front door of an application: a distribution's behaviors → S3 bucket or API Gateway.

The stack that this run keeps deployed comes first (`lead`), else what is oldest: a distribution,
without one an HTTP API, else a REST API, whose stage's name begins every path: `/` leads to its
only stage. Without any API a page says so.
Nothing is cached here: origins are in the same process. ViewerProtocolPolicy is not looked at: TLS
ends before cloudlet, if anywhere, and a redirect to HTTPS could never be satisfied.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HowCloudFrontWorks.html
"""

from cloudlet.call import Cloud
from cloudlet.exchange import Body, Request, Response, Socket
from cloudlet.gateway.answers import json
from cloudlet.gateway.cloudfront import behaviors, forwarding, response_headers
from cloudlet.gateway.cloudfront.behaviors import Distribution
from cloudlet.gateway.cloudfront.edge_cache import EdgeCache
from cloudlet.gateway.cloudfront.edge_origins import Origins, discard, without_conditions
from cloudlet.gateway.http_apis.http_api import Gateway
from cloudlet.gateway.websockets.connections import Connections

_NOTHING = "Nothing that is deployed here answers at the front door: no distribution, no API."
_METHOD_REFUSED = (
    "This distribution is not configured to allow the HTTP request method that was used "
    "for this request."
)


class Edge:
    """The running edge. `forget_distributions` after a change of any CloudFront item."""

    def __init__(self, gateway: Gateway, connections: Connections) -> None:
        self.cloud: Cloud = gateway.cloud
        self._gateway = gateway
        self._connections = connections
        self.origins = Origins(gateway)
        self._known: list[Distribution] | None = None
        self._generation = 0
        self._own_distribution, self._own_api = "", ""

    def lead(self, distribution: str, api: str) -> None:
        """By id, "" for none: these answer before older ones."""
        self._own_distribution, self._own_api = distribution, api

    @property
    def cache(self) -> EdgeCache:
        return self.origins.cache

    def forget_distributions(self) -> None:
        self._generation += 1
        self._known = None

    async def answer(self, request: Request) -> Response:
        if not request.id:
            request.id = self.cloud.config.new_id()
        distribution = self._distribution(request.host)
        if distribution is None:
            stages, rest = self._gateway.stages, self._gateway.rest
            api_id = self._own_api or stages.only_http_api() or rest.oldest()
            if api_id is None:
                return _error(request, 503, _NOTHING)
            if request.raw_path == "/" and (home := self._gateway.rest.home(api_id)):
                return Response(302, [("location", home)], b"")
            return await self._gateway.answer(request, api_id, request.raw_path)
        response = await self._answer(distribution, request)
        custom = distribution.errors.get(response.status)
        if custom is not None and custom.get("ResponsePagePath"):
            response = await self._error_page(distribution, request, response)
        response.headers.append(("x-amz-cf-id", request.id))
        outcome = "Error" if response.status >= 400 else "Miss"
        if not any(name == "x-cache" for name, _ in response.headers):
            response.headers.append(("x-cache", f"{outcome} from cloudfront"))
        return response

    async def connect(self, socket: Socket) -> None:
        request = socket.request
        distribution = self._distribution(request.host)
        behavior = distribution.behavior(request.path) if distribution is not None else None
        if behavior is None or behavior.origin.api_id is None:
            await socket.refuse(_error(request, 404, "There is no WebSocket API at this address."))
            return
        socket.request = forwarding.to_origin(request, behavior)
        path = behavior.origin.path + request.raw_path
        await self._connections.connect(socket, behavior.origin.api_id, path)

    async def _answer(self, distribution: Distribution, request: Request) -> Response:
        raw_path, path = request.raw_path, request.path
        if raw_path == "/" and distribution.root:
            raw_path = path = f"/{distribution.root}"
        behavior = distribution.behavior(path)
        if request.method in behavior.methods:
            response = await self.origins.fetch(distribution, behavior, request, raw_path)
        else:
            response = _error(request, 403, _METHOD_REFUSED)
        if behavior.response_policy is not None:
            response_headers.apply(behavior.response_policy, request, response)
        return response

    async def _error_page(
        self, distribution: Distribution, request: Request, response: Response
    ) -> Response:
        """The page that a custom error response names, or the original answer if it has none."""
        custom = distribution.errors[response.status]
        path = custom["ResponsePagePath"]
        asked = without_conditions(request, path)
        asked.body = Body.of(b"")
        page = await self.origins.fetch(distribution, distribution.behavior(path), asked, path)
        if page.status != 200:
            await discard(page)
            return response
        await discard(response)
        page.status = int(custom["ResponseCode"])
        policy = distribution.behavior(request.path).response_policy
        if policy is not None:
            response_headers.apply(policy, request, page)
        return page

    def serves(self, host: str) -> bool:
        """Whether a distribution has this name."""
        return self._named(self._distributions(), host) is not None

    def names(self) -> list[str]:
        return [name for each in self._distributions() for name in each.hosts]

    def _distribution(self, host: str) -> Distribution | None:
        """By its alias or domain; otherwise that of this run's stack, or the oldest."""
        known = self._distributions()
        own = [each for each in known if each.id == self._own_distribution]
        others = [] if self._own_api else known
        return self._named(known, host) or next(iter(own or others), None)

    def _distributions(self) -> list[Distribution]:
        known = self._known
        if known is None:
            generation = self._generation
            with self.cloud.database.snapshot() as view:
                known = behaviors.compile_all(view, self.cloud.config.account)
            if generation == self._generation:
                self._known = known
        return known

    def _named(self, known: list[Distribution], host: str) -> Distribution | None:
        name = host.rsplit(":", 1)[0].lower()
        for distribution in known:
            if any(_is_host(pattern, name) for pattern in distribution.hosts):
                return distribution
        return None


def _is_host(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern == name


def _error(request: Request, status: int, text: str) -> Response:
    """HTML for browsers, JSON for everyone else."""
    if "text/html" in request.headers.get("accept", ""):
        body = f"<!DOCTYPE html><title>{status}</title><h1>{status}</h1><p>{text}</p>\n"
        return Response(status, [("content-type", "text/html; charset=utf-8")], body.encode())
    return json(status, {"message": text, "requestId": request.id})
