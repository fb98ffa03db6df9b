"""APIs and their parts: import, refusals, addresses."""

import json

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.gateway import addresses, permissions
from cloudlet.gateway.http_apis import apis, parts, resources
from cloudlet.gateway.service import GatewayState
from tests.harness import ROOT, Bench
from tests.unit.gateway.cloud import FUNCTION, add_route, answers, ask, make_api, request

URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
INTEGRATION = {
    "type": "aws_proxy",
    "httpMethod": "POST",
    "uri": URI,
    "payloadFormatVersion": "2.0",
}
ANY = "x-amazon-apigateway-any-method"
DEFINITION = {
    "openapi": "3.0.1",
    "info": {"title": "share", "version": "1.0"},
    "paths": {
        "/v1/{x+}": {ANY: {"x-amazon-apigateway-integration": INTEGRATION, "responses": {}}},
        "/s/{id}": {"get": {"x-amazon-apigateway-integration": INTEGRATION}},
        "$default": {ANY: {"x-amazon-apigateway-integration": INTEGRATION}},
    },
    "x-amazon-apigateway-cors": {"allowOrigins": ["*"], "allowMethods": ["GET"]},
    "tags": [{"name": "httpapi:createdBy", "x-amazon-apigateway-tag-value": "SAM"}],
}


def test_import(bench: Bench, state: GatewayState) -> None:
    api = bench.call(apis.import_api, Body=json.dumps(DEFINITION))
    assert api["Name"] == "share"
    assert api["CorsConfiguration"] == {"AllowOrigins": ["*"], "AllowMethods": ["GET"]}
    assert api["Tags"] == {"httpapi:createdBy": "SAM"}
    routes = bench.call(resources.ROUTE.list, ApiId=api["ApiId"])["Items"]
    assert {r["RouteKey"] for r in routes} == {"ANY /v1/{x+}", "GET /s/{id}", "$default"}
    bench.call(resources.STAGE.create, ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    answers(bench, "x")
    assert ask(state, api["ApiId"], request("GET", "/s/1")).status == 200
    assert bench.invoked[-1][2]["FunctionName"] == FUNCTION
    smaller = {**DEFINITION, "paths": {"/s/{id}": DEFINITION["paths"]["/s/{id}"]}}
    bench.call(apis.reimport_api, ApiId=api["ApiId"], Body=json.dumps(smaller))
    assert ask(state, api["ApiId"], request("GET", "/other")).status == 404
    assert ask(state, api["ApiId"], request("GET", "/s/1")).status == 200


def test_import_refuses_authorizers(bench: Bench) -> None:
    with pytest.raises(NotImplementedByCloudlet):
        bench.call(apis.import_api, Body=json.dumps({**DEFINITION, "security": [{"a": []}]}))
    with pytest.raises(AwsError) as broken:
        bench.call(apis.import_api, Body="{")
    assert broken.value.code == "BadRequestException"


def test_quick_create(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench, Target=FUNCTION)
    answers(bench, "x")
    assert ask(state, api_id, request("GET", "/any/path")).status == 200


@pytest.mark.parametrize("key", ["GET", "FETCH /x", "GET x", "GET /{a+}/b", "GET /a{b"])
def test_wrong_route_keys(key: str) -> None:
    with pytest.raises(AwsError) as refused:
        parts.check_route_key(key)
    assert refused.value.code == "BadRequestException"


def test_refusals(bench: Bench) -> None:
    api_id = make_api(bench)
    add_route(bench, api_id, "GET /x")
    with pytest.raises(AwsError) as twice:
        add_route(bench, api_id, "GET /x")
    assert twice.value.status == 409
    with pytest.raises(AwsError) as incomplete:
        bench.call(resources.ROUTE.create, ApiId=api_id, RouteKey="GET /y", AuthorizationType="JWT")
    assert incomplete.value.code == "BadRequestException"
    with pytest.raises(NotImplementedByCloudlet):
        logs = {"DestinationArn": "arn:aws:firehose:x", "Format": "$context.requestId"}
        bench.call(resources.STAGE.create, ApiId=api_id, StageName="dev", AccessLogSettings=logs)
    target = bench.call(resources.ROUTE.list, ApiId=api_id)["Items"][0]["Target"]
    with pytest.raises(AwsError) as used:
        bench.call(
            resources.INTEGRATION.delete,
            ApiId=api_id,
            IntegrationId=target.removeprefix("integrations/"),
        )
    assert used.value.code == "ConflictException"
    with pytest.raises(AwsError) as missing:
        bench.call(apis.get_api, ApiId="none")
    assert (missing.value.code, missing.value.status) == ("NotFoundException", 404)


def test_tags(bench: Bench) -> None:
    api_id = make_api(bench, Tags={"a": "1"})
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api_id}"
    bench.call(apis.tag_resource, ResourceArn=arn, Tags={"b": "2"})
    bench.call(apis.untag_resource, ResourceArn=arn, TagKeys=["a"])
    assert bench.call(apis.get_tags, ResourceArn=arn) == {"Tags": {"b": "2"}}


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("abc.execute-api.us-east-1.amazonaws.com", "/x", ("abc", "/x")),
        ("abc.execute-api.localhost:4566", "/x", ("abc", "/x")),
        ("localhost:4566", "/_aws/execute-api/abc/dev/x", ("abc", "/dev/x")),
        ("localhost:4566", "/_aws/execute-api/abc/$default/x", ("abc", "/x")),
        ("localhost:4566", "/_aws/execute-api/abc", ("abc", "/")),
        ("localhost:4566", "/bucket/key", None),
    ],
)
def test_addresses(host: str, path: str, expected: tuple[str, str] | None) -> None:
    asked = Request("GET", path, "", {"host": host}, Body.of(b""))
    assert addresses.match(asked) == expected


def test_management_paths() -> None:
    assert addresses.management_path("/dev/@connections/a%3D") == "/@connections/a%3D"
    assert addresses.management_path("/dev/%40connections/a") == "/@connections/a"
    assert addresses.management_path("/dev//@connections/a") == "/@connections/a"  # gateway-064
    assert addresses.management_path("/dev/x") is None


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        ("apigatewayv2", "CreateApi", {}, "POST /apis"),
        ("apigatewayv2", "GetRoutes", {"ApiId": "a"}, "GET /apis/a/routes"),
        ("apigatewayv2", "UpdateStage", {"ApiId": "a", "StageName": "s"}, "PATCH /apis/a/stages/s"),
        (
            "apigatewayv2",
            "DeleteRouteSettings",
            {"ApiId": "a", "StageName": "s", "RouteKey": "r"},
            "DELETE /apis/a/stages/s/routesettings/r",
        ),
        (
            "apigatewayv2",
            "ResetAuthorizersCache",
            {"ApiId": "a", "StageName": "s"},
            "DELETE /apis/a/stages/s/cache/authorizers",
        ),
        ("apigateway", "DeleteRestApi", {"restApiId": "a"}, "DELETE /restapis/a"),
    ],
)
def test_permissions(
    bench: Bench, service: str, operation: str, params: dict[str, str], expected: str
) -> None:
    asked = Request("POST", "/", "", {}, Body.of(b""))
    [needed] = permissions.apigateway(Call(bench.cloud, service, operation, params, ROOT, asked))
    verb, path = expected.split()
    assert needed.action == f"apigateway:{verb}"
    assert needed.resource == f"arn:aws:apigateway:us-east-1::{path}"
