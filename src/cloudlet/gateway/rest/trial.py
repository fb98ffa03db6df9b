"""TestInvokeMethod and TestInvokeAuthorizer: as it is configured now, without stage and limits.

https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeMethod.html
"""

import time
from dataclasses import replace

import orjson

from cloudlet.call import Call, Output
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway.matching import RouteTable
from cloudlet.gateway.rest import deployments, documents, faults, observing, validation
from cloudlet.gateway.rest.access import identity_of
from cloudlet.gateway.rest.compiled import Method, Served, authorizer_of, lone
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage, context_of, spelled, trace_of
from cloudlet.gateway.rest.serving import RestGateway


async def test_invoke_method(call: Call) -> Output:
    """The response, and the execution log of its making."""
    params, rest = call.params, call.state
    assert isinstance(rest, RestGateway)
    served = _served(call)
    passage = _passage(call, served, _method(served, params["resourceId"], params["httpMethod"]))
    passage.lines, passage.shows_data = [], True
    observing.describe(passage)
    passage.show("Method request body before transformations", params.get("body") or "")
    fault: Fault | None = None
    try:
        validation.check(passage)
        response = await rest.integrations.run(passage)
    except Fault as raised:
        fault = raised
        response = faults.answer(fault, passage)
    observing.conclude(passage, response, fault)
    return _output(passage, response, call.now_ms - passage.now_ms)


async def test_invoke_authorizer(call: Call) -> Output:
    """What a Lambda authorizer says, asked anew."""
    params, rest = call.params, call.state
    assert isinstance(rest, RestGateway)
    served = _served(call)
    document = (served.snapshot.get("authorizers") or {}).get(params["authorizerId"])
    if document is None:
        raise documents.not_found("authorizer")
    authorizer = replace(authorizer_of(served, document), ttl_s=0)
    method = Method({"httpMethod": "GET"}, "", "/", authorizer_document=document)
    passage = _passage(call, served, method)
    passage.lines, passage.shows_data = [], True
    output: Output = {"clientStatus": 200}
    try:
        identity = identity_of(passage, document)
        verdict = await rest.access.ask(passage, authorizer, identity)
        policy = orjson.dumps(verdict.policy).decode()
        output |= {"principalId": verdict.principal, "policy": policy}
    except Fault as fault:
        output["clientStatus"] = fault.status
        passage.note(f"{fault.kind} {fault.reason}".strip())
    output |= {"log": _log(passage), "latency": call.now_ms - passage.now_ms}
    return output


def _served(call: Call) -> Served:
    with call.cloud.database.snapshot() as view:
        snapshot = deployments.freeze(view, documents.api(call, view))
    variables = call.params.get("stageVariables") or {}
    return lone(call.config, call.params["restApiId"], snapshot, variables)


def _method(served: Served, resource_id: str, verb: str) -> Method:
    for resource in served.snapshot["resources"]:
        if resource["id"] == resource_id:
            if verb not in (resource.get("resourceMethods") or {}):
                raise documents.not_found("method")
            return served.method(resource, verb)
    raise documents.not_found("resource")


def _passage(call: Call, served: Served, method: Method) -> Passage:
    params = call.params
    raw_path, _, query = (params.get("pathWithQueryString") or method.path).partition("?")
    given = params.get("multiValueHeaders") or {}
    headers = {name.lower(): ",".join(values) for name, values in given.items()}
    headers |= {name.lower(): value for name, value in (params.get("headers") or {}).items()}
    body = (params.get("body") or "").encode()
    verb = method.document["httpMethod"]
    verb, client = ("POST" if verb == "ANY" else verb), "test-invoke-source-ip"
    request = Request(verb, raw_path, query, headers, Body.of(body), client, "https")
    request.id = call.config.new_id()
    table: RouteTable[Method] = RouteTable()
    table.add(f"ANY {method.path}", method)
    found = table.match("ANY", raw_path)
    context = context_of(request, served, call.now_ms, raw_path)
    context |= {"resourcePath": method.path, "resourceId": method.resource_id}
    context["identity"] |= {"apiKey": "test-invoke-api-key", "apiKeyId": "test-invoke-api-key-id"}
    passage = Passage(
        request, served, method, raw_path, found[1] if found else {}, call.now_ms, context, body
    )
    passage.trace = trace_of(request, served, call.now_ms)
    return passage


def _output(passage: Passage, response: Response, latency_ms: int) -> Output:
    many: dict[str, list[str]] = {}
    for name, value in response.headers:
        many.setdefault(spelled(name), []).append(value)
    body = response.body if isinstance(response.body, bytes) else b""
    return {
        "status": response.status,
        "body": body.decode(errors="replace"),
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "log": _log(passage),
        "latency": latency_ms,
    }


def _log(passage: Passage) -> str:
    at = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(passage.now_ms / 1000))
    lines = [f"{at} : {line}" for line in passage.lines or ()]
    return "\n".join([f"Execution log for request {passage.request.id}", *lines, ""])
