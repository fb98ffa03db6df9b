"""Runs a method's integration: the request out, the answer back, both as the method maps them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-integration-settings.html
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import TypeVar

import orjson

from cloudlet.call import Cloud
from cloudlet.exchange import Response
from cloudlet.gateway.rest import http_backend, lambda_proxy, mapping
from cloudlet.gateway.rest.aws_backend import AwsBackend
from cloudlet.gateway.rest.faults import Fault, misconfigured
from cloudlet.gateway.rest.mapping import Mapped
from cloudlet.gateway.rest.passage import Passage
from cloudlet.policy.roles import Roles

T = TypeVar("T")
_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*(\d{3})\b""")


class Integrations:
    def __init__(self, cloud: Cloud, roles: Roles) -> None:
        self._cloud = cloud
        self._aws = AwsBackend(cloud, roles)

    async def run(self, passage: Passage) -> Response:
        """The method's response; raises Fault."""
        integration = passage.method.integration
        kind = integration.get("type")
        if kind == "AWS_PROXY":
            return await self._lambda_proxy(passage)
        if kind == "HTTP_PROXY":
            mapped = mapping.parameters(passage)
            answer = await self._timed(passage, http_backend.proxy(passage, mapped))
            passage.status = answer.status
            return answer
        if kind is None:
            raise misconfigured("No integration defined for method")
        mapped = mapping.request(passage)
        passage.show("Endpoint request body after transformations", mapped.body)
        answer, selected_by = await self._ask(passage, kind, mapped)
        passage.show("Endpoint response body before transformations", _bytes(answer))
        return mapping.response(passage, answer, selected_by)

    async def _ask(self, passage: Passage, kind: str, mapped: Mapped) -> tuple[Response, str]:
        """The endpoint's answer, and what selects the response of it."""
        if kind == "MOCK":
            status = _mock_status(mapped.body)
            return Response(status), str(status)
        if kind == "HTTP":
            answer = await self._timed(passage, http_backend.send(passage, mapped))
        elif ":lambda:path/" in passage.method.integration["uri"]:
            return await self._lambda(passage, mapped)
        else:
            answer = await self._timed(passage, self._aws.send(passage, mapped))
        passage.status = answer.status
        return answer, str(answer.status)

    async def _lambda_proxy(self, passage: Passage) -> Response:
        uri = passage.method.integration["uri"]
        if (passage.method.integration.get("httpMethod") or "POST") != "POST":
            raise misconfigured("Lambda functions are invoked by POST")
        event = orjson.dumps(lambda_proxy.event(passage))
        passage.note(f"Endpoint request URI: {uri}")
        passage.show("Endpoint request body after transformations", event)
        payload, error = await self._timed(passage, self._aws.function(passage, event))
        passage.status = 200
        passage.show("Endpoint response body before transformations", payload)
        if error:
            reason = (
                f"Lambda execution failed with status 200 due to customer function error: {error}"
            )
            raise Fault("DEFAULT_5XX", status=502, reason=reason)
        return lambda_proxy.response(passage, payload)

    async def _lambda(self, passage: Passage, mapped: Mapped) -> tuple[Response, str]:
        """The event is the mapped body; the function's error message selects the response."""
        body = mapped.body or b"{}"
        if mapped.headers.get("x-amz-invocation-type") == "Event":
            await self._timed(passage, self._aws.event(passage, body))
            passage.status = 202
            return Response(202), "202"
        payload, error = await self._timed(passage, self._aws.function(passage, body))
        passage.status = 200
        return Response(200, [("content-type", "application/json")], payload), (
            _error_message(payload) if error else ""
        )

    async def _timed(self, passage: Passage, work: Awaitable[T]) -> T:
        """Awaits the endpoint for as long as the integration may take."""
        now_ms = self._cloud.config.now_ms
        started_ms = now_ms()
        timeout_s = (passage.method.integration.get("timeoutInMillis") or 29_000) / 1000
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except TimeoutError:
            raise Fault("INTEGRATION_TIMEOUT") from None
        finally:
            passage.integration_ms = now_ms() - started_ms


def _mock_status(body: bytes) -> int:
    """gateway-060: AWS reads `{statusCode: 200}`, too, which is no JSON."""
    found = _STATUS.search(body.decode(errors="replace"))
    if found is None:
        raise misconfigured(
            "Unable to parse statusCode. It should be an integer that is defined in the request "
            "template."
        )
    return int(found.group(1))


def _error_message(payload: bytes) -> str:
    try:
        document = orjson.loads(payload)
    except ValueError:
        return ""
    return str(document.get("errorMessage") or "") if isinstance(document, dict) else ""


def _bytes(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""
