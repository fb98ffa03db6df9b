"""REST APIs: mappings, passthrough, selection, binary bodies, services, timeouts, cache, canary."""

import asyncio
from typing import Any

import orjson
import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Response
from tests.harness import Bench
from tests.unit.gateway.cloud import answers, document, event, request
from tests.unit.gateway.rest_cloud import (
    API,
    add_deployment,
    ask,
    deploy,
    method,
    snapshot_of,
    text,
)

ROLE = "arn:aws:iam::000000000000:role/gateway"


def mapped(**integration: Any) -> dict[str, Any]:
    """A function behind templates; without a template its event is the body."""
    return method("AWS", integration=integration)


@pytest.mark.parametrize(
    ("behavior", "templates", "kind", "status"),
    [
        ("WHEN_NO_MATCH", {}, "text/plain", 200),
        ("WHEN_NO_MATCH", {"application/json": "{}"}, "text/plain", 200),
        ("WHEN_NO_TEMPLATES", {}, "text/plain", 200),
        ("WHEN_NO_TEMPLATES", {"application/json": "{}"}, "text/plain", 415),
        ("NEVER", {}, "application/json", 415),
        ("NEVER", {"application/json": "{}"}, "application/json; charset=utf-8", 200),
        ("NEVER", {"$default": "{}"}, "text/plain", 200),
    ],
)
def test_passthrough(
    bench: Bench, behavior: str, templates: dict[str, str], kind: str, status: int
) -> None:
    made = mapped(passthroughBehavior=behavior, requestTemplates=templates)
    deploy(bench, {"POST /": made})
    answers(bench, {})
    response = ask(bench, request("POST", "/", {"content-type": kind}, b'"x"'))
    assert response.status == status
    if status == 200:
        assert event(bench) == (
            {} if (templates and kind != "text/plain") or "$default" in templates else "x"
        )
    else:
        assert document(response) == {"message": "Unsupported Media Type"}


def test_what_templates_know(bench: Bench) -> None:
    """gateway-056: an empty body is an empty object to templates."""
    source = """#set($p = $input.params())
{
  "all": "$p.path.id $p.querystring.q $p.header.X-Mine $input.params('X-mine')",
  "keys": [#foreach($k in $p.keySet())"$k"#if($foreach.hasNext),#end#end],
  "json": $input.json('$.a'), "path": "$input.path('$.a.b')", "none": "$input.path('$.z')",
  "body": "$util.base64Encode($input.body)", "url": "$util.urlEncode('a b&c/ü')",
  #set($js = $util.escapeJavaScript('it''s "x/é'))
  "js": "$js.replaceAll("\\\\'", "'")",
  "parsed": "$util.parseJson('{"k": [1]}').k", "back": "$util.base64Decode('aGk=')",
  "ctx": "$context.identity.sourceIp $context.httpMethod $context.stage $stageVariables.v"
}"""
    deploy(
        bench,
        {"POST /p/{id}": mapped(requestTemplates={"application/json": source})},
        stage={"variables": {"v": "1"}},
    )
    answers(bench, {})
    headers = {"x-mine": "m", "content-type": "application/json"}
    body = b'{"a": {"b": "c"}}'
    assert ask(bench, request("POST", "/p/7?q=2", headers, body)).status == 200
    assert event(bench) == {
        "all": "7 2 m m",
        "keys": ["path", "querystring", "header"],
        "json": {"b": "c"},
        "path": "c",
        "none": "",
        "body": "eyJhIjogeyJiIjogImMifX0=",
        "url": "a+b%26c%2F%C3%BC",
        "js": "it's \"x/é",
        "parsed": "[1]",
        "back": "hi",
        "ctx": "10.0.0.9 POST dev 1",
    }
    source = '{"b": "$input.body", "p": "$input.path(\'$\')", "j": $input.json(\'$\')}'
    deploy(bench, {"POST /": mapped(requestTemplates={"application/json": source})})
    assert ask(bench, request("POST", "/")).status == 200
    assert event(bench) == {"b": "{}", "p": "{}", "j": {}}


def test_errors_pick_a_response(bench: Bench) -> None:
    responses = {
        "200": {"statusCode": "200"},
        "404": {
            "statusCode": "404",
            "selectionPattern": "\\[NotFound\\].*",
            "responseParameters": {
                "method.response.header.X-Why": "integration.response.body.errorMessage",
                "method.response.header.X-Static": "'s'",
            },
        },
    }
    deploy(bench, {"POST /": mapped(integrationResponses=responses)})
    answers(bench, {"errorMessage": "[NotFound] it"}, error="Unhandled")
    response = ask(bench, request("POST", "/"))
    assert response.status == 404
    assert {("x-why", "[NotFound] it"), ("x-static", "s")} <= set(response.headers)
    answers(bench, {"errorMessage": "other"}, error="Unhandled")
    assert ask(bench, request("POST", "/")).status == 200
    del responses["200"]
    deploy(bench, {"POST /": mapped(integrationResponses=responses)})
    response = ask(bench, request("POST", "/"))
    assert (response.status, document(response)) == (500, {"message": "Internal server error"})


def test_a_function_is_not_waited_for(bench: Bench) -> None:
    event_header = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
    deploy(bench, {"POST /": mapped(requestParameters=event_header)})
    assert ask(bench, request("POST", "/", {}, b"[1]")).status == 200
    _, _, params = bench.invoked[-1]
    assert (params["InvocationType"], params["Payload"]) == ("Event", b"[1]")


@pytest.mark.parametrize(
    ("kind", "handling", "sent"),
    [
        ("image/png", None, b"\xff"),
        ("image/png", "CONVERT_TO_TEXT", b"/w=="),
        ("text/plain", "CONVERT_TO_BINARY", b"x"),
        ("text/plain", None, b"eA=="),
    ],
)
def test_request_content_handling(bench: Bench, kind: str, handling: Any, sent: bytes) -> None:
    deploy(
        bench,
        {"POST /": mapped(contentHandling=handling)},
        api={"binaryMediaTypes": ["image/png"]},
    )
    answers(bench, {})
    body = b"\xff" if kind == "image/png" else b"eA=="
    ask(bench, request("POST", "/", {"content-type": kind}, body))
    assert bench.invoked[-1][2]["Payload"] == sent


def service(target: str, **more: Any) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:us-east-1:{target}"
    return method("AWS", integration={"uri": uri, "credentials": ROLE, **more})


@pytest.fixture
def as_role(bench: Bench) -> Caller:
    caller = Caller("role", ROLE, "000000000000")
    bench.cloud.caller_of = lambda key: caller if key == "ASIA1" else None
    bench.answers["AssumeRole"] = {"Credentials": {"AccessKeyId": "ASIA1"}}
    return caller


def test_an_action_of_a_json_service(bench: Bench, as_role: Caller) -> None:
    template = '{"TableName": "$input.params(\'t\')", "Key": {"id": {"S": "1"}}}'
    made = service("dynamodb:action/GetItem", requestTemplates={"application/json": template})
    deploy(bench, {"GET /{t}": made})
    bench.answers["GetItem"] = {"Item": {"id": {"S": "1"}}}
    assert document(ask(bench, request("GET", "/pets"))) == {"Item": {"id": {"S": "1"}}}
    params = {"TableName": "pets", "Key": {"id": {"S": "1"}}}
    assert bench.invoked[-1] == ("dynamodb", "GetItem", params)

    def refuse(params: Any) -> Any:
        raise AwsError("ResourceNotFoundException", "no such table", 400)

    bench.answers["GetItem"] = refuse
    response = ask(bench, request("GET", "/pets"))
    assert "ResourceNotFoundException" in text(response)


def test_a_path_of_a_queue(bench: Bench, as_role: Caller) -> None:
    """gateway-059: services of the query protocol answer API Gateway in JSON."""
    parameters = {
        "integration.request.querystring.Action": "'SendMessage'",
        "integration.request.querystring.MessageBody": "method.request.body",
        "integration.request.querystring.MessageAttribute.1.Name": "'n'",
        "integration.request.querystring.MessageAttribute.1.Value.DataType": "'String'",
        "integration.request.querystring.MessageAttribute.1.Value.StringValue": "context.stage",
    }
    deploy(bench, {"POST /": service("sqs:path/000000000000/jobs", requestParameters=parameters)})
    bench.answers["SendMessage"] = {"MessageId": "m1", "MD5OfMessageBody": "x"}
    answer = document(ask(bench, request("POST", "/", {}, b"hello")))
    assert answer["SendMessageResponse"]["SendMessageResult"]["MessageId"] == "m1"
    _, _, params = bench.invoked[-1]
    assert params["QueueUrl"].endswith("/000000000000/jobs")
    assert params["MessageBody"] == "hello"
    assert params["MessageAttributes"] == {"n": {"DataType": "String", "StringValue": "dev"}}


def test_services_that_are_not_there(bench: Bench, as_role: Caller) -> None:
    template = {"application/json": '{"stateMachineArn": "arn:aws:states:::m"}'}
    deploy(bench, {"POST /": service("states:action/StartExecution", requestTemplates=template)})

    def refuse(params: Any) -> Any:
        raise NotImplementedByCloudlet("The service 'stepfunctions'")

    bench.answers["StartExecution"] = refuse
    assert ask(bench, request("POST", "/")).status == 500
    deploy(bench, {"POST /": service("nothing:action/Do")})
    assert ask(bench, request("POST", "/")).status == 500


def test_time_out(bench: Bench) -> None:
    deploy(bench, {"GET /": method(integration={"timeoutInMillis": 50})})

    async def never(*_: Any) -> Any:
        await asyncio.sleep(60)

    bench.cloud.invoke = never
    response = ask(bench, request("GET", "/"))
    assert (response.status, document(response)) == (504, {"message": "Endpoint request timed out"})


@pytest.mark.parametrize("uri", ["http://", "ftp://x/"])
def test_addresses_that_lead_nowhere(bench: Bench, uri: str) -> None:
    deploy(bench, {"GET /": method("HTTP", integration={"uri": uri, "httpMethod": "GET"})})
    response = ask(bench, request("GET", "/"))
    assert (response.status, document(response)) == (500, {"message": "Internal server error"})


def test_refused_invocations(bench: Bench) -> None:
    deploy(bench, {"GET /": method()})

    async def refused(*_: Any) -> Any:
        raise AwsError("AccessDeniedException", "no", 403)

    bench.cloud.invoke = refused
    assert ask(bench, request("GET", "/")).status == 500


def test_too_large(bench: Bench) -> None:
    deploy(bench, {"POST /": method()})
    response = ask(bench, request("POST", "/", {}, b"x" * (10 * 1024 * 1024 + 1)))
    assert (response.status, document(response)) == (413, {"message": "Request Too Long"})


def numbered(bench: Bench) -> None:
    """Functions answer with the number of the call."""

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        body = str(len(bench.invoked))
        return {"Payload": orjson.dumps({"statusCode": 200, "body": body})}

    bench.answers["Invoke"] = answer


def cached(bench: Bench, **settings: Any) -> None:
    """gateway-053: a stage's caching is for GET."""
    made = method(integration={"cacheKeyParameters": ["method.request.querystring.q"]})
    stage = {
        "cacheClusterEnabled": True,
        "methodSettings": {"*/*": {"cachingEnabled": True, "cacheTtlInSeconds": 60, **settings}},
    }
    deploy(bench, {"GET /": made, "POST /": method()}, stage=stage)
    numbered(bench)


def test_cache(bench: Bench) -> None:
    cached(bench)

    def get(path: str) -> str:
        return text(ask(bench, request("GET", path)))

    assert [get("/?q=a"), get("/?q=a&other=1"), get("/?q=b"), get("/?q=a")] == ["1", "1", "2", "1"]
    assert [text(ask(bench, request("POST", "/"))) for _ in range(2)] == ["3", "4"]
    bench.clock.advance(61)
    assert get("/?q=a") == "5"
    bench.database.write_now(lambda tx: tx.touch(f"rest-flush:data:{API}/dev"))
    assert get("/?q=a") == "6"


def test_keys_of_the_cache(bench: Bench) -> None:
    """A key may name a parameter of the method or of the integration."""
    sources = {
        "integration.request.querystring.a": "method.request.header.x-a",
        "integration.request.querystring.b": "method.request.path.id",
    }
    names = [*sources, "method.request.querystring.c"]
    made = method(integration={"requestParameters": sources, "cacheKeyParameters": names})
    settings = {"~1{id}/GET": {"cachingEnabled": True, "cacheTtlInSeconds": 60}}
    stage = {"cacheClusterEnabled": True, "methodSettings": settings}
    deploy(bench, {"GET /{id}": made}, stage=stage)
    numbered(bench)

    def get(path: str, header: str) -> str:
        return text(ask(bench, request("GET", path, {"x-a": header})))

    asked = [("/1", "a"), ("/1", "b"), ("/2", "a"), ("/1?c=1", "a"), ("/1?c=1&c=2", "a")]
    assert [get(*each) for each in asked] == ["1", "2", "3", "4", "5"]
    assert [get(*each) for each in asked] == ["1", "2", "3", "4", "5"]


def test_who_may_have_a_fresh_answer(bench: Bench) -> None:
    statement = {"Effect": "Allow", "Action": "execute-api:*", "Resource": "*"}
    arn, policies = "arn:aws:iam::000000000000:user/ann", ({"Statement": [statement]},)

    async def authenticate(*_: Any) -> Caller:
        return Caller("user", arn, "000000000000", policies=policies)

    bench.cloud.authenticate = authenticate
    settings = {"*/*": {"cachingEnabled": True, "cacheTtlInSeconds": 60}}
    stage = {"cacheClusterEnabled": True, "methodSettings": settings}
    deploy(bench, {"GET /": method(authorizationType="AWS_IAM")}, stage=stage)
    numbered(bench)
    headers = [{}, {"cache-control": "no-cache, max-age=0"}, {}]
    assert [text(ask(bench, request("GET", "/", h))) for h in headers] == ["1", "2", "2"]


@pytest.mark.parametrize(
    ("settings", "status", "body", "warns"),
    [
        ({"requireAuthorizationForCacheControl": False}, 200, "2", False),
        ({}, 200, "1", True),
        ({"unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403"}, 403, None, False),
        (
            {"unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITHOUT_RESPONSE_HEADER"},
            200,
            "1",
            False,
        ),
    ],
)
def test_fresh_answers(
    bench: Bench, settings: Any, status: int, body: str | None, warns: bool
) -> None:
    cached(bench, **settings)
    ask(bench, request("GET", "/"))
    response = ask(bench, request("GET", "/", {"cache-control": "max-age=0"}))
    assert response.status == status
    assert body is None or text(response) == body
    assert any(name == "warning" for name, _ in response.headers) == warns


def test_canary(bench: Bench) -> None:
    canary = {"percentTraffic": 100.0, "deploymentId": "dep2"}
    stage = {
        "variables": {"a": "1", "b": "1"},
        "canarySettings": {**canary, "stageVariableOverrides": {"b": "2"}},
    }
    deploy(bench, {"GET /": method()}, stage=stage)
    other = snapshot_of({"GET /new": method()}, {"id": API, "name": "pets"})
    add_deployment(bench, "dep2", other)
    answers(bench, {})
    assert ask(bench, request("GET", "/new")).status == 200
    sent = event(bench)
    assert sent["stageVariables"] == {"a": "1", "b": "2"}
    context = sent["requestContext"]
    assert (context["isCanaryRequest"], context["deploymentId"]) == (True, "dep2")


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.measured: list[tuple[Any, ...]] = []

    def line(self, *line: str) -> None:
        self.lines.append(line)  # type: ignore[arg-type]

    def add(self, *measured: Any) -> None:
        self.measured.append(measured)


def test_logs_and_metrics(bench: Bench) -> None:
    told = Told()
    bench.cloud.journal = bench.cloud.meter = told
    stage = {
        "accessLogSettings": {
            "destinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:access",
            "format": '{"id":"$context.requestId","s":"$context.status",'
            '"e":"$context.error.message"}',
        },
        "methodSettings": {"*/*": {"loggingLevel": "ERROR"}},
    }
    deploy(bench, {"GET /": method()}, stage=stage)
    answers(bench, {"statusCode": 200, "body": "x"})
    ask(bench, request("GET", "/"))
    answers(bench, "odd")
    ask(bench, request("GET", "/"))
    access = [line for group, _, line in told.lines if group == "access"]
    assert access == [
        '{"id":"request","s":"200","e":"-"}',
        '{"id":"request","s":"502","e":"Internal server error"}',
    ]
    group = f"API-Gateway-Execution-Logs_{API}/dev"
    lines = [line for name, _, line in told.lines if name == group]
    assert lines[0] == "(request) Starting execution for request: request"
    malformed = "Execution failed due to configuration error: Malformed Lambda proxy response"
    assert f"(request) {malformed}" in lines
    assert lines[-1] == "(request) Method completed with status: 502"
    dimensions = (("ApiName", "pets"), ("Stage", "dev"))
    counted = [m[1:4:2] for m in told.measured if m[2] == dimensions]
    assert counted.count(("Count", 1.0)) == 2
    assert counted.count(("5XXError", 1.0)) == 1


def test_unknown_stages(bench: Bench) -> None:
    deploy(bench, {"GET /": method()})
    asked = request("GET", "/prod/")
    response: Response = asyncio.run(bench.state.rest.answer(asked, API, "/prod/"))
    assert (response.status, document(response)) == (403, {"message": "Forbidden"})
    deploy(bench, {"GET /": method()}, api={"disableExecuteApiEndpoint": True})
    assert ask(bench, request("GET", "/")).status == 403


def test_clients_do_not_change_what_is_called(bench: Bench, as_role: Caller) -> None:
    """Neither by a form that names another action, nor by changing a stage's variables."""
    made = service("sqs:action/SendMessage", passthroughBehavior="WHEN_NO_MATCH")
    deploy(bench, {"POST /": made})
    form = {"content-type": "application/x-www-form-urlencoded"}
    ask(bench, request("POST", "/", form, b"Action=DeleteQueue&QueueUrl=q&MessageBody=x"))
    assert bench.invoked[-1][1] == "SendMessage"
    template = {"application/json": "$stageVariables.put('v', '2')$stageVariables.v"}
    deploy(bench, {"POST /": mapped(requestTemplates=template)}, stage={"variables": {"v": "1"}})
    answers(bench, {})
    for _ in range(2):
        ask(bench, request("POST", "/"))
        assert bench.invoked[-1][2]["Payload"] == b"12"


@pytest.mark.parametrize("path", ["$['" + "a" * 4000, "$[" + "()" * 2000, "$" + "[?(@.a" * 500])
def test_odd_paths_are_quickly_refused(bench: Bench, path: str) -> None:
    template = {"application/json": "$input.json($input.params('p'))"}
    deploy(bench, {"POST /": mapped(requestTemplates=template)})
    answers(bench, {})
    asked = request("POST", "/", {"p": path}, b'{"a": 1}')
    assert ask(bench, asked).status == 500


def test_deep_bodies(bench: Bench) -> None:
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    template = {"application/json": "$input.path('$') $input.json('$..a')"}
    deploy(bench, {"POST /": mapped(requestTemplates=template)})
    answers(bench, {})
    assert ask(bench, request("POST", "/", {}, deep)).status in (200, 500)
