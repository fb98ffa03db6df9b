"""A template with one of everything, deployed on the fake cloud."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from cloudlet.call import Params
from tests.unit.template.fakes import FakeCloud

TEMPLATE = (Path(__file__).parent / "representative.yaml").read_text()


@pytest.fixture
def app(fake: FakeCloud) -> FakeCloud:
    for name in ("functions/api", "functions/hasher", "layer/library"):
        (fake.folder / name).mkdir(parents=True)
        (fake.folder / name / "app.py").write_text("def handler(event, context): ...\n")

    def answer(params: Params) -> Params:
        event = json.loads(params["Payload"])
        key = event["ResponseURL"].split("?")[0].split("/", 4)[4]
        fake.objects[key] = json.dumps(
            {"Status": "SUCCESS", "PhysicalResourceId": "seed", "Data": {"Answer": "42"}}
        ).encode()
        return {"StatusCode": 202}

    fake.answers["Invoke"] = answer
    return fake


def test_everything_is_made_once(app: FakeCloud) -> None:
    deployment = app.deploy(TEMPLATE)
    assert deployment.outputs == {"Url": "https://e1.cloudfront.net/", "Seeded": "42"}
    assert {step.action for step in deployment.steps} == {"create"}
    operations = app.operations()
    assert operations.index("CreateRole") < operations.index("CreateFunction")
    assert operations.index("AddPermission") < operations.index(
        "PutBucketNotificationConfiguration"
    )
    assert all(state == "ready" for _, state in app.rows())
    assert [params["Bucket"] for params in app.params("PutBucketCors")] == [
        name for name in [p["Bucket"] for p in app.params("CreateBucket")] if "uploads" in name
    ]

    app.calls.clear()
    start = time.perf_counter()
    again = app.deploy(TEMPLATE)
    assert time.perf_counter() - start < 1
    assert app.calls == [] and again.steps == () and again.outputs == deployment.outputs


def test_parameters_reach_the_api_with_its_own_names(app: FakeCloud) -> None:
    app.deploy(TEMPLATE, Mode="prod")
    (cors,) = app.params("PutBucketCors")
    assert cors["CORSConfiguration"]["CORSRules"] == [
        {
            "AllowedMethods": ["PUT"],
            "AllowedOrigins": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 300,
        }
    ]
    (lifecycle,) = app.params("PutBucketLifecycleConfiguration")
    (rule,) = lifecycle["LifecycleConfiguration"]["Rules"]
    assert rule["Expiration"] == {"Days": 31} and rule["Filter"] == {"Prefix": ""}
    (block,) = app.params("PutPublicAccessBlock")
    assert block["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"] is True
    (distribution,) = app.params("CreateDistribution")
    config = distribution["DistributionConfig"]
    assert config["Origins"]["Quantity"] == 2
    assert config["CacheBehaviors"]["Items"][0]["AllowedMethods"]["Quantity"] == 7
    assert config["Origins"]["Items"][1]["DomainName"].endswith(
        ".execute-api.us-east-1.amazonaws.com"
    )
    (table,) = app.params("CreateTable")
    assert table["StreamSpecification"]["StreamEnabled"] is True
    memory = [params.get("MemorySize") for params in app.params("CreateFunction")]
    assert 1024 in memory
    assert app.params("CreateQueue")
    (role, *_) = app.params("CreateRole")
    assert json.loads(role["AssumeRolePolicyDocument"])["Version"] == "2012-10-17"


def test_code_is_handed_over_as_folders(app: FakeCloud) -> None:
    app.deploy(TEMPLATE)
    keys = {params["Code"]["S3Key"] for params in app.params("CreateFunction")}
    assert keys == {str(app.folder / "functions/api"), str(app.folder / "functions/hasher")}
    (layer,) = app.params("PublishLayerVersion")
    place = Path(layer["Content"]["S3Key"])
    assert layer["Content"]["S3Bucket"] == "cloudlet-folder"
    assert (place / "python" / "library" / "app.py").exists()


def test_changed_code_updates_the_function_and_publishes_a_version(app: FakeCloud) -> None:
    app.deploy(TEMPLATE)
    app.calls.clear()
    (app.folder / "functions/api/app.py").write_text("changed = True\n")
    deployment = app.deploy(TEMPLATE)
    actions = {step.type: step.action for step in deployment.steps}
    assert actions["AWS::Lambda::Function"] == "update"
    assert actions["AWS::Lambda::Alias"] == "update"
    operations = app.operations()
    assert operations.index("UpdateFunctionCode") < operations.index("PublishVersion")
    assert operations.index("PublishVersion") < operations.index("UpdateAlias")
    assert "DeleteFunction" not in operations, "SAM retains old versions"


def test_deleting_the_stack_keeps_what_is_retained(app: FakeCloud) -> None:
    app.deploy(TEMPLATE)
    app.calls.clear()
    assert app.delete() == []
    deleted = [params["Bucket"] for params in app.params("DeleteBucket")]
    assert len(deleted) == 1 and "site" in deleted[0]
    operations = app.operations()
    assert operations.index("DeleteStage") < operations.index("DeleteApi")
    assert app.rows() == []


def test_watched_are_template_and_code(app: FakeCloud) -> None:
    path = app.folder / "template.yaml"
    path.write_text(TEMPLATE)
    deployment = asyncio.run(app.deploying(path))
    assert path in deployment.watched and app.folder / "functions/hasher" in deployment.watched
