"""The template is clean for cfn-lint and SAM, and says the same as handlers and description."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.apps.lambdashare_local import (
    FUNCTIONS,
    ROOT,
    function,
    http_routes,
    resources,
    template,
)

TEMPLATE = ROOT / "template.yaml"
SAM = Path(os.environ.get("SAM_VENV", ".venv-sam")) / "bin"


def run(*command: str) -> None:
    quiet = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | quiet, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_finds_nothing() -> None:
    run(str(SAM / "cfn-lint"), str(TEMPLATE))


def test_sam_validates() -> None:
    run(str(SAM / "sam"), "validate", "--lint", "--template", str(TEMPLATE))


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("PUBLIC_URL", "http://share.test")
    function("about")
    import about_openapi

    return dict(about_openapi.document())


def test_the_description_is_valid_openapi(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    validate(described)


def test_every_route_is_described_and_nothing_else(described: dict[str, Any]) -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, item in described["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert operations == set(http_routes()) - {"$default"}


def test_every_route_has_its_handler_and_every_handler_its_route() -> None:
    for name in ("uploads", "downloads"):
        mine = {key for key, folder in http_routes().items() if folder == name}
        assert mine == set(function(name).ROUTES)


def test_every_schema_is_used(described: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert used == set(described["components"]["schemas"])


def test_path_parameters_are_declared(described: dict[str, Any]) -> None:
    for path, item in described["paths"].items():
        declared = {each["name"] for each in item.get("parameters", [])}
        assert declared == set(re.findall(r"\{(\w+)\}", path)), path


def test_every_function_has_its_folder_and_every_folder_its_function() -> None:
    folders = {Path(f["CodeUri"]).name for f in resources("AWS::Serverless::Function").values()}
    assert folders == {path.parent.name for path in FUNCTIONS.glob("*/app.py")}


def test_policies_name_what_they_allow() -> None:
    """No wildcard actions, no resource `*`."""
    for name, each in resources("AWS::Serverless::Function").items():
        for policy in each.get("Policies", []):
            for statement in policy["Statement"]:
                actions = statement["Action"]
                listed = [actions] if isinstance(actions, str) else actions
                assert not [a for a in listed if "*" in a], name
                assert statement["Resource"] != "*", name


def test_every_variable_that_code_reads_is_given() -> None:
    for name, each in resources("AWS::Serverless::Function").items():
        given = set(each.get("Environment", {}).get("Variables", {}))
        folder = ROOT / each["CodeUri"]
        source = "".join(path.read_text() for path in folder.glob("*.py"))
        read = set(re.findall(r'os\.environ\["(\w+)"\]', source))
        assert read <= given, name


def test_buckets_are_private() -> None:
    for name, each in resources("AWS::S3::Bucket").items():
        assert set(each["PublicAccessBlockConfiguration"].values()) == {True}, name


def test_pages_of_the_site_have_their_behaviours() -> None:
    distribution = template()["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    paths = [each["PathPattern"] for each in distribution["CacheBehaviors"]]
    assert paths == [
        "/live",
        "/assets/*",
        "/index.html",
        "/analytics",
        "/verify",
        "/favicon*",
        "/robots.txt",
    ]
