"""λShare's handlers in this process, S3 and DynamoDB elsewhere (moto's server).

Nothing of cloudlet is used: it shows that the application depends on AWS's protocols alone. The
template's routes, tables and filters are read from the template; what AWS does between services
(S3 events, streams, schedules) `pump` does.
"""

import functools
import importlib.util
import json
import sys
import threading
import types
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import yaml

ROOT = Path(__file__).parents[2] / "src" / "lambdashare"
FUNCTIONS = ROOT / "functions"
LAYER = ROOT / "layer" / "python"
if str(LAYER) not in sys.path:
    sys.path.insert(0, str(LAYER))

ENVIRONMENT = {
    "FILES_TABLE": "Files",
    "HASHSUMS_TABLE": "HashSums",
    "METRICS_TABLE": "Metrics",
    "CONNECTIONS_TABLE": "Connections",
    "UPLOADS_BUCKET": "uploads",
    "PUBLIC_URL": "http://share.test",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
TABLES = {
    "FilesTable": "Files",
    "HashSumsTable": "HashSums",
    "MetricsTable": "Metrics",
    "ConnectionsTable": "Connections",
}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags as plain values."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{suffix}": node.value}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{suffix}": loader.construct_sequence(node, deep=True)}
    raise TypeError(suffix)


_Loader.add_multi_constructor("!", _tag)


@functools.cache
def template() -> dict[str, Any]:
    return yaml.load((ROOT / "template.yaml").read_text(), _Loader)


def resources(kind: str) -> dict[str, dict[str, Any]]:
    found = template()["Resources"].items()
    return {name: each["Properties"] for name, each in found if each["Type"] == kind}


def http_routes() -> dict[str, str]:
    """`GET /v1/stats` → the folder of the function that answers it."""
    routes = {}
    for function in resources("AWS::Serverless::Function").values():
        for event in function.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                given = event["Properties"]
                method, path = given.get("Method"), given.get("Path")
                key = f"{method} {path}" if path else "$default"
                routes[key] = Path(function["CodeUri"]).name
    return routes


@functools.cache
def function(name: str) -> types.ModuleType:
    """The `app` module of a function, loaded beside the others."""
    folder = FUNCTIONS / name
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(f"lambdashare_{name}", folder / "app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Context:
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:here"
    function_name = log_stream_name = "here"
    aws_request_id = "request"

    def __init__(self, remaining_ms: int = 900_000) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


class Response:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def environment(endpoint: str, patch: Callable[[str, str], None]) -> Iterator[None]:
    from lambdashare_core import tables

    for name, value in ENVIRONMENT.items():
        patch(name, value)
    for name in ("AWS_ENDPOINT_URL", "S3_ENDPOINT", "WEBSOCKET_ENDPOINT"):
        patch(name, endpoint)
    tables.client.cache_clear()
    tables.signer.cache_clear()
    yield
    tables.client.cache_clear()
    tables.signer.cache_clear()


def make_tables() -> None:
    database = boto3.client("dynamodb")
    for name, properties in resources("AWS::DynamoDB::Table").items():
        stream = properties.get("StreamSpecification")
        given = {
            key: properties[key]
            for key in (
                "AttributeDefinitions",
                "KeySchema",
                "GlobalSecondaryIndexes",
                "BillingMode",
            )
            if key in properties
        }
        if stream:
            given["StreamSpecification"] = {"StreamEnabled": True, **stream}
        database.create_table(TableName=TABLES[name], **given)
    boto3.client("s3").create_bucket(Bucket="uploads")


class LocalShare:
    """What a test sees: requests in, answers out, and `pump` for what happens by itself."""

    base = "http://share.test"

    def __init__(self) -> None:
        self._routes = http_routes()
        self._seen: set[tuple[str, str]] = set()
        self._position: dict[str, str] = {}
        self.records: list[dict[str, Any]] = []
        self._one = threading.Lock()  # a process of Lambda has one invocation at a time

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        headers: dict[str, str] | None = None,
        body: str | None = None,
    ) -> Response:
        if body is None:
            body = "" if document is None else json.dumps(document)
        event = self.event(method, path, headers or {}, body)
        name = self._routes[event["routeKey"]]
        with self._one:
            answer = function(name).handler(event, Context())
        return Response(answer["statusCode"], answer["headers"], answer["body"].encode())

    def event(self, method: str, path: str, headers: dict[str, str], body: str) -> dict[str, Any]:
        plain, _, query = path.partition("?")
        key, parameters = self._route(method, plain)
        return {
            "version": "2.0",
            "routeKey": key,
            "rawPath": plain,
            "rawQueryString": query,
            "headers": {name.lower(): value for name, value in headers.items()},
            "requestContext": {
                "domainName": "share.test",
                "requestId": str(uuid.uuid4()),
                "http": {"method": method, "path": plain},
                "stage": "$default",
            },
            "pathParameters": parameters,
            "body": body,
            "isBase64Encoded": False,
        }

    def _route(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """API Gateway's choice: fewest parameters first."""
        given = path.split("/")
        for key in sorted(self._routes, key=lambda key: key.count("{")):
            route_method, _, route = key.partition(" ")
            wanted = route.split("/")
            if route_method != method or len(wanted) != len(given):
                continue
            pairs = list(zip(wanted, given, strict=True))
            if all(w == g or (w.startswith("{") and g) for w, g in pairs):
                found = {w[1:-1]: urllib.parse.unquote(g) for w, g in pairs if w.startswith("{")}
                return key, found
        return "$default", {}

    def eventually(self, check: Callable[[], Any]) -> Any:
        for _ in range(6):
            self.pump()
            if result := check():
                return result
        raise AssertionError("it never came true")

    def pump(self) -> None:
        """Deliver what S3 and the streams have, until nothing is new."""
        while self._deliver_objects() | self._deliver_stream():
            pass

    def _deliver_objects(self) -> bool:
        records = []
        for thing in boto3.client("s3").list_objects_v2(Bucket="uploads").get("Contents", []):
            mark = (thing["Key"], thing["ETag"])
            if mark not in self._seen:
                self._seen.add(mark)
                records.append(s3_record(thing["Key"], thing["ETag"], thing["Size"]))
        if records:
            function("hasher").handler({"Records": records}, Context())
        return bool(records)

    def _deliver_stream(self) -> bool:
        records = self.stream_records()
        if not records:
            return False
        self.records += records
        for name in ("AnalyticsFunction", "ReaperFunction"):
            matching = [record for record in records if self._passes(name, record)]
            if matching:
                folder = Path(resources("AWS::Serverless::Function")[name]["CodeUri"]).name
                answer = function(folder).handler({"Records": matching}, Context())
                assert answer == {"batchItemFailures": []}
        return True

    def stream_records(self) -> list[dict[str, Any]]:
        streams = boto3.client("dynamodbstreams")
        arn = boto3.client("dynamodb").describe_table(TableName="Files")["Table"]["LatestStreamArn"]
        found: list[dict[str, Any]] = []
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            name = shard["ShardId"]
            after = self._position.get(name)
            where = {"ShardIteratorType": "TRIM_HORIZON"}
            if after:
                where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
            iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=name, **where)
            records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
            if records:
                self._position[name] = records[-1]["dynamodb"]["SequenceNumber"]
            found += [_as_event(record) for record in records]
        return found

    def _passes(self, name: str, record: dict[str, Any]) -> bool:
        """The event source mapping's filter, evaluated for the operators that are used."""
        events = resources("AWS::Serverless::Function")[name]["Events"].values()
        source = next(event["Properties"] for event in events if event["Type"] == "DynamoDB")
        patterns = [json.loads(f["Pattern"]) for f in source["FilterCriteria"]["Filters"]]
        return any(_matches(pattern, record) for pattern in patterns)


def _matches(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            _matches(each, value.get(name)) for name, each in pattern.items()
        )
    return any(_one(rule, value) for rule in pattern)


def _one(rule: Any, value: Any) -> bool:
    if isinstance(rule, dict) and "prefix" in rule:
        return isinstance(value, str) and value.startswith(rule["prefix"])
    if isinstance(rule, dict):
        return (value is not None) == rule["exists"]
    return bool(rule == value)


def _as_event(record: dict[str, Any]) -> dict[str, Any]:
    change = dict(record["dynamodb"])
    created = change.get("ApproximateCreationDateTime")
    if created is not None:
        change["ApproximateCreationDateTime"] = created.timestamp()
    return {**record, "dynamodb": change}


def s3_record(key: str, etag: str, size: int, at: str = "") -> dict[str, Any]:
    from lambdashare_core.moments import now_ms, rfc3339

    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": at or rfc3339(now_ms()),
        "s3": {
            "bucket": {"name": "uploads"},
            "object": {
                "key": urllib.parse.quote(key),
                "eTag": etag.strip('"'),
                "size": size,
                "sequencer": "0",
            },
        },
    }
