"""The shop: resolvers, validation, idempotency, batches, parsing, logs and metrics."""

import os
import time
import uuid
from typing import Annotated, Any

import aws_lambda_powertools
import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import (
    APIGatewayHttpResolver,
    APIGatewayRestResolver,
    CORSConfig,
    LambdaFunctionUrlResolver,
    Response,
)
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import Router
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.parser import BaseModel, models, parse
from aws_lambda_powertools.utilities.parser.types import Json

logger = Logger()
metrics = Metrics()
dynamodb = boto3.resource("dynamodb")
keys, seen = (dynamodb.Table(os.environ[name]) for name in ("KEYS", "SEEN"))


class Order(BaseModel):
    item: str
    count: int


# HTTP

router = Router()
EVENTS = {
    "APIGatewayProxyEventV2": models.APIGatewayProxyEventV2Model,
    "APIGatewayProxyEvent": models.APIGatewayProxyEventModel,
    "LambdaFunctionUrlEvent": models.LambdaFunctionUrlModel,
}


@router.get("/orders/<order_id>")
def get_order(order_id: str, size: Annotated[int, Query(ge=1)] = 1) -> dict[str, Any]:
    kind = type(router.current_event).__name__
    parse(event=router.current_event.raw_event, model=EVENTS[kind])
    logger.info("an order", order=order_id)
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=size)
    return {"id": order_id, "size": size, "kind": kind, "home": aws_lambda_powertools.__file__}


@router.post("/orders")
def post_order(order: Order) -> tuple[dict[str, Any], int]:
    return {"made": order.model_dump()}, 201


@router.get("/missing")
def missing() -> None:
    raise NotFoundError("no such thing")


@router.get("/teapot")
def teapot() -> None:
    raise ValueError("short and stout")


@router.get("/picture")
def picture():  # type: ignore[no-untyped-def]  # a type would have it validated, as JSON
    return Response(200, "image/png", b"\x89PNG\xff", {"X-Many": ["1", "2"]}, compress=False)


def _app(kind: Any) -> Any:
    app = kind(cors=CORSConfig("https://page.example"), enable_validation=True)
    app.include_router(router)

    @app.exception_handler(ValueError)
    def short(error: ValueError) -> Response[str]:
        return Response(418, "text/plain", str(error))

    return app


_http, _rest, _url = map(
    _app, (APIGatewayHttpResolver, APIGatewayRestResolver, LambdaFunctionUrlResolver)
)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@metrics.log_metrics(capture_cold_start_metric=True)
def http(event: Any, context: Any) -> Any:
    return _http.resolve(event, context)


def rest(event: Any, context: Any) -> Any:
    return _rest.resolve(event, context)


def url(event: Any, context: Any) -> Any:
    return _url.resolve(event, context)


# Idempotency


def _once(seconds: int) -> Any:
    config = IdempotencyConfig(
        event_key_jmespath="order",
        payload_validation_jmespath="amount",
        expires_after_seconds=seconds,
    )
    store = DynamoDBPersistenceLayer(table_name=os.environ["KEYS"])

    @idempotent_function(data_keyword_argument="data", config=config, persistence_store=store)
    def paid(data: dict[str, Any]) -> str:
        while data.get("waits") and "Item" not in keys.get_item(Key={"id": data["waits"]}):
            time.sleep(0.05)
        return str(uuid.uuid4())

    return config, paid


_FOR_LONG, _FOR_SHORT = _once(3600), _once(1)


def pay(event: Any, context: Any) -> Any:
    config, paid = _FOR_SHORT if event.get("soon") else _FOR_LONG
    config.register_lambda_context(context)
    return paid(data=event)


# Batches and events


def _note(name: str) -> None:
    if name.startswith("bad"):
        raise ValueError(name)
    seen.update_item(
        Key={"id": name}, UpdateExpression="ADD times :one", ExpressionAttributeValues={":one": 1}
    )


def ship(event: Any, context: Any) -> Any:
    parse(event=event, model=models.DynamoDBStreamModel)
    return process_partial_response(
        event=event,
        record_handler=lambda record: _note(record.dynamodb.new_image["id"]),
        processor=BatchProcessor(event_type=EventType.DynamoDBStreams),
        context=context,
    )


class Parcel(models.SqsRecordModel):
    body: Json[Order]


def send(event: Any, context: Any) -> Any:
    parse(event=event, model=models.SqsModel)
    return process_partial_response(
        event=event,
        record_handler=lambda record: _note(record.body.item),
        processor=BatchProcessor(event_type=EventType.SQS, model=Parcel),
        context=context,
    )


def hear(event: Any, context: Any) -> None:
    if "detail" in event:
        _note(f"rumour {parse(event=event, model=models.EventBridgeModel).detail['of']}")
    else:
        _note(f"letter {parse(event=event, model=models.S3Model).Records[0].s3.object.key}")
