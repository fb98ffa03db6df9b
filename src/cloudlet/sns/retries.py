"""How often and how long a delivery is tried again: delivery policies.

Four phases follow the first attempt: at once, at the least delay, with delays that grow, at the
greatest. Endpoints that AWS runs (queues, functions) have a policy of their own; that of HTTP(S)
endpoints is the topic's, or the subscription's.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

import math
from collections.abc import Callable
from typing import Any

import orjson

from cloudlet.sns.faults import invalid

Policy = dict[str, Any]
_HTTP: Policy = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
MANAGED: Policy = {
    "minDelayTarget": 1,
    "maxDelayTarget": 20,
    "numRetries": 100_015,
    "numMaxDelayRetries": 100_000,
    "numNoDelayRetries": 3,
    "numMinDelayRetries": 2,
    "backoffFunction": "exponential",
}
_THROTTLES = ("throttlePolicy", "defaultThrottlePolicy")  # of a subscription, of a topic
_RATE = "maxReceivesPerSecond"
_AGE_MAX_S = 3600  # of a message on its way to an HTTP(S) endpoint
# how far on its way from the least delay to the greatest, of steps 1 … n
_BACK_OFF: dict[str, Callable[[int, int], float]] = {
    "linear": lambda step, n: step / n,
    "arithmetic": lambda step, n: step * (step + 1) / (n * (n + 1)),
    "geometric": lambda step, n: (2**step - 1) / (2**n - 1) if n < 64 else 2.0 ** (step - n),
    "exponential": lambda step, n: (
        math.expm1(step) / math.expm1(n) if n < 64 else math.exp(step - n)
    ),
}
CONTENT_TYPE = "text/plain; charset=UTF-8"
_CONTENT_TYPES = (
    "application/json", "application/xml", "application/soap+xml", "text/plain", "text/html",
    "text/xml", "text/css", "text/csv", "text/javascript",
    "application/octet-stream", "application/x-www-form-urlencoded",
)  # fmt: skip


def delay_s(policy: Policy, failed: int) -> float | None:
    """The wait after so many failed attempts; None: enough."""
    if failed > policy["numRetries"]:
        return None
    at_once, least = policy["numNoDelayRetries"], policy["numMinDelayRetries"]
    most = policy["numMaxDelayRetries"]
    low, high = float(policy["minDelayTarget"]), float(policy["maxDelayTarget"])
    growing = policy["numRetries"] - at_once - least - most
    if failed <= at_once:
        return 0.0
    if failed <= at_once + least:
        return low
    step = failed - at_once - least
    if step > growing:
        return high
    return low + (high - low) * _BACK_OFF[policy["backoffFunction"]](step, growing)


def effective(topic: dict[str, str], subscription: dict[str, str] | None = None) -> Policy:
    """What holds of HTTP(S): of a topic, `{"http": …}`; of a subscription its own terms."""
    http = orjson.loads(topic.get("DeliveryPolicy") or "{}").get("http") or {}
    retry = {**_HTTP, **(http.get("defaultHealthyRetryPolicy") or {})}
    request = {"headerContentType": CONTENT_TYPE, **(http.get("defaultRequestPolicy") or {})}
    is_fixed, throttle = bool(http.get("disableSubscriptionOverrides")), http.get(_THROTTLES[1])
    if subscription is None:
        terms = {
            "defaultHealthyRetryPolicy": retry,
            "disableSubscriptionOverrides": is_fixed,
            "defaultRequestPolicy": request,
        }
        return {"http": terms | ({_THROTTLES[1]: throttle} if throttle else {})}
    own = orjson.loads(subscription.get("DeliveryPolicy") or "{}") if not is_fixed else {}
    throttle = own.get(_THROTTLES[0]) or throttle
    terms = {
        "healthyRetryPolicy": {**retry, **(own.get("healthyRetryPolicy") or {})},
        "requestPolicy": {**request, **(own.get("requestPolicy") or {})},
    }
    return terms | ({_THROTTLES[0]: throttle} if throttle else {})


def interval_s(policy: Policy) -> float:
    """What is between two messages to an endpoint at least."""
    throttle = policy.get(_THROTTLES[0])
    return 1 / throttle[_RATE] if throttle else 0.0


def check_topic(text: str) -> None:
    document = _object(text)
    unknown = document.keys() - {"http"}
    if unknown:
        raise invalid(f"DeliveryPolicy: unexpected JSON member: {min(unknown)}")
    http = document.get("http") or {}
    allowed = {
        "defaultHealthyRetryPolicy", "disableSubscriptionOverrides", "defaultThrottlePolicy",
        "defaultRequestPolicy",
    }  # fmt: skip
    _check(http, allowed, "defaultHealthyRetryPolicy", "defaultRequestPolicy")


def check_subscription(text: str) -> None:
    document = _object(text)
    allowed = {"healthyRetryPolicy", "requestPolicy", "throttlePolicy"}
    _check(document, allowed, "healthyRetryPolicy", "requestPolicy")


def _object(text: str) -> Policy:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid("DeliveryPolicy: failed to parse JSON.") from None
    if not isinstance(document, dict):
        raise invalid("DeliveryPolicy: must be a JSON object")
    return document


def _check(document: Policy, allowed: set[str], retry: str, request: str) -> None:
    # AWS's own effective policies, copied, have members that say nothing
    if unknown := {name for name, value in document.items() if value} - allowed:
        raise invalid(f"DeliveryPolicy: unexpected JSON member: {min(unknown)}")
    kind = str((document.get(request) or {}).get("headerContentType", CONTENT_TYPE))
    if kind.partition(";")[0].strip() not in _CONTENT_TYPES:
        raise invalid(f"DeliveryPolicy: {request}.headerContentType is not supported")
    _check_retry({**_HTTP, **(document.get(retry) or {})}, retry)
    for name in _THROTTLES:
        throttle = document.get(name)
        rate = throttle.get(_RATE) if isinstance(throttle, dict) else None
        if throttle and (not isinstance(rate, int) or rate < 1):
            raise invalid(f"DeliveryPolicy: {name}.{_RATE} must be greater than or equal to 1")


def _check_retry(policy: Policy, where: str) -> None:
    if unknown := policy.keys() - _HTTP.keys():
        raise invalid(f"DeliveryPolicy: unexpected JSON member: {min(unknown)}")
    for name, value in policy.items():
        most = 100 if name == "numRetries" else _AGE_MAX_S
        if name == "backoffFunction":
            if value not in _BACK_OFF:
                raise invalid(f"DeliveryPolicy: {where}.backoffFunction is not supported")
        elif not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise invalid(f"DeliveryPolicy: {where}.{name} must be between 0 and {most}")
    if policy["minDelayTarget"] < 1:
        raise invalid(f"DeliveryPolicy: {where}.minDelayTarget must be at least 1")
    if policy["minDelayTarget"] > policy["maxDelayTarget"]:
        raise invalid(
            f"DeliveryPolicy: {where}.maxDelayTarget must be greater than or equal to"
            " minDelayTarget"
        )
    phases = ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")
    if sum(policy[name] for name in phases) > policy["numRetries"]:
        raise invalid(
            f"DeliveryPolicy: {where}.numRetries must be greater than or equal to the sum of"
            " numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries"
        )
