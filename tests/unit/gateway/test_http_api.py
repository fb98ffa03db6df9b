"""HTTP APIs: stages, routes, events and answers."""

import base64
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.gateway.http_apis import apis, resources
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.cloud import add_route, answers, ask, document, event, make_api, request

TRACE = "Root=1-6af00000-0123456789abcdef01234567;Sampled=1"


def make(
    bench: Bench, *keys: str, version: str = "2.0", stage: str = "$default", **options: Any
) -> str:
    api_id = make_api(bench, **options)
    for key in keys:
        add_route(bench, api_id, key, version)
    bench.call(resources.STAGE.create, ApiId=api_id, StageName=stage, AutoDeploy=True)
    return api_id


def test_event_of_format_2(bench: Bench, state: GatewayState) -> None:
    """gateway-001: rawPath is decoded, although it is called raw."""
    api_id = make(bench, "POST /pets/{id}")
    answers(bench, {"statusCode": 201, "body": "made", "headers": {"X-A": "b"}, "cookies": ["c=1"]})
    headers = {"cookie": "a=1; b=2", "content-type": "application/json", "x-many": "1,2"}
    headers["x-amzn-trace-id"] = f"{TRACE};Lineage=a:7"
    response = ask(state, api_id, request("POST", "/pets/a%20b?x=1&x=2&y=%26", headers, b'{"n":1}'))
    assert response.status == 201
    assert response.body == b"made"
    assert ("x-a", "b") in response.headers
    assert ("set-cookie", "c=1") in response.headers
    domain = f"{api_id}.execute-api.us-east-1.amazonaws.com"
    assert event(bench) == {
        "version": "2.0",
        "routeKey": "POST /pets/{id}",
        "rawPath": "/pets/a b",
        "rawQueryString": "x=1&x=2&y=%26",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "host": "localhost:8000",
            "user-agent": "test",
            "content-type": "application/json",
            "x-many": "1,2",
            "x-forwarded-for": "10.0.0.9",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "80",
            "content-length": "7",
            "x-amzn-trace-id": TRACE,
        },
        "queryStringParameters": {"x": "1,2", "y": "&"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": api_id,
            "domainName": domain,
            "domainPrefix": api_id,
            "http": {
                "method": "POST",
                "path": "/pets/a b",
                "protocol": "HTTP/1.1",
                "sourceIp": "10.0.0.9",
                "userAgent": "test",
            },
            "requestId": "request",
            "routeKey": "POST /pets/{id}",
            "stage": "$default",
            "time": "18/Nov/2026:11:06:40 +0000",
            "timeEpoch": 1_795_000_000_000,
        },
        "pathParameters": {"id": "a b"},
        "body": '{"n":1}',
        "isBase64Encoded": False,
    }


def test_event_of_format_1(bench: Bench, state: GatewayState) -> None:
    """gateway-003: without a content type, format 1.0 says plain text (2.0 says JSON)."""
    api_id = make(bench, "ANY /{proxy+}", version="1.0")
    answers(
        bench,
        {"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}, "body": "x"},
    )
    response = ask(state, api_id, request("GET", "/a/b?x=1&x=2"))
    assert [v for n, v in response.headers if n == "set-cookie"] == ["a=1", "b=2"]
    assert ("content-type", "text/plain;charset=UTF-8") in response.headers
    sent = event(bench)
    assert sent["version"] == "1.0"
    assert sent["resource"] == "/{proxy+}"
    assert sent["pathParameters"] == {"proxy": "a/b"}
    assert sent["queryStringParameters"] == {"x": "2"}
    assert sent["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert sent["body"] is None


def test_named_stage_is_part_of_the_path(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "GET /x", stage="dev")
    answers(bench, "hello")
    response = ask(state, api_id, request("GET", "/dev/x"))
    assert response.body == b"hello"
    assert event(bench)["rawPath"] == "/dev/x"
    assert document(ask(state, api_id, request("GET", "/x"))) == {"message": "Not Found"}


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"a": 1}, 200, b'{"a":1}'),
        ("text", 200, b"text"),
        (None, 200, b"null"),
        ({"statusCode": 204}, 204, b""),
        ({"statusCode": "200", "body": "x"}, 200, b"x"),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "AAE="}, 200, b"\x00\x01"),
        ({"statusCode": "many"}, 500, b'{"message":"Internal Server Error"}'),
        ({"statusCode": 200, "body": {"a": 1}}, 500, b'{"message":"Internal Server Error"}'),
        ({"statusCode": 200, "headers": {"x": "a\r\nb: c"}}, 500, None),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "?"}, 500, None),
    ],
)
def test_answers(
    bench: Bench, state: GatewayState, answer: Any, status: int, body: bytes | None
) -> None:
    api_id = make(bench, "$default")
    answers(bench, answer)
    response = ask(state, api_id, request("GET", "/"))
    assert response.status == status
    assert body is None or response.body == body


def test_failed_and_throttled_functions(bench: Bench, state: GatewayState) -> None:
    """gateway-004: a function that fails is 500, one that is throttled 503."""
    api_id = make(bench, "$default")
    answers(bench, {"errorMessage": "no"}, error="Unhandled")
    assert ask(state, api_id, request("GET", "/")).status == 500

    def throttled(params: Any) -> Any:
        raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)

    bench.answers["Invoke"] = throttled
    response = ask(state, api_id, request("GET", "/"))
    assert response.status == 503
    assert document(response) == {"message": "Service Unavailable"}


@pytest.mark.parametrize(
    ("content_type", "body", "is_encoded"),
    [
        ("application/json", b"{}", False),
        ("text/plain; charset=utf-8", b"x", False),
        ("application/problem+json", b"{}", False),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("image/png", b"\x89", True),
        ("text/plain", b"\xff", True),
    ],
)
def test_bodies(
    bench: Bench, state: GatewayState, content_type: str, body: bytes, is_encoded: bool
) -> None:
    """gateway-002: what is not known to be text is base64."""
    api_id = make(bench, "$default")
    answers(bench, "x")
    ask(state, api_id, request("POST", "/", {"content-type": content_type}, body))
    sent = event(bench)
    assert sent["isBase64Encoded"] is is_encoded
    assert (base64.b64decode(sent["body"]) if is_encoded else sent["body"].encode()) == body


def test_body_over_the_limit(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "$default")
    big = Request("POST", "/", "", {}, Body(Body.of(b"x").receive, 10 * 1024 * 1024 + 1))
    assert ask(state, api_id, big).status == 413
    assert bench.invoked == []


def test_cors(bench: Bench, state: GatewayState) -> None:
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60}
    api_id = make(bench, "GET /x", CorsConfiguration=cors | {"AllowHeaders": ["x-a"]})
    answers(bench, {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}})
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}
    preflight = ask(state, api_id, request("OPTIONS", "/x", headers))
    assert preflight.status == 204
    assert ("access-control-allow-methods", "GET") in preflight.headers
    assert ("access-control-max-age", "60") in preflight.headers
    answer = ask(state, api_id, request("GET", "/x", {"origin": "https://a.example"}))
    allowed = [v for n, v in answer.headers if n == "access-control-allow-origin"]
    assert allowed == ["https://a.example"]
    foreign = ask(state, api_id, request("GET", "/x", {"origin": "https://b.example"}))
    assert not any(n.startswith("access-control") for n, _ in foreign.headers)


def test_throttling(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench)
    add_route(bench, api_id, "$default")
    settings = {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 1.0}
    bench.call(
        resources.STAGE.create,
        ApiId=api_id,
        StageName="$default",
        AutoDeploy=True,
        DefaultRouteSettings=settings,
    )
    answers(bench, "x")
    statuses = [ask(state, api_id, request("GET", "/")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    bench.clock.advance(1)
    assert ask(state, api_id, request("GET", "/")).status == 200


def test_changes_are_served_at_once(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "GET /a")
    answers(bench, "x")
    assert ask(state, api_id, request("GET", "/b")).status == 404
    route_id = add_route(bench, api_id, "GET /b")
    assert ask(state, api_id, request("GET", "/b")).status == 200
    bench.call(resources.ROUTE.delete, ApiId=api_id, RouteId=route_id)
    assert ask(state, api_id, request("GET", "/b")).status == 404
    bench.call(apis.delete_api, ApiId=api_id)
    assert ask(state, api_id, request("GET", "/a")).status == 404


def test_manual_deployments(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench)
    add_route(bench, api_id, "GET /a")
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="$default")
    answers(bench, "x")
    assert ask(state, api_id, request("GET", "/a")).status == 404
    first = bench.call(resources.DEPLOYMENT.create, ApiId=api_id, StageName="$default")
    assert ask(state, api_id, request("GET", "/a")).status == 200
    add_route(bench, api_id, "GET /b")
    assert ask(state, api_id, request("GET", "/b")).status == 404
    with pytest.raises(AwsError) as refused:
        bench.call(resources.DEPLOYMENT.delete, ApiId=api_id, DeploymentId=first["DeploymentId"])
    assert refused.value.code == "BadRequestException"


def test_invokes_as_api_gateway(bench: Bench, state: GatewayState) -> None:
    api_id = make(bench, "GET /pets/{id}")
    answers(bench, "x")
    ask(state, api_id, request("GET", "/pets/1"))
    service, operation, params = bench.invoked[-1]
    assert (service, operation, params["InvocationType"]) == ("lambda", "Invoke", "RequestResponse")
