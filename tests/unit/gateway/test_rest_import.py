"""OpenAPI documents in and out: what is imported, merged, overwritten, exported, refused."""

import json
from typing import Any

import pytest
import yaml

from cloudlet.gateway.rest import snapshots
from tests.unit.gateway.rest_control import FUNCTION_URI, Document, Rest

INTEGRATION = "x-amazon-apigateway-integration"
MOCK: Document = {
    "type": "mock",
    "requestTemplates": {"application/json": '{"statusCode": 200}'},
    "responses": {
        "default": {
            "statusCode": "200",
            "responseParameters": {"method.response.header.X-Own": "'1'"},
        },
        "4\\d{2}": {"statusCode": "400", "responseTemplates": {"application/json": "{}"}},
    },
}
SWAGGER: Document = {
    "swagger": "2.0",
    "info": {"title": "pets", "version": "7", "description": "all pets"},
    "basePath": "/zoo/v1",
    "x-amazon-apigateway-binary-media-types": ["image/png"],
    "x-amazon-apigateway-policy": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "execute-api:Invoke",
                "Resource": "execute-api:/*",
            }
        ],
    },
    "x-amazon-apigateway-request-validators": {
        "all": {"validateRequestBody": True, "validateRequestParameters": True}
    },
    "x-amazon-apigateway-request-validator": "all",
    "x-amazon-apigateway-gateway-responses": {"THROTTLED": {"statusCode": 503}},
    "securityDefinitions": {
        "tokens": {
            "type": "apiKey",
            "name": "X-Token",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": FUNCTION_URI},
        },
        "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
        "sigv4": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        },
    },
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "type": "string"}],
            "post": {
                "operationId": "CreatePet",
                "consumes": ["application/json"],
                "produces": ["application/json"],
                "parameters": [
                    {"name": "q", "in": "query", "type": "string"},
                    {"name": "pet", "in": "body", "schema": {"$ref": "#/definitions/Pet"}},
                ],
                "responses": {
                    "200": {
                        "description": "ok",
                        "headers": {"X-Own": {"type": "string"}},
                        "schema": {"$ref": "#/definitions/Pet"},
                    },
                    "400": {"description": "bad"},
                },
                "security": [{"tokens": []}, {"key": []}],
                INTEGRATION: MOCK,
            },
        },
        "/{proxy+}": {
            "x-amazon-apigateway-any-method": {
                "parameters": [{"name": "proxy", "in": "path", "required": True, "type": "string"}],
                "responses": {},
                "security": [{"sigv4": []}],
                INTEGRATION: {
                    "type": "http_proxy",
                    "httpMethod": "ANY",
                    "uri": "http://example.com/{proxy}",
                    "requestParameters": {
                        "integration.request.path.proxy": "method.request.path.proxy"
                    },
                    "cacheKeyParameters": ["method.request.path.proxy"],
                },
            }
        },
    },
    "definitions": {
        "Pet": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "mother": {"$ref": "#/definitions/Pet"}},
        }
    },
}


def _import(rest: Rest, document: Document, **members: Any) -> Document:
    body = json.dumps(document).encode()
    api: Document = rest("ImportRestApi", body=body, **members)
    return api


def _snapshot(rest: Rest, api: Document) -> Document:
    rest("CreateDeployment", restApiId=api["id"], stageName="prod")
    found = snapshots.load(rest.bench.database.view(), api["id"], "prod")
    assert found is not None
    return found.snapshot


def _method(rest: Rest, api: Document, path: str, verb: str) -> Document:
    for resource in rest("GetResources", restApiId=api["id"], embed=["methods"])["items"]:
        if resource["path"] == path:
            method: Document = resource["resourceMethods"][verb]
            return method
    raise AssertionError(path)


def _timeless(snapshot: Document) -> Document:
    """The snapshot without what is made up anew: ids become paths and names."""
    names = {each["id"]: each["path"] for each in snapshot["resources"]}
    for kind in ("authorizers", "validators", "models"):
        names |= {each["id"]: each["name"] for each in snapshot[kind].values()}
    names[snapshot["restApi"]["id"]] = "API"
    text = json.dumps(snapshot, sort_keys=True)
    for identifier, name in names.items():
        text = text.replace(identifier, name)
    found: Document = json.loads(text)
    found["resources"].sort(key=lambda each: str(each["path"]))
    for name in ("Empty", "Error"):
        found["models"].pop(name)
    return found


def test_everything_of_a_document_is_imported(rest: Rest) -> None:
    api = _import(rest, SWAGGER, parameters={"endpointConfigurationTypes": "REGIONAL"})
    assert (api["name"], api["version"], api["description"]) == ("pets", "7", "all pets")
    assert api["binaryMediaTypes"] == ["image/png"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["warnings"] is None
    post = _method(rest, api, "/pets/{id}", "POST")
    (authorizer,) = rest("GetAuthorizers", restApiId=api["id"])["items"]
    (validator,) = rest("GetRequestValidators", restApiId=api["id"])["items"]
    assert authorizer["identitySource"] == "method.request.header.X-Token"
    assert post["authorizationType"] == "CUSTOM"
    assert post["authorizerId"] == authorizer["id"]
    assert post["apiKeyRequired"] is True
    assert post["operationName"] == "CreatePet"
    assert post["requestValidatorId"] == validator["id"]
    assert post["requestModels"] == {"application/json": "Pet"}
    assert post["requestParameters"] == {
        "method.request.path.id": True,
        "method.request.querystring.q": False,
    }
    assert post["methodResponses"]["200"] == {
        "statusCode": "200",
        "responseModels": {"application/json": "Pet"},
        "responseParameters": {"method.response.header.X-Own": False},
    }
    answers = post["methodIntegration"]["integrationResponses"]
    assert "selectionPattern" not in answers["200"]
    assert answers["400"]["selectionPattern"] == "4\\d{2}"
    proxy = _method(rest, api, "/{proxy+}", "ANY")
    assert proxy["authorizationType"] == "AWS_IAM"
    assert proxy["methodIntegration"]["type"] == "HTTP_PROXY"
    snapshot = _snapshot(rest, api)
    assert snapshot["policy"]["Statement"][0]["Action"] == "execute-api:Invoke"
    assert snapshot["gatewayResponses"]["THROTTLED"]["statusCode"] == "503"
    assert f"/restapis/{api['id']}/models/Pet" in snapshot["models"]["Pet"]["schema"]


@pytest.mark.parametrize("kind", ["swagger", "oas30"])
@pytest.mark.parametrize("accepts", ["application/json", "application/yaml"])
def test_what_is_exported_imports_the_same(rest: Rest, kind: str, accepts: str) -> None:
    api = _import(rest, SWAGGER)
    before = _snapshot(rest, api)
    given = {"restApiId": api["id"], "stageName": "prod", "exportType": kind, "accepts": accepts}
    found = rest("GetExport", **given, parameters={"extensions": "apigateway"})
    assert found["contentType"] == accepts
    assert found["contentDisposition"].startswith(f'attachment; filename="{kind}_')
    copy = rest("ImportRestApi", body=found["body"])
    assert _timeless(_snapshot(rest, copy)) == _timeless(before)


def test_an_export_tells_as_much_as_is_asked_for(rest: Rest) -> None:
    api = _import(rest, SWAGGER)
    rest("CreateDeployment", restApiId=api["id"], stageName="prod")
    given = {"restApiId": api["id"], "stageName": "prod", "exportType": "oas30"}
    plain = json.loads(rest("GetExport", **given)["body"])
    assert INTEGRATION not in json.dumps(plain)
    assert plain["servers"][0]["variables"]["basePath"]["default"] == "/prod"
    assert plain["paths"]["/pets/{id}"]["post"]["security"] == [{"tokens": []}, {"api_key": []}]
    some = json.loads(rest("GetExport", **given, parameters={"extensions": "integrations"})["body"])
    assert INTEGRATION in some["paths"]["/pets/{id}"]["post"]
    assert "x-amazon-apigateway-authorizer" not in json.dumps(some)
    rest.fails("BadRequestException", "GetExport", **{**given, "exportType": "raml"})
    rest.fails("BadRequestException", "GetExport", **given, accepts="text/plain")
    rest.fails("NotImplemented", "GetExport", **given, parameters={"extensions": "postman"})
    rest.fails("NotFoundException", "GetExport", **{**given, "stageName": "no"})


def test_merge_keeps_and_overwrite_removes(rest: Rest) -> None:
    api = _import(rest, SWAGGER)
    post = _method(rest, api, "/pets/{id}", "POST")
    mock = {"type": "mock"}
    document = {
        "openapi": "3.0.1",
        "info": {"title": "merged", "version": "8"},
        "paths": {"/new": {"get": {INTEGRATION: mock, "responses": {}}}},
    }
    body = yaml.safe_dump(document).encode()
    merged = rest("PutRestApi", restApiId=api["id"], mode="merge", body=body)
    assert merged["name"] == "merged"
    assert merged["binaryMediaTypes"] == ["image/png"]
    assert _method(rest, api, "/pets/{id}", "POST") == post
    assert _method(rest, api, "/new", "GET")["methodIntegration"]["type"] == "MOCK"
    ids = {r["path"]: r["id"] for r in rest("GetResources", restApiId=api["id"])["items"]}
    rest("CreateDeployment", restApiId=api["id"], stageName="prod")
    over = rest("PutRestApi", restApiId=api["id"], mode="overwrite", body=body)
    assert "binaryMediaTypes" not in over
    assert over["rootResourceId"] == api["rootResourceId"]
    left = {r["path"]: r["id"] for r in rest("GetResources", restApiId=api["id"])["items"]}
    assert left == {"/": ids["/"], "/new": ids["/new"]}
    assert rest("GetAuthorizers", restApiId=api["id"])["items"] == []
    assert rest("GetStage", restApiId=api["id"], stageName="prod")
    rest.fails("BadRequestException", "PutRestApi", restApiId=api["id"], mode="x", body=body)


@pytest.mark.parametrize(
    ("mode", "path"),
    [("ignore", "/pets"), ("prepend", "/zoo/v1/pets"), ("split", "/v1/pets")],
)
def test_base_paths(rest: Rest, mode: str, path: str) -> None:
    api = _import(rest, SWAGGER, parameters={"basepath": mode})
    paths = [each["path"] for each in rest("GetResources", restApiId=api["id"])["items"]]
    assert path in paths
    v3 = {"openapi": "3.0.1", "info": SWAGGER["info"], "paths": {"/pets": {"get": {}}}}
    v3["servers"] = [
        {"url": "https://x/{base}", "variables": {"base": {"default": "zoo/v1"}}},
    ]
    api = _import(rest, v3, parameters={"basepath": mode})
    paths = [each["path"] for each in rest("GetResources", restApiId=api["id"])["items"]]
    assert path in paths


def test_openapi_3_with_components(rest: Rest) -> None:
    document = {
        "openapi": "3.0.1",
        "info": {"title": "t", "version": "1"},
        "components": {
            "parameters": {"q": {"name": "q", "in": "query", "required": True}},
            "responses": {"ok": {"description": "ok", "headers": {"X": {}}}},
            "x-amazon-apigateway-integrations": {"m": {"type": "mock"}},
        },
        "paths": {
            "/": {
                "get": {
                    "parameters": [{"$ref": "#/components/parameters/q"}],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"type": "object"}}}
                    },
                    "responses": {"200": {"$ref": "#/components/responses/ok"}},
                    INTEGRATION: {"$ref": "#/components/x-amazon-apigateway-integrations/m"},
                    "x-amazon-apigateway-auth": {"type": "AWS_IAM"},
                }
            }
        },
    }
    method = _method(rest, _import(rest, document), "/", "GET")
    assert method["requestParameters"] == {"method.request.querystring.q": True}
    assert method["authorizationType"] == "AWS_IAM"
    assert method["requestModels"]["application/json"].startswith("MODEL")
    assert method["methodResponses"]["200"]["responseParameters"] == {
        "method.response.header.X": False
    }
    assert method["methodIntegration"]["type"] == "MOCK"


def test_aws_variables_are_resolved(rest: Rest) -> None:
    """An import knows `${AWS::Region}`, `${AWS::AccountId}` and `${AWS::Partition}`."""
    uri = FUNCTION_URI.replace("us-east-1", "${AWS::Region}").replace("aws:", "${AWS::Partition}:")
    uri = uri.replace("000000000000", "${AWS::AccountId}")
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    paths = {"/": {"get": {INTEGRATION: integration, "responses": {}}}}
    api = _import(rest, {"openapi": "3.0.1", "info": {"title": "t"}, "paths": paths})
    assert _method(rest, api, "/", "GET")["methodIntegration"]["uri"] == FUNCTION_URI


def test_gateway_304_servers_that_are_no_list(rest: Rest) -> None:
    """gateway-304: seen in published applications that AWS imports."""
    servers = {"variables": {"basePath": {"default": "/v1"}}}
    document = {"openapi": "3.0.1", "info": {"title": "t"}, "servers": servers, "paths": {}}
    assert _import(rest, document)["name"] == "t"


def test_a_document_without_title_goes_into_an_api_with_a_name(rest: Rest) -> None:
    body = b'{"openapi": "3.0.1", "info": {}, "paths": {}}'
    message = rest.fails("BadRequestException", "ImportRestApi", body=body)
    assert message.endswith("info.title is required")
    api = rest.api(name="named")
    assert rest("PutRestApi", restApiId=api["id"], body=body)["name"] == "named"


def test_warnings_may_be_failures(rest: Rest) -> None:
    document = {**SWAGGER, "x-amazon-apigateway-cors": {}}
    warnings = _import(rest, document)["warnings"]
    assert warnings == [
        "Extension x-amazon-apigateway-cors is not supported for REST APIs. Ignored."
    ]
    body = json.dumps(document).encode()
    message = rest.fails("BadRequestException", "ImportRestApi", body=body, failOnWarnings=True)
    assert message.startswith("Warnings found during import:")
    assert len(rest("GetRestApis")["items"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swagger": "1.2"}, "missing or unsupported version"),
        ({"info": {}}, "info.title is required"),
        ({"x-amazon-apigateway-request-validator": "none"}, "'none' is not defined"),
        ({"paths": {"/a b": {"get": {}}}}, "Unable to create resource at path '/a b'"),
        (
            {"paths": {"/x": {"get": {INTEGRATION: {"type": "aws_proxy", "uri": "x"}}}}},
            "Unable to put integration on 'GET' on resource at path '/x'",
        ),
        ({"paths": {"/x": {"get": {"security": [{"who": []}]}}}}, "Invalid security definition"),
        ({"definitions": {"A": {"$ref": "#/definitions/B"}}}, "Invalid model identifier"),
    ],
)
def test_what_is_wrong_with_a_document(rest: Rest, change: Document, message: str) -> None:
    body = json.dumps({**SWAGGER, **change}).encode()
    assert message in rest.fails("BadRequestException", "ImportRestApi", body=body)
    assert rest("GetRestApis")["items"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"a: [", b"- x"])
def test_what_is_no_document(rest: Rest, body: bytes) -> None:
    rest.fails("BadRequestException", "ImportRestApi", body=body)


def test_documentation_is_imported(rest: Rest) -> None:
    parts = [{"location": {"type": "API"}, "properties": {"description": "d"}}]
    section = {"x-amazon-apigateway-documentation": {"version": "1", "documentationParts": parts}}
    api = _import(rest, {**SWAGGER, **section})
    (part,) = rest("GetDocumentationParts", restApiId=api["id"])["items"]
    assert json.loads(part["properties"]) == {"description": "d"}
    body = json.dumps({**SWAGGER, **section}).encode()
    done = rest("ImportDocumentationParts", restApiId=api["id"], mode="overwrite", body=body)
    assert len(done["ids"]) == 1
