"""What is told of requests: CloudWatch metrics, a stage's access log, its execution log.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

from typing import Any

from cloudlet.call import Cloud
from cloudlet.exchange import Response
from cloudlet.gateway.rest.compiled import Stage
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage

_NAMESPACE = "AWS/ApiGateway"


def begin(passage: Passage) -> None:
    """Starts the execution log of a method that has one."""
    if passage.method.settings.logging == "OFF":
        return
    passage.lines = []
    passage.shows_data = passage.method.settings.traces_data
    describe(passage)


def describe(passage: Passage) -> None:
    """The first lines of an execution log."""
    request = passage.request
    passage.note(f"Starting execution for request: {request.id}")
    passage.note(f"HTTP Method: {request.method}, Resource Path: {passage.path}")
    passage.note(f"Method request path: {_listed(passage.path_parameters)}")
    query = {name: ",".join(values) for name, values in passage.query.items()}
    passage.note(f"Method request query string: {_listed(query)}")
    passage.show("Method request headers", _listed(passage.headers))


def conclude(passage: Passage, response: Response, fault: Fault | None) -> None:
    """The last lines."""
    if fault is not None and fault.reason:
        passage.note(f"Execution failed due to configuration error: {fault.reason}")
    elif fault is not None:
        passage.note(f"{fault.message} ({fault.kind})")
    else:
        body = response.body if isinstance(response.body, bytes) else b""
        passage.show("Method response body after transformations", body)
        passage.show("Method response headers", _listed(dict(response.headers)))
        passage.note("Successfully completed execution")
    passage.note(f"Method completed with status: {response.status}")


def record(cloud: Cloud, stage: Stage, passage: Passage, response: Response) -> None:
    latency_ms = cloud.config.now_ms() - passage.now_ms
    _measure(cloud, passage, response, latency_ms)
    if stage.access_log is not None:
        stage.access_log.write(cloud, _accessed(passage, response, latency_ms))
    settings = passage.method.settings
    if passage.lines and (settings.logging == "INFO" or response.status >= 400):
        served = passage.served
        group = f"API-Gateway-Execution-Logs_{served.api_id}/{served.stage}"
        for line in passage.lines:
            cloud.journal.line(group, stage.log_stream, f"({passage.request.id}) {line}")


def _measure(cloud: Cloud, passage: Passage, response: Response, latency_ms: int) -> None:
    served, method, status = passage.served, passage.method, response.status
    name = ("ApiName", str(served.api.get("name", "")))
    stage = ("Stage", served.stage)
    targets = [(name,), (name, stage)]
    if method.settings.has_metrics and method.path:
        verb = ("Method", method.document["httpMethod"])
        targets.append((name, verb, ("Resource", method.path), stage))
    values = [("Count", 1.0), ("4XXError", float(400 <= status < 500))]
    values += [("5XXError", float(status >= 500))]
    if passage.is_cached is not None:
        values.append(("CacheHitCount" if passage.is_cached else "CacheMissCount", 1.0))
    for dimensions in targets:
        for metric, value in values:
            cloud.meter.add(_NAMESPACE, metric, dimensions, value)
        cloud.meter.add(_NAMESPACE, "Latency", dimensions, latency_ms, "Milliseconds")
        if passage.integration_ms is not None:
            cloud.meter.add(
                _NAMESPACE, "IntegrationLatency", dimensions, passage.integration_ms, "Milliseconds"
            )


def _accessed(passage: Passage, response: Response, latency_ms: int) -> dict[str, Any]:
    status = passage.status or None
    size = len(response.body) if isinstance(response.body, bytes) else 0
    return {
        **passage.context,
        "status": response.status,
        "responseLength": size,
        "responseLatency": latency_ms,
        "integrationLatency": passage.integration_ms,
        "integrationStatus": status,
        "integration.latency": passage.integration_ms,
        "integration.status": status,
        "integration.integrationStatus": status,
        "xrayTraceId": passage.trace,
    }


def _listed(values: Any) -> str:
    return "{" + ", ".join(f"{name}={value}" for name, value in values.items()) + "}"
