"""What tests of examples/social ask of it: its API as a user sees it, and its tables behind it."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import boto3
import urllib3
import yaml

from tests.examples.conftest import EXAMPLES, outputs
from tests.server import Server

DOCUMENT: dict[str, Any] = yaml.safe_load((EXAMPLES / "social/openapi.yaml").read_text())
TRIAL_QUOTA = 4
PASSWORD = "correct horse battery"
Answer = urllib3.BaseHTTPResponse


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def session(key: bytes, claims: dict[str, Any], algorithm: str = "HS256") -> str:
    head, body = (encoded(json.dumps(part).encode()) for part in ({"alg": algorithm}, claims))
    return f"{head}.{body}.{encoded(hmac.digest(key, f'{head}.{body}'.encode(), hashlib.sha256))}"


@dataclass
class Social:
    server: Server

    def __post_init__(self) -> None:
        self.url = f"{self.server.url}/v1"
        self.key = self.ask("", "GET", "/site/key.json", key="").json()["key"]
        ssm = self.server.client("ssm")
        found = ssm.get_parameter(Name="/social/signing-key")["Parameter"]["Value"]
        self.signing_key = base64.b64decode(found)
        self.outputs = outputs(self.server)
        dynamodb = boto3.resource(
            "dynamodb",
            endpoint_url=self.server.endpoint,
            region_name="us-east-1",
            **self.server.credentials(),
        )
        self.table = dynamodb.Table(self.outputs["Table"])

    def ask(self, user: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """As `user` ("" is nobody), with the web client's key unless another is given."""
        sent = {"x-api-key": headers.pop("key") if "key" in headers else self.key, **headers}
        if user:
            claims = {"sub": user, "exp": int(time.time()) + 600}
            sent["authorization"] = f"Bearer {session(self.signing_key, claims)}"
        sent = {name: value for name, value in sent.items() if value}
        given = {} if body is None else {"json": body}
        return self.server.http.request(method, self.url + path, headers=sent, **given)

    def sign_up(self, *handles: str) -> None:
        for handle in handles:
            answer = self.ask("", "POST", "/users", {"handle": handle, "password": PASSWORD})
            assert answer.status == 201, answer.data

    def post(self, user: str, text: str) -> str:
        answer = self.ask(user, "POST", "/posts", {"text": text})
        assert answer.status == 201, answer.data
        made: str = answer.json()["id"]
        return made

    def follow(self, user: str, *handles: str) -> None:
        for handle in handles:
            assert self.ask(user, "PUT", f"/users/{handle}/followers/me").status == 204

    def feed(self, user: str) -> list[str]:
        return [post["id"] for post in self.ask(user, "GET", "/feed").json()["posts"]]

    def function(self, logical_id: str) -> str:
        found = self.server.client("cloudformation").describe_stack_resource(
            StackName="social", LogicalResourceId=logical_id
        )
        name: str = found["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def pushes(self, text: str) -> list[str]:
        """The tokens of the devices that got a push with this text."""
        logs, group = self.server.client("logs"), f"sns/us-east-1/{'0' * 12}/app/GCM/social"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []  # nothing was ever pushed
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'"{text}"'
        )
        records = [json.loads(event["message"]) for page in pages for event in page["events"]]
        return [record["delivery"]["token"] for record in records]
