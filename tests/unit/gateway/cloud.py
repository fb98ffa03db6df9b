"""What the gateway's tests share: a bench with the schema, an API made through the operations."""

import asyncio
from typing import Any

import orjson

from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway.http_apis import apis, resources
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"


def make_api(bench: Bench, protocol: str = "HTTP", **options: Any) -> str:
    extra = {"RouteSelectionExpression": "$request.body.action"} if protocol != "HTTP" else {}
    api = bench.call(apis.create_api, Name="test", ProtocolType=protocol, **{**extra, **options})
    return str(api["ApiId"])


def add_route(bench: Bench, api_id: str, key: str, version: str = "2.0", **route: Any) -> str:
    integration = bench.call(
        resources.INTEGRATION.create,
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=FUNCTION,
        PayloadFormatVersion=version,
    )
    made = bench.call(
        resources.ROUTE.create,
        ApiId=api_id,
        RouteKey=key,
        Target=f"integrations/{integration['IntegrationId']}",
        **route,
    )
    return str(made["RouteId"])


def answers(bench: Bench, payload: Any, error: str | None = None) -> None:
    """Every function now answers so."""
    output = {"StatusCode": 200, "Payload": orjson.dumps(payload)}
    bench.answers["Invoke"] = output | ({"FunctionError": error} if error else {})


def event(bench: Bench, number: int = -1) -> dict[str, Any]:
    """The event of an invocation."""
    invoked = [params for _, operation, params in bench.invoked if operation == "Invoke"]
    document: dict[str, Any] = orjson.loads(invoked[number]["Payload"])
    return document


def request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> Request:
    raw_path, _, query = path.partition("?")
    given = {"host": "localhost:8000", "user-agent": "test", **(headers or {})}
    return Request(method, raw_path, query, given, Body.of(body), client="10.0.0.9", id="request")


def ask(state: GatewayState, api_id: str, asked: Request) -> Response:
    return asyncio.run(state.gateway.answer(asked, api_id, asked.raw_path))


def document(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return orjson.loads(response.body)


class Written:
    """Journal and meter of a cloud."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.measured: dict[tuple[str, int], list[float]] = {}

    def line(self, group: str, stream: str, message: str) -> None:
        self.lines.append(message)

    def add(
        self,
        namespace: str,
        name: str,
        dimensions: tuple[tuple[str, str], ...],
        value: float = 1.0,
        unit: str = "Count",
    ) -> None:
        assert namespace == "AWS/ApiGateway"
        self.measured.setdefault((name, len(dimensions)), []).append(value)
