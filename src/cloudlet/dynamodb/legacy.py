"""Parameters from before expressions, turned into the trees that expressions have.

`Expected`, `AttributeUpdates`, `KeyConditions`, `QueryFilter`, `ScanFilter` and `AttributesToGet`
become a condition, actions, a key condition, a filter and a projection, with placeholders of our
own. So there is one evaluator; here are only the legacy rules of what may be said, and how.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from cloudlet.call import Params
from cloudlet.dynamodb import values
from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.grammar import (
    Action,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Logic,
    Not,
    Path,
    Placeholder,
    Tree,
)
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Value

_WRONG = "One or more parameter values were invalid: "
# Legacy parameter → the expression it stands for
_KINDS = {
    "AttributesToGet": "ProjectionExpression",
    "AttributeUpdates": "UpdateExpression",
    "ConditionalOperator": "",
    "Expected": "ConditionExpression",
    "KeyConditions": "KeyConditionExpression",
    "QueryFilter": "FilterExpression",
    "ScanFilter": "FilterExpression",
}
NAMES = frozenset(_KINDS)
_SCALARS = ("S", "N", "B")
_COMPARATORS = {"EQ": "=", "NE": "<>", "LE": "<=", "LT": "<", "GE": ">=", "GT": ">"}
_INDEXABLE = ("EQ", "LE", "LT", "GE", "GT", "BEGINS_WITH", "BETWEEN")
# How many values an operator takes (1 unless told), and of which types (any unless told)
_ARGUMENTS = {"NULL": (0, 0), "NOT_NULL": (0, 0), "BETWEEN": (2, 2), "IN": (1, 100)}
_ALLOWED = {
    **dict.fromkeys(("LE", "LT", "GE", "GT", "BETWEEN", "IN"), _SCALARS),
    **dict.fromkeys(("CONTAINS", "NOT_CONTAINS"), (*_SCALARS, "BOOL", "NULL")),
    "BEGINS_WITH": ("S", "B"),
}


def translated(params: Params) -> tuple[dict[str, Tree], Bindings]:
    """Kind of expression → its tree, and what the trees' placeholders stand for."""
    _check_alone(params)
    translation = _Translation()
    trees: dict[str, Tree] = {}
    operator = params.get("ConditionalOperator")
    if operator is not None and not any(
        params.get(name) for name in ("Expected", "QueryFilter", "ScanFilter")
    ):
        raise invalid("ConditionalOperator cannot be used without Filter or Expected")
    for name, kind in _KINDS.items():
        given = params.get(name)
        if given is None or not kind:
            continue
        if name == "AttributesToGet":
            trees[kind] = translation.projection(given)
        elif name == "AttributeUpdates":
            trees[kind] = translation.updates(given)
        elif name == "KeyConditions":
            trees[kind] = _joined("AND", translation.key_conditions(given))
        elif given:
            make = translation.expected if name == "Expected" else translation.condition
            conditions = [make(attribute, each) for attribute, each in given.items()]
            trees[kind] = _joined(operator or "AND", conditions)
    return trees, Bindings(translation.names, translation.values)


def _check_alone(params: Params) -> None:
    new = [kind for kind in dict.fromkeys(_KINDS.values()) if params.get(kind) is not None]
    old = [name for name in _KINDS if params.get(name) is not None]
    if old == ["KeyConditions"] and new != ["KeyConditionExpression"]:
        return  # dynamodb-032: these alone may stand beside expressions
    if new:
        raise invalid(
            "Can not use both expression and non-expression parameters in the same request:"
            f" Non-expression parameters: {{{', '.join(old)}}}"
            f" Expression parameters: {{{', '.join(new)}}}"
        )
    for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        if params.get(name) is not None:
            raise invalid(f"{name} can only be specified when using expressions")


def _joined(operator: str, conditions: Sequence[Condition]) -> Condition:
    """A tree that is no deeper than it must: there may be many."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return Logic(
        operator, _joined(operator, conditions[:half]), _joined(operator, conditions[half:])
    )


class _Translation:
    """Makes trees and gathers what their placeholders stand for."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Value] = {}
        self._numbers = count()

    def _path(self, attribute: str) -> Path:
        """A whole attribute: dots and brackets mean nothing in legacy names."""
        if not attribute:
            raise values.empty_name()
        name = f"#.{next(self._numbers)}"  # the dot: no request has such a placeholder
        self.names[name] = attribute
        return Path((name,))

    def _value(self, value: Value) -> Placeholder:
        name = f":.{next(self._numbers)}"
        self.values[name] = value
        return Placeholder(name)

    def projection(self, names: list[str]) -> tuple[Path, ...]:
        for name, times in Counter(names).items():
            if times > 1:
                raise invalid(f"{_WRONG}Duplicate value in attribute name: {name}")
        return tuple(map(self._path, names))

    # Updates

    def updates(self, given: dict[str, Any]) -> tuple[Action, ...]:
        return tuple(self._action(attribute, update) for attribute, update in given.items())

    def _action(self, attribute: str, update: dict[str, Any]) -> Action:
        action, value = update.get("Action", "PUT"), update.get("Value")
        path = self._path(attribute)
        if value is None:
            if action != "DELETE":
                raise invalid(
                    f"{_WRONG}Only DELETE action is allowed when no attribute value is specified"
                )
            return Action("REMOVE", path)
        value = values.canonical(value)[0]
        kind = values.type_of(value)
        allowed = {"ADD": ("N", "SS", "NS", "BS", "L"), "DELETE": ("SS", "NS", "BS")}.get(action)
        if allowed is not None and kind not in allowed:
            verb = "ADD action" if action == "ADD" else "DELETE action with value"
            raise invalid(f"{_WRONG}{verb} is not supported for the type {_shown(kind)}")
        return Action("SET" if action == "PUT" else action, path, self._value(value))

    # Conditions

    def key_conditions(self, given: dict[str, Any]) -> list[Condition]:
        if not given:
            raise invalid("Conditions can be of length 1 or 2 only")
        for condition in given.values():
            if condition["ComparisonOperator"] not in _INDEXABLE:
                raise invalid("Attempted conditional constraint is not an indexable operation")
        return [self.condition(attribute, condition) for attribute, condition in given.items()]

    def expected(self, attribute: str, given: dict[str, Any]) -> Condition:
        """One of: an operator with values, a value, or that there is none."""
        operator, value, exists = (
            given.get(name) for name in ("ComparisonOperator", "Value", "Exists")
        )
        listed = given.get("AttributeValueList")
        of = f"for Attribute: {attribute}"
        if operator is not None:
            if exists is not None:
                raise invalid(f"{_WRONG}Exists and ComparisonOperator cannot be used together {of}")
            if value is not None and listed is not None:
                raise invalid(f"{_WRONG}Value and AttributeValueList cannot be used together {of}")
            listed = [value] if value is not None else listed
            if listed is None and operator not in ("NULL", "NOT_NULL"):
                raise invalid(
                    f"{_WRONG}Value or AttributeValueList must be used with ComparisonOperator:"
                    f" {operator} {of}"
                )
            return self.condition(attribute, {**given, "AttributeValueList": listed or []})
        if listed is not None:
            raise invalid(
                f"{_WRONG}AttributeValueList can only be used with a ComparisonOperator {of}"
            )
        if exists is False:
            if value is not None:
                raise invalid(f"{_WRONG}Value cannot be used when Exists is false {of}")
            return self.condition(attribute, {"ComparisonOperator": "NULL"})
        if value is None:
            when = "true" if exists else "null"
            raise invalid(f"{_WRONG}Value must be provided when Exists is {when} {of}")
        return self.condition(
            attribute, {"ComparisonOperator": "EQ", "AttributeValueList": [value]}
        )

    def condition(self, attribute: str, given: dict[str, Any]) -> Condition:
        operator = given["ComparisonOperator"]
        operands = [values.canonical(each)[0] for each in given.get("AttributeValueList") or ()]
        _check_operands(operator, operands)
        path, placeholders = self._path(attribute), tuple(map(self._value, operands))
        if operator in _COMPARATORS:
            return Comparison(_COMPARATORS[operator], path, placeholders[0])
        return _MAKE[operator](path, *placeholders)


_MAKE: dict[str, Callable[..., Condition]] = {
    "NULL": lambda path: Function("attribute_not_exists", (path,)),
    "NOT_NULL": lambda path: Function("attribute_exists", (path,)),
    "BEGINS_WITH": lambda path, value: Function("begins_with", (path, value)),
    "CONTAINS": lambda path, value: Function("contains", (path, value)),
    # dynamodb-033: of an attribute that isn't there neither CONTAINS nor NOT_CONTAINS holds
    "NOT_CONTAINS": lambda path, value: Logic(
        "AND", Function("attribute_exists", (path,)), Not(Function("contains", (path, value)))
    ),
    "BETWEEN": Between,
    "IN": lambda path, *choices: In(path, choices),
}


def _check_operands(operator: str, operands: Sequence[Value]) -> None:
    least, most = _ARGUMENTS.get(operator, (1, 1))
    if not least <= len(operands) <= most:
        raise invalid(
            f"{_WRONG}Invalid number of argument(s) for the {operator} ComparisonOperator"
        )
    kinds = list(map(values.type_of, operands))
    for kind in kinds:
        if kind not in _ALLOWED.get(operator, (kind,)):
            raise invalid(
                f"{_WRONG}ComparisonOperator {operator} is not valid for {kind} AttributeValue type"
            )
    if operator in ("BETWEEN", "IN") and len(set(kinds)) > 1:
        raise invalid(
            f"{_WRONG}AttributeValues inside AttributeValueList must all be of the same type"
        )
    if operator == "BETWEEN" and values.is_less(operands[1], operands[0]):
        raise invalid(
            "The BETWEEN condition was provided a range where the lower bound is greater than the"
            " upper bound"
        )


def _shown(kind: str) -> str:
    return {"S": "STRING", "B": "BINARY", "M": "MAP", "L": "LIST", "BOOL": "BOOLEAN"}.get(
        kind, kind
    )
