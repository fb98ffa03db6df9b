"""Operations on functions: what they store, answer and refuse."""

from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.functions import grants, log_api, logs, names, permissions, records
from cloudlet.functions.api import (
    create_function,
    delete_function,
    get_function,
    list_functions,
    update_function_configuration,
)
from cloudlet.functions.schema import SCHEMA
from cloudlet.functions.versions import (
    create_alias,
    get_alias,
    list_versions_by_function,
    publish_version,
    update_alias,
)
from tests.harness import ROOT, Bench
from tests.unit.functions.cloud import ROLE, zipped


@pytest.fixture
def lambdas(bench: Bench) -> Bench:
    bench.database.prepare(SCHEMA)
    return bench


def create(bench: Bench, name: str = "f", **settings: Any) -> Any:
    params = {
        "FunctionName": name, "Runtime": "python3.12", "Handler": "a.b", "Role": ROLE,
        "Code": {"ZipFile": zipped(a="1")}, **settings,
    }  # fmt: skip
    return bench.call(create_function, **params)


def refusal(action: Any) -> str:
    with pytest.raises(AwsError) as error:
        action()
    return error.value.code


def test_creates_with_defaults_and_refuses_twins(lambdas: Bench) -> None:
    created = create(lambdas)
    assert created["State"] == "Active" and created["LastUpdateStatus"] == "Successful"
    assert (created["Timeout"], created["MemorySize"]) == (3, 128)
    assert created["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert refusal(lambda: create(lambdas)) == "ResourceConflictException"
    found = lambdas.call(get_function, FunctionName=created["FunctionArn"])
    assert found["Configuration"]["CodeSha256"] == created["CodeSha256"]
    assert len(lambdas.call(list_functions)["Functions"]) == 1
    lambdas.call(delete_function, FunctionName="f")
    assert refusal(lambda: lambdas.call(get_function, FunctionName="f")) == (
        "ResourceNotFoundException"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"Timeout": 901}, {"MemorySize": 64}, {"Role": "me"}, {"EphemeralStorage": {"Size": 1}},
        {"Environment": {"Variables": {"AWS_REGION": "x"}}}, {"Layers": ["arn:nothing"]},
        {"Environment": {"Variables": {"LARGE": "x" * 4096}}}, {"Code": {}},
        {"Environment": {"Variables": {"1": "x"}}}, {"Code": {"ZipFile": b"no zip"}},
    ],
)  # fmt: skip
def test_refuses_bad_settings(lambdas: Bench, settings: dict[str, Any]) -> None:
    assert refusal(lambda: create(lambdas, **settings)) == "InvalidParameterValueException"
    assert lambdas.call(list_functions)["Functions"] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"Runtime": "nodejs22.x"}, {"VpcConfig": {"SubnetIds": ["a"]}}, {"PackageType": "Image"},
        {"SnapStart": {"ApplyOn": "PublishedVersions"}}, {"KMSKeyArn": "arn"},
    ],
)  # fmt: skip
def test_never_ignores_what_it_has_not(lambdas: Bench, settings: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedByCloudlet):
        create(lambdas, **settings)


def test_versions_and_weighted_aliases(lambdas: Bench) -> None:
    create(lambdas)
    one = lambdas.call(publish_version, FunctionName="f")
    assert one["Version"] == "1" and one["FunctionArn"].endswith(":f:1")
    assert lambdas.call(publish_version, FunctionName="f")["Version"] == "1"  # nothing changed
    lambdas.call(update_function_configuration, FunctionName="f", Timeout=9)
    assert lambdas.call(publish_version, FunctionName="f")["Version"] == "2"
    listed = lambdas.call(list_versions_by_function, FunctionName="f")["Versions"]
    assert [item["Version"] for item in listed] == ["$LATEST", "1", "2"]
    lambdas.call(create_alias, FunctionName="f", Name="live", FunctionVersion="1")
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    lambdas.call(update_alias, FunctionName="f", Name="live", RoutingConfig=routing)
    view = lambdas.database.view()
    chosen = [records.find(view, lambdas.config, "f", "live", r / 8).version for r in range(8)]
    assert chosen == ["2", "2", "1", "1", "1", "1", "1", "1"]
    assert lambdas.call(get_alias, FunctionName="f", Name="live")["FunctionVersion"] == "1"
    action = lambda: lambdas.call(delete_function, FunctionName="f", Qualifier="1")  # noqa: E731
    assert refusal(action) == "ResourceConflictException"


def test_permissions_by_source(lambdas: Bench) -> None:
    create(lambdas)
    params = {"FunctionName": "f", "Action": "lambda:InvokeFunction"}
    lambdas.call(grants.add_permission, **params, StatementId="a", Principal="s3.amazonaws.com",
                 SourceArn="arn:aws:s3:::mine-*", SourceAccount="000000000000")  # fmt: skip
    again = lambda: lambdas.call(grants.add_permission, **params, StatementId="a", Principal="*")  # noqa: E731
    assert refusal(again) == "ResourceConflictException"
    view, reference = lambdas.database.view(), names.parse("f")

    def allowed(**attributes: str) -> bool:
        return grants.is_allowed(view, lambdas.config, reference, attributes)

    assert allowed(principal="s3.amazonaws.com", source_arn="arn:aws:s3:::mine-1")
    assert not allowed(principal="s3.amazonaws.com", source_arn="arn:aws:s3:::other")
    assert not allowed(principal="sns.amazonaws.com", source_arn="arn:aws:s3:::mine-1")
    assert not allowed(
        principal="s3.amazonaws.com", source_arn="arn:aws:s3:::mine-1", source_account="1"
    )


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("f", ("f", "")), ("f:live", ("f", "live")), ("f:$LATEST", ("f", "$LATEST")),
        ("000000000000:function:f", ("f", "")), ("function:f:3", ("f", "3")),
        ("arn:aws:lambda:us-east-1:000000000000:function:f:3", ("f", "3")),
    ],
)  # fmt: skip
def test_references(reference: str, wanted: tuple[str, str]) -> None:
    assert tuple(names.parse(reference)) == wanted


def test_references_that_are_none() -> None:
    for reference in ("", "a b", "arn:aws:s3:::b", "f:a:b", "x" * 65):
        with pytest.raises(AwsError):
            names.parse(reference)


def test_requirements(lambdas: Bench) -> None:
    request = Request("POST", "/", "", {}, Body.of(b""))

    def required(operation: str, **params: Any) -> list[tuple[str, str]]:
        call = Call(lambdas.cloud, "lambda", operation, params, ROOT, request)
        return [(item.action, item.resource) for item in permissions.requirements(call)]

    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert required("Invoke", FunctionName="f:live") == [("lambda:InvokeFunction", f"{arn}:live")]
    assert required("CreateFunction", FunctionName="f", Role=ROLE) == [
        ("lambda:CreateFunction", arn), ("iam:PassRole", ROLE)]  # fmt: skip


def test_logs(lambdas: Bench) -> None:
    group = {"logGroupName": "/g"}
    lambdas.call(log_api.create_log_group, **group)
    stream = {**group, "logStreamName": "s"}
    lambdas.call(log_api.create_log_stream, **stream)
    now_ms = lambdas.clock.now_ms
    events = [{"timestamp": now_ms + n, "message": f"line {n}"} for n in range(5)]
    lambdas.call(log_api.put_log_events, **stream, logEvents=events)
    first = lambdas.call(log_api.get_log_events, **stream, limit=2, startFromHead=True)
    assert [event["message"] for event in first["events"]] == ["line 0", "line 1"]
    rest = lambdas.call(log_api.get_log_events, **stream, nextToken=first["nextForwardToken"])
    assert len(rest["events"]) == 3
    last = lambdas.call(log_api.get_log_events, **stream, limit=2)
    assert [event["message"] for event in last["events"]] == ["line 3", "line 4"]
    found = lambdas.call(log_api.filter_log_events, **group, filterPattern='"line" -3 ?1 ?2')
    assert [event["message"] for event in found["events"]] == ["line 1", "line 2"]
    with pytest.raises(NotImplementedByCloudlet):
        lambdas.call(log_api.filter_log_events, **group, filterPattern="{ $.a = 1 }")
    lambdas.call(log_api.put_retention_policy, **group, retentionInDays=1)
    lambdas.database.write_now(lambda tx: logs.sweep(tx, now_ms + 3 * 86_400_000))
    assert lambdas.call(log_api.filter_log_events, **group)["events"] == []


def test_log_rows_are_bounded(lambdas: Bench, tmp_path: Path) -> None:
    lines = [logs.Line("/g", "s", n, f"line {n}") for n in range(50)]
    lambdas.database.write_now(lambda tx: logs.write_lines(tx, lines, 50))
    lambdas.database.write_now(lambda tx: logs.sweep(tx, 50, rows_max=10))
    assert lambdas.database.view().value("SELECT count(*) FROM log_events") == 10
