"""Patterns on HTTP and WebSocket APIs."""

import socket
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.patterns.pattern import Deployed, pattern
from tests.server import Server

_JSON = {"Content-Type": "application/json"}


def open_socket(stack: Deployed, url: str, **headers: str) -> ClientConnection:
    address = urlsplit(url)
    here = socket.create_connection(("127.0.0.1", stack.server.aws_port))
    return connect(f"ws://{address.netloc}{address.path}", sock=here, additional_headers=headers)


@pattern("apigw-http-api-lambda")
def echo(stack: Deployed) -> None:
    """GET and POST answer the function's view of the request."""
    url = stack.outputs["HttpApiEndpoint"]
    answer = stack.http("GET", url).json()
    assert (answer["method"], answer["rawPath"]) == ("GET", "/")
    path = f"{url}/path1/path2?foo=bar"
    answer = stack.http("POST", path, body='{"key1":"value1"}', headers=_JSON).json()
    assert answer["queryString"] == {"foo": "bar"}
    assert answer["body"] == '{"key1":"value1"}'


@pattern("apigw-http-api-lambda-python")
def inline(stack: Deployed) -> None:
    """GET answers Hello World."""
    api = stack.outputs["HttpApiEndpoint"]
    answer = stack.http("GET", f"https://{api}.execute-api.us-east-1.amazonaws.com/")
    assert answer.data == b"Hello World! This is the HTTP API"


@pattern("apigw-http-api-eventbridge")
def to_bus(stack: Deployed) -> None:
    """A POST is put on the bus by the gateway; the rule's function logs it."""
    body = {"Detail": {"message": "This is my test"}}
    answer = stack.http("POST", stack.outputs["ApiEndpoint"], json=body)
    assert answer.status == 200, answer.data
    stack.logged("MyTriggeredLambda", "This is my test")


@pattern("apigw-sqs-lambda")
def to_queue(stack: Deployed) -> None:
    """A POST becomes a message; the function logs it."""
    url = f"{stack.outputs['MyHttpApiEndpoint']}/submit"
    assert stack.http("POST", url, json={"isMessageReceived": "Yes"}).status == 200
    stack.logged("MyLambdaFunction", "isMessageReceived")


@pattern("api-sqs-lambda-python")
def to_queue_python(stack: Deployed) -> None:
    """A POST becomes a message; the function logs it."""
    url = f"{stack.outputs['MyHttpApiEndpoint']}/submit"
    assert stack.http("POST", url, json={"isMessageReceived": "Yes"}).status == 200
    stack.logged("SQSLambdaFunction", "isMessageReceived")


@pattern(
    "custom-http-headers-to-sqs-message-attributes-using-http-api-gateway",
    ApiGatewayName="headers", QueueName="headers",
)  # fmt: skip
def headers_to_attributes(stack: Deployed) -> None:
    """Headers of a POST become attributes of the message."""
    url = f"{stack.outputs['HttpApiEndpoint']}/sqs"
    headers = {"header1": "one", "header2": "two"}
    assert stack.http("POST", url, json={"MessageBody": "hi"}, headers=headers).status == 200
    message = stack.received(stack.outputs["QueueUrl"])
    values = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
    assert values["MessageAttribute1"] == "one" and values["MessageAttribute2"] == "two"
    assert "hi" in message["Body"]


def _own_domain(server: Server) -> None:
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/mine"
    server.client("apigatewayv2").create_domain_name(
        DomainName="dev-events.example.com",
        DomainNameConfigurations=[{"CertificateArn": certificate, "EndpointType": "REGIONAL"}],
    )


@pattern("apigw-eventbridge", _own_domain)
def own_domain(stack: Deployed) -> None:
    """A POST to the custom domain, under its base path, is put on the bus."""
    domain = "https://dev-events.example.com/apigw2eb/mysource/mydetailtype"
    answer = stack.http("POST", domain, json={"mybody": {"attr1": 1}})
    assert answer.json()["FailedEntryCount"] == 0, answer.data


@pattern("apigw-websocket-ack-connect-route")
def greeted(stack: Deployed) -> None:
    """Who connects is greeted by a second function over @connections."""
    api = next(
        each for each in stack.client("apigatewayv2").get_apis()["Items"]
        if each["ProtocolType"] == "WEBSOCKET"
    )  # fmt: skip
    stage = stack.client("apigatewayv2").get_stages(ApiId=api["ApiId"])["Items"][0]["StageName"]
    url = f"wss://{api['ApiId']}.execute-api.us-east-1.amazonaws.com/{stage}"
    with open_socket(stack, url) as client:
        assert "connected" in str(client.recv(timeout=60))
