"""Systems Manager's parameters and ECR's repositories through boto3."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server


@pytest.fixture
def ssm(server: Server) -> Any:
    return server.client("ssm")


@pytest.fixture
def ecr(server: Server) -> Any:
    return server.client("ecr")


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def test_a_parameter_and_its_versions(ssm: Any) -> None:
    name = "/app/level"
    tags = [{"Key": "team", "Value": "a"}]
    first = ssm.put_parameter(
        Name=name, Type="String", Value="1", Description="how high", Tags=tags
    )
    assert (first["Version"], first["Tier"]) == (1, "Standard")
    assert refused(ssm.put_parameter, Name=name, Value="2") == "ParameterAlreadyExists"
    assert ssm.put_parameter(Name=name, Value="2", Overwrite=True)["Version"] == 2
    found = ssm.get_parameter(Name=name)["Parameter"]
    assert (found["Value"], found["Version"], found["Type"]) == ("2", 2, "String")
    assert found["ARN"] == "arn:aws:ssm:us-east-1:000000000000:parameter/app/level"
    assert ssm.get_parameter(Name=found["ARN"])["Parameter"]["Value"] == "2"
    old = ssm.get_parameter(Name=f"{name}:1")["Parameter"]
    assert (old["Value"], old["Selector"]) == ("1", ":1")
    assert refused(ssm.get_parameter, Name=f"{name}:9") == "ParameterVersionNotFound"
    history = ssm.get_parameter_history(Name=name)["Parameters"]
    assert [(each["Version"], each["Value"]) for each in history] == [(1, "1"), (2, "2")]
    filters = [{"Key": "Name", "Option": "BeginsWith", "Values": ["/app/"]}]
    (described,) = ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
    assert described["Description"] == "how high" and "Value" not in described
    target = {"ResourceType": "Parameter", "ResourceId": name}
    ssm.add_tags_to_resource(**target, Tags=[{"Key": "kind", "Value": "b"}])
    ssm.remove_tags_from_resource(**target, TagKeys=["team"])
    listed = ssm.list_tags_for_resource(**target)["TagList"]
    assert listed == [{"Key": "kind", "Value": "b"}]
    ssm.delete_parameter(Name=name)
    assert refused(ssm.get_parameter, Name=name) == "ParameterNotFound"
    assert refused(ssm.delete_parameter, Name=name) == "ParameterNotFound"


def test_paths_and_lists(ssm: Any) -> None:
    for name in ("/tree/a", "/tree/b", "/tree/deep/c", "/treetop"):
        ssm.put_parameter(Name=name, Type="StringList", Value=f"{name},x")
    near = ssm.get_parameters_by_path(Path="/tree")["Parameters"]
    assert [each["Name"] for each in near] == ["/tree/a", "/tree/b"]
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path="/tree/", Recursive=True, PaginationConfig={"PageSize": 2}
    )
    every = [each["Name"] for page in pages for each in page["Parameters"]]
    assert every == ["/tree/a", "/tree/b", "/tree/deep/c"]
    some = ssm.get_parameters(Names=["/treetop", "/none"])
    assert [each["Value"] for each in some["Parameters"]] == ["/treetop,x"]
    assert some["InvalidParameters"] == ["/none"]
    gone = ssm.delete_parameters(Names=[*every, "/treetop", "/none"])
    assert gone["InvalidParameters"] == ["/none"] and len(gone["DeletedParameters"]) == 4


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Name": "a//b"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "/aws/mine"}, "ValidationException"),
        ({"Name": "/a" * 16}, "HierarchyLevelLimitExceededException"),
        ({"Value": "x" * 4097}, "ValidationException"),
        ({"AllowedPattern": "^[0-9]+$"}, "ParameterPatternMismatchException"),
        ({"Type": "SecureString"}, "NotImplemented"),
    ],
)
def test_what_is_refused(ssm: Any, params: dict[str, str], code: str) -> None:
    given = {"Name": "refused", "Type": "String", "Value": "x", **params}
    assert refused(ssm.put_parameter, **given) == code


def test_repositories(ecr: Any) -> None:
    made = ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    arn = "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
    assert made["repository"]["repositoryArn"] == arn
    name = {"repositoryName": "team/app"}
    assert refused(ecr.create_repository, **name) == "RepositoryAlreadyExistsException"
    assert refused(ecr.get_repository_policy, **name) == "RepositoryPolicyNotFoundException"
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    ecr.set_repository_policy(**name, policyText=document)
    assert ecr.get_repository_policy(**name)["policyText"] == document
    ecr.delete_repository_policy(**name)
    rules = json.dumps({"rules": [], "why": "a lifecycle policy is at least 100 characters" * 2})
    ecr.put_lifecycle_policy(**name, lifecyclePolicyText=rules)
    assert ecr.get_lifecycle_policy(**name)["lifecyclePolicyText"] == rules
    ecr.delete_lifecycle_policy(**name)
    assert refused(ecr.get_lifecycle_policy, **name) == "LifecyclePolicyNotFoundException"
    ecr.put_image_tag_mutability(**name, imageTagMutability="MUTABLE")
    ecr.put_image_scanning_configuration(**name, imageScanningConfiguration={"scanOnPush": True})
    (found,) = ecr.describe_repositories(repositoryNames=["team/app"])["repositories"]
    assert found["imageTagMutability"] == "MUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "c", "Value": "d"}]
    assert ecr.list_images(**name)["imageIds"] == []
    assert refused(ecr.initiate_layer_upload, **name) == "NotImplemented"
    ecr.delete_repository(**name)
    assert refused(ecr.describe_repositories, repositoryNames=["team/app"]) == (
        "RepositoryNotFoundException"
    )


def test_permissions_name_the_parameter(server: Server) -> None:
    iam, name = server.client("iam"), "parameter-reader"
    iam.create_user(UserName=name)
    resource = "arn:aws:ssm:us-east-1:000000000000:parameter/open/*"
    allowed = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": resource}
    document = json.dumps({"Statement": [allowed]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    client = server.client("ssm", **own)
    server.client("ssm").put_parameter(Name="/open/a", Type="String", Value="1")
    assert client.get_parameter(Name="/open/a")["Parameter"]["Value"] == "1"
    assert refused(client.get_parameter, Name="/closed/a") == "AccessDeniedException"


def test_services_that_nobody_has_say_so_in_their_words(server: Server) -> None:
    for service, operation, said in (
        ("stepfunctions", "list_activities", "states (AWSStepFunctions)"),
        ("secretsmanager", "list_secrets", "secretsmanager"),
        ("ec2", "describe_vpcs", "ec2:DescribeVpcs"),
        ("ses", "list_identities", "ses:ListIdentities"),
        ("sesv2", "list_email_identities", "sesv2:ListEmailIdentities"),
        ("elbv2", "describe_load_balancers", "elasticloadbalancing"),
        ("bedrock", "list_guardrails", "bedrock:ListGuardrails"),
    ):
        call = getattr(server.client(service), operation)
        with pytest.raises(ClientError, match=r"is not implemented by cloudlet\.") as caught:
            call()
        error = caught.value.response["Error"]
        assert error["Code"] == "NotImplemented" and said in error["Message"]
