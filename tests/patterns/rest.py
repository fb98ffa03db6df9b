"""Patterns on REST APIs."""

import json
from typing import Any

from tests.patterns.pattern import Deployed, pattern


def _key(stack: Deployed) -> str:
    keys = stack.client("apigateway").get_api_keys(includeValues=True)["items"]
    value: str = keys[0]["value"]
    return value


def _address(stack: Deployed, path: str = "") -> str:
    """Of the only REST API's only stage."""
    client = stack.client("apigateway")
    api = client.get_rest_apis()["items"][0]["id"]
    stage = client.get_stages(restApiId=api)["item"][-1]["stageName"]
    return f"https://{api}.execute-api.us-east-1.amazonaws.com/{stage}{path}"


def _json(answer: Any) -> Any:
    assert answer.status == 200, (answer.status, answer.data)
    return json.loads(answer.data)


@pattern("apigw-rest-api-mock-integration")
def mock(stack: Deployed) -> None:
    """GET answers 200 without any back end."""
    assert stack.http("GET", stack.outputs["AppApiEndpoint"]).status == 200


@pattern("apigw-rest-api-lambda-node")
def proxy_node(stack: Deployed) -> None:
    """GET /hello answers the function's message."""
    assert "hello" in stack.http("GET", stack.outputs["HelloWorldApi"]).data.decode().lower()


@pattern("apigw-api-key")
def api_key(stack: Deployed) -> None:
    """403 without the key, the event with it."""
    url = stack.outputs["AppApiEndpoint"]
    assert stack.http("GET", url).status == 403
    event = _json(stack.http("GET", url, headers={"x-api-key": _key(stack)}))
    assert event["httpMethod"] == "GET"


@pattern("apigw-usage-plans")
def usage_plan(stack: Deployed) -> None:
    """403 without the key of the plan, 200 with it."""
    url = stack.outputs["UsagePlanApi"]
    assert stack.http("GET", url).status == 403
    assert stack.http("GET", url, headers={"x-api-key": _key(stack)}).status == 200


@pattern("apigw-caching-sam")
def counts(stack: Deployed) -> None:
    """Calls are answered and counted (the cache is commented out as published)."""
    for _ in range(4):
        assert "hello world" in stack.http("GET", stack.outputs["CachedApiUrl"]).data.decode()
    metrics = stack.client("cloudwatch")

    def counted() -> bool:
        found = metrics.list_metrics(Namespace="AWS/ApiGateway", MetricName="Count")
        return bool(found["Metrics"])

    stack.until(counted, "the metric Count")


@pattern("apigw-method-cache")
def method_cache(stack: Deployed) -> None:
    """The timestamp header stays the same while the answer is cached."""
    url = stack.outputs["AppApiEndpoint"]
    first, second = (stack.http("GET", url).headers["timestamp"] for _ in range(2))
    assert first == second


@pattern("apigw-cloudwatch")
def access_log(stack: Deployed) -> None:
    """Each call leaves a line of JSON in the access log."""
    assert stack.http("GET", stack.outputs["ApiEndpoint"]).status == 200
    line = stack.logged_in(stack.outputs["LogGroupName"], "requestId")
    assert json.loads(line)["status"] == "200"


@pattern("apigw-execution-access-logs", AccessLogGroup="access-of-api")
def execution_log(stack: Deployed) -> None:
    """A call is in the access log and in the execution log."""
    assert stack.http("GET", stack.outputs["MyApi"]).status == 200
    api = stack.resources["MyApi"]
    stack.logged_in(f"API-Gateway-Execution-Logs_{api}/prod", "Method completed with status: 200")
    stack.logged_in(stack.outputs["MyLogGroup"], "200")


@pattern("apigw-cors-proxy")
def cors_proxy(stack: Deployed) -> None:
    """GET says hello; OPTIONS answers CORS headers."""
    url = _address(stack, "/helloworld")
    assert "Hello from Lambda" in stack.http("GET", url).data.decode()
    assert "Access-Control-Allow-Origin" in stack.http("OPTIONS", url).headers


@pattern("apigw-cors-nonproxy")
def cors_mapped(stack: Deployed) -> None:
    """GET says hello; OPTIONS answers CORS headers, mapped by the gateway."""
    url = _address(stack, "/helloworld")
    assert "Hello from Lambda" in stack.http("GET", url).data.decode()
    assert "Access-Control-Allow-Origin" in stack.http("OPTIONS", url).headers


@pattern("apigw-custom-resource-policy")
def resource_policy(stack: Deployed) -> None:
    """The API's policy allows one period only, which is over: 403."""
    assert stack.http("GET", stack.outputs["HelloWorldApi"]).status == 403


@pattern("apigw-data-validation")
def validation(stack: Deployed) -> None:
    """A valid vehicle passes, one older than 2010 gets 400 from the model."""
    url = f"{stack.outputs['ProcessApi']}vehicle"
    car = {"make": "MINI", "model": "Countryman", "year": 2020}
    assert _json(stack.http("POST", url, json=car))["data"] == car
    refused = stack.http("POST", url, json=car | {"year": 2009})
    assert (refused.status, refused.json()) == (400, {"message": "Invalid request body"})


@pattern("apigw-ddb-openapi-crud")
def crud(stack: Deployed) -> None:
    """Create, read, list, update and delete items with mapping templates alone."""
    url = stack.outputs["CrudApiUrl"]
    made = _json(stack.http("POST", url, json={"message": "Whatever you want to say"}))
    assert "Whatever" in json.dumps(_json(stack.http("GET", f"{url}{made['id']}")))
    assert made["id"] in json.dumps(_json(stack.http("GET", url)))
    _json(stack.http("PUT", f"{url}{made['id']}", json={"message": "changed"}))
    assert "changed" in json.dumps(_json(stack.http("GET", f"{url}{made['id']}")))
    assert stack.http("DELETE", f"{url}{made['id']}").status == 200
    assert made["id"] not in json.dumps(_json(stack.http("GET", url)))


@pattern("apigw-rest-api-dynamodb")
def music(stack: Deployed) -> None:
    """POST puts an item and GET queries by artist, without functions."""
    url, key = f"{stack.outputs['ApiRootUrl']}/music", {"x-api-key": _key(stack)}
    body = {"artist": "The Beatles", "album": "Abbey Road"}
    _json(stack.http("POST", url, json=body, headers=key))
    found = _json(stack.http("GET", f"{url}/The+Beatles", headers=key))
    assert "Abbey Road" in json.dumps(found)


@pattern("apigw-rest-api-eventbridge-sam")
def to_bus(stack: Deployed) -> None:
    """A POST is put on the bus by a mapping template."""
    entry = {"Detail": '{"data":"Order"}', "DetailType": "Test", "Source": "com.inv.order"}
    answer = stack.http("POST", stack.outputs["ApiEndpoint"], json={"items": [entry]})
    assert answer.status == 200, answer.data


@pattern("apigw-rest-api-eventbridge-sqs-sam")
def to_bus_and_queue(stack: Deployed) -> None:
    """A POST goes through bus, rule and queue to a function."""
    body = {"Detail": {"Is": "Hello"}, "DetailType": "POSTED", "Source": "demo.event"}
    assert _json(stack.http("POST", stack.outputs["ApiURL"], json=body))["FailedEntryCount"] == 0
    stack.logged("LambdaFuncton", "Hello")


@pattern("apigw-lambda-authorizer")
def token(stack: Deployed) -> None:
    """200 for an allowed token, 401 for an unauthorized one, 403 for a denied one."""
    url = stack.outputs["AppApiEndpoint"]
    for value, status in (("Bearer allow", 200), ("unauthorized", 401), ("Bearer deny", 403)):
        assert stack.http("GET", url, headers={"authorizationToken": value}).status == status


@pattern("apigw-lambda-dynamodb")
def to_table(stack: Deployed) -> None:
    """A POST inserts an item."""
    answer = stack.http("POST", stack.outputs["EndpointUrl"])
    assert answer.data == b"Successfully inserted data!", answer.data


@pattern("apigw-lambda-dynamodb-stream-lambda")
def to_stream(stack: Deployed) -> None:
    """A POST inserts an item, whose stream record the second function logs."""
    item = {"id": "1", "name": "n", "description": "d", "customer": "c"}
    answer = stack.http("POST", stack.outputs["EndpointUrl"], json=item)
    assert answer.data == b"Successfully inserted data!", answer.data


@pattern("apigw-lambda-json-xml-vtl-transformation")
def to_xml(stack: Deployed) -> None:
    """The function's JSON arrives as XML by a mapping template."""
    answer = stack.http("GET", _address(stack, "/details"))
    assert answer.status == 200 and answer.data.strip().startswith(b"<"), answer.data


@pattern("apigw-mappingtemplate-lambda")
def override(stack: Deployed) -> None:
    """The mapping template turns the function's answer into an error status."""
    answer = stack.http("POST", f"{stack.outputs['API']}/")
    assert answer.status >= 400, (answer.status, answer.data)


@pattern("apigw-sqs-rest")
def to_queue(stack: Deployed) -> None:
    """A POST becomes a message by the query protocol."""
    body = {"type": "API Request", "message": "sample"}
    assert stack.http("POST", stack.outputs["AppApiEndpoint"], json=body).status == 200
    assert "sample" in stack.received(stack.outputs["QueueURL"])["Body"]


@pattern("APIGateway-SQS-ReceiveMessages")
def from_queue(stack: Deployed) -> None:
    """GET answers null for an empty queue, then the messages sent."""
    url, sqs = stack.outputs["AppApiEndpoint"], stack.client("sqs")
    empty = _json(stack.http("GET", url))["ReceiveMessageResponse"]["ReceiveMessageResult"]
    assert empty["messages"] is None
    sqs.send_message(QueueUrl=stack.outputs["QueueURL"], MessageBody="one")
    assert "one" in stack.http("GET", f"{url}?MaxNumberOfMessages=5").data.decode()


@pattern("apigw-rest-regional-lambda")
def regional(stack: Deployed) -> None:
    """GET answers the function's body."""
    assert stack.http("GET", f"{stack.outputs['EndpointUrl']}/").status == 200
