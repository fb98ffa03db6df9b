"""HTTP APIs over the network: who may call, under which name, and what is written down of it."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.conformance.building import (
    ACCOUNT,
    REGION,
    allow,
    arn,
    eventually,
    make_function,
    policy,
)
from tests.server import Server

ECHO = """
import json
def handler(event, context):
    return {"statusCode": 200, "headers": {"x-own": "1"}, "body": json.dumps(event)}
"""
KEY = rsa.generate_private_key(65537, 2048)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(issuer: str, **claims: Any) -> str:
    header = b64(json.dumps({"alg": "RS256", "kid": "1"}).encode())
    body = b64(json.dumps({"iss": issuer, "aud": "me", "exp": 9999999999, **claims}).encode())
    signed = f"{header}.{body}"
    return f"{signed}.{b64(KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    numbers = KEY.public_key().public_numbers()
    n, e = (b64(v.to_bytes((v.bit_length() + 7) // 8)) for v in (numbers.n, numbers.e))

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}
            if self.path == "/keys":
                document = {"keys": [{"kid": "1", "kty": "RSA", "n": n, "e": e}]}
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    url = f"http://127.0.0.1:{served.server_port}"
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield url
    served.shutdown()
    served.server_close()


@pytest.fixture(scope="module")
def function(server: Server) -> str:
    made = make_function(server, "access-echo", ECHO)
    server.client("lambda").add_permission(
        FunctionName=made, StatementId="all", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )  # fmt: skip
    return made


class Api:
    def __init__(self, server: Server, name: str) -> None:
        self.server, self.client = server, server.client("apigatewayv2")
        self.id: str = self.client.create_api(Name=name, ProtocolType="HTTP")["ApiId"]

    def route(self, key: str, integration: dict[str, Any], **settings: Any) -> None:
        made = self.client.create_integration(ApiId=self.id, **integration)
        target = f"integrations/{made['IntegrationId']}"
        self.client.create_route(ApiId=self.id, RouteKey=key, Target=target, **settings)

    def stage(self, name: str = "$default", **settings: Any) -> None:
        self.client.create_stage(ApiId=self.id, StageName=name, AutoDeploy=True, **settings)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        url = f"{self.server.endpoint}/_aws/execute-api/{self.id}{path}"
        return self.server.http.request("GET", url, headers=headers)


def to(function: str, version: str = "2.0") -> dict[str, Any]:
    return {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": function,
        "PayloadFormatVersion": version,
    }


def test_tokens(server: Server, function: str, issuer: str) -> None:
    api = Api(server, "tokens")
    made = api.client.create_authorizer(
        ApiId=api.id, Name="jwt", AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer, "Audience": ["me"]},
    )  # fmt: skip
    guarded = {"AuthorizationType": "JWT", "AuthorizerId": made["AuthorizerId"]}
    api.route("GET /who", to(function), AuthorizationScopes=["read"], **guarded)
    api.stage()
    answer = api.get("/who", Authorization=f"Bearer {token(issuer, sub='ann', scope='read')}")
    said = answer.json()["requestContext"]["authorizer"]["jwt"]
    assert said["claims"]["sub"] == "ann" and said["scopes"] == ["read"]
    assert api.get("/who", Authorization=token(issuer, scope="write")).status == 403
    refused = api.get("/who", Authorization=token("http://127.0.0.1:1", scope="read"))
    assert refused.status == 401 and "invalid_token" in refused.headers["www-authenticate"]
    assert api.get("/who").status == 401


def test_signatures(server: Server, function: str) -> None:
    api = Api(server, "signed")
    api.route("GET /who", to(function), AuthorizationType="AWS_IAM")
    api.stage()
    iam = server.client("iam")
    iam.create_user(UserName="caller")
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)

    def ask(path: str) -> urllib3.BaseHTTPResponse:
        url = f"{server.endpoint}/_aws/execute-api/{api.id}{path}"
        request = AWSRequest("GET", url)
        SigV4Auth(session.get_credentials(), "execute-api", REGION).add_auth(request)
        return server.http.request("GET", url, headers=dict(request.headers))

    assert ask("/who").status == 403  # known, but nothing is allowed
    document = policy(allow("execute-api:Invoke", arn("execute-api", f"{api.id}/*/GET/who")))
    iam.put_user_policy(UserName="caller", PolicyName="own", PolicyDocument=document)
    said = ask("/who").json()["requestContext"]["authorizer"]["iam"]
    assert said["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/caller"
    assert api.get("/who").status == 403


def test_versions_under_one_name(server: Server, function: str) -> None:
    """gateway-008: format 2.0 tells the path without the mapping, format 1.0 with it."""
    first, second = Api(server, "v1"), Api(server, "v2")
    first.route("GET /pets/{id}", to(function))
    first.stage()
    second.route("ANY /{all+}", to(function, "1.0"))
    second.stage("prod")
    client = first.client
    client.create_domain_name(
        DomainName="api.example.com",
        DomainNameConfigurations=[{"CertificateArn": arn("acm", "certificate/x")}],
    )
    for api, stage, path in ((first, "$default", "v1"), (second, "prod", "v2/beta")):
        client.create_api_mapping(
            DomainName="api.example.com", ApiId=api.id, Stage=stage, ApiMappingKey=path
        )
    with pytest.raises(client.exceptions.ConflictException):
        client.create_api_mapping(
            DomainName="api.example.com", ApiId=first.id, Stage="$default", ApiMappingKey="v1"
        )

    def ask(root: str, path: str) -> urllib3.BaseHTTPResponse:
        return server.http.request("GET", root + path, headers={"host": "api.example.com"})

    for root in (server.endpoint, server.url):
        one = ask(root, "/v1/pets/7").json()
        assert (one["rawPath"], one["pathParameters"]) == ("/pets/7", {"id": "7"})
        assert one["requestContext"]["domainName"] == "api.example.com"
        assert one["requestContext"]["apiId"] == first.id
        two = ask(root, "/v2/beta/x/y").json()
        assert (two["path"], two["requestContext"]["stage"]) == ("/v2/beta/x/y", "prod")
        assert ask(root, "/v2/x").status == 403
        assert ask(root, "/v10/pets/7").status == 403
    client.update_api(ApiId=first.id, DisableExecuteApiEndpoint=True)
    assert first.get("/pets/7").status == 404
    assert ask(server.endpoint, "/v1/pets/7").status == 200
    mappings = client.get_api_mappings(DomainName="api.example.com")["Items"]
    assert [m["ApiMappingKey"] for m in mappings] == ["v1", "v2/beta"]
    client.delete_domain_name(DomainName="api.example.com")
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_api_mappings(DomainName="api.example.com")


def test_what_is_written_down(server: Server, function: str) -> None:
    api = Api(server, "logged")
    api.route("GET /x", to(function))
    layout = {"id": "$context.requestId", "status": "$context.status", "key": "$context.routeKey",
              "agent": "$context.identity.userAgent", "none": "$context.authorizer.x"}  # fmt: skip
    logs = {"DestinationArn": arn("logs", "log-group:/api/logged"), "Format": json.dumps(layout)}
    api.stage(AccessLogSettings=logs)
    answer = api.get("/x", **{"user-agent": 'a "b"'})
    api.get("/missing")

    def lines() -> list[dict[str, Any]]:
        try:
            found = server.client("logs").filter_log_events(logGroupName="/api/logged")["events"]
        except server.client("logs").exceptions.ResourceNotFoundException:
            return []
        return [json.loads(each["message"]) for each in found]

    eventually(lambda: len(lines()) == 2)
    first, second = lines()
    assert first == {"id": answer.headers["apigw-requestid"], "status": "200", "key": "GET /x",
                     "agent": 'a "b"', "none": "-"}  # fmt: skip
    assert (second["status"], second["key"]) == ("404", "-")


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: {Type: String}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Domain: {DomainName: sam.example.com, CertificateArn: "arn:aws:acm:x", BasePath: [v1]}
      Auth:
        EnableIamAuthorizer: true
        DefaultAuthorizer: Tokens
        Authorizers:
          Tokens:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: !Ref Issuer, audience: [me]}
          Judge:
            FunctionArn: !GetAtt Judge.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            EnableFunctionDefaultPermissions: true
            Identity: {Headers: [x-pass], ReauthorizeEvery: 60}
  Judge:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            passed = event["identitySource"][0]
            return {"isAuthorized": passed != "no", "context": {"pass": passed}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return event["requestContext"].get("authorizer")
      Events:
        Default: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /a, Method: get}}
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /open, Method: get,
               Auth: {Authorizer: NONE}}}
        Judged: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /judged, Method: get,
                 Auth: {Authorizer: Judge}}}
        Signed: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /signed, Method: get,
                 Auth: {Authorizer: AWS_IAM}}}
"""


def test_sam(tmp_path: Path, issuer: str) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    server = Server(tmp_path / "data", template, "--parameter", f"Issuer={issuer}").start()

    def ask(path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        named = {"host": "sam.example.com", **headers}
        return server.http.request("GET", f"{server.url}/v1{path}", headers=named)

    try:
        assert ask("/a").status == 401
        answer = ask("/a", authorization=f"Bearer {token(issuer, sub='ann')}")
        assert answer.json()["jwt"]["claims"]["sub"] == "ann"
        assert ask("/open").status == 200
        assert [ask("/judged").status, ask("/signed").status] == [401, 403]
        assert ask("/judged", **{"x-pass": "yes"}).json() == {"lambda": {"pass": "yes"}}
        assert ask("/judged", **{"x-pass": "no"}).status == 403
    finally:
        server.stop()
