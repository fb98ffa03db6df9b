"""API keys, usage plans, quotas and usage; tags."""

import pytest

from cloudlet.gateway.rest import snapshots
from tests.unit.gateway.rest_control import Document, Rest

VALUE = "a-value-of-twenty-letters"


def _plan(rest: Rest, api: Document, **members: object) -> Document:
    stages = [{"apiId": api["id"], "stage": "prod"}]
    plan: Document = rest("CreateUsagePlan", **{"name": "plan", "apiStages": stages, **members})
    return plan


def test_keys(rest: Rest) -> None:
    key = rest("CreateApiKey", name="one", value=VALUE, enabled=True, customerId="c")
    rest.bench.clock.advance(1)
    rest("CreateApiKey", name="two")
    assert "value" not in rest("GetApiKey", apiKey=key["id"])
    assert rest("GetApiKey", apiKey=key["id"], includeValue=True)["value"] == VALUE
    assert [k["name"] for k in rest("GetApiKeys")["items"]] == ["one", "two"]
    assert [k["name"] for k in rest("GetApiKeys", nameQuery="tw")["items"]] == ["two"]
    assert [
        k["value"] for k in rest("GetApiKeys", customerId="c", includeValues=True)["items"]
    ] == [VALUE]
    assert rest.fails("ConflictException", "CreateApiKey", value=VALUE) == "API Key already exists"
    assert rest.fails("BadRequestException", "CreateApiKey", value="short") == (
        "API Key value should be at least 20 characters"
    )
    changed = rest.patch("UpdateApiKey", "replace", "/enabled", "false", apiKey=key["id"])
    assert changed["enabled"] is False
    rest("DeleteApiKey", apiKey=key["id"])
    assert rest.fails("NotFoundException", "GetApiKey", apiKey=key["id"]) == (
        "Invalid API Key identifier specified"
    )


def test_keys_come_from_a_file(rest: Rest) -> None:
    plan = _plan(rest, rest.deployed())
    body = f"Name,key,description,Enabled,usageplanIds\nA,{VALUE},d,TRUE,{plan['id']}\nB,short,,,\n"
    done = rest("ImportApiKeys", format="csv", body=body.encode())
    (key_id,) = done["ids"]
    assert done["warnings"] == [
        "Unable to import key on line 3: API Key value should be at least 20 characters"
    ]
    assert rest("GetUsagePlanKeys", usagePlanId=plan["id"])["items"] == [
        {"id": key_id, "type": "API_KEY", "value": VALUE, "name": "A"}
    ]
    refused = {"format": "csv", "failOnWarnings": True}
    rest.fails("BadRequestException", "ImportApiKeys", body=body.encode(), **refused)
    rest.fails("BadRequestException", "ImportApiKeys", body=b"what\nnot\n", format="csv")
    rest.fails("BadRequestException", "ImportApiKeys", body=b"name,key\n\xff,x\n", format="csv")


def test_a_key_is_let_in_by_its_plan(rest: Rest) -> None:
    api = rest.deployed()
    plan = _plan(rest, api, quota={"limit": 10, "period": "DAY"})
    key = rest("CreateApiKey", value=VALUE, enabled=True)
    view = rest.bench.database.view()
    assert snapshots.admission(view, VALUE, api["id"], "prod") is None
    link = {"usagePlanId": plan["id"], "keyId": key["id"]}
    rest("CreateUsagePlanKey", **link, keyType="API_KEY")
    found = snapshots.admission(view, VALUE, api["id"], "prod")
    assert found is not None
    assert found.plan["id"] == plan["id"]
    assert snapshots.admission(view, VALUE, api["id"], "other") is None
    rest.patch("UpdateApiKey", "replace", "/enabled", "false", apiKey=key["id"])
    assert snapshots.admission(view, VALUE, api["id"], "prod") is None
    rest.fails("ConflictException", "CreateUsagePlanKey", **link, keyType="API_KEY")
    second = _plan(rest, api)
    link["usagePlanId"] = second["id"]
    rest.fails("ConflictException", "CreateUsagePlanKey", **link, keyType="API_KEY")
    assert [p["id"] for p in rest("GetUsagePlans", keyId=key["id"])["items"]] == [plan["id"]]
    rest("DeleteUsagePlanKey", usagePlanId=plan["id"], keyId=key["id"])
    rest.fails("NotFoundException", "GetUsagePlanKey", usagePlanId=plan["id"], keyId=key["id"])


def test_plans_change_by_patches(rest: Rest) -> None:
    api = rest.deployed()
    plan = _plan(rest, api, throttle={"rateLimit": 1.0, "burstLimit": 2})
    name = f"{api['id']}:prod"
    for op, path, value in (
        ("replace", "/quota/limit", "5"),
        ("replace", f"/apiStages/{name}/throttle/~1pets~1{{id}}/GET/rateLimit", "3.5"),
        ("replace", f"/apiStages/{name}/throttle//pets/GET/burstLimit", "4"),
        ("remove", "/throttle", None),
    ):
        if path == "/quota/limit":
            operations = [
                {"op": "replace", "path": path, "value": value},
                {"op": "replace", "path": "/quota/period", "value": "WEEK"},
            ]
            rest("UpdateUsagePlan", usagePlanId=plan["id"], patchOperations=operations)
        else:
            changed = rest.patch("UpdateUsagePlan", op, path, value, usagePlanId=plan["id"])
    assert changed["quota"] == {"limit": 5, "period": "WEEK"}
    assert "throttle" not in changed
    assert changed["apiStages"][0]["throttle"] == {
        "/pets/{id}/GET": {"rateLimit": 3.5},
        "/pets/GET": {"burstLimit": 4},
    }
    address = {"usagePlanId": plan["id"]}
    with pytest.raises(Exception, match="already associated"):
        rest.patch("UpdateUsagePlan", "add", "/apiStages", name, **address)
    with pytest.raises(Exception, match="API Stage not found: x:y"):
        rest.patch("UpdateUsagePlan", "add", "/apiStages", "x:y", **address)
    rest.fails("BadRequestException", "DeleteUsagePlan", **address)
    rest("DeleteStage", restApiId=api["id"], stageName="prod")
    assert rest("GetUsagePlan", **address)["apiStages"] == []
    rest("DeleteUsagePlan", **address)
    assert rest.fails("NotFoundException", "GetUsagePlan", **address) == (
        "Invalid Usage Plan ID specified"
    )


@pytest.mark.parametrize(
    "members",
    [
        {"quota": {"limit": 0, "period": "DAY"}},
        {"quota": {"limit": 1, "period": "YEAR"}},
        {"quota": {"limit": 1, "period": "DAY", "offset": 1}},
        {"quota": {"limit": 1, "period": "WEEK", "offset": 7}},
        {"throttle": {"rateLimit": -1.0}},
        {"name": ""},
    ],
)
def test_wrong_plans_are_refused(rest: Rest, members: Document) -> None:
    rest.fails("BadRequestException", "CreateUsagePlan", **{"name": "x", **members})


@pytest.mark.parametrize(
    ("quota", "day", "start"),
    [
        ({"period": "DAY"}, "2026-11-18", "2026-11-18"),
        ({"period": "WEEK"}, "2026-11-18", "2026-11-15"),  # a Sunday
        ({"period": "WEEK", "offset": 3}, "2026-11-18", "2026-11-18"),
        ({"period": "WEEK", "offset": 4}, "2026-11-18", "2026-11-12"),
        ({"period": "MONTH"}, "2026-11-18", "2026-11-01"),
        ({"period": "MONTH", "offset": 20}, "2026-11-18", "2026-10-21"),
    ],
)
def test_periods_of_quotas(quota: Document, day: str, start: str) -> None:
    from datetime import datetime

    now_ms = int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() * 1000)
    assert snapshots.period_start(quota, now_ms) == start


def test_usage_is_told_and_granted(rest: Rest) -> None:
    plan = _plan(rest, rest.deployed(), quota={"limit": 10, "period": "WEEK"})
    key = rest("CreateApiKey", enabled=True)
    link = {"usagePlanId": plan["id"], "keyId": key["id"]}
    rest("CreateUsagePlanKey", **link, keyType="API_KEY")
    clock, database = rest.bench.clock, rest.bench.database

    def spend(requests: int) -> None:
        database.write_now(lambda tx: snapshots.count(tx, plan["id"], key["id"], clock(), requests))

    spend(3)
    first = snapshots.day_of(clock())
    clock.advance(24 * 3600)
    spend(4)
    today = snapshots.day_of(clock())
    usage = rest("GetUsage", usagePlanId=plan["id"], startDate=first, endDate=today)
    assert usage["items"] == {key["id"]: [[3, 7], [4, 3]]}
    granted = rest.patch("UpdateUsage", "replace", "/remaining", "50", **link)
    assert granted["items"] == {key["id"]: [[4, 50]]}
    spend(1)
    assert snapshots.remaining(database.view(), plan, key["id"], clock()) == 49
    clock.advance(8 * 24 * 3600)
    assert snapshots.remaining(database.view(), plan, key["id"], clock()) == 10
    with pytest.raises(Exception, match=r"Must be one of: \[/remaining\]"):
        rest.patch("UpdateUsage", "replace", "/used", "0", **link)
    wrong = {"usagePlanId": plan["id"], "startDate": today, "endDate": first}
    rest.fails("BadRequestException", "GetUsage", **wrong)
    rest.fails("BadRequestException", "GetUsage", **{**wrong, "startDate": "soon"})


def test_odd_values_are_refused_not_stored(rest: Rest) -> None:
    plan = _plan(rest, rest.deployed())
    for path, value in (
        ("/throttle/rateLimit", "nan"),
        ("/throttle/rateLimit", "1e999"),
        ("/throttle/burstLimit", "9" * 30),
        ("/quota/limit", "1.5"),
    ):
        with pytest.raises(Exception, match="Invalid value specified for path"):
            rest.patch("UpdateUsagePlan", "replace", path, value, usagePlanId=plan["id"])
    nothing: list[Document] = [{}]
    rest.fails("NotFoundException", "CreateUsagePlan", name="x", apiStages=nothing)
    rest.fails("NotFoundException", "CreateApiKey", stageKeys=nothing)
    rest.fails("BadRequestException", "GetApiKeys", position="\u00b2")
    deep = {"restApiId": rest.api()["id"], "contentType": "application/json", "name": "Deep"}
    for depth in (200, 5000):
        schema = '{"a":' * depth + "1" + "}" * depth
        rest.fails("BadRequestException", "CreateModel", **deep, schema=schema)


def test_tags(rest: Rest) -> None:
    api = rest.deployed()
    key, plan = rest("CreateApiKey"), _plan(rest, api)
    for path in (
        f"restapis/{api['id']}",
        f"restapis/{api['id']}/stages/prod",
        f"apikeys/{key['id']}",
        f"usageplans/{plan['id']}",
    ):
        arn = f"arn:aws:apigateway:us-east-1::/{path}"
        rest("TagResource", resourceArn=arn, tags={"a": "1", "b": "2"})
        rest("UntagResource", resourceArn=arn, tagKeys=["a"])
        assert rest("GetTags", resourceArn=arn)["tags"] == {"b": "2"}
    rest.fails("BadRequestException", "GetTags", resourceArn="arn:aws:s3:::bucket")
    assert rest("GetRestApi", restApiId=api["id"])["tags"] == {"b": "2"}


def test_the_account(rest: Rest) -> None:
    assert rest("GetAccount")["throttleSettings"] == {"burstLimit": 5000, "rateLimit": 10000.0}
    role = "arn:aws:iam::000000000000:role/logs"
    rest.patch("UpdateAccount", "replace", "/cloudwatchRoleArn", role)
    assert rest("GetAccount")["cloudwatchRoleArn"] == role
    with pytest.raises(Exception, match="role ARN"):
        rest.patch("UpdateAccount", "replace", "/cloudwatchRoleArn", "me")
