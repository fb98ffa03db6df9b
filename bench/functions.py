"""Functions: warm invocations, HTTP API → function, HTTP API → function → DynamoDB, start-up."""

import io
import json
import time
import zipfile
from typing import Any

from bench import load
from bench.contenders import Contender
from bench.node_peers import ServerlessOffline, are_installed
from bench.results import Row, Table
from bench.storage import windows

_CLIENTS = 1000
_HELLO = """
def handler(event, context):
    return {"statusCode": 200, "body": "hello"}
"""
_ITEM = """
import boto3
table = boto3.client("dynamodb")
def handler(event, context):
    item = table.get_item(TableName="bench", Key={"pk": {"S": "one"}})["Item"]
    return {"statusCode": 200, "body": item["pk"]["S"]}
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["dynamodb:*", "logs:*"], "Resource": "*"}],
}


def functions(seconds: float) -> Table:
    node = [ServerlessOffline()] if are_installed() else []
    peers = ["ministack", *[contender.name for contender in node]]
    table = Table("Functions", peers)
    table.notes.append("moto is left out: it runs functions in Docker containers only.")
    table.notes.append(
        "A GetItem by boto3 costs its worker between one and two milliseconds of CPU, which bounds"
        " that rate on few cores; MiniStack's invocations spend most of their time waiting."
    )
    if node:
        table.notes.append(
            "serverless-offline runs a Node handler in its own process (its fastest way), without"
            " Lambda's API; cloudlet and MiniStack run a Python handler in worker processes."
        )
    contenders = [Contender(name).start() for name in ("cloudlet", "ministack")]
    try:
        node = [contender.start() for contender in node]
        starts = {c.name: c.start_s * 1000 for c in [*contenders, *node]}
        table.rows.append(Row("start-up of the bare services", "ms", starts, more_is_better=False))
        doors = {contender.name: _deploy(contender) for contender in contenders}
        table.rows.append(_cold(contenders))
        invoke = {c.name: [_invoke(c)] for c in contenders}
        table.rows += _latency("warm invoke, 1 client", contenders, invoke, seconds)
        table.rows.append(_rate("warm invoke", contenders, invoke, seconds))
        for what, path in (("HTTP API → function", "hello"), ("… → DynamoDB GetItem", "item")):
            calls = {c.name: [_call(c, doors[c.name], path)] for c in contenders}
            able = [*contenders, *node] if path == "hello" else contenders
            calls |= {c.name: [load.plain(c.endpoint, "GET", f"/{path}")] for c in node}
            table.rows += _latency(f"{what}, 1 client", able, calls, seconds)
            table.rows.append(_rate(what, able, calls, seconds))
            if path == "hello":
                table.rows += _burst(able, calls, table.notes)
        memory = {c.name: c.memory_mib() for c in [*contenders, *node]}
        table.rows.append(Row("memory afterwards", "MiB", memory, more_is_better=False))
    finally:
        for contender in [*contenders, *node]:
            contender.stop()
    return table


def _burst(
    contenders: list[Contender], calls: dict[str, list[load.Request]], notes: list[str]
) -> list[Row]:
    """A thousand new connections at one moment, one request each."""
    rates, told = {}, []
    for each in contenders:
        burst = load.burst(each.endpoint, calls[each.name][0], _CLIENTS)
        rates[each.name] = burst.statuses.get(200, 0) / burst.spent_s
        counts = ", ".join(f"{n} × {s or 'no answer'}" for s, n in sorted(burst.statuses.items()))
        told.append(f"{each.name} {counts}")
    notes.append(f"Burst of {_CLIENTS:,} clients, answers: {'; '.join(told)}.")
    return [Row(f"HTTP API → function, {_CLIENTS:,} clients at once", "req/s", rates)]


def packed(source: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", source)
    return data.getvalue()


def _deploy(contender: Contender) -> str:
    """Two functions behind one HTTP API; returns the API's id."""
    iam, lambda_ = contender.client("iam"), contender.client("lambda")
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName="bench", PolicyName="all", PolicyDocument=json.dumps(ALLOW))
    dynamodb = contender.client("dynamodb")
    dynamodb.create_table(
        TableName="bench",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="bench", Item={"pk": {"S": "one"}})
    gateway = contender.client("apigatewayv2")
    api: str = gateway.create_api(Name="bench", ProtocolType="HTTP")["ApiId"]
    for name, source in (("hello", _HELLO), ("item", _ITEM)):
        made = lambda_.create_function(
            FunctionName=name, Runtime="python3.12", Role=role["Arn"], Handler="index.handler",
            Code={"ZipFile": packed(source)}, Timeout=30, MemorySize=256,
            Environment={"Variables": {"AWS_ENDPOINT_URL": contender.endpoint}}
            if contender.name != "cloudlet" else {"Variables": {}},
        )  # fmt: skip
        lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
        lambda_.add_permission(
            FunctionName=name, StatementId="api", Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
        )  # fmt: skip
        integration = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=made["FunctionArn"],
            PayloadFormatVersion="2.0",
        )["IntegrationId"]  # fmt: skip
        gateway.create_route(
            ApiId=api, RouteKey=f"GET /{name}", Target=f"integrations/{integration}"
        )
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return api


def _invoke(contender: Contender) -> load.Request:
    path = "/2015-03-31/functions/hello/invocations"
    return load.signed(contender.endpoint, contender.key, "lambda", "POST", path, body=b"{}")


def _call(contender: Contender, api: str, path: str) -> load.Request:
    host = f"{api}.execute-api.localhost:{contender.port}"
    return load.plain(f"http://{host}", "GET", f"/{path}")


def _latency(
    what: str, contenders: list[Contender], requests: dict[str, list[load.Request]], seconds: float
) -> list[Row]:
    medians = windows(what, contenders, requests, connections=1, seconds=seconds)
    p50 = {name: window.p50_ms for name, window in medians.items()}
    p99 = {name: window.p99_ms for name, window in medians.items()}
    return [
        Row(f"{what}, p50", "ms", p50, more_is_better=False),
        Row(f"{what}, p99", "ms", p99, more_is_better=False),
    ]


def _rate(
    what: str, contenders: list[Contender], requests: dict[str, list[load.Request]], seconds: float
) -> Row:
    what = f"{what}, 8 clients"
    medians = windows(what, contenders, requests, connections=8, seconds=seconds)
    return Row(what, "req/s", {name: window.rate for name, window in medians.items()})


def _cold(contenders: list[Contender]) -> Row:
    """A changed environment makes every worker stale: the next call starts a new one."""
    figures = {}
    for contender in contenders:
        client: Any = contender.client("lambda")
        spent = []
        for number in range(7):
            environment = {"ROUND": str(number)}
            if contender.name != "cloudlet":
                environment["AWS_ENDPOINT_URL"] = contender.endpoint
            client.update_function_configuration(
                FunctionName="item", Environment={"Variables": environment}
            )
            client.get_waiter("function_updated_v2").wait(FunctionName="item")
            began = time.perf_counter()
            answer = client.invoke(FunctionName="item", Payload=b"{}")
            answer["Payload"].read()
            spent.append((time.perf_counter() - began) * 1000)
        figures[contender.name] = sorted(spent)[len(spent) // 2]
    return Row("cold start, handler imports boto3, p50", "ms", figures, more_is_better=False)
