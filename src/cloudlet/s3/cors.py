"""Cross-origin rules of buckets: configuring them, preflights, and headers of answers.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from fnmatch import translate
from re import IGNORECASE, fullmatch
from typing import Any

from cloudlet.call import Call, Cloud, Output, Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.s3 import faults
from cloudlet.s3.bucket import drop_setting, of_call, of_name, put_setting, setting
from cloudlet.store.database import Transaction, View
from cloudlet.wire.faults import signs
from cloudlet.wire.protocol import s3_path

RULES_MAX = 100
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_VARY = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
Rule = dict[str, Any]
Headers = list[tuple[str, str]]


def put_bucket_cors(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    rules = (call.params.get("CORSConfiguration") or {}).get("CORSRules") or []
    if not 1 <= len(rules) <= RULES_MAX:
        raise faults.malformed_xml()
    for rule in rules:
        _check(rule)
    put_setting(tx, bucket.id, "cors", rules)


def get_bucket_cors(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    rules = setting(view, bucket.id, "cors")
    if not rules:
        raise AwsError(
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
            404,
            BucketName=bucket.name,
        )
    return {"CORSRules": rules}


def delete_bucket_cors(call: Call, tx: Transaction) -> Result:
    drop_setting(tx, of_call(call, tx).id, "cors")
    return Result({}, 204)


def _check(rule: Rule) -> None:
    if not rule.get("AllowedMethods") or not rule.get("AllowedOrigins"):
        raise faults.malformed_xml()
    for method in rule["AllowedMethods"]:
        if method not in _METHODS:
            raise faults.invalid_request(
                f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )
    for name in ("AllowedOrigins", "AllowedHeaders"):
        for value in rule.get(name, []):
            if value.count("*") > 1:
                kind = name.removesuffix("s")
                raise faults.invalid_request(
                    f'{kind} "{value}" can not have more than one wildcard.'
                )
    for value in rule.get("ExposeHeaders", []):
        if "*" in value:
            raise faults.invalid_request(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard '
                "for ExposeHeader."
            )


def preflight(cloud: Cloud, request: Request, bucket: str) -> Response:
    """The answer to OPTIONS. It needs no credentials and doesn't say whether an object exists."""
    origin = request.headers.get("origin")
    method = request.headers.get("access-control-request-method", "")
    if not origin:
        text = "Insufficient information. Origin request header needed."
        raise AwsError("BadRequest", text, 400, _headers=[("Connection", "close")])
    rules = _rules(cloud, bucket)
    if rules is None:
        raise _forbidden(request, "Bucket not found", "BUCKET")
    if not rules:
        raise _forbidden(request, "CORS is not enabled for this bucket.", "BUCKET")
    if method not in _METHODS:
        what = "Invalid Access-Control-Request-Method: " + (method or "null")
        raise AwsError("BadRequest", what, 400)
    asked = _names(request.headers.get("access-control-request-headers", ""))
    for rule in rules:
        if _fits(rule, origin, method) and all(_allows(rule, name) for name in asked):
            return Response(200, [*_granted(rule, origin, asked), *signs(request.id)])
    is_object = s3_path(request).partition("/")[2].partition("/")[2]
    raise _forbidden(
        request,
        "This CORS request is not allowed. This is usually because the evalution of Origin, "
        "request method / Access-Control-Request-Method or Access-Control-Request-Headers are not "
        "whitelisted by the resource's CORS spec.",
        "OBJECT" if is_object else "BUCKET",
    )


def headers(cloud: Cloud, request: Request, bucket: str) -> Headers:
    """What an answer to a request with an Origin carries besides; [] where no rule fits.

    s3-034: a method or names that it says it would send, as a preflight does, count here, too.
    """
    origin = request.headers.get("origin")
    if not origin:
        return []
    method = request.headers.get("access-control-request-method", request.method)
    asked = _names(request.headers.get("access-control-request-headers", ""))
    for rule in _rules(cloud, bucket) or []:
        if _fits(rule, origin, method) and all(_allows(rule, name) for name in asked):
            return _granted(rule, origin, asked)
    return []


def _rules(cloud: Cloud, name: str) -> list[Rule] | None:
    with cloud.database.snapshot() as view:
        bucket = of_name(view, name)
        return None if bucket is None else setting(view, bucket.id, "cors") or []


def _names(text: str) -> list[str]:
    return [name.strip().lower() for name in text.split(",") if name.strip()]


def _matches(pattern: str, value: str) -> bool:
    literal = pattern.replace("[", "[[]").replace("?", "[?]")
    return fullmatch(translate(literal), value, IGNORECASE) is not None


def _fits(rule: Rule, origin: str, method: str) -> bool:
    return method in rule["AllowedMethods"] and any(
        _matches(pattern, origin) for pattern in rule["AllowedOrigins"]
    )


def _allows(rule: Rule, name: str) -> bool:
    return any(_matches(pattern, name) for pattern in rule.get("AllowedHeaders", []))


def _granted(rule: Rule, origin: str, asked: list[str]) -> Headers:
    everybody = "*" in rule["AllowedOrigins"]
    granted: Headers = [
        ("Access-Control-Allow-Origin", "*" if everybody else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])),
    ]
    if asked:
        granted.append(("Access-Control-Allow-Headers", ", ".join(asked)))
    if rule.get("ExposeHeaders"):
        granted.append(("Access-Control-Expose-Headers", ", ".join(rule["ExposeHeaders"])))
    if rule.get("MaxAgeSeconds") is not None:
        granted.append(("Access-Control-Max-Age", str(rule["MaxAgeSeconds"])))
    if not everybody:
        granted.append(("Access-Control-Allow-Credentials", "true"))
    return [*granted, _VARY]


def _forbidden(request: Request, message: str, kind: str) -> AwsError:
    method = request.headers.get("access-control-request-method") or request.method
    text = f"CORSResponse: {message}"
    return AwsError("AccessForbidden", text, 403, Method=method, ResourceType=kind)
