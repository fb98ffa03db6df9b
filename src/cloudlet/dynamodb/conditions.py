"""Conditions and filters: a parsed condition becomes a function of (bindings, item)."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from cloudlet.dynamodb import paths, values
from cloudlet.dynamodb.grammar import (
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Logic,
    Not,
    Operand,
    Path,
    Placeholder,
)
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Item, Value


class Bindings(NamedTuple):
    """What the placeholders of one request stand for; values are canonical."""

    names: Mapping[str, str]
    values: Mapping[str, Value]


Test = Callable[[Bindings, Item], bool]
Read = Callable[[Bindings, Item], Value | None]
_ORDERED = ("S", "N", "B")


def compile_test(condition: Condition) -> Test:
    if isinstance(condition, Logic):
        left, right = compile_test(condition.left), compile_test(condition.right)
        if condition.operator == "AND":
            return lambda b, item: left(b, item) and right(b, item)
        return lambda b, item: left(b, item) or right(b, item)
    if isinstance(condition, Not):
        inner = compile_test(condition.condition)
        return lambda b, item: not inner(b, item)
    if isinstance(condition, Comparison):
        return _comparison(condition)
    if isinstance(condition, Between):
        return _between(condition)
    if isinstance(condition, In):
        read = compile_read(condition.operand)
        choices = [compile_read(choice) for choice in condition.choices]
        return lambda b, item: (
            (value := read(b, item)) is not None
            and any(value == choice(b, item) for choice in choices)
        )
    return _function(condition)


def compile_read(operand: Operand) -> Read:
    """A function that finds an operand's value; None where the item has none."""
    if isinstance(operand, Placeholder):
        name = operand.name
        return lambda b, item: b.values[name]
    if isinstance(operand, Path):
        return _read_path(operand)
    if isinstance(operand, Function) and operand.name == "size":
        read = compile_read(operand.operands[0])
        return lambda b, item: _size(read(b, item))
    test = compile_test(cast(Condition, operand))  # in PartiQL a condition is a value, too
    return lambda b, item: {"BOOL": test(b, item)}


def _read_path(path: Path) -> Read:
    if any(isinstance(part, str) and part[0] == "#" for part in path.parts):
        return lambda b, item: paths.find(item, paths.resolve(path, b.names))
    parts = path.parts
    if len(parts) == 1:
        name = str(parts[0])
        return lambda b, item: item.get(name)
    return lambda b, item: paths.find(item, parts)


def _size(value: Value | None) -> Value | None:
    if value is None:
        return None
    ((kind, content),) = value.items()
    if kind == "B":
        return {"N": str(len(b64decode(content)))}
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(len(content))}


def _comparison(condition: Comparison) -> Test:
    left, right = compile_read(condition.left), compile_read(condition.right)
    if condition.operator == "=":
        return lambda b, item: (value := left(b, item)) is not None and value == right(b, item)
    if condition.operator == "<>":
        # dynamodb-034: what isn't there differs from everything, also from what isn't there
        return lambda b, item: (value := left(b, item)) is None or value != right(b, item)
    compare = _COMPARE[condition.operator]

    def test(b: Bindings, item: Item) -> bool:
        one, other = left(b, item), right(b, item)
        return one is not None and other is not None and compare(one, other)

    return test


def _at_most(left: Value, right: Value) -> bool:
    return values.is_less(left, right) or (left == right and values.type_of(left) in _ORDERED)


_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "<": values.is_less,
    "<=": _at_most,
    ">": lambda left, right: values.is_less(right, left),
    ">=": lambda left, right: _at_most(right, left),
}


def _between(condition: Between) -> Test:
    read, low, high = map(compile_read, (condition.operand, condition.low, condition.high))

    def test(b: Bindings, item: Item) -> bool:
        value, least, most = read(b, item), low(b, item), high(b, item)
        if value is None or least is None or most is None:
            return False
        return _at_most(least, value) and _at_most(value, most)

    return test


def _function(condition: Function) -> Test:
    reads = [compile_read(operand) for operand in condition.operands]
    first = reads[0]
    if condition.name == "attribute_exists":
        return lambda b, item: first(b, item) is not None
    if condition.name == "attribute_not_exists":
        return lambda b, item: first(b, item) is None
    second = reads[1]
    apply = _FUNCTIONS[condition.name]

    def test(b: Bindings, item: Item) -> bool:
        one, other = first(b, item), second(b, item)
        return one is not None and other is not None and apply(one, other)

    return test


def _begins_with(value: Value, prefix: Value) -> bool:
    ((kind, content),) = value.items()
    if kind != values.type_of(prefix) or kind not in ("S", "B"):
        return False
    if kind == "S":
        return bool(content.startswith(prefix["S"]))
    return b64decode(content).startswith(b64decode(prefix["B"]))


def _contains(value: Value, part: Value) -> bool:
    ((kind, content),) = value.items()
    ((part_kind, part_content),) = part.items()
    if kind == "L":
        return part in content
    if kind == part_kind == "S":
        return part_content in content
    if kind == part_kind == "B":
        return b64decode(part_content) in b64decode(content)
    return kind == part_kind + "S" and part_content in content


_FUNCTIONS: dict[str, Callable[[Value, Value], bool]] = {
    "begins_with": _begins_with,
    "contains": _contains,
    "attribute_type": lambda value, kind: values.type_of(value) == kind.get("S"),
}


def check(condition: Condition, b: Bindings) -> None:
    """Refuses what depends on the bindings: operand types, bounds, operands that are the same;
    dynamodb-075: the first such in the order of the text."""
    if isinstance(condition, Logic):
        check(condition.left, b)
        check(condition.right, b)
    elif isinstance(condition, Not):
        check(condition.condition, b)
    elif isinstance(condition, Comparison):
        _check_comparison(condition, b)
    elif isinstance(condition, Between):
        _check_between(condition, b)
    elif isinstance(condition, In):
        for operand in (condition.operand, *condition.choices):
            _check_operand(operand, b)
    else:
        _check_function(condition, b)


def _check_operand(operand: Operand, b: Bindings) -> None:
    if isinstance(operand, Placeholder):
        if operand.name not in b.values:
            raise undefined(operand.name)
    elif isinstance(operand, Function):
        _check_function(operand, b)
    elif not isinstance(operand, Path | Arithmetic):
        check(operand, b)


def undefined(value: str) -> Exception:
    return invalid(
        f"An expression attribute value used in expression is not defined; attribute value: {value}"
    )


def _check_comparison(condition: Comparison, b: Bindings) -> None:
    left, right = condition.left, condition.right
    _check_operand(left, b)
    _check_operand(right, b)
    if isinstance(left, Path) and isinstance(right, Path):
        first = paths.resolve(left, b.names)
        if first == paths.resolve(right, b.names):
            raise invalid(
                "The first operand must be distinct from the remaining operands for this operator"
                f" or function; operator: {condition.operator}, first operand: {paths.shown(first)}"
            )
    if condition.operator not in ("=", "<>"):
        for operand in (left, right):
            _check_type(operand, b, _ORDERED, condition.operator)


def _check_between(condition: Between, b: Bindings) -> None:
    for operand in condition:
        _check_operand(operand, b)
        _check_type(operand, b, _ORDERED, "BETWEEN")
    if not (isinstance(condition.low, Placeholder) and isinstance(condition.high, Placeholder)):
        return
    low, high = b.values[condition.low.name], b.values[condition.high.name]
    bounds = f"lower bound operand: {_shown(low)}, upper bound operand: {_shown(high)}"
    if values.type_of(low) != values.type_of(high):
        raise invalid(
            f"The BETWEEN operator requires same data type for lower and upper bounds; {bounds}"
        )
    if values.is_less(high, low):
        raise invalid(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound;"
            f" {bounds}"
        )


def _check_function(function: Function, b: Bindings) -> None:
    name, operands = function.name, function.operands
    for operand in operands:
        _check_operand(operand, b)
    if name in ("attribute_exists", "attribute_not_exists") and not isinstance(operands[0], Path):
        raise invalid(
            "Operator or function requires a document path; operator or function: " + name
        )
    if name == "begins_with":
        for operand in operands:
            _check_type(operand, b, ("S", "B"), name)
    elif name == "size":
        if isinstance(operands[0], Function):  # a size is a number, which has none
            raise invalid(
                "Incorrect operand type for operator or function; operator or function: size,"
                " operand type: N"
            )
        _check_type(operands[0], b, ("S", "B", "SS", "NS", "BS", "L", "M"), name)
    elif name == "attribute_type":
        _check_attribute_type(operands[1], b)
    if name == "contains" and isinstance(operands[0], Path) and operands[0] == operands[1]:
        raise invalid(
            "The first operand must be distinct from the remaining operands for this operator or"
            f" function; operator: {name}, first operand:"
            f" {paths.shown(paths.resolve(operands[0], b.names))}"
        )


def _check_attribute_type(operand: Operand, b: Bindings) -> None:
    if not isinstance(operand, Placeholder):
        raise invalid(
            "Operator or function requires an expression attribute value; operator or function:"
            " attribute_type"
        )
    _check_type(operand, b, ("S",), "attribute_type")
    if isinstance(operand, Placeholder):
        name = b.values[operand.name]["S"]
        if name not in values.TYPES:
            raise invalid(
                f"Invalid attribute type name found; type: {name}, valid types:"
                " {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
            )


def _check_type(operand: Operand, b: Bindings, allowed: tuple[str, ...], name: str) -> None:
    if not isinstance(operand, Placeholder):
        return
    kind = values.type_of(b.values[operand.name])
    if kind not in allowed:
        raise invalid(
            "Incorrect operand type for operator or function; operator or function:"
            f" {name}, operand type: {kind}"
        )


def _shown(value: Value) -> str:
    ((kind, content),) = value.items()
    shown: Any = content
    return f"AttributeValue: {{{kind}:{shown}}}"
