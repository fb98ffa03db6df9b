"""AWS/ApiGateway metrics of HTTP and WebSocket APIs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html
"""

from cloudlet.call import Meter
from cloudlet.exchange import Response
from cloudlet.gateway.payloads import Matched

Dimensions = tuple[tuple[str, str], ...]
_NAMESPACE = "AWS/ApiGateway"


def count_http(
    meter: Meter,
    dimensions: tuple[Dimensions, ...],
    matched: Matched,
    response: Response,
    now_ms: int,
) -> None:
    """One request: per API, per stage, and per route where that is wanted."""
    add, status = meter.add, response.status
    size = len(matched.body) + (len(response.body) if isinstance(response.body, bytes) else 0)
    for own in dimensions:
        add(_NAMESPACE, "Count", own)
        add(_NAMESPACE, "4xx", own, 1.0 if 400 <= status < 500 else 0.0)
        add(_NAMESPACE, "5xx", own, 1.0 if status >= 500 else 0.0)
        add(_NAMESPACE, "Latency", own, now_ms - matched.now_ms, "Milliseconds")
        add(_NAMESPACE, "DataProcessed", own, size, "Bytes")
        if matched.integration_status is not None:
            add(_NAMESPACE, "IntegrationLatency", own, matched.integration_ms, "Milliseconds")


def count_socket(
    meter: Meter, dimensions: tuple[Dimensions, ...], name: str, value: float = 1.0
) -> None:
    """ConnectCount, MessageCount, IntegrationError, ClientError, ExecutionError."""
    for own in dimensions:
        meter.add(_NAMESPACE, name, own, value)


def time_socket(meter: Meter, dimensions: tuple[Dimensions, ...], latency_ms: float) -> None:
    for own in dimensions:
        meter.add(_NAMESPACE, "IntegrationLatency", own, latency_ms, "Milliseconds")
