"""Plans and their execution: order, changes, replacement, failure, resumption, data."""

import asyncio

import pytest

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.template.deploy import stack_outputs
from cloudlet.template.problems import TemplateError
from tests.unit.template.fakes import FakeCloud

ROLE = """
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: []}
"""
TABLE = """
  Files:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: %s, KeyType: HASH}]
"""
QUEUES = """
Resources:
  Second:
    Type: AWS::SQS::Queue
    DependsOn: First
  First:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: %s}
"""


def test_dependencies_come_first_and_names_are_generated(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 10)
    names = [params["QueueName"] for params in fake.params("CreateQueue")]
    assert names[0].startswith("app-First-") and names[1].startswith("app-Second-")
    assert fake.params("CreateQueue")[0]["Attributes"] == {"VisibilityTimeout": "10"}


def test_a_changed_property_is_updated_and_nothing_else(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 10)
    fake.calls.clear()
    deployment = fake.deploy(QUEUES % 20)
    assert [(step.action, step.logical_id, step.changed) for step in deployment.steps] == [
        ("update", "First", ("VisibilityTimeout",))
    ]
    assert fake.operations() == ["SetQueueAttributes"]


def test_what_a_queue_no_longer_says(fake: FakeCloud) -> None:
    """template-003: most attributes go back, its kind of encryption and throughput stay."""
    fake.deploy(QUEUES % "10, SqsManagedSseEnabled: false, MaximumMessageSize: 1024")
    fake.deploy(QUEUES % 10)
    assert fake.params("SetQueueAttributes")[0]["Attributes"] == {
        "VisibilityTimeout": "10",
        "MaximumMessageSize": "262144",
    }


def test_removed_resources_are_deleted_last_first(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 10)
    fake.calls.clear()
    fake.deploy("Resources: {Other: {Type: 'AWS::SQS::Queue'}}")
    assert fake.operations() == ["CreateQueue", "DeleteQueue", "DeleteQueue"]
    assert "app-Second" in fake.params("DeleteQueue")[0]["QueueUrl"]
    assert fake.rows() == [("Other", "ready")]


def test_circles_are_reported(fake: FakeCloud) -> None:
    text = """
Resources:
  A: {Type: 'AWS::SQS::Queue', DependsOn: B}
  B: {Type: 'AWS::SQS::Queue', DependsOn: A}
  C: {Type: 'AWS::SQS::Queue', DependsOn: A}
"""
    with pytest.raises(TemplateError, match=r"Circular dependency between resources: \[A, B\]"):
        fake.deploy(text)


def test_everything_unsupported_is_listed_before_anything_is_done(fake: FakeCloud) -> None:
    text = """
Resources:
  A: {Type: 'AWS::EC2::Instance'}
  B: {Type: 'AWS::SQS::Queue', Properties: {Colour: red}, UpdatePolicy: {}}
  C: {Type: 'AWS::SQS::Queue'}
"""
    with pytest.raises(TemplateError) as caught:
        fake.deploy(text)
    assert str(fake.folder / "template.yaml") in caught.value.message
    for part in ("AWS::EC2::Instance", "the property Colour of AWS::SQS::Queue", "UpdatePolicy"):
        assert part in caught.value.message
    assert fake.calls == []


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("{BucketName: b, LifecycleConfiguration: {Rules: [{Id: a, Colour: b}]}}", "Colour"),
        ("{CorsConfiguration: {CorsRules: x}}", "must be of type List"),
        ("{PublicAccessBlockConfiguration: {BlockPublicAcls: maybe}}", "must be of type boolean"),
        ("{NotificationConfiguration: {QueueConfigurations: [{Queue: a}]}}", "'Event'"),
        ("{AccessControl: PublicRead}", "only Private"),
    ],
)
def test_nested_mistakes_are_found_before_anything_is_done(
    fake: FakeCloud, properties: str, message: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        fake.deploy(f"Resources: {{B: {{Type: 'AWS::S3::Bucket', Properties: {properties}}}}}")
    assert message in caught.value.message and "B (AWS::S3::Bucket)" in caught.value.message
    assert fake.calls == []


def test_a_missing_required_property_is_named(fake: FakeCloud) -> None:
    with pytest.raises(TemplateError, match=r"required key \[AssumeRolePolicyDocument\] not found"):
        fake.deploy("Resources: {R: {Type: 'AWS::IAM::Role'}}")


def test_a_failed_first_deployment_leaves_nothing(fake: FakeCloud) -> None:
    fake.failing["CreateTable"] = AwsError("LimitExceededException", "Too many tables.")
    with pytest.raises(TemplateError) as caught:
        fake.deploy("Resources:" + ROLE + TABLE % "id" + "    DependsOn: Role\n")
    assert caught.value.message.count("Files (AWS::DynamoDB::Table): Too many tables.") == 1
    assert "Error Code: LimitExceededException" in caught.value.message
    assert "DeleteRole" in fake.operations() and fake.rows() == []
    fake.failing.clear()
    fake.deploy("Resources:" + ROLE + TABLE % "id")
    assert [state for _, state in fake.rows()] == ["ready", "ready"]


def test_a_half_made_resource_is_deleted_too(fake: FakeCloud) -> None:
    fake.failing["PutBucketCors"] = AwsError("MalformedXML", "No.")
    cors = "{CorsConfiguration: {CorsRules: [{AllowedMethods: [GET], AllowedOrigins: ['*']}]}}"
    with pytest.raises(TemplateError):
        fake.deploy(f"Resources: {{B: {{Type: 'AWS::S3::Bucket', Properties: {cors}}}}}")
    assert fake.operations() == ["CreateBucket", "PutBucketCors", "DeleteBucket"]
    assert fake.rows() == []


def test_a_failed_update_restores_what_was(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 10)
    fake.calls.clear()
    fake.failing["CreateRole"] = AwsError("LimitExceeded", "Too many roles.")
    with pytest.raises(TemplateError):
        fake.deploy(QUEUES % 20 + ROLE + "    DependsOn: First\n")
    values = [params["Attributes"] for params in fake.params("SetQueueAttributes")]
    assert values == [{"VisibilityTimeout": "20"}, {"VisibilityTimeout": "10"}]
    fake.calls.clear()
    fake.failing.clear()
    assert fake.deploy(QUEUES % 10).steps == () and fake.calls == []


class Killed(BaseException):
    """The process dies."""


@pytest.mark.parametrize("operation", ["CreateRole", "PutRolePolicy", "CreateQueue"])
def test_a_killed_deployment_is_resumed(fake: FakeCloud, operation: str) -> None:
    text = (
        "Resources:\n  Before: {Type: 'AWS::SQS::Queue', Properties: {QueueName: q}}\n"
        "  Table: {Type: 'AWS::Logs::LogGroup'}"
        + ROLE
        + "      Policies: [{PolicyName: p, PolicyDocument: {Statement: []}}]\n"
    )
    fake.failing[operation] = Killed()
    with pytest.raises(Killed):
        fake.deploy(text)
    fake.failing.clear()
    # A role that a killed CreateRole has made all the same.
    there = {params["RoleName"] for params in fake.params("CreateRole")}
    create = fake._CreateRole

    def create_role(params: Params) -> Params:
        if params["RoleName"] in there and "DeleteRole" not in fake.operations():
            raise AwsError("EntityAlreadyExists", "Role exists.", 409)
        return create(params)

    fake.answers["CreateRole"] = create_role
    fake.deploy(text)
    assert sorted(fake.rows()) == [("Before", "ready"), ("Role", "ready"), ("Table", "ready")]
    names = {params["RoleName"] for params in fake.params("CreateRole")}
    assert len(names) == 1, "the generated name is the same in every attempt"


def test_a_replacement_makes_the_new_before_it_deletes_the_old(fake: FakeCloud) -> None:
    fake.deploy("Resources:" + TABLE % "id")
    fake.calls.clear()
    deployment = fake.deploy("Resources:" + TABLE % "other")
    assert [step.action for step in deployment.steps] == ["replace"]
    operations = fake.operations()
    assert operations.index("CreateTable") < operations.index("DeleteTable")
    assert fake.params("CreateTable")[0]["TableName"] != fake.params("DeleteTable")[0]["TableName"]
    assert fake.rows() == [("Files", "ready")]


def test_a_named_resource_cannot_be_replaced(fake: FakeCloud) -> None:
    named = "Resources:" + TABLE + "      TableName: mine\n"
    fake.deploy(named % "id")
    with pytest.raises(TemplateError, match="Rename mine and update the stack again"):
        fake.deploy(named % "other")


@pytest.mark.parametrize("text", ["Resources:" + ROLE, "Resources:" + TABLE % "other"])
def test_data_is_never_silently_lost(fake: FakeCloud, text: str) -> None:
    fake.deploy("Resources:" + TABLE % "id")
    fake.calls.clear()
    fake.answers["Scan"] = lambda params: {"Items": [{"id": {"S": "1"}}], "Count": 1}
    with pytest.raises(TemplateError, match="which holds data"):
        fake.deploy(text)
    assert fake.operations() == ["Scan"]
    fake.answers["Scan"] = lambda params: {"Items": [], "Count": 0}
    fake.deploy(text)
    assert "DeleteTable" in fake.operations()


def test_retained_resources_stay(fake: FakeCloud) -> None:
    fake.deploy("Resources:" + TABLE % "id" + "    DeletionPolicy: Retain\n")
    fake.deploy("Resources:" + ROLE)
    assert "DeleteTable" not in fake.operations() and fake.rows() == [("Role", "ready")]


def test_what_cannot_be_deleted_is_tried_again(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 10)
    fake.failing["DeleteQueue"] = AwsError("InternalError", "Not now.", 500)
    deployment = fake.deploy("Resources:" + ROLE)
    assert len(deployment.warnings) == 2 and "Not now." in deployment.warnings[0]
    fake.failing.clear()
    assert fake.deploy("Resources:" + ROLE).warnings == ()
    assert fake.rows() == [("Role", "ready")]


def test_outputs_are_kept(fake: FakeCloud) -> None:
    fake.deploy(QUEUES % 1 + "Outputs: {Url: {Value: !Ref First}}")
    found = stack_outputs(fake.bench.database.view(), "app")
    assert found["Url"].startswith("http://127.0.0.1:4566/000000000000/app-First-")


def test_ttl_is_changed_only_when_it_differs(fake: FakeCloud) -> None:
    ttl = "      TimeToLiveSpecification: {AttributeName: expires, Enabled: true}\n"
    fake.deploy("Resources:" + TABLE % "id" + ttl)
    assert len(fake.params("UpdateTimeToLive")) == 1
    fake.answers["DescribeTimeToLive"] = lambda params: {
        "TimeToLiveDescription": {"AttributeName": "expires", "TimeToLiveStatus": "ENABLED"}
    }
    fake.deploy("Resources:" + TABLE % "id")
    assert fake.params("UpdateTimeToLive")[1]["TimeToLiveSpecification"] == {
        "AttributeName": "expires",
        "Enabled": False,
    }


def test_a_template_that_is_not_there(fake: FakeCloud) -> None:
    with pytest.raises(TemplateError, match="The template cannot be read"):
        asyncio.run(fake.deploying(fake.folder / "absent.yaml"))


def test_what_leaves_a_template_is_emptied_and_tags_never_replace(fake: FakeCloud) -> None:
    text = """
Resources:
  Api: {Type: 'AWS::ApiGatewayV2::Api', Properties: {Name: a, ProtocolType: HTTP}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: $default, %s}
  Logs: {Type: 'AWS::Logs::LogGroup', Properties: {Tags: [{Key: a, Value: %s}]}}
"""
    fake.deploy(text % ("Description: x, StageVariables: {a: b}, Tags: {a: one}", 1))
    deployment = fake.deploy(text % ("Tags: {a: two}", 2))
    assert {step.action for step in deployment.steps} == {"update"}
    (update,) = fake.params("UpdateStage")
    assert update["Description"] == "" and update["StageVariables"] == {}
    tags = [params.get("tags") or params.get("Tags") for params in fake.params("TagResource")]
    assert tags == [{"a": "2"}, {"a": "two"}]


def test_snapshots_of_an_api_come_after_what_they_do_not_name(fake: FakeCloud) -> None:
    fake.deploy("""
Resources:
  Deployment: {Type: 'AWS::ApiGatewayV2::Deployment', Properties: {ApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: one, DeploymentId: !Ref Deployment}
  Api: {Type: 'AWS::ApiGatewayV2::Api', Properties: {Name: a, ProtocolType: HTTP}}
  Behind:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationUri: 'http://a.example'}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: GET /, Target: !Sub 'integrations/${Behind}'}
""")
    made = [name for name in fake.operations() if name.startswith("Create")]
    assert made == [
        "CreateApi", "CreateIntegration", "CreateRoute", "CreateDeployment", "CreateStage",
    ]  # fmt: skip
