"""One request on its way through a REST API: what mappings, templates, events and logs read of it.

`context` is `$context` and, before templates add to it, the `requestContext` of events.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

from dataclasses import dataclass, field
from functools import lru_cache
from secrets import token_hex
from typing import Any

from cloudlet.call import Caller
from cloudlet.exchange import Request
from cloudlet.gateway import tracing
from cloudlet.gateway.payloads import clf_time
from cloudlet.gateway.rest.compiled import Method, Served

# dropped at the door: no mapping and no event ever sees them
_DROPPED = frozenset(
    (
        "connection", "content-length", "content-md5", "expect", "keep-alive",
        "max-forwards", "proxy-authenticate", "proxy-connection", "server", "te",
        "trailer", "transfer-encoding", "upgrade", "www-authenticate",
    )
)  # fmt: skip
_STANDARD = frozenset(
    (
        "accept", "accept-charset", "accept-encoding", "accept-language", "age", "authorization",
        "cache-control", "content-encoding", "content-language", "content-type", "cookie", "date",
        "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
        "if-unmodified-since", "origin", "pragma", "range", "referer", "user-agent", "via",
        "warning", "x-amz-date", "x-amz-security-token", "x-amzn-trace-id", "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
    )
)  # fmt: skip
_SHOWN_MAX = 1024
_CAPITALISED = frozenset(("authorization", "host", "user-agent"))
_NOBODY = (
    "accessKey", "accountId", "caller", "cognitoAuthenticationProvider",
    "cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId",
    "principalOrgId",
)  # fmt: skip


class Headers(dict[str, str]):
    """By name, whatever its case."""

    def get(self, name: str, default: Any = None) -> Any:
        found = super().get(name)
        if found is None:
            lower = str(name).lower()
            found = next((value for key, value in self.items() if key.lower() == lower), default)
        return found


@lru_cache(maxsize=1024)
def spelled(name: str) -> str:
    """Standard names as they are usually spelled; others as they are."""
    lower = name.lower()
    return lower.title() if lower in _STANDARD else name


def received(request: Request) -> dict[str, list[str]]:
    """gateway-054: names as the client spelled them, except what AWS capitalises itself.

    Requests that did not come over the network have lower-case names: the standard ones are
    spelled as usual.
    """
    many: dict[str, tuple[str, list[str]]] = {}
    for raw_name, raw_value in request.sent:
        name = raw_name.decode("latin-1")
        lower = name.lower()
        shown = name.title() if lower in _CAPITALISED else name
        many.setdefault(lower, (shown, []))[1].append(raw_value.decode("latin-1"))
    lists = {}
    for lower, value in request.headers.items():
        if lower in _DROPPED:
            continue
        shown, values = many.get(lower) or (spelled(lower), [])
        is_whole = len(values) > 1 and ",".join(values) == value
        lists[shown] = values if is_whole else [value]
    return lists


@dataclass(slots=True)
class Passage:
    """`path` is raw and lies within the stage; path parameters are as raw as it is."""

    request: Request
    served: Served
    method: Method
    path: str
    path_parameters: dict[str, str]
    now_ms: int
    context: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""
    trace: str = ""
    lines: list[str] | None = None  # the execution log, where one is kept
    shows_data: bool = False  # bodies and headers are in it, too
    integration_ms: int | None = None
    status: int = 0  # of the integration
    caller: Caller | None = None  # who signed
    is_cached: bool | None = None  # None: nothing is cached here
    _header_lists: dict[str, list[str]] | None = None
    _headers: Headers | None = None
    _query: dict[str, list[str]] | None = None
    _scope: dict[str, Any] | None = None

    @property
    def header_lists(self) -> dict[str, list[str]]:
        if self._header_lists is None:
            request = self.request
            lists = received(request)
            forwarded = request.headers.get("x-forwarded-for")
            if forwarded is not None:
                lists = {n: v for n, v in lists.items() if n.lower() != "x-forwarded-for"}
            client = f"{forwarded}, {request.client}" if forwarded else request.client
            lists["X-Forwarded-For"] = [client]
            if "x-forwarded-proto" not in request.headers:
                lists["X-Forwarded-Proto"] = [request.scheme]
            if "x-forwarded-port" not in request.headers:
                lists["X-Forwarded-Port"] = ["443" if request.scheme == "https" else "80"]
            if "x-amzn-trace-id" in request.headers:
                lists = {n: v for n, v in lists.items() if n.lower() != "x-amzn-trace-id"}
            lists["X-Amzn-Trace-Id"] = [self.trace]
            self._header_lists = lists
        return self._header_lists

    @property
    def headers(self) -> Headers:
        """The last value of each."""
        if self._headers is None:
            self._headers = Headers((n, values[-1]) for n, values in self.header_lists.items())
        return self._headers

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            self._query = {}
            for name, value in self.request.arguments():
                self._query.setdefault(name, []).append(value)
        return self._query

    @property
    def method_arn(self) -> str:
        path = self.path.strip("/")
        return self.served.arn(f"{self.served.stage}/{self.request.method}/{path}")

    @property
    def source_arn(self) -> str:
        """As what functions see API Gateway calling."""
        return self.served.arn(f"{self.served.stage}/{self.request.method}{self.method.path}")

    @property
    def scope(self) -> dict[str, Any]:
        """`$context` of templates: with overrides, which outlive one template."""
        if self._scope is None:
            self._scope = self.context
            self._scope["requestOverride"] = {"header": {}, "querystring": {}, "path": {}}
            self._scope["responseOverride"] = {"header": {}, "status": None}
        return self._scope

    def note(self, line: str) -> None:
        if self.lines is not None:
            self.lines.append(line)

    def show(self, what: str, data: bytes | str) -> None:
        """At most 1 KiB of what is sent to and fro, as AWS's execution logs have it."""
        if self.lines is not None and self.shows_data:
            shown = data.decode(errors="replace") if isinstance(data, bytes) else data
            end = " [TRUNCATED]" if len(shown) > _SHOWN_MAX else ""
            self.lines.append(f"{what}: {shown[:_SHOWN_MAX]}{end}")


def trace_of(request: Request, served: Served, now_ms: int) -> str:
    """X-Ray's header: the client's trace goes on, or a new one begins; traced stages sample it."""
    parts = tracing.members(request, now_ms)
    if served.is_traced and "Sampled" not in parts:
        parts |= {"Parent": token_hex(8), "Sampled": "1"}
    return tracing.text(parts)


def context_of(
    request: Request, served: Served, now_ms: int, path: str, domain: str = ""
) -> dict[str, Any]:
    """`path` as the client asked for it, with the stage or the base path; `domain` if custom."""
    identity: dict[str, Any] = dict.fromkeys(_NOBODY)
    identity |= {
        "sourceIp": request.client,
        "user": None,
        "userAgent": request.headers.get("user-agent"),
        "userArn": None,
    }
    domain = domain or f"{served.api_id}.execute-api.{served.region}.amazonaws.com"
    context: dict[str, Any] = {
        "accountId": served.account,
        "apiId": served.api_id,
        "deploymentId": served.deployment_id,
        "domainName": domain,
        "domainPrefix": domain.split(".", 1)[0],
        "extendedRequestId": extended_id(request.id),
        "httpMethod": request.method,
        "identity": identity,
        "path": path,
        "protocol": "HTTP/1.1",
        "requestId": request.id,
        "requestTime": clf_time(now_ms // 1000),
        "requestTimeEpoch": now_ms,
        "stage": served.stage,
    }
    if served.is_canary is not None:
        context["isCanaryRequest"] = served.is_canary
    return context


def extended_id(request_id: str) -> str:
    """The x-amz-apigw-id of a request."""
    return f"{request_id.replace('-', '')[:15]}="
