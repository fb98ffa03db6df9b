"""Function URLs as clients see them: who may, what the function gets, how answers come back."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.conformance.building import (
    allow,
    eventually,
    make_function,
    make_role,
    policy,
    zipped_files,
)
from tests.server import Server

ECHO = """
import os
def handler(event, context):
    if event["rawPath"] == "/broken":
        raise RuntimeError("x")
    event["trace"] = os.environ["_X_AMZN_TRACE_ID"]
    return {"statusCode": 201, "headers": {"X-One": "1"}, "cookies": ["a=1", "b=2"],
            "body": __import__("json").dumps(event)}
"""
STREAM = """
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const meta = { statusCode: 202, headers: { "x-one": "1" }, cookies: ["k=v"] };
  if (event.rawPath === "/early") throw new Error("early");
  if (event.rawPath === "/hang") {
    stream.write("first,");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  if (event.rawPath !== "/plain") stream = awslambda.HttpResponseStream.from(stream, meta);
  stream.write("first,");
  if (event.rawPath === "/late") {
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new Error("late");
  }
  stream.write({ second: 2 }); // as JSON
  stream.end();
});
"""
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")


def open_to_all(server: Server, name: str, **settings: Any) -> str:
    """A URL without authentication; returns it."""
    client = server.client("lambda")
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE", **settings)
    permit(server, name, "*", FunctionUrlAuthType="NONE")
    return str(url["FunctionUrl"])


def permit(server: Server, name: str, principal: str, **condition: str) -> None:
    client = server.client("lambda")
    for number, (action, more) in enumerate(
        (("InvokeFunctionUrl", condition), ("InvokeFunction", {"InvokedViaFunctionUrl": True}))
    ):
        client.add_permission(
            FunctionName=name, StatementId=f"url{number}", Principal=principal,
            Action=f"lambda:{action}", **more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def echo(server: Server) -> str:
    make_function(server, "url-echo", ECHO)
    return open_to_all(server, "url-echo", Cors={"AllowOrigins": ["https://a.example"],
                       "AllowMethods": ["GET"], "MaxAge": 60})  # fmt: skip


def test_the_event_is_format_2(server: Server, echo: str) -> None:
    """gateway-030: the path stays percent-encoded, which an HTTP API's does not."""
    answer = server.http.request(
        "POST", f"{echo}a%20b?x=1&x=2", body=b"hi",
        headers={"content-type": "text/plain", "cookie": "c=1; d=2",
                 "x-amzn-trace-id": "Root=1-6b043e87-29bba75a0407aa725a51aa86"},
    )  # fmt: skip
    event = answer.json()
    assert answer.status == 201 and answer.headers["x-one"] == "1"
    assert answer.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert event["version"] == "2.0" and event["routeKey"] == "$default"
    assert event["rawPath"] == "/a%20b" and event["queryStringParameters"] == {"x": "1,2"}
    assert event["cookies"] == ["c=1", "d=2"] and event["body"] == "hi"
    context = event["requestContext"]
    assert context["accountId"] == "anonymous" and context["http"]["path"] == "/a%20b"
    assert context["domainName"].endswith(".lambda-url.us-east-1.on.aws")
    assert event["trace"].startswith("Root=1-6b043e87-29bba75a0407aa725a51aa86;Lineage=")


def test_every_address_of_a_url_works(server: Server, echo: str) -> None:
    url_id = echo.rstrip("/").split("/")[-1].split(".")[0]
    hosts = ("lambda-url.us-east-1.on.aws", f"lambda-url.us-east-1.localhost:{server.aws_port}")
    for host in hosts:
        headers = {"host": f"{url_id}.{host}"}
        answer = server.http.request("GET", f"{server.endpoint}/p", headers=headers)
        assert answer.json()["rawPath"] == "/p"
    assert answer.json()["headers"]["x-amzn-trace-id"] == answer.headers["x-amzn-trace-id"]
    answer = server.http.request("GET", f"{server.endpoint}/_aws/lambda-url/{url_id}/p?q=1")
    assert answer.json()["rawPath"] == "/p" and answer.json()["rawQueryString"] == "q=1"
    assert server.http.request("GET", f"{server.endpoint}/_aws/lambda-url/none/").status == 404


def test_failures_and_limits(server: Server, echo: str) -> None:
    answer = server.http.request("GET", f"{echo}broken")
    assert (answer.status, answer.data) == (502, b"Internal Server Error")
    answer = server.http.request("POST", echo, body=b"x" * (6 * 1024 * 1024 + 1))
    assert answer.status == 413 and "6291456 bytes" in answer.json()["Message"]


def test_requests_are_measured(server: Server, echo: str) -> None:
    for path in ("ok", "broken"):
        server.http.request("GET", f"{echo}{path}")
    listed = server.client("cloudwatch").list_metrics
    dimensions = [{"Name": "FunctionName", "Value": "url-echo"}]

    def names() -> set[str]:
        found = listed(Namespace="AWS/Lambda", Dimensions=dimensions)["Metrics"]
        return {metric["MetricName"] for metric in found}

    eventually(lambda: {"UrlRequestCount", "Url5xxCount", "Invocations"} <= names())


def test_cors(server: Server, echo: str) -> None:
    asked = {"origin": "https://a.example", "access-control-request-method": "GET"}
    answer = server.http.request("OPTIONS", echo, headers=asked)
    assert answer.status == 200 and answer.headers["access-control-allow-methods"] == "GET"
    assert answer.headers["access-control-max-age"] == "60"
    answer = server.http.request("GET", echo, headers={"origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    answer = server.http.request("GET", echo, headers={"origin": "https://b.example"})
    assert "access-control-allow-origin" not in answer.headers


def signed(server: Server, url: str, credentials: Any) -> urllib3.BaseHTTPResponse:
    request = botocore.awsrequest.AWSRequest("GET", url)
    botocore.auth.SigV4Auth(credentials, "lambda", "us-east-1").add_auth(request)
    return server.http.request("GET", url, headers=dict(request.headers))


def test_iam_authentication(server: Server, names: Iterator[str]) -> None:
    """gateway-032: both the URL and the function must be allowed, by identity or by resource."""
    name, iam = next(names), server.client("iam")
    make_function(server, name, ECHO)
    client = server.client("lambda")
    made = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    url, arn = made["FunctionUrl"], made["FunctionArn"]
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = botocore.credentials.Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    assert server.http.request("GET", url).status == 403
    assert signed(server, url, user).json() == {"Message": "Forbidden"}
    wrong = botocore.credentials.Credentials(key["AccessKeyId"], "wrong")
    assert signed(server, url, wrong).status == 403
    only_url = policy(allow("lambda:InvokeFunctionUrl", arn))
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=only_url)
    assert signed(server, url, user).status == 403
    both = policy(allow(["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], arn))
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=both)
    answer = signed(server, url, user)
    identity = answer.json()["requestContext"]["authorizer"]["iam"]
    assert answer.status == 201 and identity["userArn"].endswith(f":user/{name}")
    iam.delete_user_policy(UserName=name, PolicyName="own")
    permit(server, name, identity["userArn"], FunctionUrlAuthType="AWS_IAM")
    assert signed(server, url, user).status == 201


def test_the_configuration(server: Server, names: Iterator[str]) -> None:
    name, client = next(names), server.client("lambda")
    make_function(server, name, ECHO, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    target = {"FunctionName": name, "Qualifier": "live"}
    made = client.create_function_url_config(**target, AuthType="NONE")
    assert made["FunctionArn"].endswith(f":{name}:live") and made["InvokeMode"] == "BUFFERED"
    with pytest.raises(ClientError, match="FunctionUrlConfig exists"):
        client.create_function_url_config(**target, AuthType="NONE")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_function_url_config(FunctionName=name)
    changed = client.update_function_url_config(**target, AuthType="AWS_IAM")
    assert changed["AuthType"] == "AWS_IAM" and changed["FunctionUrl"] == made["FunctionUrl"]
    assert client.get_function_url_config(**target)["AuthType"] == "AWS_IAM"
    (listed,) = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert listed["FunctionUrl"] == made["FunctionUrl"]
    client.delete_function_url_config(**target)
    assert server.http.request("GET", made["FunctionUrl"]).status == 404


@pytest.fixture(scope="module")
def stream(server: Server) -> str:
    name = "url-stream"
    server.client("lambda").create_function(
        FunctionName=name, Runtime="nodejs22.x", Handler="index.handler", MemorySize=256, Timeout=5,
        Role=make_role(server, name), Code={"ZipFile": zipped_files({"index.mjs": STREAM})},
    )  # fmt: skip
    return open_to_all(server, name, InvokeMode="RESPONSE_STREAM")


@needs_node
def test_streamed_answers(server: Server, stream: str) -> None:
    answer = server.http.request("GET", stream)
    assert (answer.status, answer.headers["x-one"]) == (202, "1")
    assert answer.headers["set-cookie"] == "k=v" and answer.data == b'first,{"second":2}'
    answer = server.http.request("GET", f"{stream}plain")
    assert (answer.status, answer.data) == (200, b'first,{"second":2}')
    assert answer.headers["content-type"] == "application/octet-stream"


@needs_node
def test_streams_that_fail(server: Server, stream: str) -> None:
    """gateway-031: before anything was sent that is 502, later a connection that breaks off."""
    assert server.http.request("GET", f"{stream}early").status == 502
    answer = server.http.request("GET", f"{stream}late", preload_content=False)
    assert answer.status == 202
    sent = answer.stream()
    assert next(sent) == b"first,"
    with pytest.raises(urllib3.exceptions.ProtocolError):
        next(sent)


@needs_node
def test_invoke_with_response_stream(server: Server, stream: str) -> None:
    client = server.client("lambda")
    for path, code in (("/plain", None), ("/late", "Unhandled"), ("/early", "Unhandled")):
        answer = client.invoke_with_response_stream(
            FunctionName="url-stream", Payload=json.dumps({"rawPath": path}), LogType="Tail"
        )
        *pieces, last = list(answer["EventStream"])
        sent = b"".join(piece["PayloadChunk"]["Payload"] for piece in pieces)
        complete = last["InvokeComplete"]
        assert complete.get("ErrorCode") == code and complete["LogResult"]
        assert (b"first," in sent) == (path != "/early")
        if code:
            assert json.loads(complete["ErrorDetails"])["errorMessage"] == path[1:]
    buffered = client.invoke(FunctionName="url-stream", Payload=b'{"rawPath": "/plain"}')
    assert buffered["Payload"].read() == b'first,{"second":2}'
    plain = client.invoke_with_response_stream(FunctionName="url-echo", Payload=b'{"rawPath": "/"}')
    first, _ = list(plain["EventStream"])
    assert json.loads(first["PayloadChunk"]["Payload"])["statusCode"] == 201
    with pytest.raises(ClientError, match="Function not found"):
        client.invoke_with_response_stream(FunctionName="not-there")


@needs_node
def test_a_stream_that_runs_out_of_time(server: Server, stream: str) -> None:
    client = server.client("lambda")
    answer = client.invoke_with_response_stream(
        FunctionName="url-stream", Payload=b'{"rawPath": "/hang"}'
    )
    first, last = list(answer["EventStream"])
    assert first["PayloadChunk"]["Payload"] == b"first,"
    assert "Task timed out after 5.00 seconds" in last["InvokeComplete"]["ErrorDetails"]
    reading = server.http.request("GET", f"{stream}plain")
    assert reading.data == b'first,{"second":2}'  # by another worker
