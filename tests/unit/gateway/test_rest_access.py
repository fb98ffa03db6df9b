"""REST APIs: authorizers, signatures, resource policies, keys, plans, throttles, validators."""

import asyncio
from typing import Any

import orjson
import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from tests.harness import Bench
from tests.unit.gateway.cloud import answers, document, event, request
from tests.unit.gateway.rest_cloud import API, FUNCTION_URI, STAGE, ask, deploy, method, text

AUTHORIZER = FUNCTION_URI.replace("function:hello", "function:guard")


def guarded(bench: Bench, **members: Any) -> None:
    authorizer = {
        "id": "auth1",
        "type": "TOKEN",
        "authorizerUri": AUTHORIZER,
        "identitySource": "method.request.header.Authorization",
        **members,
    }
    made = method(authorizationType="CUSTOM", authorizerId="auth1")
    deploy(bench, {"GET /pets": made, "GET /cats": made}, authorizers={"auth1": authorizer})


def verdict(bench: Bench, effect: str = "Allow", resource: str = "*", **more: Any) -> None:
    """Functions answer; the authorizer's with a policy."""
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    decided = {"principalId": "me", "policyDocument": {"Statement": [statement]}, **more}

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        is_guard = params["FunctionName"].endswith(":guard")
        return {"Payload": orjson.dumps(decided if is_guard else {"statusCode": 200})}

    bench.answers["Invoke"] = answer


def asked_of(bench: Bench, name: str) -> list[dict[str, Any]]:
    return [
        orjson.loads(params["Payload"])
        for _, _, params in bench.invoked
        if params.get("FunctionName", "").endswith(f":{name}")
    ]


def get(bench: Bench, path: str = "/pets", **headers: str) -> Response:
    return ask(bench, request("GET", path, {k.replace("_", "-"): v for k, v in headers.items()}))


def test_token_authorizer(bench: Bench) -> None:
    guarded(bench)
    verdict(bench, context={"n": 1, "ok": True, "s": "x"})
    for _ in range(2):
        assert get(bench, authorization="secret").status == 200
    arn = f"arn:aws:execute-api:us-east-1:000000000000:{API}/{STAGE}/GET/pets"
    assert asked_of(bench, "guard") == [
        {"type": "TOKEN", "methodArn": arn, "authorizationToken": "secret"}
    ]
    assert event(bench)["requestContext"]["authorizer"] == {
        "n": "1",
        "ok": "true",
        "s": "x",
        "principalId": "me",
        "integrationLatency": 0,
    }
    bench.clock.advance(301)
    get(bench, authorization="secret")
    assert len(asked_of(bench, "guard")) == 2


def test_a_kept_verdict_is_for_its_resources(bench: Bench) -> None:
    """gateway-055: AWS's refusals begin with a capital letter."""
    guarded(bench)
    verdict(bench, resource=f"arn:aws:execute-api:*:*:{API}/*/GET/pets")
    assert get(bench, authorization="a").status == 200
    answer = get(bench, "/cats", authorization="a")
    assert answer.status == 403
    assert document(answer) == {"Message": "User is not authorized to access this resource"}
    assert len(asked_of(bench, "guard")) == 1
    verdict(bench, "Deny")
    told = document(get(bench, authorization="b"))["Message"]
    assert told == "User is not authorized to access this resource with an explicit deny"


@pytest.mark.parametrize(
    ("members", "headers", "status"),
    [
        ({}, {}, 401),
        ({"identityValidationExpression": "Bearer .+"}, {"authorization": "Basic x"}, 401),
        ({"identityValidationExpression": "Bearer .+"}, {"authorization": "Bearer x"}, 200),
        ({"type": "REQUEST", "identitySource": "method.request.querystring.who"}, {}, 401),
        ({"type": "REQUEST", "identitySource": "", "authorizerResultTtlInSeconds": 0}, {}, 200),
    ],
)
def test_identity_sources(bench: Bench, members: Any, headers: Any, status: int) -> None:
    guarded(bench, **members)
    verdict(bench)
    answer = get(bench, **headers)
    assert answer.status == status
    assert len(asked_of(bench, "guard")) == (status == 200)


def test_request_authorizer_sees_the_event_without_body(bench: Bench) -> None:
    guarded(bench, type="REQUEST", identitySource="method.request.querystring.who")
    verdict(bench)
    assert get(bench, "/pets?who=me").status == 200
    sent = asked_of(bench, "guard")[0]
    assert (sent["type"], sent["resource"], "body" in sent) == ("REQUEST", "/pets", False)
    assert sent["queryStringParameters"] == {"who": "me"}


@pytest.mark.parametrize(
    ("payload", "error", "status", "told"),
    [
        ({"errorMessage": "Unauthorized"}, "Unhandled", 401, "Unauthorized"),
        ({"errorMessage": "boom"}, "Unhandled", 500, None),
        ({"principalId": "me"}, None, 500, None),
        ({"principalId": "me", "policyDocument": {}, "context": {"a": [1]}}, None, 500, None),
    ],
)
def test_failing_authorizers(
    bench: Bench, payload: Any, error: Any, status: int, told: Any
) -> None:
    guarded(bench)
    answers(bench, payload, error)
    answer = get(bench, authorization="x")
    assert (answer.status, document(answer)) == (status, {"message": told})


def signer(bench: Bench, caller: Caller | AwsError) -> None:
    async def authenticate(asked: Request, name: str) -> Caller:
        assert name == "execute-api"
        if isinstance(caller, AwsError):
            raise caller
        return caller

    bench.cloud.authenticate = authenticate


def user(effect: str) -> Caller:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}
    arn = "arn:aws:iam::000000000000:user/ann"
    return Caller("user", arn, "000000000000", "AIDA1", "AKIA1", ({"Statement": [statement]},))


def test_signed_requests(bench: Bench) -> None:
    deploy(bench, {"GET /pets": method(authorizationType="AWS_IAM")})
    answers(bench, {"statusCode": 200})
    signer(bench, user("Allow"))
    assert get(bench).status == 200
    identity = event(bench)["requestContext"]["identity"]
    assert (identity["userArn"], identity["caller"]) == (
        "arn:aws:iam::000000000000:user/ann",
        "AIDA1",
    )
    signer(bench, user("Deny"))
    told = document(get(bench))["Message"]
    arn = f"arn:aws:execute-api:us-east-1:********0000:{API}/{STAGE}/GET/pets"
    assert told == (
        "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: "
        f"execute-api:Invoke on resource: {arn} with an explicit deny in an identity-based policy"
    )
    signer(bench, AwsError("ExpiredTokenException", "expired", 403))
    assert ("x-amzn-errortype", "ExpiredTokenException") in get(bench).headers


def test_resource_policy(bench: Bench) -> None:
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke"}
    here = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    policy = {
        "Statement": [
            {**allowed, "Resource": "execute-api:/dev/GET/pets", "Condition": here},
            {**allowed, "Effect": "Deny", "Resource": "execute-api:/*/GET/cats"},
        ]
    }
    deploy(bench, {f"GET /{path}": method() for path in ("pets", "cats", "dogs")}, policy=policy)
    answers(bench, {"statusCode": 200})
    assert get(bench).status == 200
    told = document(get(bench, "/cats"))["Message"]
    assert told.startswith("User: anonymous is not authorized to perform: execute-api:Invoke on")
    assert told.endswith("/dev/GET/cats with an explicit deny in a resource-based policy")
    told = document(get(bench, "/dogs"))["Message"]
    assert told.endswith("because no resource-based policy allows the execute-api:Invoke action")


def keyed(bench: Bench, plan: Any, **more: Any) -> None:
    """A method that wants a key, and the key "secret" with a plan."""
    routes = {"GET /pets": method(apiKeyRequired=True), "GET /free": method()}
    deploy(bench, more.pop("routes", routes), **more)
    plan = {"id": "plan1", "apiStages": [{"apiId": API, "stage": STAGE}], **plan}
    key = {"id": "key1", "value": "secret", "enabled": True}

    def save(tx: Any) -> None:
        tx.run("INSERT INTO rest_keys VALUES ('key1', 'secret', 1, ?)", (orjson.dumps(key),))
        tx.run("INSERT INTO rest_items VALUES ('usageplan', 'plan1', 1, ?)", (orjson.dumps(plan),))
        tx.run("INSERT INTO rest_plan_keys VALUES ('plan1', 'key1')")

    bench.database.write_now(save)
    answers(bench, {"statusCode": 200})


def test_api_keys(bench: Bench) -> None:
    keyed(bench, {"quota": {"limit": 2, "period": "DAY"}})
    for headers in ({}, {"x_api_key": "guessed"}):
        answer = get(bench, **headers)
        assert (answer.status, document(answer)) == (403, {"message": "Forbidden"})
        assert ("x-amzn-errortype", "ForbiddenException") in answer.headers
    assert get(bench, "/free").status == 200
    assert [get(bench, x_api_key="secret").status for _ in range(3)] == [200, 200, 429]
    identity = event(bench)["requestContext"]["identity"]
    assert (identity["apiKey"], identity["apiKeyId"]) == ("secret", "key1")
    assert document(get(bench, x_api_key="secret")) == {"message": "Limit Exceeded"}
    bench.clock.advance(24 * 3600)
    assert get(bench, x_api_key="secret").status == 200
    used = bench.database.view().all("SELECT day, used FROM rest_usage ORDER BY day")
    assert [tuple(row) for row in used] == [("2026-11-18", 2), ("2026-11-19", 1)]


def test_the_key_that_an_authorizer_finds(bench: Bench) -> None:
    authorizer = {"id": "auth1", "type": "TOKEN", "authorizerUri": AUTHORIZER}
    authorizer["identitySource"] = "method.request.header.Authorization"
    made = method(authorizationType="CUSTOM", authorizerId="auth1", apiKeyRequired=True)
    more = {"api": {"apiKeySource": "AUTHORIZER"}, "authorizers": {"auth1": authorizer}}
    keyed(bench, {}, **more, routes={"GET /pets": made})
    verdict(bench, usageIdentifierKey="secret")
    assert get(bench, authorization="a").status == 200
    verdict(bench)
    assert get(bench, authorization="b", x_api_key="secret").status == 403


def test_throttles_of_a_plan(bench: Bench) -> None:
    stage = {
        "apiId": API,
        "stage": STAGE,
        "throttle": {"/pets/GET": {"rateLimit": 1, "burstLimit": 1}},
    }
    keyed(bench, {"throttle": {"rateLimit": 10, "burstLimit": 5}, "apiStages": [stage]})
    statuses = [get(bench, x_api_key="secret").status for _ in range(2)]
    assert statuses == [200, 429]
    bench.clock.advance(1)
    assert get(bench, x_api_key="secret").status == 200
    answer = get(bench, x_api_key="secret")
    assert document(answer) == {"message": "Too Many Requests"}


def test_usage_without_a_quota_is_counted(bench: Bench) -> None:
    keyed(bench, {})

    async def use() -> None:
        asked = request("GET", "/pets", {"x-api-key": "secret"})
        assert (await bench.state.rest.answer(asked, API, f"/{STAGE}/pets")).status == 200
        await bench.state.rest.stop()

    asyncio.run(use())
    assert bench.database.view().value("SELECT sum(used) FROM rest_usage") == 1


def test_throttles_of_a_stage(bench: Bench) -> None:
    settings = {
        "*/*": {"throttlingRateLimit": 1, "throttlingBurstLimit": 2},
        "~1pets~1{id}/GET": {"throttlingRateLimit": 1, "throttlingBurstLimit": 1},
    }
    routes = {"GET /pets": method(), "GET /pets/{id}": method()}
    deploy(bench, routes, stage={"methodSettings": settings})
    answers(bench, {"statusCode": 200})
    assert [get(bench).status for _ in range(3)] == [200, 200, 429]
    assert [get(bench, "/pets/1").status for _ in range(2)] == [200, 429]


SCHEMAS = {
    "Pet": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "owner": {"$ref": f"https://apigateway.amazonaws.com/restapis/{API}/models/Owner"},
        },
    },
    "Owner": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}},
}


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("/?q=1", {"name": "x", "owner": {"age": 1}}, None),
        ("/?q=1", {"name": "x", "owner": {"age": -1}}, "Invalid request body"),
        ("/?q=1", {}, "Invalid request body"),
        ("/?q=1", None, "Invalid request body"),
        ("/", {"name": "x"}, "Missing required request parameters: [X-Tenant, q]"),
    ],
)
def test_validators(bench: Bench, asked: str, body: Any, told: Any) -> None:
    made = method(
        requestValidatorId="v1",
        requestModels={"application/json": "Pet"},
        requestParameters={
            "method.request.querystring.q": True,
            "method.request.header.X-Tenant": asked == "/",
            "method.request.querystring.other": False,
        },
    )
    validator = {"id": "v1", "validateRequestBody": True, "validateRequestParameters": True}
    models = {n: {"name": n, "schema": orjson.dumps(s).decode()} for n, s in SCHEMAS.items()}
    deploy(bench, {"POST /": made}, validators={"v1": validator}, models=models)
    answers(bench, {"statusCode": 200})
    data = b"" if body is None else orjson.dumps(body)
    answer = ask(bench, request("POST", asked, {"content-type": "application/json"}, data))
    if told is None:
        assert answer.status == 200
    else:
        assert (answer.status, document(answer)) == (400, {"message": told})
    other = ask(bench, request("POST", "/?q=1", {"content-type": "text/plain"}, b"no JSON"))
    assert other.status == (400 if asked == "/" else 200)


def test_gateway_responses(bench: Bench) -> None:
    made = method(requestValidatorId="v1", requestModels={"application/json": "Pet"})
    validator = {"id": "v1", "validateRequestBody": True}
    models = {n: {"name": n, "schema": orjson.dumps(s).decode()} for n, s in SCHEMAS.items()}
    responses = {
        "BAD_REQUEST_BODY": {
            "statusCode": "422",
            "responseParameters": {
                "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
                "gatewayresponse.header.X-Agent": "method.request.header.user-agent",
            },
            "responseTemplates": {
                "application/json": '{"m": $context.error.messageString, '
                '"d": "$context.error.validationErrorString", "s": "$stageVariables.v"}'
            },
        },
        "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.x-four": "'yes'"}},
    }
    deploy(
        bench,
        {"POST /": made},
        validators={"v1": validator},
        models=models,
        gatewayResponses=responses,
        stage={"variables": {"v": "1"}},
    )
    answer = ask(bench, request("POST", "/", {}, b"[]"))
    assert answer.status == 422
    assert ("access-control-allow-origin", "*") in answer.headers
    assert ("x-agent", "test") in answer.headers
    assert text(answer).startswith('{"m": "Invalid request body", "d": "[')
    assert text(answer).endswith('"s": "1"}')
    missing = ask(bench, request("GET", "/nothing"))
    assert (missing.status, document(missing)) == (
        403,
        {"message": "Missing Authentication Token"},
    )
    assert ("x-four", "yes") in missing.headers
