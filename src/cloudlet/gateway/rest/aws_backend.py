"""AWS integrations: a request becomes one call of another service's own protocol.

`arn:aws:apigateway:REGION:SERVICE:action/NAME` names an operation, `…:path/…` a path of the
service's HTTP API. The request goes through `wire`, as if it had come over the network, and the
call is made in the name of the integration's role, the client's, or API Gateway itself.
https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-request-basic-setup.html
"""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from cloudlet.call import ANONYMOUS, Caller, Cloud, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway.answers import json
from cloudlet.gateway.invocation import FunctionFailed, invoke, service
from cloudlet.gateway.rest.compiled import function_of
from cloudlet.gateway.rest.faults import Fault, misconfigured
from cloudlet.gateway.rest.http_backend import address
from cloudlet.gateway.rest.mapping import Mapped
from cloudlet.gateway.rest.passage import Passage
from cloudlet.policy.roles import Roles
from cloudlet.wire import form_codec, sqs_query
from cloudlet.wire.outbound import ANSWER_MAX_BYTES
from cloudlet.wire.protocol import Protocol, protocol

_URI = re.compile(r"arn:aws[\w-]*:apigateway:[\w-]*:(?:[\w-]+\.)?([\w-]+):(path|action)/(.*)", re.S)
_SERVICES = {"states": "stepfunctions", "monitoring": "cloudwatch", "email": "ses"}


class AwsBackend:
    def __init__(self, cloud: Cloud, roles: Roles) -> None:
        self._cloud = cloud
        self._roles = roles

    async def caller(self, passage: Passage) -> Caller:
        """Whom the integration acts as; raises AwsError where the role does not let it."""
        credentials = passage.method.integration.get("credentials") or ""
        credentials = passage.served.with_variables(credentials)
        if credentials.endswith(":user/*"):  # the client's own
            return passage.caller or ANONYMOUS
        if credentials:
            return await self._roles.caller(credentials)
        return service(self._cloud, passage.source_arn)

    async def function(self, passage: Passage, payload: bytes) -> tuple[bytes, str]:
        """(payload, error): the answer of the integration's function; raises Fault."""
        name = function_of(passage.served.with_variables(passage.method.integration["uri"]))
        try:
            caller = await self.caller(passage)
            return await invoke(self._cloud, name, payload, caller, passage.trace), ""
        except FunctionFailed as failed:
            return failed.payload, str(failed)
        except AwsError as error:
            if error.status == 413:
                raise Fault("REQUEST_TOO_LARGE") from error
            raise misconfigured(f"Lambda invocation failed: {error.message}") from error

    async def event(self, passage: Passage, payload: bytes) -> None:
        """Invokes the function without waiting for it."""
        name = function_of(passage.served.with_variables(passage.method.integration["uri"]))
        params = {"FunctionName": name, "InvocationType": "Event", "Payload": payload}
        params |= {"TraceHeader": passage.trace}
        try:
            await self._cloud.invoke("lambda", "Invoke", params, await self.caller(passage))
        except AwsError as error:
            raise misconfigured(f"Lambda invocation failed: {error.message}") from error

    async def send(self, passage: Passage, mapped: Mapped) -> Response:
        """The service's answer, errors as its protocol has them."""
        uri = passage.served.with_variables(passage.method.integration["uri"])
        found = _URI.fullmatch(uri)
        if found is None:
            raise misconfigured("Invalid endpoint address")
        name = _SERVICES.get(found.group(1), found.group(1))
        passage.note(f"Sending request to {uri}")
        try:
            spoken = protocol(name)
            caller = await self.caller(passage)
        except AwsError as error:
            raise misconfigured(error.message) from error
        request = _request(passage, mapped, spoken, (found.group(2), found.group(3)))
        try:
            if name == "sqs" and "x-amz-target" not in request.headers:
                spoken = protocol(name, "query")
            if spoken.model.protocol == "query":
                return await self._query(spoken, request, caller)
            parsed = await spoken.parse(request)
            output = await self._cloud.invoke(name, parsed.operation, parsed.params, caller)
            answer = spoken.response(parsed.operation, Result(output), request.id)
        except NotImplementedByCloudlet as error:
            raise misconfigured(error.message) from error
        except AwsError as error:
            answer = spoken.fault(error, request)
        headers = [(name.lower(), value) for name, value in answer.headers]
        return Response(answer.status, headers, await _whole(answer.body))

    async def _query(self, spoken: Protocol, request: Request, caller: Caller) -> Response:
        """gateway-059: services of the query protocol answer API Gateway in JSON."""
        body = (await request.body.read(ANSWER_MAX_BYTES)).decode(errors="replace")
        # what the integration maps stands against what a client may have put into the body
        fields = [*parse_qsl(body, keep_blank_values=True), *request.arguments()]
        action = dict(fields).get("Action", "")
        try:
            shape, params = _form(spoken, action, fields, request.raw_path)
            output = await self._cloud.invoke(spoken.model.name, action, params, caller)
        except NotImplementedByCloudlet:
            raise
        except AwsError as error:
            kind = "Sender" if error.status < 500 else "Receiver"
            told = {"Code": error.code, "Message": error.message, "Type": kind}
            return json(error.status, {"Error": told, "RequestId": request.id})
        members: dict[str, Any] = {name: output.get(name) for name in shape}
        if action == "ReceiveMessage":
            # gateway-062: with a small initial, null for none, each message with all its members
            found = members.pop("Messages") or []
            members["messages"] = [dict.fromkeys(_MESSAGE) | each for each in found] or None
        answer: dict[str, Any] = {"ResponseMetadata": {"RequestId": request.id}}
        if shape:
            answer[f"{action}Result"] = members
        return json(200, {f"{action}Response": answer})


_MESSAGE = (
    "Attributes", "Body", "MD5OfBody", "MD5OfMessageAttributes", "MessageAttributes", "MessageId",
    "ReceiptHandle",
)  # fmt: skip


def _form(
    spoken: Protocol, action: str, fields: list[tuple[str, str]], path: str
) -> tuple[list[str], dict[str, Any]]:
    """(members of the output, parameters) of a query call."""
    if action not in spoken.model.operation_names:
        message = f"The action {action} is not valid for this web service."
        raise AwsError("InvalidAction", message)
    operation = spoken.model.operation(action)
    shape = operation.input_shape
    params = form_codec.parse(fields, shape) if shape else {}
    if shape and spoken.model.name == "sqs":
        sqs_query.complete(params, shape, unquote(path))
    output = operation.output_shape
    return sorted(output.members) if output else [], params


def _request(
    passage: Passage, mapped: Mapped, spoken: Protocol, target: tuple[str, str]
) -> Request:
    """The request as it would go to the service's endpoint."""
    kind, rest = target
    integration = passage.method.integration
    method = integration.get("httpMethod") or "POST"
    method = passage.request.method if method == "ANY" else method
    headers = {"accept": "application/json", "host": f"{spoken.model.name}.internal"}
    headers |= mapped.headers
    body = b"" if method in ("GET", "HEAD") else mapped.body
    path = "/"
    if kind == "action":
        action, _, extra = rest.partition("&")
        mapped.query = {"Action": action, **dict(parse_qsl(extra)), **mapped.query}
        prefix = spoken.model.service.metadata.get("targetPrefix")
        if prefix and spoken.model.name != "sqs":
            headers.setdefault("x-amz-target", f"{prefix}.{action}")
    else:
        path = f"/{address(passage, rest, Mapped(path=mapped.path))}"
    if spoken.model.protocol == "json" and "x-amz-target" in headers:
        headers["content-type"] = spoken.model.content_type
        method = "POST"
    else:
        kind = passage.request.headers.get("content-type") or ""
        if kind and body:
            headers.setdefault("content-type", kind)
    path, _, query = path.partition("?")
    query = "&".join(part for part in (query, urlencode(mapped.query, doseq=True)) if part)
    headers["content-length"] = str(len(body))
    path = quote(path, safe="/%:@!$&'()*+,;=-._~")
    client = passage.request.client
    return Request(method, path, query, headers, Body.of(body), client, id=passage.request.id)


async def _whole(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    chunks, size = [], 0
    try:
        async for chunk in body:
            size += len(chunk)
            if size > ANSWER_MAX_BYTES:
                raise Fault("API_CONFIGURATION_ERROR", reason="The answer is over 10 MB")
            chunks.append(chunk)
    finally:
        await body.aclose()
    return b"".join(chunks)
