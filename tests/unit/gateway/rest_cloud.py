"""What the tests of REST APIs' serving share: a stage with a hand-made snapshot, and requests."""

import asyncio
from typing import Any

import orjson

from cloudlet.exchange import Request, Response
from tests.harness import Bench

API, STAGE = "abc123", "dev"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"
FUNCTION_URI = (
    f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
)
Document = dict[str, Any]


def method(kind: str = "AWS_PROXY", **members: Any) -> Document:
    """A method; `integration` members are merged in, others are the method's."""
    integration: Document = {"type": kind, "passthroughBehavior": "WHEN_NO_MATCH"}
    if kind in ("AWS_PROXY", "AWS"):
        integration |= {"uri": FUNCTION_URI, "httpMethod": "POST"}
    if kind == "MOCK":
        integration["requestTemplates"] = {"application/json": '{"statusCode": 200}'}
    if kind in ("MOCK", "AWS", "HTTP"):
        integration["integrationResponses"] = {"200": {"statusCode": "200"}}
    integration |= members.pop("integration", {})
    return {"authorizationType": "NONE", **members, "methodIntegration": integration}


def deploy(bench: Bench, routes: dict[str, Document], **more: Any) -> str:
    """`routes`: "GET /pets/{id}" → method. `stage`, `api`: members; others are the snapshot's."""
    stage = {"stageName": STAGE, "deploymentId": "dep1", **more.pop("stage", {})}
    api = {"id": API, "name": "pets", "apiKeySource": "HEADER", **more.pop("api", {})}
    snapshot = snapshot_of(routes, api, **more)
    bench.database.write_now(lambda tx: _save(tx, api, stage, {"dep1": snapshot}))
    return API


def snapshot_of(routes: dict[str, Document], api: Document, **more: Any) -> Document:
    resources: dict[str, Document] = {}
    for key, made in routes.items():
        verb, path = key.split(" ")
        resource = resources.setdefault(
            path, {"id": f"r{len(resources)}", "path": path, "resourceMethods": {}}
        )
        resource["resourceMethods"][verb] = {"httpMethod": verb, **made}
    return {
        "restApi": api,
        "resources": list(resources.values()),
        "authorizers": {},
        "models": {},
        "validators": {},
        "gatewayResponses": {},
        "policy": None,
        **more,
    }


def add_deployment(bench: Bench, identifier: str, snapshot: Document) -> None:
    bench.database.write_now(
        lambda tx: tx.run(
            "INSERT INTO rest_deployments VALUES (?, ?, 1, '{}', ?)",
            (API, identifier, orjson.dumps(snapshot).decode()),
        )
    )


def _save(tx: Any, api: Document, stage: Document, deployments: dict[str, Document]) -> None:
    tx.run("DELETE FROM rest_apis")
    tx.run("INSERT INTO rest_apis VALUES (?, 1, ?)", (API, orjson.dumps(api).decode()))
    tx.run(
        "INSERT INTO rest_parts VALUES (?, 'stage', ?, ?)",
        (API, stage["stageName"], orjson.dumps(stage).decode()),
    )
    for identifier, snapshot in deployments.items():
        tx.run(
            "INSERT INTO rest_deployments VALUES (?, ?, 1, '{}', ?)",
            (API, identifier, orjson.dumps(snapshot).decode()),
        )
    tx.touch(f"rest:{API}")


def ask(bench: Bench, asked: Request) -> Response:
    return asyncio.run(bench.state.rest.answer(asked, API, f"/{STAGE}{asked.raw_path}"))


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()
