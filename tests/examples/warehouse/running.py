"""A deployed warehouse, what one asks of it, and what it must answer."""

import json
from typing import Any

import boto3

from tests.examples.conftest import eventually, outputs
from tests.server import Server

Document = dict[str, Any]


class Running:
    """A deployed warehouse, and what one asks of it."""

    def __init__(self, server: Server) -> None:
        self.server, self.outputs = server, outputs(server)
        self.lambda_ = server.client("lambda")
        self.functions = {
            name.split("-")[1]: name
            for found in self.lambda_.list_functions()["Functions"]
            if (name := found["FunctionName"])
        }

    @property
    def table(self) -> Any:
        key = self.server.credentials()
        dynamodb = boto3.resource(
            "dynamodb", endpoint_url=self.server.endpoint, region_name="us-east-1", **key
        )
        return dynamodb.Table(self.outputs["OrdersTable"])

    def invoke(self, function: str, event: Document) -> Document:
        name, payload = self.functions[function], json.dumps(event)
        answer = self.lambda_.invoke(FunctionName=name, Payload=payload)
        document: Document = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, document
        return document

    def get(self, path: str) -> Document:
        answer = self.server.http.request("GET", self.server.url + path)
        assert answer.status == 200, answer.data
        document: Document = answer.json()
        return document

    def is_captured(self) -> bool:
        """Nothing is on its way: the warehouse, brought up to date, is what Orders is."""
        self.invoke("TransformFunction", {})
        return bool(self.invoke("RollupFunction", {})["is_equal"])

    def settle(self, orders: list[Document]) -> None:
        """Until the warehouse is what Orders is; cheaper to ask once all days have been marked."""
        days = {order["order_date"] for order in orders}
        eventually(lambda: days <= set(self.get("/api/report")["pending_days"]))
        eventually(self.is_captured)

    def etags(self, prefix: str) -> dict[str, str]:
        pages = self.server.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.outputs["Lake"], Prefix=prefix)
        return {each["Key"]: each["ETag"] for page in found for each in page.get("Contents", [])}


def sums(orders: list[Document]) -> tuple[int, int, int]:
    """Orders, lines and cents of the last versions."""
    last = {order["order_id"]: order for order in sorted(orders, key=lambda o: o["version"])}
    lines = [
        (order["order_id"], line)
        for order in last.values()
        if order["status"] == "placed"
        for line in order["lines"]
    ]
    cents = sum(ln["quantity"] * ln["unit_price_cents"] - ln["discount_cents"] for _, ln in lines)
    return len({order_id for order_id, _ in lines}), len(lines), cents
