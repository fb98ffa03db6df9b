"""Powertools for AWS Lambda (Python) on cloudlet: its utilities behave as on AWS."""

import base64
import json
import shutil
import site
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.conformance.building import eventually, message
from tests.server import Server

SOURCE = Path(__file__).parent / "powertools"
PACKAGES = (
    "aws_lambda_powertools", "jmespath", "typing_extensions.py", "pydantic", "pydantic_core",
    "annotated_types", "typing_inspection",
)  # fmt: skip
PICTURE = b"\x89PNG\xff"
KINDS = ("http", "rest", "url")
EVENTS = {
    "http": "APIGatewayProxyEventV2",
    "rest": "APIGatewayProxyEvent",
    "url": "LambdaFunctionUrlEvent",
}


class Shop(Server):
    outputs: dict[str, str]

    def ask(self, kind: str, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        base = {
            "http": f"{self.endpoint}/_aws/execute-api/{self.outputs['HttpId']}",
            "rest": f"{self.endpoint}/_aws/execute-api/{self.outputs['RestId']}/Prod",
            "url": self.outputs["Url"].rstrip("/"),
        }[kind]
        return self.http.request(method, base + path, **more)

    def seen(self) -> dict[str, int]:
        found = self.client("dynamodb").scan(TableName=self.outputs["Seen"], ConsistentRead=True)
        return {item["id"]["S"]: int(item["times"]["N"]) for item in found["Items"]}

    def pay(self, **event: Any) -> Any:
        """What it answers, or the name of its error."""
        answer = self.client("lambda").invoke(FunctionName="pay", Payload=json.dumps(event))
        document = json.loads(answer["Payload"].read())
        return document["errorType"] if "FunctionError" in answer else document


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("powertools")
    source = folder / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    layer = source / "layer" / "python"
    layer.mkdir(parents=True)
    for name in PACKAGES:
        installed = Path(site.getsitepackages()[0], name)
        if installed.is_dir():
            shutil.copytree(installed, layer / name)
        else:
            shutil.copy2(installed, layer)
    shop = Shop(folder / "data", source / "template.yaml", "--no-watch", "--retry-seconds", "0.2")
    try:
        shop.start()
        (stack,) = shop.client("cloudformation").describe_stacks()["Stacks"]
        shop.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        yield shop
    finally:
        shop.stop()
    assert "\nTraceback" not in shop.log.read_text(), shop.log.read_text()[-4000:]


@pytest.mark.parametrize("kind", KINDS)
def test_resolvers(shop: Shop, kind: str) -> None:
    answer = shop.ask(
        kind, "GET", "/orders/a%20b?size=3", headers={"Origin": "https://page.example"}
    )
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    found = answer.json()
    name = "a b" if kind == "http" else "a%20b"  # HTTP APIs alone decode paths
    assert (found["id"], found["size"], found["kind"]) == (name, 3, EVENTS[kind])
    assert "site-packages" not in found["home"]  # the layer's
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
    answer = shop.ask(kind, "POST", "/orders", json={"item": "hat", "count": 2})
    assert (answer.status, answer.json()) == (201, {"made": {"item": "hat", "count": 2}})
    for method, path, more in (
        ("POST", "/orders", {"json": {"item": "hat", "count": "many"}}),
        ("GET", "/orders/1?size=0", {}),
    ):
        answer = shop.ask(kind, method, path, **more)
        assert answer.status == 422 and answer.json()["detail"][0]["loc"]
    assert shop.ask(kind, "GET", "/missing").json() == {
        "statusCode": 404,
        "message": "no such thing",
    }
    assert shop.ask(kind, "GET", "/nowhere").status == 404
    answer = shop.ask(kind, "GET", "/teapot")
    assert (answer.status, answer.data) == (418, b"short and stout")


@pytest.mark.parametrize("kind", KINDS)
def test_binary_answers(shop: Shop, kind: str) -> None:
    """A REST API decodes only the types that it is told are binary."""
    answer = shop.ask(kind, "GET", "/picture")
    expected = base64.b64encode(PICTURE) if kind == "rest" else PICTURE
    assert (answer.status, answer.data) == (200, expected)
    assert answer.headers["Content-Type"] == "image/png"


def test_idempotency(shop: Shop) -> None:
    first = shop.pay(order="1", amount=5)
    assert shop.pay(order="1", amount=5) == first != shop.pay(order="2", amount=5)
    assert shop.pay(order="1", amount=6) == "IdempotencyValidationError"
    soon = shop.pay(order="3", amount=5, soon=True)
    eventually(lambda: shop.pay(order="3", amount=5, soon=True) != soon)


def test_idempotency_of_what_is_in_progress(shop: Shop) -> None:
    client, table = shop.client("dynamodb"), shop.outputs["Keys"]

    def has_begun() -> bool:
        items = client.scan(TableName=table, ConsistentRead=True)["Items"]
        return any(item.get("status", {}).get("S") == "INPROGRESS" for item in items)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.pay, order="4", amount=5, waits="go")
        eventually(has_begun)
        assert shop.pay(order="4", amount=5, waits="go") == "IdempotencyAlreadyInProgressError"
        client.put_item(TableName=table, Item={"id": {"S": "go"}})
        assert shop.pay(order="4", amount=5, waits="go") in (
            first.result(),
            "IdempotencyAlreadyInProgressError",
        )
        assert shop.pay(order="4", amount=5, waits="go") == first.result()


def test_batches_of_a_stream(shop: Shop) -> None:
    """One that fails goes to the destination; those before and after it are handled."""
    items = [{"PutRequest": {"Item": {"id": {"S": name}}}} for name in ("a", "bad order", "c", "d")]
    shop.client("dynamodb").batch_write_item(RequestItems={shop.outputs["Orders"]: items})
    eventually(lambda: {"a", "c", "d"} <= shop.seen().keys())
    assert "bad order" not in shop.seen()
    record = json.loads(message(shop, shop.outputs["Dead"], 60)["Body"])
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1


def test_batches_of_a_queue(shop: Shop) -> None:
    bodies = [json.dumps({"item": name, "count": 1}) for name in ("shoes", "bad shoes", "socks")]
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate([*bodies, "no JSON"])]
    warm = shop.client("lambda").invoke(FunctionName="send", Payload=b'{"Records": []}')
    assert warm["StatusCode"] == 200  # a start may take longer than messages stay invisible
    shop.client("sqs").send_message_batch(QueueUrl=shop.outputs["Parcels"], Entries=entries)
    dead = {message(shop, shop.outputs["Dead"], 60)["Body"] for _ in range(2)}
    assert dead == {bodies[1], "no JSON"}
    assert {"shoes", "socks"} <= shop.seen().keys()


def test_parsed_events(shop: Shop) -> None:
    shop.client("s3").put_object(Bucket=shop.outputs["Letters"], Key="k", Body=b"dear")
    entry = {"Source": "shop", "DetailType": "heard", "Detail": '{"of": "hats"}'}
    shop.client("events").put_events(Entries=[entry])
    eventually(lambda: {"letter k", "rumour hats"} <= shop.seen().keys())


def test_logs_and_metrics(shop: Shop) -> None:
    shop.ask("http", "GET", "/orders/logged?size=7")
    group = f"/aws/lambda/{shop.outputs['Http']}"
    found: dict[str, Any] = eventually(
        lambda: shop.client("logs").filter_log_events(
            logGroupName=group, filterPattern='{ $.order = "logged" }'
        )["events"]
    )[0]
    line = json.loads(found["message"])
    assert line["service"] == "shop" and line["message"] == "an order"
    assert line["function_request_id"] and line["correlation_id"] and line["xray_trace_id"]

    def total(metric: str, **dimensions: str) -> float:
        listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        answer = shop.client("cloudwatch").get_metric_data(
            MetricDataQueries=[{"Id": "m", "MetricStat": {"Stat": "Sum", "Period": 60, "Metric": {
                "Namespace": "Shop", "MetricName": metric, "Dimensions": listed}}}],
            StartTime=0, EndTime=2**31,
        )  # fmt: skip
        return float(sum(answer["MetricDataResults"][0]["Values"]))

    eventually(lambda: total("Orders", service="shop") >= 7)
    name = shop.outputs["Http"]
    assert total("ColdStart", service="shop", function_name=name) >= 1
