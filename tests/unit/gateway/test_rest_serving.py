"""REST APIs: routes, proxy events and answers, mocks, mappings."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudlet.gateway.domains import Found, Mapping
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.cloud import answers, document, event, request
from tests.unit.gateway.rest_cloud import API, ask, deploy, method, text
from tests.unit.gateway.test_edge import listed, make


def test_proxy_event(bench: Bench) -> None:
    deploy(bench, {"ANY /pets/{proxy+}": method()}, stage={"variables": {"colour": "red"}})
    answers(bench, {"statusCode": 201, "headers": {"X-A": "1"}, "body": "made"})
    headers = {
        "host": "abc123.execute-api.us-east-1.localhost:4566",
        "content-type": "application/json",
        "x-custom": "a",
    }
    asked = request("POST", "/pets/a%20b/c/?x=1&x=2&y=%26", headers, b'{"n":1}')
    response = ask(bench, asked)
    assert (response.status, response.body) == (201, b"made")
    sent = dict(response.headers)
    assert sent["x-a"] == "1"
    assert sent["content-type"] == "application/json"
    assert sent["x-amzn-requestid"] == "request"
    assert sent["x-amzn-trace-id"].startswith("Root=1-")
    trace = sent["x-amzn-trace-id"]
    forwarded = {
        "Host": "abc123.execute-api.us-east-1.localhost:4566",
        "User-Agent": "test",
        "Content-Type": "application/json",
        "x-custom": "a",
        "X-Forwarded-For": "10.0.0.9",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Port": "80",
        "X-Amzn-Trace-Id": trace,
    }
    assert event(bench) == {
        "resource": "/pets/{proxy+}",
        "path": "/pets/a%20b/c/",
        "httpMethod": "POST",
        "headers": forwarded,
        "multiValueHeaders": {name: [value] for name, value in forwarded.items()},
        "queryStringParameters": {"x": "2", "y": "&"},
        "multiValueQueryStringParameters": {"x": ["1", "2"], "y": ["&"]},
        "pathParameters": {"proxy": "a%20b/c"},
        "stageVariables": {"colour": "red"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abc123",
            "deploymentId": "dep1",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
            "extendedRequestId": "request=",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "10.0.0.9",
                "user": None,
                "userAgent": "test",
                "userArn": None,
            },
            "path": "/dev/pets/a%20b/c/",
            "protocol": "HTTP/1.1",
            "requestId": "request",
            "requestTime": "18/Nov/2026:11:06:40 +0000",
            "requestTimeEpoch": 1_795_000_000_000,
            "resourceId": "r0",
            "resourcePath": "/pets/{proxy+}",
            "stage": "dev",
        },
        "body": '{"n":1}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("asked", "resource"),
    [
        ("/pets", "/pets"),
        ("/pets/", "/pets"),  # gateway-061: a slash at the end is not looked at
        ("/pets/7", "/pets/{id}"),
        ("/pets/mine", "/pets/mine"),
        ("/pets/7/toys", "/{proxy+}"),
        ("/", "/"),
    ],
)
def test_routes(bench: Bench, asked: str, resource: str) -> None:
    paths = ("/", "/pets", "/pets/{id}", "/pets/mine", "/{proxy+}")
    deploy(bench, {f"GET {path}": method() for path in paths})
    answers(bench, {})
    assert ask(bench, request("GET", asked)).status == 200
    assert event(bench)["resource"] == resource


def test_what_is_not_there(bench: Bench) -> None:
    deploy(bench, {"GET /pets": method()})
    for asked in (request("GET", "/cats"), request("POST", "/pets")):
        response = ask(bench, asked)
        assert response.status == 403
        assert document(response) == {"message": "Missing Authentication Token"}
        assert ("x-amzn-errortype", "MissingAuthenticationTokenException") in response.headers


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({}, 200, ""),
        ({"statusCode": "204"}, 204, ""),
        ({"statusCode": 200, "body": "x"}, 200, "x"),
        ({"statusCode": 200, "body": "eA==", "isBase64Encoded": True}, 200, "eA=="),
        ({"statusCode": 200, "text": "x"}, 502, '{"message":"Internal server error"}'),
        ({"statusCode": "many"}, 502, '{"message":"Internal server error"}'),
        ({"statusCode": 200, "body": {"a": 1}}, 502, '{"message":"Internal server error"}'),
        ("text", 502, '{"message":"Internal server error"}'),
        (None, 502, '{"message":"Internal server error"}'),
        ({"headers": {"x": ["a"]}}, 502, '{"message":"Internal server error"}'),
        ({"multiValueHeaders": {"x": "a"}}, 502, '{"message":"Internal server error"}'),
    ],
)
def test_proxy_answers(bench: Bench, answer: Any, status: int, body: str) -> None:
    deploy(bench, {"GET /": method()})
    answers(bench, answer)
    response = ask(bench, request("GET", "/"))
    assert (response.status, text(response)) == (status, body)


def test_headers_of_a_proxy_answer(bench: Bench) -> None:
    """gateway-058: of a header that is given twice, the single value comes behind the many."""
    deploy(bench, {"GET /": method()})
    answer = {
        "headers": {"Test-Multi": "solo", "Date": "now", "flag": True},
        "multiValueHeaders": {"tesT-Multi": ["one", "two"], "set-cookie": ["a=1", "b=2"]},
    }
    answers(bench, answer)
    headers = ask(bench, request("GET", "/")).headers
    assert [v for n, v in headers if n == "test-multi"] == ["one", "two", "solo"]
    assert [v for n, v in headers if n == "set-cookie"] == ["a=1", "b=2"]
    assert ("x-amzn-remapped-date", "now") in headers
    assert ("flag", "true") in headers


def test_a_failing_function(bench: Bench) -> None:
    deploy(bench, {"GET /": method()})
    answers(bench, {"errorMessage": "boom"}, error="Unhandled")
    response = ask(bench, request("GET", "/"))
    assert (response.status, document(response)) == (502, {"message": "Internal server error"})


def test_binary_media_types(bench: Bench) -> None:
    deploy(bench, {"POST /": method()}, api={"binaryMediaTypes": ["image/*"]})
    answers(bench, {"statusCode": 200, "body": "AAE=", "isBase64Encoded": True})
    headers = {"content-type": "image/png", "accept": "image/png,*/*"}
    response = ask(bench, request("POST", "/", headers, b"\xff\x00"))
    assert response.body == b"\x00\x01"
    assert (event(bench)["body"], event(bench)["isBase64Encoded"]) == ("/wA=", True)
    response = ask(bench, request("POST", "/", {"content-type": "text/plain"}, b"\xff"))
    assert text(response) == "AAE="
    assert (event(bench)["body"], event(bench)["isBase64Encoded"]) == ("�", False)


def test_mock_with_cors(bench: Bench) -> None:
    """gateway-060: AWS reads `{statusCode: 200}`, too, which is no JSON."""
    parameters = {
        "method.response.header.Access-Control-Allow-Origin": "'*'",
        "method.response.header.X-Path": "context.resourcePath",
    }
    mock = method(
        "MOCK",
        integration={
            "requestTemplates": {"application/json": "{statusCode: 204}"},
            "integrationResponses": {
                "200": {"statusCode": "200"},
                "204": {
                    "statusCode": "204",
                    "selectionPattern": "204",
                    "responseParameters": parameters,
                },
            },
        },
    )
    deploy(bench, {"OPTIONS /pets": mock})
    response = ask(bench, request("OPTIONS", "/pets"))
    assert response.status == 204
    assert ("access-control-allow-origin", "*") in response.headers
    assert ("x-path", "/pets") in response.headers
    assert not any(name == "x-amzn-trace-id" for name, _ in response.headers)


def test_overrides_outlive_the_request_template(bench: Bench) -> None:
    """gateway-057: an override that is no status from 200 to 599 is ignored."""
    ask_for = "#set($context.responseOverride.status = $input.params('s')){\"statusCode\": 200}"
    answer = (
        "#set($context.responseOverride.header.X-Seen = $context.responseOverride.status)"
        '{"status": "$context.responseOverride.status", "path": "$context.path"}'
    )
    mock = method(
        "MOCK",
        integration={
            "requestTemplates": {"application/json": ask_for},
            "integrationResponses": {
                "200": {"statusCode": "200", "responseTemplates": {"application/json": answer}}
            },
        },
    )
    deploy(bench, {"GET /": mock})
    response = ask(bench, request("GET", "/?s=444"))
    assert response.status == 444
    assert document(response) == {"status": "444", "path": "/dev/"}
    assert ("x-seen", "444") in response.headers
    assert ask(bench, request("GET", "/?s=9444")).status == 200


def test_headers_as_they_were_sent(bench: Bench) -> None:
    """gateway-054: names as the client spelled them, except what AWS capitalises itself."""
    deploy(bench, {"GET /": method()})
    answers(bench, {})
    asked = request("GET", "/", {"x-mine": "a,b", "authorization": "t", "accept": "changed"})
    asked.sent = [
        (b"X-MINE", b"a"),
        (b"x-mine", b"b"),
        (b"authorization", b"t"),
        (b"accept", b"*/*"),
        (b"Content-Length", b"0"),
    ]
    ask(bench, asked)
    sent = event(bench)
    assert sent["headers"]["X-MINE"] == "b"
    assert sent["multiValueHeaders"]["X-MINE"] == ["a", "b"]
    assert sent["headers"]["Authorization"] == "t"
    assert sent["multiValueHeaders"]["accept"] == ["changed"]
    assert "Content-Length" not in sent["headers"]


@pytest.mark.parametrize(
    ("given", "sampled"),
    [("", True), ("Root=1-a-b;Lineage=x:1", True), ("Root=1-a-b;Parent=c;Sampled=0", False)],
)
def test_trace_header(bench: Bench, given: str, sampled: bool) -> None:
    deploy(bench, {"GET /": method()}, stage={"tracingEnabled": True})
    answers(bench, {})
    headers = {"x-amzn-trace-id": given} if given else {}
    told = dict(ask(bench, request("GET", "/", headers)).headers)["x-amzn-trace-id"]
    assert event(bench)["headers"]["X-Amzn-Trace-Id"] == told == bench.invoked[-1][2]["TraceHeader"]
    assert told.startswith("Root=1-a-b" if given else "Root=1-")
    assert ("Sampled=1" in told) == sampled
    assert "Lineage" not in told


def test_custom_domain(bench: Bench) -> None:
    """The mapping names the stage; the request's path keeps the base path."""
    deploy(bench, {"GET /pets": method()})
    answers(bench, {})
    mapping = Mapping("m1", "api.example.com", "v1", API, "dev")
    asked = request("GET", "/v1/pets", {"host": "api.example.com"})
    found = Found(mapping, "api.example.com", "/pets")
    asyncio.run(bench.state.rest.answer(asked, API, "/pets", found))
    sent = event(bench)
    assert (sent["path"], sent["resource"]) == ("/pets", "/pets")
    context = sent["requestContext"]
    assert (context["path"], context["domainName"]) == ("/v1/pets", "api.example.com")


def test_a_change_is_served_at_once(bench: Bench) -> None:
    deploy(bench, {"GET /": method("MOCK")})
    assert ask(bench, request("GET", "/")).status == 200
    deploy(bench, {"GET /": method("MOCK", integration={"integrationResponses": {}})})
    assert ask(bench, request("GET", "/")).status == 500


def test_the_front_door(bench: Bench, state: GatewayState) -> None:
    """Without a distribution the oldest API answers; with one, an origin's path counts."""
    deploy(bench, {"ANY /v1/{proxy+}": method()})
    answers(bench, {"statusCode": 200, "body": "x"})
    root = asyncio.run(state.edge.answer(request("GET", "/", {"host": "localhost:8000"})))
    assert (root.status, root.headers) == (302, [("location", "/dev/")])
    asked = request("GET", "/dev/v1/a", {"host": "localhost:8000"})
    assert asyncio.run(state.edge.answer(asked)).body == b"x"
    domain = f"{API}.execute-api.us-east-1.amazonaws.com"
    site = {
        "Id": "site",
        "DomainName": "site.s3.us-east-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    make(
        bench,
        state,
        Origins=listed(site, {"Id": "api", "DomainName": domain, "OriginPath": "/dev"}),
    )
    response = asyncio.run(state.edge.answer(request("GET", "/v1/a", {"host": "localhost:8000"})))
    assert (response.status, response.body) == (200, b"x")
    context = event(bench)["requestContext"]
    assert (context["path"], context["resourcePath"]) == ("/dev/v1/a", "/v1/{proxy+}")


_ECHOED = """{"p": "$input.params('a')", "all": "$input.params()", "b": $input.json('$.x'),
"e": "$util.escapeJavaScript($input.body)", "u": "$util.urlDecode($input.params('a'))"}"""


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(("GET", "POST", "BREW")),
    st.text(alphabet="/ab%2.{}é\x00", max_size=20),
    st.text(alphabet="a=&%+é;", max_size=20),
    st.dictionaries(
        st.sampled_from(("content-type", "accept", "cache-control", "x-amzn-trace-id", "cookie")),
        st.text(alphabet="a/*,;=é \x01", max_size=12),
    ),
    st.binary(max_size=20),
)
def test_whatever_is_asked_is_answered(
    bench: Bench, verb: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    mock = method(
        "MOCK",
        integration={
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "requestParameters": {"integration.request.header.x": "method.request.body.x"},
            "integrationResponses": {
                "200": {"statusCode": "200", "responseTemplates": {"application/json": _ECHOED}}
            },
        },
    )
    if not bench.answers:
        deploy(bench, {"ANY /{proxy+}": method(), "ANY /a": mock, "GET /": mock})
        answers(bench, {})
    bench.clock.advance(1)
    asked = request(verb, f"/{path}", headers, body)
    asked.raw_path, asked.query = f"/{path}", query
    response = ask(bench, asked)
    assert response.status in (200, 403, 500)
    if response.status == 500:  # a body that no template can be given
        assert text(response) == '{"message":"Internal server error"}'
