"""Operations on functions: what they store, answer and refuse."""

from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.functions import grants, names, permissions, records
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
        {"Runtime": "java21"}, {"VpcConfig": {"SubnetIds": ["a"]}}, {"PackageType": "Image"},
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


def test_permissions_are_changed_as_they_were_seen(lambdas: Bench) -> None:
    create(lambdas)
    params = {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "*"}
    lambdas.call(grants.add_permission, **params, StatementId="a")
    seen = lambdas.call(grants.get_policy, FunctionName="f")["RevisionId"]
    assert lambdas.call(grants.get_policy, FunctionName="f")["RevisionId"] == seen
    lambdas.call(grants.add_permission, **params, StatementId="b", RevisionId=seen)
    removal = lambda: lambdas.call(  # noqa: E731
        grants.remove_permission, FunctionName="f", StatementId="b", RevisionId=seen
    )
    assert refusal(removal) == "PreconditionFailedException"


def test_permissions_for_urls_are_for_urls_alone(lambdas: Bench) -> None:
    create(lambdas)
    params = {"FunctionName": "f", "Principal": "*"}
    for number, (action, condition) in enumerate(
        (("InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
         ("InvokeFunction", {"InvokedViaFunctionUrl": True}))
    ):  # fmt: skip
        lambdas.call(
            grants.add_permission, **params, **condition, StatementId=f"s{number}",
            Action=f"lambda:{action}",
        )  # fmt: skip
    view = lambdas.database.view()
    event = {"principal": "s3.amazonaws.com", "source_arn": "arn:aws:s3:::b"}
    assert not grants.is_allowed(view, lambdas.config, names.parse("f"), event)


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
