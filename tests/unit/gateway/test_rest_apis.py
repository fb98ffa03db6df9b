"""REST APIs, their resources, methods and integrations; what is wrong is said as AWS says it."""

import pytest

from cloudlet.gateway.rest import resources
from tests.unit.gateway.rest_control import FUNCTION_URI, MOCK, Document, Rest


def test_an_api_has_a_root_and_two_models(rest: Rest) -> None:
    api = rest.api(description="d", endpointConfiguration={"types": ["REGIONAL"]})
    assert rest("GetRestApi", restApiId=api["id"]) == api
    assert rest("GetResources", restApiId=api["id"])["items"] == [
        {"id": api["rootResourceId"], "path": "/", "resourceMethods": None}
    ]
    names = [model["name"] for model in rest("GetModels", restApiId=api["id"])["items"]]
    assert names == ["Empty", "Error"]
    assert api["apiKeySource"] == "HEADER"
    rest("DeleteRestApi", restApiId=api["id"])
    message = rest.fails("NotFoundException", "GetRestApi", restApiId=api["id"])
    assert message == f"Invalid API identifier specified 000000000000:{api['id']}"


def test_apis_are_listed_page_by_page(rest: Rest) -> None:
    ids = [rest.api(name=f"api{number}")["id"] for number in range(5)]
    found, position = [], None
    while True:
        page = rest("GetRestApis", limit=2, position=position)
        found += [api["id"] for api in page["items"]]
        position = page.get("position")
        if position is None:
            break
    assert sorted(found) == sorted(ids)
    rest.fails("BadRequestException", "GetRestApis", limit=501)
    rest.fails("BadRequestException", "GetRestApis", position="x")


@pytest.mark.parametrize(
    "members",
    [
        {"name": " "},
        {"endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}},
        {"apiKeySource": "COOKIE"},
        {"minimumCompressionSize": 10_485_761},
        {"policy": "{"},
        {"policy": "[]"},
    ],
)
def test_wrong_settings_are_refused(rest: Rest, members: Document) -> None:
    rest.fails("BadRequestException", "CreateRestApi", **{"name": "pets", **members})
    assert rest("GetRestApis")["items"] == []


def test_what_cannot_be_served_is_refused_by_name(rest: Rest) -> None:
    private = {"types": ["PRIVATE"]}
    rest.fails("NotImplemented", "CreateRestApi", name="a", endpointConfiguration=private)
    rest.fails("NotImplemented", "CreateRestApi", name="a", endpointAccessMode="STRICT")
    assert "CreateVpcLink" not in rest._service.operations


def test_patches_change_an_api(rest: Rest) -> None:
    api_id = rest.api(binaryMediaTypes=["a/b"], minimumCompressionSize=5)["id"]
    for op, path, value in (
        ("replace", "/name", "new"),
        ("add", "/binaryMediaTypes/image~1png", None),
        ("remove", "/binaryMediaTypes/a~1b", None),
        ("replace", "/endpointConfiguration/types/EDGE", "REGIONAL"),
        ("replace", "/disableExecuteApiEndpoint", "true"),
        ("replace", "/minimumCompressionSize", None),
    ):
        api = rest.patch("UpdateRestApi", op, path, value, restApiId=api_id)
    assert api["name"] == "new"
    assert api["binaryMediaTypes"] == ["image/png"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["disableExecuteApiEndpoint"] is True
    assert "minimumCompressionSize" not in api
    with pytest.raises(Exception, match="Invalid patch path '/nope' specified for op 'replace'"):
        rest.patch("UpdateRestApi", "replace", "/nope", "x", restApiId=api_id)
    with pytest.raises(Exception, match="Invalid patch operation specified"):
        rest.patch("UpdateRestApi", "put", "/name", "x", restApiId=api_id)
    with pytest.raises(Exception, match="Name must be specified"):
        rest.patch("UpdateRestApi", "replace", "/name", "", restApiId=api_id)


def test_a_clone_has_everything_but_stages(rest: Rest) -> None:
    source = rest.deployed()
    clone = rest("CreateRestApi", name="copy", cloneFrom=source["id"])
    assert clone["id"] != source["id"]
    found = rest("GetResources", restApiId=clone["id"], embed=["methods"])["items"]
    assert found == rest("GetResources", restApiId=source["id"], embed=["methods"])["items"]
    assert rest("GetStages", restApiId=clone["id"])["item"] == []


def test_resources_are_a_tree(rest: Rest) -> None:
    api = rest.api()
    api_id = api["id"]
    leaf = rest.resource(api, "/pets/{id}/toys")
    resource = rest("GetResource", restApiId=api_id, resourceId=leaf)
    assert resource["path"] == "/pets/{id}/toys"
    pets = next(
        each for each in rest("GetResources", restApiId=api_id)["items"] if each["path"] == "/pets"
    )
    again = {"restApiId": api_id, "parentId": api["rootResourceId"], "pathPart": "pets"}
    assert rest.fails("ConflictException", "CreateResource", **again) == (
        "Another resource with the same parent already has this name: pets"
    )
    variable = {"restApiId": api_id, "parentId": pets["id"], "pathPart": "{other}"}
    assert "already has a variable path part" in rest.fails(
        "BadRequestException", "CreateResource", **variable
    )
    address = {"restApiId": api_id, "resourceId": pets["id"]}
    rest.patch("UpdateResource", "replace", "/pathPart", "animals", **address)
    assert rest("GetResource", restApiId=api_id, resourceId=leaf)["path"] == "/animals/{id}/toys"
    with pytest.raises(Exception, match="its own ancestor"):
        rest.patch("UpdateResource", "replace", "/parentId", leaf, **address)
    rest("DeleteResource", **address)
    assert len(rest("GetResources", restApiId=api_id)["items"]) == 1
    root = {"restApiId": api_id, "resourceId": api["rootResourceId"]}
    assert rest.fails("BadRequestException", "DeleteResource", **root) == (
        "Root resource cannot be deleted"
    )


@pytest.mark.parametrize("part", ["a b", "a/b", "{x", "{}", "x{y}", "{a+b}", ""])
def test_wrong_path_parts_are_refused(rest: Rest, part: str) -> None:
    api = rest.api()
    message = rest.fails(
        "BadRequestException",
        "CreateResource",
        restApiId=api["id"],
        parentId=api["rootResourceId"],
        pathPart=part,
    )
    assert message.startswith("Resource's path part only allow")


def test_nothing_stands_below_a_greedy_variable(rest: Rest) -> None:
    api = rest.api()
    greedy = rest.resource(api, "/{proxy+}")
    child = {"restApiId": api["id"], "parentId": greedy, "pathPart": "x"}
    assert "greedy" in rest.fails("BadRequestException", "CreateResource", **child)


def test_an_api_has_at_most_300_resources(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "RESOURCES_MAX", 2)
    api = rest.api()
    rest.resource(api, "/one")
    more = {"restApiId": api["id"], "parentId": api["rootResourceId"], "pathPart": "two"}
    rest.fails("LimitExceededException", "CreateResource", **more)


def test_a_method_with_all_that_belongs_to_it(rest: Rest) -> None:
    api = rest.api()
    header = "method.response.header.X-Own"
    parameters = {"method.request.querystring.q": True}
    address = rest.method(api, api["rootResourceId"], requestParameters=parameters)
    rest("PutMethodResponse", **address, statusCode="200", responseParameters={header: False})
    answer = {
        "statusCode": "200",
        "responseParameters": {header: "integration.response.header.Own"},
        "responseTemplates": {"application/json": "{}"},
    }
    rest("PutIntegrationResponse", **address, **answer)
    method = rest("GetMethod", **address)
    assert method["methodIntegration"]["integrationResponses"] == {"200": answer}
    assert method["methodResponses"]["200"]["responseParameters"] == {header: False}
    assert method["requestParameters"] == parameters
    assert rest("GetIntegrationResponse", **address, statusCode="200") == answer
    rest("DeleteIntegrationResponse", **address, statusCode="200")
    gone = rest.fails("NotFoundException", "GetIntegrationResponse", **address, statusCode="200")
    assert gone == "Invalid Response status code specified"
    rest("DeleteIntegration", **address)
    assert rest.fails("NotFoundException", "GetIntegration", **address) == (
        "Invalid Integration identifier specified"
    )
    rest("DeleteMethod", **address)
    assert rest.fails("NotFoundException", "GetMethod", **address) == (
        "Invalid Method identifier specified"
    )


def test_methods_say_what_is_wrong_with_them(rest: Rest) -> None:
    api = rest.api()
    address = {"restApiId": api["id"], "resourceId": api["rootResourceId"]}
    put = {**address, "authorizationType": "NONE"}
    assert "Valid options are GET," in rest.fails(
        "BadRequestException", "PutMethod", **put, httpMethod="BREW"
    )
    rest.fails(
        "BadRequestException", "PutMethod", **put, httpMethod="GET", requestParameters={"q": 1}
    )
    custom = {**put, "httpMethod": "GET", "authorizationType": "CUSTOM"}
    assert rest.fails("BadRequestException", "PutMethod", **custom).startswith(
        "Invalid authorizer ID specified."
    )
    models = {"application/json": "Unknown"}
    rest.fails("BadRequestException", "PutMethod", **put, httpMethod="GET", requestModels=models)
    rest.fails(
        "NotImplemented", "PutMethod", **{**custom, "authorizationType": "COGNITO_USER_POOLS"}
    )
    rest("PutMethod", **put, httpMethod="GET")
    assert rest.fails("ConflictException", "PutMethod", **put, httpMethod="GET") == (
        "Method already exists for this resource"
    )
    missing = {**address, "resourceId": "nope", "httpMethod": "GET"}
    assert rest.fails("NotFoundException", "GetMethod", **missing) == (
        "Invalid Resource identifier specified"
    )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"type": "TCP"}, "Invalid integration type specified"),
        ({"type": "HTTP", "uri": "http://x"}, "Enumeration value for HttpMethod must be non-empty"),
        (
            {"type": "HTTP", "uri": "ftp://x", "integrationHttpMethod": "GET"},
            "Invalid HTTP endpoint specified for URI",
        ),
        (
            {"type": "AWS", "uri": "http://x", "integrationHttpMethod": "POST"},
            "Invalid ARN specified in the request",
        ),
        (
            {"type": "AWS", "uri": "arn:aws:x", "integrationHttpMethod": "POST"},
            "AWS ARN for integration must contain path or action",
        ),
        ({**MOCK, "timeoutInMillis": 29_001}, "Timeout should be between 50 ms and 29000 ms"),
        ({**MOCK, "contentHandling": "X"}, "Invalid content handling specified"),
        (
            {
                **MOCK,
                "requestParameters": {"integration.request.header.x": "method.request.header.y"},
            },
            "Invalid mapping expression specified: Validation Result: warnings : [], errors :"
            " [Invalid mapping expression parameter specified: method.request.header.y]",
        ),
        (
            {**MOCK, "cacheKeyParameters": ["method.request.header.y"]},
            "Invalid cache key parameter specified: method.request.header.y",
        ),
    ],
)
def test_wrong_integrations_are_refused(rest: Rest, members: Document, message: str) -> None:
    api = rest.api()
    address = rest.method(api, api["rootResourceId"])
    assert rest.fails("BadRequestException", "PutIntegration", **address, **members) == message


def test_a_function_by_proxy(rest: Rest) -> None:
    api = rest.api()
    address = rest.method(api, api["rootResourceId"])
    proxy = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": FUNCTION_URI}
    integration = rest("PutIntegration", **address, **proxy)
    assert integration["passthroughBehavior"] == "WHEN_NO_MATCH"
    assert integration["timeoutInMillis"] == 29_000
    assert integration["cacheNamespace"] == api["rootResourceId"]
    changed = rest.patch("UpdateIntegration", "replace", "/timeoutInMillis", "500", **address)
    assert changed["timeoutInMillis"] == 500
    sqs = {**proxy, "uri": "arn:aws:apigateway:us-east-1:sqs:path/0/q"}
    assert "only supports Lambda" in rest.fails(
        "BadRequestException", "PutIntegration", **address, **sqs
    )
    link = {**proxy, "connectionType": "VPC_LINK"}
    rest.fails("NotImplemented", "PutIntegration", **address, **link)


def test_an_integration_response_needs_its_method_response(rest: Rest) -> None:
    api = rest.api()
    address = rest.method(api, api["rootResourceId"])
    answer = {**address, "statusCode": "200"}
    assert rest.fails("NotFoundException", "PutIntegrationResponse", **answer) == (
        "Invalid Response status code specified"
    )
    rest("PutMethodResponse", **answer)
    undeclared = {"method.response.header.X": "'1'"}
    assert "[Invalid mapping expression parameter specified: method.response.header.X]" in (
        rest.fails(
            "BadRequestException",
            "PutIntegrationResponse",
            **answer,
            responseParameters=undeclared,
        )
    )
    with pytest.raises(Exception, match="Response already exists"):
        rest("PutMethodResponse", **answer)
    rest.patch(
        "UpdateMethodResponse",
        "add",
        "/responseParameters/method.response.header.X",
        "true",
        **answer,
    )
    rest("PutIntegrationResponse", **answer, responseParameters=undeclared)
    changed = rest.patch(
        "UpdateIntegrationResponse", "replace", "/selectionPattern", "4..", **answer
    )
    assert changed["selectionPattern"] == "4.."
    with pytest.raises(Exception, match="Invalid selection pattern"):
        rest.patch("UpdateIntegrationResponse", "replace", "/selectionPattern", "(", **answer)
