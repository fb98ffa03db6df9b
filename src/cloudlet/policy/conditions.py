"""The Condition block of a policy statement: operators over the request's condition keys.

All operators and all keys of a block must hold; of several values in the policy one suffices (for
negated operators: none may match). A key the request doesn't have fails a positive operator and
satisfies a negated or …IfExists one.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import base64
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cloudlet.policy import patterns
from cloudlet.policy.patterns import Values

Comparison = Callable[[str, str], bool]  # (the request's value, the policy's) → do they match
_ALL, _ANY = "ForAllValues:", "ForAnyValue:"


class UnknownOperator(ValueError):
    """A policy that no evaluation can make sense of."""


@dataclass(frozen=True, slots=True)
class Test:
    """One operator applied to one key."""

    key: str  # in lower case
    wanted: tuple[str, ...]
    compare: Comparison
    is_negated: bool
    if_exists: bool
    quantifier: str
    is_null: bool = False
    has_wildcards: bool = False
    has_variables: bool = True

    def holds(self, values: Values) -> bool:
        given = values.get(self.key)
        if self.is_null:
            return any((given is None) == (text.lower() == "true") for text in self.wanted)
        if given is None or (isinstance(given, list | tuple) and not given):
            return self._holds_without()
        items = (
            [_text(item) for item in given] if isinstance(given, list | tuple) else ([_text(given)])
        )
        wanted = self._wanted(values)
        results = [
            any(_safely(self.compare, item, text) for text in wanted) != self.is_negated
            for item in items
        ]
        if self.quantifier == _ALL or (self.is_negated and not self.quantifier):
            return all(results)
        return any(results)

    def _holds_without(self) -> bool:
        if self.quantifier == _ANY:
            return self.if_exists
        return self.if_exists or self.is_negated or self.quantifier == _ALL

    def _wanted(self, values: Values) -> list[str]:
        texts = []
        for text in self.wanted:
            known: str | None = text
            if self.has_variables and patterns.has_variables(text):
                known = patterns.substitute(text, values)
                if known is not None and not self.has_wildcards:
                    known = patterns.unescape(known)
            if known is not None:
                texts.append(known)
        return texts


def tests(block: Mapping[str, Mapping[str, Any]], has_variables: bool = True) -> tuple[Test, ...]:
    """Compiles a Condition block; raises UnknownOperator."""
    found = []
    for operator, keys in block.items():
        for key, wanted in keys.items():
            items = wanted if isinstance(wanted, list | tuple) else [wanted]
            test = _test(operator, key.lower(), tuple(_text(item) for item in items))
            found.append(replace(test, has_variables=has_variables))
    return tuple(found)


def _test(operator: str, key: str, wanted: tuple[str, ...]) -> Test:
    quantifier, name = "", operator
    for prefix in (_ALL, _ANY):
        if name.lower().startswith(prefix.lower()):
            quantifier, name = prefix, name[len(prefix) :]
    name = name.lower()
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    if name == "null" and not if_exists:
        return Test(key, wanted, str.__eq__, False, False, quantifier, is_null=True)
    is_negated = name in _NEGATED
    compare = _OPERATORS.get(_NEGATED.get(name, name))
    if compare is None:
        raise UnknownOperator(operator)
    wild = compare in (_like, _arn)
    return Test(key, wanted, compare, is_negated, if_exists, quantifier, has_wildcards=wild)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _safely(compare: Comparison, given: str, wanted: str) -> bool:
    """Values of the wrong form (a number that is none) match nothing."""
    try:
        return compare(given, wanted)
    except ValueError:
        return False


def _same_ignoring_case(given: str, wanted: str) -> bool:
    return given.lower() == wanted.lower()


def _like(given: str, wanted: str) -> bool:
    return patterns.glob(wanted)(given)


def _arn(given: str, wanted: str) -> bool:
    return patterns.arn(wanted)(given)


def _binary(given: str, wanted: str) -> bool:
    return base64.b64decode(given, validate=True) == base64.b64decode(wanted, validate=True)


def _ip(given: str, wanted: str) -> bool:
    return ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False)


def _number(compare: Callable[[float, float], bool]) -> Comparison:
    return lambda given, wanted: compare(float(given), float(wanted))


def _date(compare: Callable[[float, float], bool]) -> Comparison:
    return lambda given, wanted: compare(_epoch_s(given), _epoch_s(wanted))


def _epoch_s(text: str) -> float:
    """One of W3C's ISO 8601 profiles, or epoch seconds."""
    if text.replace(".", "", 1).isdecimal() and len(text) != 4:
        return float(text)
    moment = datetime.fromisoformat(text + _REST_OF_DATE.get(len(text), ""))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_REST_OF_DATE = {4: "-01-01", 7: "-01"}  # of "2026" and "2026-11"
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "equals": lambda a, b: a == b,
    "lessthan": lambda a, b: a < b,
    "lessthanequals": lambda a, b: a <= b,
    "greaterthan": lambda a, b: a > b,
    "greaterthanequals": lambda a, b: a >= b,
}
_OPERATORS: Mapping[str, Comparison] = {
    "stringequals": str.__eq__,
    "stringequalsignorecase": _same_ignoring_case,
    "stringlike": _like,
    "bool": _same_ignoring_case,
    "binaryequals": _binary,
    "ipaddress": _ip,
    "arnequals": _arn,
    "arnlike": _arn,
    **{f"numeric{name}": _number(compare) for name, compare in _ORDERS.items()},
    **{f"date{name}": _date(compare) for name, compare in _ORDERS.items()},
}
_NEGATED: Mapping[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
