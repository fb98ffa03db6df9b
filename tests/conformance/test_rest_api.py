"""REST APIs through boto3 and over HTTP: every kind of integration, access, limits, cache."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from tests.conformance.building import (
    ACCOUNT,
    REGION,
    allow,
    arn,
    eventually,
    make_function,
    make_queue,
    policy,
)
from tests.server import Server

ECHO = """
import json

def handler(event, context):
    if event.get("fail"):
        raise ValueError("Not found: " + event["fail"])
    if "httpMethod" not in event:
        return {"got": event}
    return {"statusCode": 201, "headers": {"X-Own": "1"}, "body": json.dumps(event)}
"""
AUTHORIZER = """
calls = 0

def handler(event, context):
    global calls
    calls += 1
    token = event["authorizationToken"]
    if token == "who":
        raise Exception("Unauthorized")
    effect = "Allow" if token == "let-me-in" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*"}
    return {
        "principalId": "me",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"calls": calls, "good": True},
    }
"""


@dataclass
class Rest:
    """An API in the making; `deploy` puts it on the stage "dev"."""

    server: Server
    id: str
    paths: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, server: Server, name: str, **options: Any) -> "Rest":
        client = server.client("apigateway")
        made = client.create_rest_api(name=name, **options)
        return cls(server, made["id"], {"/": made["rootResourceId"]})

    @property
    def client(self) -> Any:
        return self.server.client("apigateway")

    def method(self, key: str, integration: dict[str, Any], **options: Any) -> None:
        verb, path = key.split(" ")
        place = {"restApiId": self.id, "resourceId": self._resource(path), "httpMethod": verb}
        responses = integration.pop("responses", {})
        self.client.put_method(**place, **{"authorizationType": "NONE", **options})
        self.client.put_integration(**place, **integration)
        for status, response in responses.items():
            names = dict.fromkeys(response.get("responseParameters", {}), False)
            self.client.put_method_response(**place, statusCode=status, responseParameters=names)
            self.client.put_integration_response(**place, statusCode=status, **response)

    def _resource(self, path: str) -> str:
        if path not in self.paths:
            parent, _, part = path.rpartition("/")
            made = self.client.create_resource(
                restApiId=self.id, parentId=self._resource(parent or "/"), pathPart=part
            )
            self.paths[path] = made["id"]
        return self.paths[path]

    def deploy(self, stage: str = "dev", **options: Any) -> None:
        self.client.create_deployment(restApiId=self.id, stageName=stage, **options)

    def ask(self, method: str, path: str, **settings: Any) -> urllib3.BaseHTTPResponse:
        url = f"{self.server.endpoint}/_aws/execute-api/{self.id}/dev{path}"
        return self.server.http.request(method, url, **settings)


def functions_uri(function: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


def for_function(function: str, kind: str = "AWS_PROXY", **more: Any) -> dict[str, Any]:
    uri = functions_uri(function)
    return {"type": kind, "integrationHttpMethod": "POST", "uri": uri, **more}


def for_service(target: str, role: str, **more: Any) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:{REGION}:{target}"
    return {"type": "AWS", "integrationHttpMethod": "POST", "uri": uri, "credentials": role} | more


@pytest.fixture(scope="module")
def role(server: Server) -> str:
    """What integrations act as."""
    iam = server.client("iam")
    service = {"Service": "apigateway.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName="gateway", AssumeRolePolicyDocument=policy(trust))
    actions = ["dynamodb:PutItem", "sqs:SendMessage", "s3:GetObject", "s3:PutObject"]
    actions += ["events:PutEvents", "sqs:ReceiveMessage"]
    allowed = allow(actions)
    iam.put_role_policy(RoleName="gateway", PolicyName="own", PolicyDocument=policy(allowed))
    return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def echo(server: Server) -> str:
    function = make_function(server, "rest-echo", ECHO)
    _let_in(server, function)
    return function


def _let_in(server: Server, function: str) -> None:
    server.client("lambda").add_permission(
        FunctionName=function,
        StatementId="rest",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:*",
    )


def test_functions(server: Server, echo: str) -> None:
    """Proxy, and mapped both ways with an error picked by its message."""
    api = Rest.make(server, "functions")
    api.method("ANY /pets/{id}", for_function(echo))
    template = """{"id": "$input.params('id')", "body": $input.json('$'),
        "fail": "$input.path('$.fail')"}"""
    not_found = {
        "selectionPattern": "Not found.*",
        "responseTemplates": {
            "application/json": """#set($error = $input.path('$.errorMessage'))
{"told":"$util.escapeJavaScript($error)"}"""
        },
    }
    responses: dict[str, Any] = {"200": {}, "404": not_found}
    mapped = for_function(
        echo, "AWS", requestTemplates={"application/json": template}, responses=responses
    )
    api.method("POST /mapped/{id}", mapped)
    api.deploy(variables={"colour": "red"})
    answer = api.ask("PUT", "/pets/7?x=1&x=2", body=b"hello", headers={"X-A": "b"})
    assert answer.status == 201
    assert answer.headers["x-own"] == "1"
    event = answer.json()
    assert event["resource"] == "/pets/{id}"
    assert event["pathParameters"] == {"id": "7"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["stageVariables"] == {"colour": "red"}
    assert event["body"] == "hello"
    answer = api.ask("POST", "/mapped/7", json={"a": [1]})
    assert answer.json() == {"got": {"id": "7", "body": {"a": [1]}, "fail": ""}}
    answer = api.ask("POST", "/mapped/7", json={"fail": "x'y"})
    assert (answer.status, answer.data) == (404, b'{"told":"Not found: x\\\'y"}')
    host = {"host": f"{api.id}.execute-api.{REGION}.localhost:4566"}
    answer = server.http.request("GET", f"{server.endpoint}/dev/pets/1", headers=host)
    assert answer.json()["requestContext"]["domainPrefix"] == api.id
    answer = server.http.request("GET", f"{server.endpoint}/prod/pets/1", headers=host)
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})


def test_services(server: Server, role: str) -> None:
    """DynamoDB by action, SQS and S3 by path, in the name of a role."""
    dynamodb, s3 = server.client("dynamodb"), server.client("s3")
    dynamodb.create_table(
        TableName="rest",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url, _ = make_queue(server, "rest-jobs")
    s3.create_bucket(Bucket="rest-files")
    s3.put_object(Bucket="rest-files", Key="a/b.txt", Body=b"stored", ContentType="text/css")
    api = Rest.make(server, "services", binaryMediaTypes=["image/png"])
    put = '{"TableName": "rest", "Item": {"id": {"S": "$input.path(\'$.id\')"}}}'
    api.method(
        "POST /items",
        for_service(
            "dynamodb:action/PutItem",
            role,
            requestTemplates={"application/json": put},
            responses={
                "200": {"responseTemplates": {"application/json": '{"id": "$context.requestId"}'}},
                "400": {"selectionPattern": "4\\d{2}"},
            },
        ),
    )
    send = (
        "Action=SendMessage&MessageBody=$util.urlEncode($input.body)&MessageAttribute.1.Name=n"
        "&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v"
    )
    told = "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')"
    form = {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"}
    api.method(
        "POST /jobs",
        for_service(
            f"sqs:path/{ACCOUNT}/rest-jobs",
            role,
            requestParameters=form,
            requestTemplates={"application/json": send},
            responses={"200": {"responseTemplates": {"application/json": told}}},
        ),
    )
    entry = '{"Source": "rest", "DetailType": "t", "Detail": "{}"}'
    put = f'{{"Entries": [{entry}]}}'
    api.method(
        "POST /events",
        for_service(
            "events:action/PutEvents",
            role,
            requestTemplates={"application/json": put},
            responses={"200": {}},
        ),
    )
    headers = {"method.response.header.Content-Type": "integration.response.header.Content-Type"}
    api.method(
        "GET /files/{key+}",
        for_service(
            "s3:path/rest-files/{key}",
            role,
            integrationHttpMethod="GET",
            requestParameters={"integration.request.path.key": "method.request.path.key"},
            responses={
                "200": {"responseParameters": headers},
                "404": {"selectionPattern": "404|403"},
            },
        ),
        requestParameters={"method.request.path.key": True},
    )
    kind = {"integration.request.header.Content-Type": "method.request.header.Content-Type"}
    api.method(
        "PUT /files/{key+}",
        for_service(
            "s3:path/rest-files/{key}",
            role,
            integrationHttpMethod="PUT",
            requestParameters={"integration.request.path.key": "method.request.path.key"} | kind,
            responses={"200": {}},
        ),
        requestParameters={
            "method.request.path.key": True,
            "method.request.header.Content-Type": False,
        },
    )
    api.deploy()
    headers = {"content-type": "image/png"}
    assert api.ask("PUT", "/files/new%20one", body=b"\xff\x00", headers=headers).status == 200
    stored = s3.get_object(Bucket="rest-files", Key="new one")
    assert (stored["Body"].read(), stored["ContentType"]) == (b"\xff\x00", "image/png")
    assert api.ask("POST", "/items", json={"id": "one"}).status == 200
    assert dynamodb.scan(TableName="rest")["Items"] == [{"id": {"S": "one"}}]
    answer = api.ask("POST", "/items", json={"id": ""})
    assert answer.status == 400
    assert "ValidationException" in answer.json()["__type"]
    assert api.ask("POST", "/events").json()["FailedEntryCount"] == 0
    answer = api.ask("POST", "/jobs", json={"n": 1})
    found = server.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])
    message = found["Messages"][0]
    assert message["Body"] == '{"n":1}'
    assert message["MessageAttributes"] == {"n": {"DataType": "String", "StringValue": "v"}}
    assert answer.data.decode() == message["MessageId"]
    answer = api.ask("GET", "/files/a/b.txt")
    assert (answer.status, answer.data) == (200, b"stored")
    assert answer.headers["content-type"] == "text/css"
    assert api.ask("GET", "/files/none").status == 404


def test_messages_in_json(server: Server, role: str) -> None:
    """gateway-062: SQS's answer has `messages`, null for none, and every member of each."""
    url = server.client("sqs").create_queue(QueueName="rest-read")["QueueUrl"]
    api = Rest.make(server, "read")
    form = {
        "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'",
        "integration.request.querystring.Action": "'ReceiveMessage'",
    }
    to = f"sqs:path/{ACCOUNT}/rest-read"
    api.method("GET /", for_service(to, role, requestParameters=form, responses={"200": {}}))
    api.deploy()

    def messages() -> Any:
        return api.ask("GET", "/").json()["ReceiveMessageResponse"]["ReceiveMessageResult"]

    assert messages() == {"messages": None}
    server.client("sqs").send_message(QueueUrl=url, MessageBody="one")
    message = messages()["messages"][0]
    assert message["Body"] == "one" and message["Attributes"] is None


class _Backend(BaseHTTPRequestHandler):
    """An existing HTTP service that tells what it was sent."""

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        told = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(),
        }
        body = json.dumps(told).encode()
        self.send_response(418)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", "backend")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def backend() -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    served.server_close()
    thread.join()


def test_existing_http_services(server: Server, backend: str) -> None:
    api = Rest.make(server, "http")
    mapping = {
        "integration.request.path.proxy": "method.request.path.proxy",
        "integration.request.header.X-Stage": "context.stage",
        "integration.request.querystring.added": "'yes'",
    }
    proxy = {"type": "HTTP_PROXY", "integrationHttpMethod": "ANY", "uri": f"{backend}/on/{{proxy}}"}
    api.method(
        "ANY /{proxy+}",
        {**proxy, "requestParameters": mapping},
        requestParameters={"method.request.path.proxy": True},
    )
    served = {"method.response.header.X-By": "integration.response.header.X-Served-By"}
    api.method(
        "POST /mapped",
        {
            "type": "HTTP",
            "integrationHttpMethod": "POST",
            "uri": f"{backend}/${{stageVariables.where}}",
            "requestTemplates": {"application/json": '{"was": $input.body}'},
            "responses": {
                "200": {},
                "202": {"selectionPattern": "418", "responseParameters": served},
            },
        },
    )
    api.method(
        "GET /gone",
        {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://127.0.0.1:1/"},
    )
    api.deploy(variables={"where": "there"})
    answer = api.ask("POST", "/a/b?x=1", body=b"raw", headers={"x-mine": "1"})
    told = answer.json()
    assert answer.status == 418
    assert answer.headers["x-served-by"] == "backend"
    assert told["path"] == "/on/a/b?added=yes&x=1"
    assert told["body"] == "raw"
    assert (told["headers"]["x-mine"], told["headers"]["x-stage"]) == ("1", "dev")
    answer = api.ask("POST", "/mapped", json={"a": 1}, headers={"x-mine": "1"})
    told = answer.json()
    assert (answer.status, answer.headers["x-by"]) == (202, "backend")
    assert (told["path"], told["body"]) == ("/there", '{"was": {"a":1}}')
    assert "x-mine" not in told["headers"]
    answer = api.ask("GET", "/gone")
    expected = {"message": "Network error communicating with endpoint"}
    assert (answer.status, answer.json()) == (504, expected)


def test_keys_and_quotas(server: Server, echo: str) -> None:
    api = Rest.make(server, "keys")
    api.method("GET /", for_function(echo), apiKeyRequired=True)
    api.deploy()
    client = api.client
    key = client.create_api_key(name="mine", enabled=True)
    plan = client.create_usage_plan(
        name="small",
        apiStages=[{"apiId": api.id, "stage": "dev"}],
        quota={"limit": 2, "period": "DAY"},
    )
    client.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    answer = api.ask("GET", "/")
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
    headers = {"x-api-key": key["value"]}
    identity = api.ask("GET", "/", headers=headers).json()["requestContext"]["identity"]
    assert identity["apiKeyId"] == key["id"]
    assert api.ask("GET", "/", headers=headers).status == 201
    answer = api.ask("GET", "/", headers=headers)
    assert (answer.status, answer.json()) == (429, {"message": "Limit Exceeded"})


def test_authorizer(server: Server, echo: str) -> None:
    function = make_function(server, "rest-authorizer", AUTHORIZER)
    _let_in(server, function)
    api = Rest.make(server, "guarded")
    authorizer = api.client.create_authorizer(
        restApiId=api.id,
        name="token",
        type="TOKEN",
        authorizerUri=functions_uri(function),
        identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=300,
    )
    tried = api.client.test_invoke_authorizer(
        restApiId=api.id, authorizerId=authorizer["id"], headers={"Authorization": "tried"}
    )
    assert (tried["clientStatus"], tried["principalId"]) == (200, "me")
    assert json.loads(tried["policy"])["Statement"][0]["Effect"] == "Deny"
    guard = {"authorizationType": "CUSTOM", "authorizerId": authorizer["id"]}
    api.method("GET /", for_function(echo), **guard)
    api.client.put_gateway_response(
        restApiId=api.id,
        responseType="UNAUTHORIZED",
        statusCode="407",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
        responseTemplates={"application/json": '{"why": $context.error.messageString}'},
    )
    api.deploy()
    for _ in range(2):
        event = api.ask("GET", "/", headers={"authorization": "let-me-in"}).json()
        found = event["requestContext"]["authorizer"]
        assert (found["principalId"], found["calls"], found["good"]) == ("me", "2", "true")
    answer = api.ask("GET", "/", headers={"authorization": "other"})
    assert answer.status == 403
    assert (
        "not authorized to access this resource with an explicit deny" in answer.json()["Message"]
    )
    for headers in ({}, {"authorization": "who"}):
        answer = api.ask("GET", "/", headers=headers)
        assert (answer.status, answer.json()) == (407, {"why": "Unauthorized"})
        assert answer.headers["access-control-allow-origin"] == "*"


def test_signed_requests(server: Server, echo: str) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    api = Rest.make(server, "signed")
    api.method("POST /", for_function(echo), authorizationType="AWS_IAM")
    api.deploy()
    answer = api.ask("POST", "/", body=b"x")
    assert (answer.status, answer.json()) == (403, {"message": "Missing Authentication Token"})
    url = f"{server.endpoint}/_aws/execute-api/{api.id}/dev/"
    key = server.root_key
    signed = AWSRequest("POST", url, data=b"x")
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    SigV4Auth(credentials, "execute-api", REGION).add_auth(signed)
    answer = server.http.request("POST", url, body=b"x", headers=dict(signed.headers))
    assert answer.json()["requestContext"]["identity"]["accountId"] == ACCOUNT
    headers = {
        **dict(signed.headers),
        "authorization": signed.headers["Authorization"][:-4] + "0000",
    }
    answer = server.http.request("POST", url, body=b"x", headers=headers)
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_cache_and_its_flush(server: Server, echo: str) -> None:
    api = Rest.make(server, "cached")
    api.method(
        "GET /",
        for_function(echo, cacheKeyParameters=["method.request.querystring.q"]),
        requestParameters={"method.request.querystring.q": False},
    )
    api.deploy(cacheClusterEnabled=True, cacheClusterSize="0.5")
    client = api.client
    client.update_stage(
        restApiId=api.id,
        stageName="dev",
        patchOperations=[{"op": "replace", "path": "/*/*/caching/enabled", "value": "true"}],
    )

    def made(query: str) -> str:
        return str(api.ask("GET", f"/?q={query}").json()["requestContext"]["requestId"])

    first = made("a")
    assert made("a") == first
    assert made("b") != first
    client.flush_stage_cache(restApiId=api.id, stageName="dev")
    assert made("a") != first


def test_logs_and_metrics(server: Server) -> None:
    api = Rest.make(server, "observed")
    mock = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    api.method("GET /", {**mock, "responses": {"200": {}}})
    api.deploy()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="rest-access")
    settings = {
        "/accessLogSettings/destinationArn": arn("logs", "log-group:rest-access"),
        "/accessLogSettings/format": "$context.requestId $context.status $context.resourcePath",
        "/*/*/logging/loglevel": "INFO",
    }
    patches = [{"op": "replace", "path": p, "value": v} for p, v in settings.items()]
    api.client.update_stage(restApiId=api.id, stageName="dev", patchOperations=patches)
    answer = api.ask("GET", "/")
    assert (answer.status, answer.data) == (200, b"")

    def lines(group: str) -> list[str]:
        found = logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in found]

    identifier = answer.headers["x-amzn-requestid"]
    assert eventually(lambda: lines("rest-access")) == [f"{identifier} 200 /"]
    group = f"API-Gateway-Execution-Logs_{api.id}/dev"
    told = eventually(lambda: lines(group))
    assert told[0] == f"({identifier}) Starting execution for request: {identifier}"
    assert told[-1] == f"({identifier}) Method completed with status: 200"


def test_trial_of_a_method(server: Server) -> None:
    api = Rest.make(server, "trial", binaryMediaTypes=["image/png"])
    template = {"application/json": '{"statusCode": 200}'}
    answer = {"responseTemplates": {"application/json": '{"id": "$input.params(\'id\')"}'}}
    api.method(
        "GET /pets/{id}",
        {"type": "MOCK", "requestTemplates": template, "responses": {"200": answer}},
    )
    tried = api.client.test_invoke_method(
        restApiId=api.id,
        resourceId=api.paths["/pets/{id}"],
        httpMethod="GET",
        pathWithQueryString="/pets/9?x=1",
    )
    assert (tried["status"], tried["body"]) == (200, '{"id": "9"}')
    assert "Method completed with status: 200" in tried["log"]


def test_versions_below_a_custom_domain(server: Server) -> None:
    template = {"application/json": '{"statusCode": 200}'}
    for version in ("v1", "v2"):
        api = Rest.make(server, version)
        answer = {"responseTemplates": {"application/json": f"{version} $context.path"}}
        mock = {"type": "MOCK", "requestTemplates": template, "responses": {"200": answer}}
        api.method("GET /pets", mock)
        api.deploy()
        if version == "v1":
            api.client.create_domain_name(
                domainName="rest.example.com",
                regionalCertificateArn=arn("acm", "certificate/1"),
                endpointConfiguration={"types": ["REGIONAL"]},
            )
        api.client.create_base_path_mapping(
            domainName="rest.example.com", basePath=version, restApiId=api.id, stage="dev"
        )

    def ask(path: str) -> tuple[int, bytes]:
        headers = {"host": "rest.example.com"}
        answer = server.http.request("GET", f"{server.endpoint}{path}", headers=headers)
        return answer.status, answer.data

    assert ask("/v1/pets") == (200, b"v1 /v1/pets")
    assert ask("/v2/pets") == (200, b"v2 /v2/pets")
    assert ask("/v3/pets")[0] == 403
