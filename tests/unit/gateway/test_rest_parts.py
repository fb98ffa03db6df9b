"""Authorizers, models, validators, gateway responses, documentation; custom domain names."""

import json

import pytest

from cloudlet.gateway.rest import models
from tests.unit.gateway.rest_control import FUNCTION_URI, Document, Rest

TOKEN = {
    "name": "tokens",
    "type": "TOKEN",
    "authorizerUri": FUNCTION_URI,
    "identitySource": "method.request.header.Authorization",
}


def test_authorizers(rest: Rest) -> None:
    api = rest.api()
    api_id = api["id"]
    authorizer = rest("CreateAuthorizer", restApiId=api_id, **TOKEN)
    assert authorizer["authorizerResultTtlInSeconds"] == 300
    address = {"restApiId": api_id, "authorizerId": authorizer["id"]}
    changed = rest.patch(
        "UpdateAuthorizer", "replace", "/authorizerResultTtlInSeconds", "0", **address
    )
    assert changed["authorizerResultTtlInSeconds"] == 0
    assert rest("GetAuthorizers", restApiId=api_id)["items"] == [changed]
    rest.method(
        api,
        api["rootResourceId"],
        authorizationType="CUSTOM",
        authorizerId=authorizer["id"],
    )
    message = rest.fails("ConflictException", "DeleteAuthorizer", **address)
    assert message.endswith("is referenced in method 'GET /'")
    method = {"restApiId": api_id, "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    open_again = rest.patch("UpdateMethod", "replace", "/authorizationType", "NONE", **method)
    assert "authorizerId" not in open_again
    rest("DeleteAuthorizer", **address)
    assert rest.fails("NotFoundException", "GetAuthorizer", **address) == (
        "Invalid Authorizer identifier specified"
    )


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"type": "COGNITO_USER_POOLS"}, "NotImplemented"),
        ({"type": "JWT"}, "NotImplemented"),
        ({"authorizerUri": "arn:aws:lambda:x"}, "BadRequestException"),
        ({"authorizerResultTtlInSeconds": 3601}, "BadRequestException"),
        ({"identitySource": None}, "BadRequestException"),
        ({"identitySource": None, "type": "REQUEST"}, "BadRequestException"),
    ],
)
def test_authorizers_that_cannot_be(rest: Rest, members: Document, code: str) -> None:
    api_id = rest.api()["id"]
    rest.fails(code, "CreateAuthorizer", restApiId=api_id, **{**TOKEN, **members})


def test_an_api_has_at_most_ten_authorizers(rest: Rest) -> None:
    api_id = rest.api()["id"]
    for number in range(10):
        rest("CreateAuthorizer", restApiId=api_id, **{**TOKEN, "name": f"a{number}"})
    rest.fails("LimitExceededException", "CreateAuthorizer", restApiId=api_id, **TOKEN)


def test_models_refer_to_each_other(rest: Rest) -> None:
    api_id = rest.api()["id"]
    pet = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    made = {"restApiId": api_id, "contentType": "application/json"}
    rest("CreateModel", **made, name="Pet", schema=json.dumps(pet))
    pets = {"type": "array", "items": {"$ref": models.reference(api_id, "Pet")}}
    rest("CreateModel", **made, name="Pets", schema=json.dumps(pets))
    address = {"restApiId": api_id, "modelName": "Pets"}
    assert json.loads(rest("GetModel", **address)["schema"]) == pets
    flat = json.loads(rest("GetModel", **address, flatten=True)["schema"])
    assert flat["items"] == {"$ref": "#/definitions/Pet"}
    assert flat["definitions"] == {"Pet": pet}
    template = rest("GetModelTemplate", **address)["value"]
    assert template.startswith("#set($inputRoot = $input.path('$'))\n[ {")
    assert '"name" : "foo"' in template
    assert rest.fails("ConflictException", "DeleteModel", restApiId=api_id, modelName="Pet") == (
        "Cannot delete model 'Pet', is referenced in model 'Pets'"
    )
    rest("DeleteModel", **address)
    rest("DeleteModel", restApiId=api_id, modelName="Pet")
    assert rest.fails("NotFoundException", "GetModel", restApiId=api_id, modelName="Pet") == (
        "Invalid model name specified: Pet"
    )
    rest.fails("ConflictException", "CreateModel", **made, name="Empty", schema="{}")
    for name, schema in (("a-b", "{}"), ("ab", "{"), ("ab", ""), ("ab", "[]")):
        rest.fails("BadRequestException", "CreateModel", **made, name=name, schema=schema)


def test_validators(rest: Rest) -> None:
    api = rest.api()
    made = rest("CreateRequestValidator", restApiId=api["id"], name="v", validateRequestBody=True)
    assert made["validateRequestParameters"] is False
    address = {"restApiId": api["id"], "requestValidatorId": made["id"]}
    rest.method(api, api["rootResourceId"], requestValidatorId=made["id"])
    rest.fails("ConflictException", "DeleteRequestValidator", **address)
    changed = rest.patch(
        "UpdateRequestValidator", "replace", "/validateRequestBody", "false", **address
    )
    assert changed["validateRequestBody"] is False
    assert rest("GetRequestValidators", restApiId=api["id"])["items"] == [changed]


def test_gateway_responses(rest: Rest) -> None:
    api_id = rest.api()["id"]
    kinds = rest("GetGatewayResponses", restApiId=api_id, limit=100)["items"]
    assert len(kinds) == 21
    assert all(each["defaultResponse"] for each in kinds)
    address = {"restApiId": api_id, "responseType": "THROTTLED"}
    assert rest("GetGatewayResponse", **address)["statusCode"] == "429"
    header = "gatewayresponse.header.Access-Control-Allow-Origin"
    made = rest("PutGatewayResponse", **address, responseParameters={header: "'*'"})
    assert made["defaultResponse"] is False
    assert made["statusCode"] == "429"
    changed = rest.patch("UpdateGatewayResponse", "replace", "/statusCode", "503", **address)
    assert changed["statusCode"] == "503"
    rest("DeleteGatewayResponse", **address)
    assert rest.fails("NotFoundException", "DeleteGatewayResponse", **address) == (
        "Gateway response type not defined on api"
    )
    rest.fails("BadRequestException", "GetGatewayResponse", restApiId=api_id, responseType="NO")
    rest.fails("BadRequestException", "PutGatewayResponse", **address, statusCode="700")
    wrong = {"method.response.header.X": "'*'"}
    rest.fails("BadRequestException", "PutGatewayResponse", **address, responseParameters=wrong)


def test_gateway_301_no_templates_mean_the_default_one(rest: Rest) -> None:
    """gateway-301: SAM sends an empty map, and clients still see the message."""
    address = {"restApiId": rest.api()["id"], "responseType": "UNAUTHORIZED"}
    made = rest("PutGatewayResponse", **address, responseTemplates={})
    assert made["responseTemplates"] == {
        "application/json": '{"message":$context.error.messageString}'
    }


def test_documentation(rest: Rest) -> None:
    api_id = rest.deployed()["id"]
    location = {"type": "METHOD", "path": "/pets", "method": "GET"}
    given = {"restApiId": api_id, "location": location}
    made = rest("CreateDocumentationPart", **given, properties='{"description": "d"}')
    rest.fails("ConflictException", "CreateDocumentationPart", **given, properties="{}")
    rest.fails("BadRequestException", "CreateDocumentationPart", **given, properties="x")
    assert rest("GetDocumentationParts", restApiId=api_id, type="METHOD")["items"] == [made]
    assert rest("GetDocumentationParts", restApiId=api_id, path="/no")["items"] == []
    version = {"restApiId": api_id, "documentationVersion": "1"}
    rest("CreateDocumentationVersion", **version, stageName="prod")
    stage = rest("GetStage", restApiId=api_id, stageName="prod")
    assert stage["documentationVersion"] == "1"
    rest.fails("ConflictException", "DeleteDocumentationVersion", **version)
    rest("DeleteStage", restApiId=api_id, stageName="prod")
    rest("DeleteDocumentationVersion", **version)
    address = {"restApiId": api_id, "documentationPartId": made["id"]}
    rest.patch("UpdateDocumentationPart", "replace", "/properties", "{}", **address)
    rest("DeleteDocumentationPart", **address)


def test_domain_names_and_base_paths(rest: Rest) -> None:
    api_id = rest.deployed()["id"]
    domain = {"domainName": "api.example.com"}
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/1"
    regional = {"endpointConfiguration": {"types": ["REGIONAL"]}}
    made = rest("CreateDomainName", **domain, **regional, regionalCertificateArn=certificate)
    assert made["regionalCertificateArn"] == certificate
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert "regionalDomainName" in made
    rest.fails("ConflictException", "CreateDomainName", **domain, certificateArn=certificate)
    mapping = rest("CreateBasePathMapping", **domain, restApiId=api_id, stage="prod")
    assert mapping == {"basePath": "(none)", "restApiId": api_id, "stage": "prod"}
    again = {**domain, "restApiId": api_id, "stage": "prod"}
    rest.fails("ConflictException", "CreateBasePathMapping", **again, basePath="(none)")
    rest.fails("BadRequestException", "CreateBasePathMapping", **{**again, "stage": "no"})
    rest("CreateBasePathMapping", **again, basePath="v1")
    moved = rest.patch(
        "UpdateBasePathMapping", "replace", "/basePath", "v2", **domain, basePath="v1"
    )
    assert moved["basePath"] == "v2"
    paths = [each["basePath"] for each in rest("GetBasePathMappings", **domain)["items"]]
    assert paths == ["(none)", "v2"]
    assert "api.example.com" in rest.fails("BadRequestException", "DeleteRestApi", restApiId=api_id)
    for path in paths:
        rest("DeleteBasePathMapping", **domain, basePath=path)
    other = rest.patch("UpdateDomainName", "replace", "/regionalCertificateArn", "arn:2", **domain)
    assert other["regionalCertificateArn"] == "arn:2"
    rest("DeleteDomainName", **domain)
    assert rest.fails("NotFoundException", "GetDomainName", **domain) == (
        "Invalid domain name identifier specified"
    )
    mutual = {"mutualTlsAuthentication": {"truststoreUri": "s3://x/y"}}
    rest.fails("NotImplemented", "CreateDomainName", **domain, **mutual)
