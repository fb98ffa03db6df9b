"""Deployments are frozen, stages serve them; canaries, settings of methods, caches to flush."""

import pytest

from cloudlet.gateway.rest import documents, snapshots, stages
from tests.unit.gateway.rest_control import Rest


def test_a_deployment_is_frozen(rest: Rest) -> None:
    api = rest.deployed()
    api_id = api["id"]
    rest.method(api, rest.resource(api, "/later"))
    view = rest.bench.database.view()
    found = snapshots.load(view, api_id, "prod")
    assert found is not None
    assert [resource["path"] for resource in found.snapshot["resources"]] == ["/"]
    root = found.snapshot["resources"][0]
    assert root["resourceMethods"]["GET"]["methodIntegration"]["type"] == "MOCK"
    rest("CreateDeployment", restApiId=api_id, stageName="prod", variables={"a": "b"})
    later = snapshots.load(view, api_id, "prod")
    assert later is not None
    assert {resource["path"] for resource in later.snapshot["resources"]} == {"/", "/later"}
    assert later.stage["variables"] == {"a": "b"}
    assert snapshots.load(view, api_id, "nope") is None
    assert snapshots.load(view, "nope", "prod") is None


def test_what_cannot_be_deployed(rest: Rest) -> None:
    api = rest.api()
    assert rest.fails("BadRequestException", "CreateDeployment", restApiId=api["id"]) == (
        "The REST API doesn't contain any methods"
    )
    address = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    rest("PutMethod", **address, authorizationType="NONE")
    assert rest.fails("BadRequestException", "CreateDeployment", restApiId=api["id"]) == (
        "No integration defined for method"
    )


def test_changes_wake_who_serves(rest: Rest) -> None:
    told: list[str] = []
    rest.bench.database.subscribe(documents.TOPIC, told.append)
    rest.bench.database.subscribe(snapshots.FLUSH_TOPIC, told.append)
    api_id = rest.deployed()["id"]
    assert f"rest:{api_id}" in told
    told.clear()
    rest.patch("UpdateStage", "replace", "/variables/a", "b", restApiId=api_id, stageName="prod")
    rest("CreateApiKey")
    rest("FlushStageCache", restApiId=api_id, stageName="prod")
    rest("FlushStageAuthorizersCache", restApiId=api_id, stageName="prod")
    assert told == [
        f"rest:{api_id}",
        f"rest:{api_id}",
        f"rest-flush:data:{api_id}/prod",
        f"rest-flush:authorizers:{api_id}/prod",
    ]


def test_deployments_in_use_stay(rest: Rest) -> None:
    api_id = rest.deployed()["id"]
    (deployment,) = rest("GetDeployments", restApiId=api_id)["items"]
    address = {"restApiId": api_id, "deploymentId": deployment["id"]}
    assert rest.fails("BadRequestException", "DeleteDeployment", **address) == (
        "Active stages pointing to this deployment must be moved or deleted"
    )
    summary = rest("GetDeployment", **address, embed=["apisummary"])["apiSummary"]
    assert summary == {"/": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}
    rest.patch("UpdateDeployment", "replace", "/description", "old", **address)
    rest("DeleteStage", restApiId=api_id, stageName="prod")
    rest("DeleteDeployment", **address)
    assert rest.fails("NotFoundException", "GetDeployment", **address) == (
        "Invalid Deployment identifier specified"
    )


def test_a_stage_of_its_own(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    api_id = rest.deployed()["id"]
    (deployment,) = rest("GetDeployments", restApiId=api_id)["items"]
    given = {"restApiId": api_id, "deploymentId": deployment["id"]}
    stage = rest("CreateStage", **given, stageName="blue", cacheClusterEnabled=True)
    assert (stage["cacheClusterStatus"], stage["cacheClusterSize"]) == ("AVAILABLE", "0.5")
    assert rest.fails("ConflictException", "CreateStage", **given, stageName="blue") == (
        "Stage already exists"
    )
    assert rest.fails("BadRequestException", "CreateStage", **given, stageName="a.b") == (
        "Stage name only allows a-zA-Z0-9_-"
    )
    unknown = {**given, "deploymentId": "nope", "stageName": "green"}
    rest.fails("NotFoundException", "CreateStage", **unknown)
    bad = {**given, "stageName": "green", "variables": {"a b": "c"}}
    rest.fails("BadRequestException", "CreateStage", **bad)
    rest.fails("BadRequestException", "CreateStage", **given, stageName="x", cacheClusterSize="9")
    monkeypatch.setattr(stages, "STAGES_MAX", 2)
    rest.fails("LimitExceededException", "CreateStage", **given, stageName="third")
    found = rest("GetStages", restApiId=api_id, deploymentId=deployment["id"])["item"]
    assert [each["stageName"] for each in found] == ["blue", "prod"]


@pytest.mark.parametrize(
    ("path", "key", "own"),
    [
        ("/*/*", "*/*", "/x"),
        ("/~1pets~1{id}/GET", "~1pets~1{id}/GET", "/pets/{id}"),
        ("/pets/GET", "pets/GET", "/pets"),
        ("/~1/GET", "~1/GET", "/"),
    ],
)
def test_settings_of_methods(rest: Rest, path: str, key: str, own: str) -> None:
    address = {"restApiId": rest.deployed()["id"], "stageName": "prod"}
    for name, value in (
        ("throttling/rateLimit", "5.5"),
        ("throttling/burstLimit", "7"),
        ("caching/enabled", "true"),
        ("logging/loglevel", "INFO"),
    ):
        stage = rest.patch("UpdateStage", "replace", f"{path}/{name}", value, **address)
    settings = stage["methodSettings"][key]
    assert settings["throttlingRateLimit"] == 5.5
    assert settings["throttlingBurstLimit"] == 7
    assert settings["cachingEnabled"] is True
    assert settings["loggingLevel"] == "INFO"
    assert settings["cacheTtlInSeconds"] == 300
    assert snapshots.method_settings(stage, own, "GET") == settings
    stage = rest.patch("UpdateStage", "remove", path, **address)
    assert stage["methodSettings"] == {}
    assert snapshots.method_settings(stage, own, "GET") == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/*/*/logging/loglevel", "LOUD"),
        ("/*/*/caching/ttlInSeconds", "3601"),
        ("/*/*/caching/size", "1"),
        ("/*/*/throttling/rateLimit", "many"),
        ("/canarySettings/percentTraffic", "101"),
        ("/accessLogSettings/format", "$context.path"),
        ("/deploymentId", "nope"),
        ("/stageName", "other"),
    ],
)
def test_wrong_stage_patches_change_nothing(rest: Rest, path: str, value: str) -> None:
    address = {"restApiId": rest.deployed()["id"], "stageName": "prod"}
    before = rest("GetStage", **address)
    with pytest.raises(Exception, match=r"Exception: "):
        rest.patch("UpdateStage", "replace", path, value, **address)
    assert rest("GetStage", **address) == before


def test_a_canary_is_tried_and_promoted(rest: Rest) -> None:
    api = rest.deployed()
    address = {"restApiId": api["id"], "stageName": "prod"}
    old = rest("GetStage", **address)["deploymentId"]
    rest.method(api, rest.resource(api, "/new"))
    canary = {"percentTraffic": 10.0, "stageVariableOverrides": {"colour": "red"}}
    new = rest("CreateDeployment", **address, canarySettings=canary)["id"]
    stage = rest("GetStage", **address)
    assert (stage["deploymentId"], stage["canarySettings"]["deploymentId"]) == (old, new)
    found = snapshots.load(rest.bench.database.view(), api["id"], "prod")
    assert found is not None
    assert found.canary is not None
    assert len(found.canary["resources"]) == 2
    copies = [
        ("/canarySettings/deploymentId", "/deploymentId"),
        ("/canarySettings/stageVariableOverrides", "/variables"),
    ]
    operations = [{"op": "copy", "from": source, "path": target} for source, target in copies]
    operations.append({"op": "remove", "path": "/canarySettings"})
    stage = rest("UpdateStage", **address, patchOperations=operations)
    assert stage["deploymentId"] == new
    assert stage["variables"] == {"colour": "red"}
    assert "canarySettings" not in stage
    wrong = [{"op": "copy", "from": "/variables", "path": "/deploymentId"}]
    rest.fails("BadRequestException", "UpdateStage", **address, patchOperations=wrong)
    nowhere = {**address, "stageName": "nope"}
    rest.fails("BadRequestException", "CreateDeployment", **nowhere, canarySettings=canary)


def test_client_certificates_are_refused(rest: Rest) -> None:
    address = {"restApiId": rest.deployed()["id"], "stageName": "prod"}
    with pytest.raises(Exception, match="Client certificates is not implemented"):
        rest.patch("UpdateStage", "replace", "/clientCertificateId", "x", **address)
