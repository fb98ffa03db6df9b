"""What the tests of REST APIs' control plane share: calls by operation name, a small API."""

import asyncio
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.gateway.rest.service import service
from cloudlet.wire import models
from tests.harness import ROOT, Bench

Document = dict[str, Any]
FUNCTION_URI = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:000000000000:function:hello/invocations"
)
MOCK: Document = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}


class Rest:
    """`rest("GetRestApi", restApiId=…)` runs an operation; its answer must fit AWS's model."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._service = service()

    def __call__(self, name: str, /, **params: Any) -> Any:
        operation = self._service.operations[name]
        request = Request("POST", "/", "", {}, Body.of(b""), id="test-request")
        call = Call(self.bench.cloud, "apigateway", name, params, ROOT, request)
        assert self._service.requirements(call)
        if operation.mode == "async":
            output = asyncio.run(operation.run(call))
        elif operation.mode == "write":
            output = self.bench.database.write_now(lambda tx: operation.run(call, tx))
        else:
            with self.bench.database.snapshot() as view:
                output = operation.run(call, view)
        shape = models.load("apigateway").operation(name).output_shape
        known = set(shape.members) if shape else set()
        assert (output or {}).keys() <= known, (output or {}).keys() - known
        return output or {}

    def fails(self, code: str, name: str, /, **params: Any) -> str:
        with pytest.raises(AwsError) as caught:
            self(name, **params)
        assert caught.value.code == code, caught.value
        return caught.value.message

    def patch(
        self, name: str, op: str, path: str, value: str | None = None, /, **params: Any
    ) -> Any:
        operation = {"op": op, "path": path, "value": value}
        return self(name, patchOperations=[operation], **params)

    def api(self, **members: Any) -> Document:
        api: Document = self("CreateRestApi", **{"name": "pets", **members})
        return api

    def resource(self, api: Document, path: str) -> str:
        parent = api["rootResourceId"]
        for part in path.strip("/").split("/"):
            found = self("CreateResource", restApiId=api["id"], parentId=parent, pathPart=part)
            parent = found["id"]
        return str(parent)

    def method(self, api: Document, resource: str, verb: str = "GET", **members: Any) -> Document:
        """The address of a method with a mock integration."""
        address = {"restApiId": api["id"], "resourceId": resource, "httpMethod": verb}
        self("PutMethod", **address, **{"authorizationType": "NONE", **members})
        self("PutIntegration", **address, **MOCK)
        return address

    def deployed(self, stage: str = "prod") -> Document:
        """An API with `GET /` on a stage."""
        api = self.api()
        self.method(api, api["rootResourceId"])
        self("CreateDeployment", restApiId=api["id"], stageName=stage)
        return api
