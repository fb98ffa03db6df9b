"""A SAM application with REST APIs: deployed, used, changed, removed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

TEMPLATE = Path(__file__).parent / "zoo" / "template.yaml"
CHANGES = (
    ("Path: /pets/{id}", "Path: /animals/{id}"),
    ("ThrottlingRateLimit: 500", "ThrottlingRateLimit: 400"),
    ("      CanarySetting: {PercentTraffic: 10}\n", ""),
    ("Variables: {colour: red}", "Variables: {size: big}"),
    ("BinaryMediaTypes: [a~1b]", "BinaryMediaTypes: [c~1d]"),
    ("Schema: {type: object}", "Schema: {type: object, title: T}"),
    ("ValidateRequestBody: true", "ValidateRequestBody: false"),
    ("method.response.header.X: \"'1'\"", "method.response.header.X: \"'2'\""),
    ("Quota: {Limit: 100, Period: MONTH}", "Quota: {Limit: 200, Period: WEEK}"),
    ("RateLimit: 5, BurstLimit: 5", "RateLimit: 6, BurstLimit: 6"),
    ("Properties: {Enabled: true, Value", "Properties: {Enabled: false, Description: d, Value"),
    ("BasePath: v1", "BasePath: v2"),
    ("StatusCode: '503'", "StatusCode: '504'"),
    ("[{Key: a, Value: b}]", "[{Key: a, Value: c}]"),
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("zoo")
    shutil.copytree(TEMPLATE.parent, folder / "app")
    server = Server(folder / "data", folder / "app" / "template.yaml", "--no-watch")
    try:
        yield server.start()
    finally:
        server.stop()


def _ids(client: Any) -> dict[str, str]:
    """Name → id; the SAM template's own API is named after the stack."""
    return {api["name"]: api["id"] for api in client.get_rest_apis()["items"]}


def _stage(client: Any, api: str, name: str) -> Any:
    return client.get_stage(restApiId=api, stageName=name)


def _request(server: Server, method: str, path: str, **settings: Any) -> Any:
    return server.http.request(method, f"{server.endpoint}/_aws/execute-api/{path}", **settings)


def test_everything_is_made_as_declared(zoo: Server) -> None:
    """gateway-302: a template writes `~1` for the slash of a media type.

    gateway-303: the integration of `GET /mock` answers 404, which the method does not declare.
    """
    client = zoo.client("apigateway")
    ids = _ids(client)
    assert set(ids) == {"app", "included", "plain"}
    stage = _stage(client, ids["app"], "prod")
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 500.0
    assert stage["canarySettings"]["percentTraffic"] == 10.0
    assert stage["variables"] == {"colour": "red"}
    assert stage["tracingEnabled"] is True
    assert client.get_rest_api(restApiId=ids["app"])["binaryMediaTypes"] == ["image/png"]
    dev = _stage(client, ids["plain"], "dev")
    assert dev["variables"] == {"x": "y"}
    assert dev["methodSettings"]["*/*"]["throttlingBurstLimit"] == 40
    assert _stage(client, ids["plain"], "live")["tags"] == {"a": "b"}
    resources = client.get_resources(restApiId=ids["plain"], embed=["methods"])["items"]
    method = next(each for each in resources if each["path"] == "/mock")["resourceMethods"]["GET"]
    assert set(method["methodIntegration"]["integrationResponses"]) == {"200", "404"}
    assert client.get_account()["cloudwatchRoleArn"].endswith("role/logs")
    assert _request(zoo, "GET", f"{ids['plain']}/live/mock").headers["x"] == "1"
    assert json.loads(_request(zoo, "GET", f"{ids['included']}/v1/mock").data) == {"mock": True}


def test_the_function_is_reached_by_who_may(zoo: Server) -> None:
    client = zoo.client("apigateway")
    url = f"{_ids(client)['app']}/prod/pets/7"
    plan = next(p for p in client.get_usage_plans()["items"] if p["quota"]["period"] == "DAY")
    (key,) = client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    given = {"X-Keeper": "keeper", "x-api-key": key["value"], "content-type": "application/json"}
    answer = _request(zoo, "PUT", url, headers=given, body=b'{"name": "x"}')
    assert (answer.status, answer.json()) == (200, {"id": "7", "who": "keeper"})
    assert _request(zoo, "PUT", url, headers=given, body=b"{}").status == 400
    denied = _request(zoo, "PUT", url, headers={**given, "X-Keeper": "cat"}, body=b"{}")
    assert (denied.status, denied.headers["x-own"]) == (418, "no")
    without = {name: value for name, value in given.items() if name != "x-api-key"}
    assert _request(zoo, "PUT", url, headers=without, body=b'{"name": "x"}').status == 403
    preflight = _request(zoo, "OPTIONS", url)
    assert preflight.headers["access-control-allow-origin"] == "*"


def test_changes_are_made_in_place_and_all_goes(zoo: Server) -> None:
    client = zoo.client("apigateway")
    before = _ids(client)
    assert zoo.template is not None
    text = zoo.template.read_text()
    for old, new in CHANGES:
        assert old in text, old
        text = text.replace(old, new)
    zoo.stop()
    zoo.template.write_text(text)
    zoo.start()
    client = zoo.client("apigateway")
    ids = _ids(client)
    assert ids == before
    paths = [r["path"] for r in client.get_resources(restApiId=ids["app"])["items"]]
    assert paths == ["/", "/animals", "/animals/{id}"]
    stage = _stage(client, ids["app"], "prod")
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 400.0
    assert "canarySettings" not in stage
    assert stage["variables"] == {"size": "big"}
    assert len(client.get_deployments(restApiId=ids["app"])["items"]) == 1
    plain = client.get_rest_api(restApiId=ids["plain"])
    assert (plain["binaryMediaTypes"], plain["tags"]) == (["c/d"], {"a": "c"})
    plan = next(p for p in client.get_usage_plans()["items"] if p["quota"]["period"] == "WEEK")
    assert plan["apiStages"][0]["throttle"] == {"/mock/GET": {"rateLimit": 6.0, "burstLimit": 6}}
    (mapping,) = client.get_base_path_mappings(domainName="zoo.example.com")["items"]
    assert mapping["basePath"] == "v2"
    zoo.stop()
    told = len(zoo.log.read_text())
    zoo.template.write_text("Resources: {Queue: {Type: AWS::SQS::Queue}}\n")
    zoo.start()
    client = zoo.client("apigateway")
    for found in (client.get_rest_apis, client.get_usage_plans, client.get_api_keys):
        assert found()["items"] == []
    assert client.get_domain_names()["items"] == []
    assert "warning: not deleted" not in zoo.log.read_text()[told:]
