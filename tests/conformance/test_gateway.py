"""API Gateway v2 through boto3: HTTP and WebSocket APIs in front of functions."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.conformance.building import ACCOUNT, REGION, allow, arn, eventually, make_function
from tests.server import Server

ECHO = """
def handler(event, context):
    return {
        "statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1", "b=2"],
        "body": __import__("json").dumps(event),
    }
"""

LIVE = """
import json, boto3

def handler(event, context):
    here = event["requestContext"]
    route, mine = here["routeKey"], here["connectionId"]
    if route == "$connect":
        refused = (event.get("queryStringParameters") or {}).get("refuse")
        return {"statusCode": 403 if refused else 200}
    if route == "$disconnect":
        return {"statusCode": 200}
    endpoint = f"https://{here['domainName']}/{here['stage']}"
    client = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    told = {"route": route, "body": event.get("body"), "id": mine}
    if route == "leave":
        client.delete_connection(ConnectionId=mine)
        return {"statusCode": 200}
    if route == "ask":
        told["since"] = str(client.get_connection(ConnectionId=mine)["ConnectedAt"])
    if route == "fail":
        raise RuntimeError("no")
    client.post_to_connection(ConnectionId=mine, Data=json.dumps(told).encode())
    return {"statusCode": 200}
"""


@dataclass
class Api:
    id: str
    server: Server
    stage: str = ""

    def request(self, method: str, path: str, **settings: Any) -> urllib3.BaseHTTPResponse:
        url = f"{self.server.endpoint}/_aws/execute-api/{self.id}{path}"
        return self.server.http.request(method, url, **settings)

    def integrate(self, function: str, version: str) -> str:
        client = self.server.client("apigatewayv2")
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
        integration = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri}
        if version:
            integration["PayloadFormatVersion"] = version
        made = client.create_integration(ApiId=self.id, **integration)
        self.server.client("lambda").add_permission(
            FunctionName=function,
            StatementId=f"api-{self.id}",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/*",
        )
        return f"integrations/{made['IntegrationId']}"

    def route(self, key: str, target: str) -> None:
        self.server.client("apigatewayv2").create_route(ApiId=self.id, RouteKey=key, Target=target)


@pytest.fixture(scope="module")
def api(server: Server) -> Api:
    function = make_function(server, "api-echo", ECHO)
    client = server.client("apigatewayv2")
    made = client.create_api(
        Name="echo",
        ProtocolType="HTTP",
        CorsConfiguration={
            "AllowOrigins": ["https://page.example"],
            "AllowMethods": ["GET", "PUT"],
            "AllowHeaders": ["x-own"],
            "MaxAge": 60,
        },
    )
    api = Api(made["ApiId"], server)
    target = api.integrate(function, "2.0")
    for key in ("GET /items", "GET /items/{id}", "ANY /files/{path+}", "POST /items"):
        api.route(key, target)
    client.create_stage(ApiId=api.id, StageName="$default", AutoDeploy=True)
    client.create_stage(
        ApiId=api.id, StageName="blue", AutoDeploy=True, StageVariables={"colour": "blue"}
    )
    return api


def test_payload(api: Api) -> None:
    response = api.request(
        "POST", "/items?a=1&a=2&e=", body="ü".encode(),
        headers={"X-Mixed": "Case", "Cookie": "k=v; l=w", "Content-Type": "text/plain"},
    )  # fmt: skip
    assert response.status == 201 and response.headers["X-Own"] == "1"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    event = response.json()
    assert event["version"] == "2.0" and event["routeKey"] == "POST /items"
    assert event["queryStringParameters"] == {"a": "1,2", "e": ""}
    assert event["headers"]["x-mixed"] == "Case" and event["cookies"] == ["k=v", "l=w"]
    assert event["body"] == "ü" and event["isBase64Encoded"] is False
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["sourceIp"]) == ("POST", "/items", "127.0.0.1")
    assert event["requestContext"]["apiId"] == api.id


def test_binary_bodies_are_base64(api: Api) -> None:
    event = api.request("POST", "/items", body=b"\xff\x00").json()
    assert event["isBase64Encoded"] is True and event["body"] == "/wA="


def test_path_parameters(api: Api) -> None:
    event = api.request("GET", "/items/a%20b%2Bc").json()
    assert event["pathParameters"] == {"id": "a b+c"} and event["routeKey"] == "GET /items/{id}"
    event = api.request("PATCH", "/files/deep/er/x.txt").json()
    assert event["pathParameters"] == {"path": "deep/er/x.txt"}
    event = api.request("GET", "/blue/items").json()
    assert event["requestContext"]["stage"] == "blue"
    assert event["stageVariables"] == {"colour": "blue"}


def test_unknown_routes(api: Api) -> None:
    for method, path in (("GET", "/nothing"), ("DELETE", "/items"), ("GET", "/items/a/b")):
        response = api.request(method, path)
        assert response.status == 404 and response.json() == {"message": "Not Found"}
    stranger = Api("abcdefghij", api.server)
    assert stranger.request("GET", "/items").status in (403, 404)


def test_default_route(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("apigatewayv2"), next(names)
    function = make_function(server, name, "def handler(e, c):\n    return e['routeKey']\n")
    api = Api(client.create_api(Name=name, ProtocolType="HTTP", Target=function)["ApiId"], server)
    server.client("lambda").add_permission(
        FunctionName=name, StatementId="api", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )  # fmt: skip
    response = api.request("GET", "/what/ever")
    assert response.status == 200 and response.data == b"$default"
    assert response.headers["Content-Type"] == "application/json"


def test_cors(api: Api) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "PUT"}
    response = api.request("OPTIONS", "/items", headers=asked)
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert "PUT" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Max-Age"] == "60"
    response = api.request("GET", "/items", headers={"Origin": "https://page.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://page.example"
    response = api.request("GET", "/items", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in response.headers


def test_without_permission_the_api_may_not_invoke(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("apigatewayv2"), next(names)
    function = make_function(server, name, "def handler(e, c):\n    return 1\n")
    api = Api(client.create_api(Name=name, ProtocolType="HTTP", Target=function)["ApiId"], server)
    response = api.request("GET", "/")
    assert response.status == 500 and response.json() == {"message": "Internal Server Error"}


def test_failures_of_the_function(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("apigatewayv2"), next(names)
    function = make_function(server, name, "def handler(e, c):\n    raise RuntimeError('secret')\n")
    made = client.create_api(Name=name, ProtocolType="HTTP")
    api = Api(made["ApiId"], server)
    api.route("$default", api.integrate(function, "2.0"))
    client.create_stage(ApiId=api.id, StageName="$default", AutoDeploy=True)
    response = api.request("GET", "/")
    assert response.status == 500 and response.json() == {"message": "Internal Server Error"}


@pytest.fixture(scope="module")
def live(server: Server) -> Api:
    client = server.client("apigatewayv2")
    made = client.create_api(
        Name="live", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )
    api = Api(made["ApiId"], server, "prod")
    connections = arn("execute-api", f"{api.id}/prod/*/@connections/*")
    function = make_function(
        server, "live", LIVE, allow("execute-api:ManageConnections", connections)
    )
    target = api.integrate(function, "")
    for key in ("$connect", "$disconnect", "$default", "ask", "leave", "fail"):
        api.route(key, target)
    client.create_stage(ApiId=api.id, StageName="prod", AutoDeploy=True)
    return api


def open_socket(api: Api, query: str = "") -> ClientConnection:
    url = f"ws://127.0.0.1:{api.server.aws_port}/_aws/execute-api/{api.id}/prod{query}"
    return connect(url, proxy=None, open_timeout=60)


def told(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=60))
    return message


def test_routes_of_a_socket(live: Api) -> None:
    with open_socket(live) as socket:
        socket.send(json.dumps({"action": "ask", "n": 1}))
        got = told(socket)
        assert got["route"] == "ask" and json.loads(got["body"])["n"] == 1 and got["since"]
        for text in ('{"action": "unknown"}', "no json", "{}"):
            socket.send(text)
            got = told(socket)
            assert got["route"] == "$default" and got["body"] == text


def test_a_failing_route_tells_the_client(live: Api) -> None:
    with open_socket(live) as socket:
        socket.send('{"action": "fail"}')
        got = told(socket)
        assert got["message"] == "Internal server error" and got["connectionId"]


def test_connect_may_refuse(live: Api) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(live, "?refuse=1"):
        pass
    assert refused.value.response.status_code == 403


def management(live: Api) -> Any:
    """As an application outside would: the API's address of this cloud."""
    endpoint = f"{live.server.endpoint}/_aws/execute-api/{live.id}/prod"
    return live.server.client("apigatewaymanagementapi", endpoint_url=endpoint)


def test_posting_to_connections(live: Api) -> None:
    client = management(live)
    with open_socket(live) as socket:
        socket.send('{"action": "ask"}')
        identifier = told(socket)["id"]
        client.post_to_connection(ConnectionId=identifier, Data=b"from outside")
        assert socket.recv(timeout=60) == "from outside"
        assert client.get_connection(ConnectionId=identifier)["Identity"]["SourceIp"]

    def is_gone() -> bool:
        try:
            client.post_to_connection(ConnectionId=identifier, Data=b"x")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "GoneException"
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 410
            return True
        return False

    eventually(is_gone)


def test_disconnecting_from_inside(live: Api) -> None:
    with open_socket(live) as socket:
        socket.send('{"action": "leave"}')
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)


def test_many_sockets_at_once(live: Api) -> None:
    answers: list[str] = []

    def talk(number: int) -> None:
        with open_socket(live) as socket:
            socket.send(json.dumps({"action": "ask", "n": number}))
            answers.append(json.loads(told(socket)["body"])["n"])

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert sorted(answers) == list(range(20))


def test_frames_and_messages_have_limits(live: Api) -> None:
    """gateway-009: messages up to 128 KiB, in frames up to 32 KiB; what is larger closes."""
    with open_socket(live) as socket:
        socket.send(["x" * 32768] * 3)
        assert json.loads(socket.recv(timeout=60))["body"] == "x" * 98304
    for said in ("x" * 32769, ["x" * 32768] * 4 + ["x"]):
        with open_socket(live) as socket, pytest.raises(ConnectionClosed) as closed:
            socket.send(said)
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_a_socket_under_a_custom_domain(live: Api) -> None:
    client = live.server.client("apigatewayv2")
    client.create_domain_name(
        DomainName="live.example.com",
        DomainNameConfigurations=[{"CertificateArn": arn("acm", "certificate/x")}],
    )
    client.create_api_mapping(
        DomainName="live.example.com", ApiId=live.id, Stage="prod", ApiMappingKey="chat"
    )
    for port in (live.server.aws_port, live.server.port):
        url = "ws://live.example.com/chat"
        with (
            socket.create_connection(("127.0.0.1", port)) as opened,
            connect(url, sock=opened, proxy=None, open_timeout=60) as talking,
        ):
            talking.send('{"action": "fail"}')
            assert told(talking)["message"] == "Internal server error"
    client.update_api(ApiId=live.id, DisableExecuteApiEndpoint=True)
    try:
        with pytest.raises(InvalidStatus) as refused, open_socket(live):
            pass
        assert refused.value.response.status_code == 403
    finally:
        client.update_api(ApiId=live.id, DisableExecuteApiEndpoint=False)
        client.delete_domain_name(DomainName="live.example.com")


def test_a_signed_handshake(server: Server) -> None:
    client = server.client("apigatewayv2")
    made = client.create_api(
        Name="signed", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    mock = client.create_integration(
        ApiId=made, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode": 200}'}
    )["IntegrationId"]
    client.create_route(
        ApiId=made,
        RouteKey="$connect",
        Target=f"integrations/{mock}",
        AuthorizationType="AWS_IAM",
    )
    client.create_stage(ApiId=made, StageName="prod", AutoDeploy=True)
    url = f"http://127.0.0.1:{server.aws_port}/_aws/execute-api/{made}/prod"
    key = Credentials(*server.credentials().values())
    request = AWSRequest("GET", url)
    SigV4QueryAuth(key, "execute-api", REGION).add_auth(request)
    with connect(request.url.replace("http", "ws", 1), proxy=None, open_timeout=60) as talking:
        assert talking.response is not None and talking.response.status_code == 101
    for address in (url, request.url.replace("Signature=", "Signature=0")):
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(address.replace("http", "ws", 1), proxy=None, open_timeout=60),
        ):
            pass
        assert refused.value.response.status_code == 403
