"""CORS of an HTTP API: answers to preflights, and headers on every other answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from typing import Any

from cloudlet.exchange import Request, Response

Cors = dict[str, Any]


def is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and "origin" in request.headers
        and "access-control-request-method" in request.headers
    )


def preflight(cors: Cors, request: Request) -> Response:
    """204 always; without CORS headers if the origin or the method is not allowed."""
    headers = _origin_headers(cors, request)
    methods = cors.get("AllowMethods") or []
    wanted = request.headers["access-control-request-method"]
    if headers and ("*" in methods or wanted in methods):
        if methods:
            headers.append(("access-control-allow-methods", ",".join(methods)))
        if cors.get("AllowHeaders"):
            headers.append(("access-control-allow-headers", _allowed_headers(cors, request)))
        if cors.get("MaxAge") is not None:
            headers.append(("access-control-max-age", str(cors["MaxAge"])))
        return Response(204, headers)
    return Response(204)


def decorate(cors: Cors, request: Request, response: Response) -> Response:
    """API Gateway's CORS headers replace those of the integration."""
    kept = [h for h in response.headers if not h[0].startswith("access-control-")]
    headers = _origin_headers(cors, request)
    if headers and cors.get("ExposeHeaders"):
        headers.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    response.headers = kept + headers
    return response


def _allowed_headers(cors: Cors, request: Request) -> str:
    allowed = cors["AllowHeaders"]
    if "*" in allowed and cors.get("AllowCredentials"):  # browsers don't take * with credentials
        return request.headers.get("access-control-request-headers", "*")
    return ",".join(allowed)


def _origin_headers(cors: Cors, request: Request) -> list[tuple[str, str]]:
    origin = request.headers.get("origin")
    origins = cors.get("AllowOrigins") or []
    if not origin or not any(_allows(pattern, origin) for pattern in origins):
        return []
    if "*" in origins:
        headers = [("access-control-allow-origin", "*")]
    else:
        headers = [("access-control-allow-origin", origin), ("vary", "Origin")]
    if cors.get("AllowCredentials"):
        headers.append(("access-control-allow-credentials", "true"))
    return headers


def _allows(pattern: str, origin: str) -> bool:
    if pattern == "*":
        return True
    if pattern.endswith("://*"):  # https://* allows every origin of the scheme
        return origin.lower().startswith(pattern[:-1].lower())
    return pattern.lower() == origin.lower()
