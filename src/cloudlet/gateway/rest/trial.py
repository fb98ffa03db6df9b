"""TestInvokeMethod: a method as it is configured now, without stage, access checks or limits.

https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeMethod.html
"""

import time
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway.matching import RouteTable
from cloudlet.gateway.rest import deployments, documents, faults, observing, validation
from cloudlet.gateway.rest.compiled import Method, lone
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage, context_of, spelled, trace_of
from cloudlet.gateway.rest.serving import RestGateway


async def test_invoke_method(call: Call) -> Output:
    """The response, and the execution log of its making."""
    params, rest = call.params, call.state
    assert isinstance(rest, RestGateway)
    with call.cloud.database.snapshot() as view:
        snapshot = deployments.freeze(view, documents.api(call, view))
    passage = _passage(call, snapshot)
    passage.lines = []
    observing.describe(passage)
    passage.note(f"Method request body before transformations: {params.get('body') or ''}")
    fault: Fault | None = None
    try:
        validation.check(passage)
        response = await rest.integrations.run(passage)
    except Fault as raised:
        fault = raised
        response = faults.answer(fault, passage)
    observing.conclude(passage, response, fault)
    return _output(passage, response, call.now_ms - passage.now_ms)


def _passage(call: Call, snapshot: dict[str, Any]) -> Passage:
    params = call.params
    served = lone(call.config, params["restApiId"], snapshot, params.get("stageVariables") or {})
    resource = next((r for r in snapshot["resources"] if r["id"] == params["resourceId"]), None)
    if resource is None:
        raise documents.not_found("resource")
    verb = params["httpMethod"]
    methods = resource.get("resourceMethods") or {}
    if verb not in methods:
        raise documents.not_found("method")
    raw_path, _, query = (params.get("pathWithQueryString") or resource["path"]).partition("?")
    given = params.get("multiValueHeaders") or {}
    headers = {name.lower(): ",".join(values) for name, values in given.items()}
    headers |= {name.lower(): value for name, value in (params.get("headers") or {}).items()}
    body = (params.get("body") or "").encode()
    method = "POST" if verb == "ANY" else verb
    request = Request(
        method, raw_path, query, headers, Body.of(body), "test-invoke-source-ip", "https"
    )
    request.id = call.config.new_id()
    now_ms = call.now_ms
    table: RouteTable[Method] = RouteTable()
    chosen = served.method(resource, verb)
    table.add(f"ANY {resource['path']}", chosen)
    found = table.match("ANY", raw_path)
    values = found[1] if found else {}
    context = context_of(request, served, now_ms, raw_path)
    context |= {"resourcePath": resource["path"], "resourceId": resource["id"]}
    context["identity"] |= {"apiKey": "test-invoke-api-key", "apiKeyId": "test-invoke-api-key-id"}
    trace = trace_of(request, now_ms)
    return Passage(request, served, chosen, raw_path, values, now_ms, context, body, trace)


def _output(passage: Passage, response: Response, latency_ms: int) -> Output:
    at = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(passage.now_ms / 1000))
    lines = [f"{at} : {line}" for line in passage.lines or ()]
    many: dict[str, list[str]] = {}
    for name, value in response.headers:
        many.setdefault(spelled(name), []).append(value)
    body = response.body if isinstance(response.body, bytes) else b""
    return {
        "status": response.status,
        "body": body.decode(errors="replace"),
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "log": "\n".join([f"Execution log for request {passage.request.id}", *lines, ""]),
        "latency": latency_ms,
    }
