"""Serving REST APIs: stage, method, access, limits, validation, cache, integration, answer.

`RestGateway.answer` is the way of every request, in AWS's order: resource policy and authorizer,
API key and usage plan, throttles, required parameters and model, cache, integration. What goes
wrong on it is a `Fault`, which the API's gateway responses word.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-rest-api.html
"""

import asyncio
import logging

from cloudlet.call import Cloud
from cloudlet.exchange import Request, Response
from cloudlet.gateway.domains import Found
from cloudlet.gateway.lambda_authorizers import LambdaAuthorizers
from cloudlet.gateway.rest import (
    compression,
    documents,
    faults,
    observing,
    response_cache,
    snapshots,
    validation,
)
from cloudlet.gateway.rest.access import Access
from cloudlet.gateway.rest.admission import Admissions
from cloudlet.gateway.rest.compiled import CompiledStages, Method, Served
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.integrations import Integrations
from cloudlet.gateway.rest.passage import Passage, context_of, extended_id, trace_of
from cloudlet.gateway.rest.response_cache import ResponseCache
from cloudlet.policy.roles import Roles

_log = logging.getLogger(__name__)
BODY_MAX_BYTES = 10 * 1024 * 1024
_KNOWN_MAX = 1000
_UNTRACED = frozenset((None, "MOCK", "HTTP_PROXY"))
_IGNORED = "199 Cache-control headers were ignored because the caller was unauthorized."


class RestGateway:
    """The running gateway of REST APIs; follows changes of the store by itself."""

    def __init__(self, cloud: Cloud, roles: Roles, authorizers: LambdaAuthorizers) -> None:
        self.cloud = cloud
        self.stages = CompiledStages(cloud)
        self.cache = ResponseCache()
        self._authorizers = authorizers
        self._known: dict[str, bool] = {}  # ids that were asked for: are they REST APIs?
        self.access = Access(cloud, authorizers)
        self._admissions = Admissions(cloud)
        self.integrations = Integrations(cloud, roles)
        self._nowhere = Method({}, "", "")
        cloud.database.subscribe(documents.TOPIC, self._changed)
        cloud.database.subscribe(snapshots.FLUSH_TOPIC, self._flushed)

    def _changed(self, topic: str) -> None:
        api_id = topic.removeprefix(documents.TOPIC)
        self.stages.forget(api_id)
        self._known.pop(api_id, None)

    def _flushed(self, topic: str) -> None:
        """`rest-flush:data:API/STAGE` or `rest-flush:authorizers:API/STAGE`."""
        what, place = topic.removeprefix(snapshots.FLUSH_TOPIC).split(":", 1)
        if what == "data":
            self.cache.flush(place)
        else:
            api_id = place.split("/")[0]
            self._authorizers.forget(self.cloud.config.arn("execute-api", f"{api_id}/"))

    def has(self, api_id: str) -> bool:
        known = self._known.get(api_id)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            sql = "SELECT 1 FROM rest_apis WHERE api_id = ?"
            known = self.cloud.database.view().value(sql, (api_id,)) is not None
            self._known[api_id] = known
        return known

    def oldest(self) -> str | None:
        sql = "SELECT api_id FROM rest_apis ORDER BY created_ms, api_id LIMIT 1"
        api_id: str | None = self.cloud.database.view().value(sql)
        return api_id

    def home(self, api_id: str) -> str | None:
        """The path of an API's only stage."""
        sql = "SELECT id FROM rest_parts WHERE api_id = ? AND kind = 'stage' LIMIT 2"
        rows = self.cloud.database.view().all(sql, (api_id,))
        return f"/{rows[0]['id']}/" if len(rows) == 1 else None

    async def stop(self) -> None:
        await self._admissions.stop()

    async def answer(
        self, request: Request, api_id: str, raw_path: str, custom: Found | None = None
    ) -> Response:
        """`raw_path` begins with the stage's name, unless a custom domain's mapping named it."""
        if not request.id:
            request.id = self.cloud.config.new_id()
        if custom is None:
            name, _, inner = raw_path.lstrip("/").partition("/")
        else:
            name, inner = custom.mapping.stage, raw_path[1:]
        stage = self.stages.stage(api_id, name)
        if stage is None or (custom is None and stage.served.api.get("disableExecuteApiEndpoint")):
            return _finished(faults.bare(Fault("INVALID_API_KEY")), request)
        passage = self._passage(request, stage.choose(), f"/{inner}", custom)
        fault: Fault | None = None
        try:
            response = await self._serve(passage)
        except Fault as raised:
            fault = raised
            if fault.reason:
                _log.warning("%s %s: %s", request.method, passage.method_arn, fault.reason)
            response = faults.answer(fault, passage)
        if fault is None and passage.method.integration.get("type") not in _UNTRACED:
            response.headers.append(("x-amzn-trace-id", passage.trace))
        if passage.lines is not None:
            observing.conclude(passage, response, fault)
        compression.deflate(passage, response)
        observing.record(self.cloud, stage, passage, response)
        return _finished(response, request)

    def _passage(
        self, request: Request, served: Served, path: str, custom: Found | None
    ) -> Passage:
        now_ms = self.cloud.config.now_ms()
        shown = request.raw_path if custom is not None else f"/{served.stage}{path}"
        domain = custom.host if custom is not None else ""
        context = context_of(request, served, now_ms, shown, domain)
        path = f"/{path.lstrip('/')}"
        trace = trace_of(request, served, now_ms)
        return Passage(request, served, self._nowhere, path, {}, now_ms, context, trace=trace)

    async def _serve(self, passage: Passage) -> Response:
        self._route(passage)
        method = passage.method
        observing.begin(passage)
        usage_key = await self.access.check(passage)
        if method.document.get("apiKeyRequired"):
            await self._admissions.check(passage, usage_key)
        if not method.bucket.take(passage.now_ms):
            raise Fault("THROTTLED")
        body = await passage.request.body.within(BODY_MAX_BYTES)
        if body is None:
            raise Fault("REQUEST_TOO_LARGE")
        passage.body = body
        compression.inflate(passage, BODY_MAX_BYTES)
        if len(passage.body) > validation.THREAD_BYTES:
            await asyncio.to_thread(validation.check, passage)
        else:
            validation.check(passage)
        if method.settings.cache_ttl_s:
            return await self._cached(passage)
        return await self.integrations.run(passage)

    def _route(self, passage: Passage) -> None:
        """gateway-061: a slash at the end is not looked at."""
        path = passage.path.rstrip("/") or "/"
        found = passage.served.table.match(passage.request.method, path)
        if found is None:
            raise Fault("MISSING_AUTHENTICATION_TOKEN")
        passage.method, passage.path_parameters = found
        passage.context["resourcePath"] = passage.method.path
        passage.context["resourceId"] = passage.method.resource_id

    async def _cached(self, passage: Passage) -> Response:
        """From the cache, or into it; who may, can have a fresh answer."""
        settings, key = passage.method.settings, response_cache.key_of(passage)
        is_warned = False
        if response_cache.renews(passage):
            if not settings.checks_cache_control or self.access.may_invalidate(passage):
                self.cache.drop(key)
            elif settings.cache_strategy == "FAIL_WITH_403":
                raise Fault("ACCESS_DENIED")
            else:
                is_warned = settings.cache_strategy == "SUCCEED_WITH_RESPONSE_HEADER"
        response = self.cache.get(key, passage.now_ms)
        passage.is_cached = response is not None
        if response is None:
            response = await self.integrations.run(passage)
            self.cache.put(key, response, passage.now_ms + settings.cache_ttl_s * 1000)
        if is_warned:
            response.headers.append(("warning", _IGNORED))
        return response


def _finished(response: Response, request: Request) -> Response:
    response.headers += [
        ("x-amzn-requestid", request.id),
        ("x-amz-apigw-id", extended_id(request.id)),
    ]
    return response
