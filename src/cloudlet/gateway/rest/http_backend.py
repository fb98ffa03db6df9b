"""HTTP and HTTP_PROXY integrations: existing HTTP services behind a REST API.

https://docs.aws.amazon.com/apigateway/latest/developerguide/setup-http-integrations.html
"""

from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
)

from cloudlet.exchange import Response
from cloudlet.gateway.rest.faults import Fault, misconfigured
from cloudlet.gateway.rest.mapping import Mapped, remapped
from cloudlet.gateway.rest.passage import Passage
from cloudlet.wire import outbound

_PASSED_NOT = frozenset(("host", "content-encoding", "x-forwarded-for", "x-forwarded-port"))


async def proxy(passage: Passage, mapped: Mapped) -> Response:
    """Everything of the request goes on, with what the mappings add; the answer comes as it is."""
    headers = {
        name.lower(): value
        for name, value in passage.headers.items()
        if name.lower() not in _PASSED_NOT
    }
    mapped.headers = {**headers, **mapped.headers}
    for name, values in passage.query.items():
        given = mapped.query.get(name, [])
        mapped.query[name] = [*values, *(given if isinstance(given, list) else [given])]
    is_binary = passage.served.is_binary(passage.request.headers.get("content-type"))
    body = passage.body
    mapped.body = body if is_binary else body.decode(errors="replace").encode()
    answer = await send(passage, mapped)
    assert isinstance(answer.body, bytes)
    kind = next((v for n, v in answer.headers if n == "content-type"), None)
    if not passage.served.is_binary(kind):
        answer.body = answer.body.decode(errors="replace").encode()
    answer.headers = list(remapped(answer.headers))
    return answer


async def send(passage: Passage, mapped: Mapped) -> Response:
    """The service's answer; raises Fault where there is none in time."""
    integration = passage.method.integration
    url = address(passage, integration["uri"], mapped)
    method = integration.get("httpMethod") or "ANY"
    method = passage.request.method if method == "ANY" else method
    headers = {
        "accept": "application/json",
        "user-agent": f"AmazonAPIGateway_{passage.served.api_id}",
        **mapped.headers,
        "x-amzn-apigateway-api-id": passage.served.api_id,
        "x-amzn-trace-id": passage.trace,
    }
    kind = passage.request.headers.get("content-type")
    if kind and method not in ("GET", "HEAD", "OPTIONS"):
        headers.setdefault("content-type", kind)
    timeout_s = (integration.get("timeoutInMillis") or 29_000) / 1000
    passage.note(f"Sending request to {url}")
    try:
        answer = await outbound.in_thread(
            outbound.whole, (method, url), headers, mapped.body, timeout_s, decodes=True
        )
    except (LocationValueError, NameResolutionError) as error:
        raise misconfigured(f"Invalid endpoint address: {error}") from None
    except HTTPError as error:
        is_late = isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
            error, NewConnectionError
        )
        kind = "INTEGRATION_TIMEOUT" if is_late else "INTEGRATION_FAILURE"
        raise Fault(kind, reason=str(error)) from None
    except ValueError as error:  # too large, or a header that HTTP cannot carry
        raise misconfigured(str(error)) from None
    answer.headers = [header for header in answer.headers if header[0] != "content-encoding"]
    return answer


def address(passage: Passage, uri: str, mapped: Mapped) -> str:
    """The URI with stage variables, path parameters and the mapped query string."""
    url = passage.served.with_variables(uri)
    for name, value in mapped.path.items():
        url = url.replace("{" + name + "}", quote(value, safe="/%:@!$&'()*+,;=-._~"))
    query = urlencode(mapped.query, doseq=True)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url
