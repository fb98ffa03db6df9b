"""The control plane of REST APIs through boto3: what real clients send, and what they get."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import allow, policy
from tests.server import Server

MOCK = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}


@pytest.fixture
def client(server: Server) -> Any:
    return server.client("apigateway")


@pytest.fixture
def api(client: Any, names: Iterator[str]) -> Iterator[dict[str, Any]]:
    """`GET /pets/{id}` on the stage "dev"."""
    api = client.create_rest_api(
        name=next(names), endpointConfiguration={"types": ["REGIONAL"]}, tags={"a": "b"}
    )
    address = {"restApiId": api["id"]}
    parent = api["rootResourceId"]
    for part in ("pets", "{id}"):
        parent = client.create_resource(**address, parentId=parent, pathPart=part)["id"]
    method = {**address, "resourceId": parent, "httpMethod": "GET"}
    client.put_method(**method, authorizationType="NONE")
    client.put_integration(**method, **MOCK)
    client.put_method_response(
        **method, statusCode="200", responseParameters={"method.response.header.X": False}
    )
    client.put_integration_response(
        **method, statusCode="200", responseParameters={"method.response.header.X": "'1'"}
    )
    client.create_deployment(**address, stageName="dev")
    yield {**api, "method": method}
    client.delete_rest_api(**address)


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response: Any = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_answers_have_aws_s_members_and_statuses(client: Any, api: dict[str, Any]) -> None:
    found = client.get_rest_api(restApiId=api["id"])
    assert isinstance(found["createdDate"], datetime)
    assert found["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert found["tags"] == {"a": "b"}
    resources = client.get_resources(restApiId=api["id"], embed=["methods"])["items"]
    method = next(r for r in resources if r["path"] == "/pets/{id}")["resourceMethods"]["GET"]
    assert method["methodIntegration"]["integrationResponses"]["200"]["responseParameters"] == {
        "method.response.header.X": "'1'"
    }
    paginator = client.get_paginator("get_resources")
    pages = list(paginator.paginate(restApiId=api["id"], PaginationConfig={"PageSize": 2}))
    assert [len(page["items"]) for page in pages] == [2, 1]
    for operation, status in ((client.get_method, 200), (client.delete_integration, 204)):
        assert operation(**api["method"])["ResponseMetadata"]["HTTPStatusCode"] == status


def test_errors_are_exceptions_of_the_client(client: Any, api: dict[str, Any]) -> None:
    with pytest.raises(client.exceptions.NotFoundException, match="Invalid API identifier"):
        client.get_rest_api(restApiId="nope")
    with pytest.raises(client.exceptions.ConflictException, match="Method already exists"):
        client.put_method(**api["method"], authorizationType="NONE")
    with pytest.raises(client.exceptions.BadRequestException, match="Invalid patch path"):
        client.update_rest_api(
            restApiId=api["id"], patchOperations=[{"op": "replace", "path": "/x", "value": "y"}]
        )
    with pytest.raises(ClientError) as refused:
        client.create_vpc_link(name="x", targetArns=["arn:x"])
    assert code(refused) == ("NotImplemented", 501)


def test_stages_and_what_they_serve(server: Server, client: Any, api: dict[str, Any]) -> None:
    stage = {"restApiId": api["id"], "stageName": "dev"}
    operations = [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "100"},
        {"op": "replace", "path": "/variables/colour", "value": "red"},
    ]
    changed = client.update_stage(**stage, patchOperations=operations)
    assert changed["methodSettings"]["*/*"]["throttlingRateLimit"] == 100.0
    assert changed["variables"] == {"colour": "red"}
    assert [each["stageName"] for each in client.get_stages(restApiId=api["id"])["item"]] == ["dev"]
    url = f"{server.endpoint}/_aws/execute-api/{api['id']}/dev/pets/7"
    answer = server.http.request("GET", url)
    assert (answer.status, answer.headers["x"]) == (200, "1")
    client.put_integration_response(
        **api["method"],
        statusCode="200",
        responseParameters={"method.response.header.X": "'2'"},
    )
    assert server.http.request("GET", url).headers["x"] == "1"  # not deployed yet
    client.create_deployment(**stage)
    assert server.http.request("GET", url).headers["x"] == "2"
    client.flush_stage_cache(**stage)
    client.delete_stage(**stage)
    assert server.http.request("GET", url).status == 403


def test_import_and_export_travel_as_bytes(client: Any, api: dict[str, Any]) -> None:
    stage = {"restApiId": api["id"], "stageName": "dev"}
    exported = client.get_export(
        **stage, exportType="oas30", parameters={"extensions": "integrations"}
    )
    assert exported["contentType"] == "application/json"
    assert exported["contentDisposition"].startswith("attachment")
    body = exported["body"].read()
    assert json.loads(body)["openapi"] == "3.0.1"
    yaml = client.get_export(**stage, exportType="swagger", accepts="application/yaml")
    assert yaml["body"].read().startswith(b"swagger: '2.0'")
    copy = client.import_rest_api(
        body=body, parameters={"basepath": "prepend"}, failOnWarnings=True
    )
    try:
        paths = [r["path"] for r in client.get_resources(restApiId=copy["id"])["items"]]
        assert "/dev/pets/{id}" in paths
        put = client.put_rest_api(restApiId=copy["id"], mode="overwrite", body=body)
        assert put["id"] == copy["id"]
        paths = [r["path"] for r in client.get_resources(restApiId=copy["id"])["items"]]
        assert sorted(paths) == ["/", "/pets", "/pets/{id}"]
    finally:
        client.delete_rest_api(restApiId=copy["id"])


def test_keys_plans_and_usage(client: Any, api: dict[str, Any], names: Iterator[str]) -> None:
    key = client.create_api_key(name=next(names), enabled=True)
    plan = client.create_usage_plan(
        name=next(names),
        apiStages=[{"apiId": api["id"], "stage": "dev"}],
        quota={"limit": 5, "period": "DAY"},
    )
    link = {"usagePlanId": plan["id"], "keyId": key["id"]}
    client.create_usage_plan_key(**link, keyType="API_KEY")
    listed = client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert [each["value"] for each in listed] == [key["value"]]
    today = f"{client.get_api_key(apiKey=key['id'])['createdDate']:%Y-%m-%d}"
    usage = client.get_usage(usagePlanId=plan["id"], startDate=today, endDate=today)
    assert usage["items"] == {key["id"]: [[0, 5]]}
    imported = client.import_api_keys(format="csv", body=b"name,key\nx,01234567890123456789a\n")
    assert len(imported["ids"]) == 1
    arn = f"arn:aws:apigateway:us-east-1::/usageplans/{plan['id']}"
    client.tag_resource(resourceArn=arn, tags={"x": "y"})
    assert client.get_tags(resourceArn=arn)["tags"] == {"x": "y"}
    client.untag_resource(resourceArn=arn, tagKeys=["x"])
    for key_id in (key["id"], *imported["ids"]):
        client.delete_api_key(apiKey=key_id)
    operations = [{"op": "remove", "path": "/apiStages", "value": f"{api['id']}:dev"}]
    client.update_usage_plan(usagePlanId=plan["id"], patchOperations=operations)
    client.delete_usage_plan(usagePlanId=plan["id"])


def test_permissions_are_verbs_on_paths(
    server: Server, api: dict[str, Any], names: Iterator[str]
) -> None:
    iam, name = server.client("iam"), next(names)
    iam.create_user(UserName=name)
    path = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}"
    document = policy(
        allow("apigateway:GET", [path, f"{path}/*"]), allow("apigateway:PUT", f"{path}/resources/*")
    )
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    client = server.client(
        "apigateway",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
    )
    assert client.get_rest_api(restApiId=api["id"])["id"] == api["id"]
    assert client.get_method(**api["method"])["httpMethod"] == "GET"
    client.put_integration(**api["method"], **MOCK)
    for refused in (
        lambda: client.get_rest_apis(),
        lambda: client.delete_method(**api["method"]),
        lambda: client.create_deployment(restApiId=api["id"]),
        lambda: client.create_api_key(),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert code(error)[1] == 403


INCLUDED = """
openapi: 3.0.1
info: {title: from-s3, version: '1'}
paths:
  /mock:
    get: {responses: {}, x-amazon-apigateway-integration: {type: mock}}
"""
BODIES = """
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties: {BodyS3Location: {Bucket: BUCKET, Key: openapi.yaml}, MinimumCompressionSize: 1}
  Included:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Name: renamed
      Body: {Fn::Transform: {Name: AWS::Include, Parameters: {Location: s3://BUCKET/openapi.yaml}}}
Outputs:
  Api: {Value: !GetAtt Api.RestApiId}
  Included: {Value: !Ref Included}
"""


def test_bodies_of_templates_come_from_s3(
    server: Server, client: Any, bucket: str, names: Iterator[str]
) -> None:
    server.client("s3").put_object(Bucket=bucket, Key="openapi.yaml", Body=INCLUDED.encode())
    cloudformation, stack = server.client("cloudformation"), next(names)
    body = BODIES.replace("BUCKET", bucket)
    cloudformation.create_stack(
        StackName=stack, TemplateBody=body, Capabilities=["CAPABILITY_AUTO_EXPAND"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    ids = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    apis = {key: client.get_rest_api(restApiId=api_id) for key, api_id in ids.items()}
    assert apis["Api"]["name"] == "from-s3"
    assert apis["Api"]["minimumCompressionSize"] == 1
    assert apis["Included"]["name"] == "renamed"
    for api_id in ids.values():
        paths = [r["path"] for r in client.get_resources(restApiId=api_id)["items"]]
        assert paths == ["/", "/mock"]
    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
