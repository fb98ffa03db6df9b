"""Filter policies: which messages a subscription wants, by their attributes or by their body.

They are event patterns with limits of SNS's own. Attributes make a flat event: numbers are numbers,
a `String.Array` is the list that it says, and what is binary cannot be asked for.
https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
"""

from math import prod
from typing import Any

import orjson

from cloudlet.events.patterns import InvalidPattern, compile_pattern, matcher
from cloudlet.sns.faults import invalid

ATTRIBUTES, BODY = "MessageAttributes", "MessageBody"
_KEYS_MAX = 5
_COMBINATIONS_MAX = 150
_BYTES_MAX = 262_144
_NUMBER_MAX = 10**9
Attributes = dict[str, dict[str, str]]


def check(text: str, scope: str) -> None:
    """Raises AWS's error for what is not a filter policy; `{}` is one that filters nothing."""
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"failed to parse JSON. {error}") from None
    if not isinstance(policy, dict):
        raise _invalid("failed to parse JSON. Filter policy must be an object")
    if len(text.encode()) > _BYTES_MAX:
        raise _invalid("Filter policy is too large")
    if not policy:
        return
    try:
        compile_pattern(policy)
    except InvalidPattern as error:
        raise _invalid(str(error)) from None
    keys = _keys(policy)
    if len(keys) > _KEYS_MAX:
        raise _invalid(f"Filter policy can not have more than {_KEYS_MAX} keys")
    if scope == ATTRIBUTES and _is_nested(policy):
        raise invalid("Filter policy scope MessageAttributes does not support nested filter policy")
    if _combinations(policy, 1, scope) > _COMBINATIONS_MAX:
        raise _invalid("Filter policy is too complex")
    _check_values(policy)


def passes(text: str, scope: str, message: str, attributes: Attributes) -> bool:
    """Whether a message is wanted. One whose body is not an object matches no policy on bodies."""
    policy = orjson.loads(text)
    if not policy:
        return True
    if scope == ATTRIBUTES:
        return matcher(text)(event_of(attributes))
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(body, dict):
        return False
    return matcher(text)(body)  # sns-004: "a.b" is "b" within "a", too


def event_of(attributes: Attributes) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for name, attribute in attributes.items():
        kind, value = attribute["Type"], attribute["Value"]
        if kind.startswith("Binary"):
            continue
        event[name] = value
        if kind.startswith("Number") or kind == "String.Array":
            try:
                event[name] = orjson.loads(value)
            except orjson.JSONDecodeError:  # "1e400", ".5"
                event[name] = float(value) if kind.startswith("Number") else value
    return event


def _keys(policy: dict[str, Any]) -> set[str]:
    """The names at the top; alternatives stand for those that they have."""
    found = policy.keys() - {"$or"}
    for alternative in _alternatives(policy):
        found |= _keys(alternative)
    return set(found)


def _alternatives(policy: dict[str, Any]) -> list[dict[str, Any]]:
    given = policy.get("$or")
    is_operator = isinstance(given, list) and all(isinstance(each, dict) for each in given)
    return given if is_operator and given is not None else []


def _is_nested(policy: dict[str, Any]) -> bool:
    return any(isinstance(wanted, dict) for wanted in policy.values()) or any(
        _is_nested(each) for each in _alternatives(policy)
    )


def _combinations(policy: dict[str, Any], depth: int, scope: str) -> int:
    """sns-001: of a nested policy each value counts as often as it lies deep."""
    alternatives = _alternatives(policy)
    counts = [sum(_combinations(each, depth, scope) for each in alternatives)] * bool(alternatives)
    for name, wanted in policy.items():
        if isinstance(wanted, dict):
            counts.append(_combinations(wanted, depth + 1, scope))
        elif not (name == "$or" and alternatives):
            counts.append(len(wanted) * (depth if scope == BODY else 1))
    return prod(counts)


def _check_values(policy: Any) -> None:
    """What event patterns may say, and filter policies may not."""
    if isinstance(policy, dict):
        negated = policy.get("anything-but")
        for name in negated.keys() - {"prefix"} if isinstance(negated, dict) else ():
            raise _invalid(f"Unsupported anything-but pattern: {name}")
        policy = list(policy.values())
    if isinstance(policy, list):
        for each in policy:
            _check_values(each)
    elif isinstance(policy, int | float) and abs(policy) > _NUMBER_MAX:
        raise _invalid(f"Value of numeric must be between -{_NUMBER_MAX} and {_NUMBER_MAX}")


def _invalid(why: str) -> Any:
    return invalid(f"FilterPolicy: {why}")
