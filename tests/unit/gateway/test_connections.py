"""WebSocket APIs: admission, routes, answers, @connections, limits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway import models
from cloudlet.gateway.http_apis import apis, authorizers, resources, responses
from cloudlet.gateway.service import GatewayState
from cloudlet.gateway.websockets import connections, management
from tests.harness import ROOT, Bench
from tests.unit.gateway.cloud import FUNCTION, Written, add_route, answers, event, make_api


class FakeSocket:
    """A client: `say` what it sends, read `heard` and `closed`."""

    def __init__(self) -> None:
        headers = {"host": "localhost", "user-agent": "test", "sec-websocket-key": "k", "a-b": "c"}
        self.request = Request("GET", "/ws", "token=a&token=b", headers, Body.of(b""), "10.0.0.9")
        self.request.sent = [(b"a-B", b"c")]
        self.accepted: list[tuple[str, str]] | None = None
        self.refused: Response | None = None
        self.heard: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.closed: tuple[int, str] | None = None
        self.is_stuck = False
        self.gone = (1005, "")
        self._said: asyncio.Queue[str | bytes | None] = asyncio.Queue()

    def say(self, message: str | bytes | None) -> None:
        self._said.put_nowait(message)

    async def accept(self, headers: list[tuple[str, str]]) -> None:
        self.accepted = headers

    async def refuse(self, response: Response) -> None:
        self.refused = response

    async def receive(self) -> str | bytes | None:
        return await self._said.get()

    async def send(self, message: str | bytes) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        self.heard.put_nowait(message)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = (code, reason)


def make(bench: Bench, *keys: str) -> str:
    api_id = make_api(bench, "WEBSOCKET")
    for key in keys:
        route_id = add_route(bench, api_id, key, "1.0", RouteResponseSelectionExpression="$default")
        if key == "ask":
            bench.call(
                responses.ROUTE_RESPONSE.create,
                ApiId=api_id,
                RouteId=route_id,
                RouteResponseKey="$default",
            )
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="ws", AutoDeploy=True)
    return api_id


def play(
    state: GatewayState, api_id: str, scene: Callable[[FakeSocket], Coroutine[Any, Any, None]]
) -> FakeSocket:
    """Runs a scene with one client, who leaves at its end."""

    async def run() -> FakeSocket:
        socket = FakeSocket()
        serving = asyncio.create_task(state.connections.connect(socket, api_id, "/ws"))
        await asyncio.wait_for(scene(socket), 60)
        socket.say(None)
        await asyncio.wait_for(serving, 60)
        await state.connections.stop()
        return socket

    return asyncio.run(run())


def manage(bench: Bench, state: GatewayState, operation: Any, **params: Any) -> Any:
    request = Request("POST", "/", "", {}, Body.of(b""))
    call = Call(bench.cloud, "", "", params, ROOT, request, state.connections)
    return operation(call)


async def connected(state: GatewayState) -> str:
    while not state.connections.open:
        await asyncio.sleep(0)
    return next(iter(state.connections.open))


async def nothing(socket: FakeSocket) -> None:
    return None


def test_events(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$connect", "$disconnect", "$default", "ask")
    answers(bench, {"statusCode": 200, "body": "fine"})

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say('{"action": "ask", "n": 1}')
        assert await socket.heard.get() == "fine"

    play(state, api_id, scene)
    first, second, last = (event(bench, number) for number in range(3))
    assert first["requestContext"]["eventType"] == "CONNECT"
    assert first["headers"]["Sec-WebSocket-Key"] == "k"
    assert first["headers"]["a-B"] == "c"  # gateway-005
    assert first["queryStringParameters"] == {"token": "b"}
    assert first["multiValueQueryStringParameters"] == {"token": ["a", "b"]}
    context = second["requestContext"]
    assert (context["eventType"], context["routeKey"]) == ("MESSAGE", "ask")
    assert context["stage"] == "ws"
    assert context["apiId"] == api_id
    assert context["domainName"] == f"{api_id}.execute-api.us-east-1.amazonaws.com"
    assert context["identity"] == {"sourceIp": "10.0.0.9", "userAgent": "test"}
    assert second["body"] == '{"action": "ask", "n": 1}'
    assert last["requestContext"]["eventType"] == "DISCONNECT"
    assert last["requestContext"]["disconnectStatusCode"] == 1005
    identifiers = {e["requestContext"]["connectionId"] for e in (first, second, last)}
    assert len(identifiers) == 1


def test_connect_may_refuse(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$connect")
    answers(bench, {"statusCode": 401, "body": "no"})
    socket = play(state, api_id, nothing)
    assert socket.accepted is None
    assert socket.refused is not None
    assert (socket.refused.status, socket.refused.body) == (401, b"no")
    answers(bench, {}, error="Unhandled")
    failed = play(state, api_id, nothing)
    assert failed.refused is not None
    assert failed.refused.status == 502


def test_messages_without_a_route(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "ask")

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say("not json")
        assert orjson.loads(await socket.heard.get())["message"] == "Forbidden"

    play(state, api_id, scene)


def test_failing_function(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$default")
    answers(bench, {}, error="Unhandled")

    async def scene(socket: FakeSocket) -> None:
        identifier = await connected(state)
        socket.say(b"\x00\x01")
        answer = orjson.loads(await socket.heard.get())
        assert answer["message"] == "Internal server error"
        assert answer["connectionId"] == identifier

    play(state, api_id, scene)
    assert event(bench)["isBase64Encoded"] is True


def test_management(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench)

    async def scene(socket: FakeSocket) -> None:
        identifier = await connected(state)
        post = management.post_to_connection
        await manage(bench, state, post, ConnectionId=identifier, Data=b"hello")
        assert await socket.heard.get() == "hello"
        found = await manage(bench, state, management.get_connection, ConnectionId=identifier)
        assert found["Identity"]["SourceIp"] == "10.0.0.9"
        with pytest.raises(AwsError) as long:
            await manage(bench, state, post, ConnectionId=identifier, Data=b"x" * 131073)
        assert long.value.status == 413
        await manage(bench, state, management.delete_connection, ConnectionId=identifier)
        with pytest.raises(AwsError) as gone:
            await manage(bench, state, post, ConnectionId=identifier, Data=b"x")
        assert (gone.value.code, gone.value.status) == ("GoneException", 410)

    socket = play(state, api_id, scene)
    assert socket.closed is not None
    assert socket.closed[0] == 1000


def test_too_long_messages_close(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$default")

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say("x" * (connections.MESSAGE_MAX_BYTES + 1))
        while socket.closed is None:
            await asyncio.sleep(0)

    socket = play(state, api_id, scene)
    assert socket.closed == (1009, "Message too big")
    assert bench.invoked == []


def test_slow_readers_are_closed(
    bench: Bench, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CLOSING_MAX_S", 0.05)
    api_id = make(bench)

    async def scene(socket: FakeSocket) -> None:
        identifier = await connected(state)
        connection = state.connections.open[identifier]
        socket.is_stuck = True
        posted = [connection.post("x") for _ in range(connections.QUEUE_MAX + 2)]
        assert not posted[-1]
        assert connection.closing is not None
        assert connection.closing[0] == 1008
        socket.is_stuck = False

    play(state, api_id, scene)
    assert state.connections.open == {}


def test_unknown_stage(bench: Bench, state: GatewayState) -> None:
    async def run() -> FakeSocket:
        socket = FakeSocket()
        await state.connections.connect(socket, "none", "/ws")
        return socket

    refused = asyncio.run(run()).refused
    assert refused is not None
    assert refused.status == 403


def test_disconnect_tells_why(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$disconnect")

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.gone = (4001, "bored")

    play(state, api_id, scene)
    context = event(bench)["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (4001, "bored")


@pytest.mark.parametrize(
    ("expression", "route"),
    [
        ("$request.body.action", "ask"),
        ("${request.body.deep.kind}", "deep"),
        ("${request.body.action}/${request.querystring.token}", "ask/a,b"),
        ("$request.header.user-agent", "test"),
        ("$request.body.missing", "$default"),
    ],
)
def test_selection(bench: Bench, state: GatewayState, expression: str, route: str) -> None:
    api_id = make(bench, "ask", "deep", "ask/a,b", "test", "$default")
    bench.call(apis.update_api, ApiId=api_id, RouteSelectionExpression=expression)
    answers(bench, {"statusCode": 200})

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say('{"action": "ask", "deep": {"kind": "deep"}}')
        while not bench.invoked:
            await asyncio.sleep(0)

    play(state, api_id, scene)
    assert event(bench)["requestContext"]["routeKey"] == route


def make_mock(bench: Bench, **integration: Any) -> str:
    """An API whose `$default` answers without a function."""
    api_id = make_api(bench, "WEBSOCKET")
    made = bench.call(
        resources.INTEGRATION.create, ApiId=api_id, **{"IntegrationType": "MOCK", **integration}
    )
    route = bench.call(
        resources.ROUTE.create,
        ApiId=api_id,
        RouteKey="$default",
        Target=f"integrations/{made['IntegrationId']}",
        RouteResponseSelectionExpression="$default",
    )
    bench.call(
        responses.ROUTE_RESPONSE.create,
        ApiId=api_id,
        RouteId=route["RouteId"],
        RouteResponseKey="$default",
    )
    for key, template in (
        ("$default", '{"to": "$context.connectionId"}'),
        (r"/4\d\d/", '{"refused": true}'),
    ):
        bench.call(
            responses.INTEGRATION_RESPONSE.create,
            ApiId=api_id,
            IntegrationId=made["IntegrationId"],
            IntegrationResponseKey=key,
            ResponseTemplates={"$default": template},
        )
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="ws", AutoDeploy=True)
    return api_id


def test_mock(bench: Bench, state: GatewayState) -> None:
    templates = {
        "good": '{"statusCode": 200}',
        "$default": '{"statusCode": 404}',
        "echo": "{\"statusCode\": $input.path('$.status')}",
    }
    api_id = make_mock(
        bench,
        RequestTemplates=templates,
        TemplateSelectionExpression=r"\$request.body.kind",
    )

    async def scene(socket: FakeSocket) -> None:
        identifier = await connected(state)
        for said, heard in (
            ('{"kind": "good"}', {"to": identifier}),
            ("anything", {"refused": True}),
            ('{"kind": "echo", "status": 201}', {"to": identifier}),
        ):
            socket.say(said)
            assert orjson.loads(await socket.heard.get()) == heard
        socket.say('{"kind": "echo"}')
        assert orjson.loads(await socket.heard.get())["message"] == "Internal server error"

    play(state, api_id, scene)


def test_authorizer(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench, "WEBSOCKET")
    judge = bench.call(
        authorizers.PART.create, ApiId=api_id, Name="a", AuthorizerType="REQUEST",
        AuthorizerUri=FUNCTION, IdentitySource=["route.request.querystring.token"],
    )["AuthorizerId"]  # fmt: skip
    add_route(bench, api_id, "$connect", "1.0", AuthorizationType="CUSTOM", AuthorizerId=judge)
    add_route(bench, api_id, "$default", "1.0")
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="ws", AutoDeploy=True)
    effect = "Allow"

    def invoke(params: dict[str, Any]) -> dict[str, Any]:
        asked = orjson.loads(params["Payload"])
        answer: Any = {"statusCode": 200}
        if asked.get("type") == "REQUEST":
            arn = f"arn:aws:execute-api:us-east-1:000000000000:{api_id}/ws/$connect"
            assert asked["methodArn"] == arn
            statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": arn}
            policy = {"Version": "2012-10-17", "Statement": [statement]}
            answer = {"principalId": "ann", "policyDocument": policy, "context": {"n": 1}}
        return {"StatusCode": 200, "Payload": orjson.dumps(answer)}

    bench.answers["Invoke"] = invoke

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say("x")
        while len(bench.invoked) < 3:
            await asyncio.sleep(0)

    play(state, api_id, scene)
    for number in (-1, -2):  # of the message, and of $connect
        said = event(bench, number)["requestContext"]["authorizer"]
        assert said == {"principalId": "ann", "n": 1}
    effect = "Deny"
    refused = play(state, api_id, nothing).refused
    assert refused is not None and refused.status == 403
    with pytest.raises(AwsError, match="connect"):
        add_route(bench, api_id, "other", "1.0", AuthorizationType="AWS_IAM")


def test_idle_connections_end(
    bench: Bench, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes without a message: 1001, as AWS."""
    monkeypatch.setattr(connections, "IDLE_MAX_S", 0.01)
    api_id = make(bench, "$disconnect")

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        bench.clock.advance(1)
        while socket.closed is None:
            await asyncio.sleep(0.001)

    assert play(state, api_id, scene).closed == (1001, "Going away")
    assert event(bench)["requestContext"]["disconnectStatusCode"] == 1001


def test_connections_do_not_live_for_ever(
    bench: Bench, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours after it was opened, whatever is said on it: 1001."""
    monkeypatch.setattr(connections, "LIFETIME_MAX_S", 0.01)
    api_id = make(bench)

    async def scene(socket: FakeSocket) -> None:
        while socket.closed is None:
            await asyncio.sleep(0.001)

    assert play(state, api_id, scene).closed == (1001, "Going away")


def test_log_and_metrics(bench: Bench, state: GatewayState) -> None:
    written = bench.cloud.journal = bench.cloud.meter = Written()
    api_id = make(bench, "$connect", "ask", "fail")
    names = "eventType routeKey status connectionId integration.status authorizer.x"
    logs = {
        "DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:/live",
        "Format": " ".join(f"$context.{name}" for name in f"requestId {names}".split()),
    }
    bench.call(resources.STAGE.update, ApiId=api_id, StageName="ws", AccessLogSettings=logs)

    def invoke(params: dict[str, Any]) -> dict[str, Any]:
        key = orjson.loads(params["Payload"])["requestContext"]["routeKey"]
        failed = {"FunctionError": "Unhandled"} if key == "fail" else {}
        return {"StatusCode": 200, "Payload": b'{"statusCode": 200, "body": "x"}', **failed}

    bench.answers["Invoke"] = invoke
    identifiers = []

    async def scene(socket: FakeSocket) -> None:
        identifiers.append(await connected(state))
        for action in ("ask", "fail", "nothing"):
            socket.say(f'{{"action": "{action}"}}')
            await socket.heard.get()

    play(state, api_id, scene)
    assert [line.split()[1:] for line in written.lines] == [
        ["CONNECT", "$connect", "200", identifiers[0], "200", "-"],
        ["MESSAGE", "ask", "200", identifiers[0], "200", "-"],
        ["MESSAGE", "fail", "500", identifiers[0], "500", "-"],
        ["MESSAGE", "$default", "403", identifiers[0], "-", "-"],
        ["DISCONNECT", "$disconnect", "200", identifiers[0], "-", "-"],
    ]
    counts = {name: len(values) for (name, size), values in written.measured.items() if size == 2}
    assert counts == {
        "ConnectCount": 1,
        "MessageCount": 3,
        "IntegrationLatency": 3,
        "IntegrationError": 1,
        "ClientError": 1,
    }


def test_models(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench, "WEBSOCKET")
    schema = '{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}'
    made = bench.call(models.PART.create, ApiId=api_id, Name="Numbered", Schema=schema)
    chosen = {"RequestModels": {"strict": "Numbered"}}
    expression = {"ModelSelectionExpression": "$request.body.mode"}
    add_route(bench, api_id, "$default", "1.0", **chosen, **expression)
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="ws", AutoDeploy=True)
    answers(bench, {"statusCode": 200})

    async def scene(socket: FakeSocket) -> None:
        await connected(state)
        socket.say('{"mode": "strict", "n": "x"}')
        assert orjson.loads(await socket.heard.get())["message"] == "Invalid request body"
        for said in ('{"mode": "strict", "n": 1}', '{"n": "x"}', "no json"):
            before = len(bench.invoked)
            socket.say(said)
            while len(bench.invoked) == before:
                await asyncio.sleep(0)

    play(state, api_id, scene)
    for wrong in ({"Name": "Numbered"}, {"Name": "a b"}, {"Name": "b", "Schema": '{"type": 1}'}):
        with pytest.raises(AwsError):
            bench.call(models.PART.create, ApiId=api_id, **{"Schema": schema, **wrong})
    with pytest.raises(AwsError, match="referenced"):
        bench.call(models.PART.delete, ApiId=api_id, ModelId=made["ModelId"])
    with pytest.raises(AwsError, match="Invalid model"):
        add_route(bench, api_id, "x", "1.0", RequestModels={"$default": "Missing"})
