"""Invoke: synchronous through the pool, asynchronous through the outbox.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import base64
import binascii

import orjson

from cloudlet.call import Call, Output, Params, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events import outbox
from cloudlet.functions import measurements, names, traces
from cloudlet.functions.records import Found
from cloudlet.functions.worker_process import Invocation

SYNC_BYTES_MAX = 6 * 1024 * 1024
ASYNC_BYTES_MAX = 1024 * 1024
_CONTEXT_BYTES_MAX = 3583


async def invoke(call: Call) -> Output | Result:
    params = call.params
    kind = params.get("InvocationType") or "RequestResponse"
    found, invocation = await prepare(call, kind)
    if kind == "DryRun":
        return {"StatusCode": 204, "ExecutedVersion": found.version}
    if kind == "Event":
        measurements.add(call.cloud.meter, found, {"AsyncEventsReceived": 1.0})
        return await _enqueue(call, invocation)
    answer = await call.state.run(found, invocation)
    output: Output = {
        "StatusCode": 200,
        "Payload": answer.payload,
        "ExecutedVersion": found.version,
    }
    if answer.is_error:
        output["FunctionError"] = "Unhandled"
    if params.get("LogType") == "Tail":
        output["LogResult"] = base64.b64encode(answer.tail).decode()
    return Result(output, headers=[("X-Amzn-Trace-Id", traces.shown(invocation.trace_id))])


async def invoke_async(call: Call) -> Output:
    """What there was before `Invoke` had a kind for events."""
    call.params["Payload"] = call.params.pop("InvokeArgs", None)
    _, invocation = await prepare(call, "Event")
    await _enqueue(call, invocation)
    return {"Status": 202}


async def prepare(call: Call, kind: str) -> tuple[Found, Invocation]:
    """What is invoked, and with what; refused where the payload is not as it must be."""
    params = call.params
    if params.get("TenantId") or params.get("DurableExecutionName"):
        raise NotImplementedByCloudlet("TenantId and DurableExecutionName")
    found: Found = call.state.find(params["FunctionName"], params.get("Qualifier"))
    invocation = Invocation(
        call.request.id or call.config.new_id(),
        names.function_arn(call.config, found.name, found.qualifier),
        await _payload(params, kind),
        # services inside the process hand on their clients' in a member of its own
        trace_id=call.request.headers.get("x-amzn-trace-id") or params.get("TraceHeader") or "",
        client_context=_client_context(params.get("ClientContext")),
    )
    return found, invocation


async def _enqueue(call: Call, invocation: Invocation) -> Output:
    attributes = {"request_id": invocation.request_id}
    if invocation.trace_id:
        attributes["trace_id"] = invocation.trace_id
    if invocation.client_context:
        attributes["client_context"] = invocation.client_context
    await call.cloud.database.write(
        lambda tx: outbox.put(
            tx,
            invocation.arn,
            invocation.payload,
            source="lambda",
            now_ms=call.now_ms,
            attributes=attributes,
        )
    )
    return {"StatusCode": 202, "Payload": b""}


async def _payload(params: Params, kind: str) -> bytes:
    limit_bytes = ASYNC_BYTES_MAX if kind == "Event" else SYNC_BYTES_MAX
    payload = params.get("Payload")
    if payload is not None and hasattr(payload, "read"):
        payload = await payload.read(SYNC_BYTES_MAX + 1)
    if not payload:
        return b"{}"
    if isinstance(payload, str):
        payload = payload.encode()
    if len(payload) > limit_bytes:
        raise AwsError(
            "RequestTooLargeException",
            f"{len(payload)} byte payload is too large for the {kind} invocation type"
            f" (limit {limit_bytes} bytes)",
            413,
            Type="User",
        )
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: {error}",
            400,
            Type="User",
        ) from None
    return bytes(payload)


def _client_context(encoded: str | None) -> str:
    if not encoded:
        return ""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
        orjson.loads(text)
    except (binascii.Error, UnicodeDecodeError, orjson.JSONDecodeError):
        raise AwsError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON"
        ) from None
    if len(encoded) > _CONTEXT_BYTES_MAX:
        raise AwsError("InvalidRequestContentException", "Client context is too large.")
    return text.replace("\n", " ").replace("\r", " ")
