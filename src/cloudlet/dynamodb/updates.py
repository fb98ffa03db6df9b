"""Update expressions applied to items.

All operands are read from the item as it was; then SET, ADD, DELETE change it, and REMOVE comes
last, from the highest list index down, so that indexes mean the list as it was.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

from itertools import pairwise
from typing import Any

import orjson

from cloudlet.dynamodb import numerics, paths, values
from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.grammar import Action, Arithmetic, Function, Operand, Path, Placeholder
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.paths import Parts
from cloudlet.dynamodb.values import Item, Value

WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_NO_PLACE = "The document path provided in the update expression is invalid for update"
_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "M": "MAP",
    "L": "LIST",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
}


def check(actions: tuple[Action, ...], b: Bindings) -> None:
    """Refuses what depends on the bindings: overlapping paths, operand types."""
    for action in actions:
        if isinstance(action.operand, Placeholder) and action.section in ("ADD", "DELETE"):
            _check_set_operand(action, b)
        elif action.operand is not None:
            _check_operand(action.operand, b)
    paths.check_overlap([paths.resolve(action.path, b.names) for action in actions])


def _check_set_operand(action: Action, b: Bindings) -> None:
    assert isinstance(action.operand, Placeholder)
    kind = values.type_of(b.values[action.operand.name])
    if kind not in ("SS", "NS", "BS") and not (action.section == "ADD" and kind == "N"):
        raise invalid(
            f"Incorrect operand type for operator or function; operator: {action.section},"
            f" operand type: {_TYPE_NAMES[kind]}, typeSet: ALLOWED_FOR_{action.section}_OPERAND"
        )


def _check_operand(operand: Operand, b: Bindings) -> None:
    if isinstance(operand, Arithmetic):
        for side in (operand.left, operand.right):
            _check_kind(side, b, "N", operand.operator)
            _check_operand(side, b)
    elif isinstance(operand, Function):
        if operand.name == "if_not_exists" and not isinstance(operand.operands[0], Path):
            raise invalid(
                "Operator or function requires a document path; operator or function: if_not_exists"
            )
        for each in operand.operands:
            if operand.name == "list_append":
                _check_kind(each, b, "L", operand.name)
            _check_operand(each, b)


def _check_kind(operand: Operand, b: Bindings, kind: str, name: str) -> None:
    if isinstance(operand, Placeholder) and values.type_of(b.values[operand.name]) != kind:
        raise invalid(
            "Incorrect operand type for operator or function; operator or function:"
            f" {name}, operand type: {values.type_of(b.values[operand.name])}"
        )


def apply(actions: tuple[Action, ...], b: Bindings, old: Item) -> Item:
    """The item after the update; `old` stays as it is, and shares what is not touched."""
    located = [(action, paths.resolve(action.path, b.names)) for action in actions]
    item = dict(old)
    for name in {parts[0] for _, parts in located if len(parts) > 1}.intersection(old):
        item[str(name)] = orjson.loads(orjson.dumps(old[str(name)]))
    changes = [
        (parts, _result(action, parts, b, old))
        for action, parts in located
        if action.section != "REMOVE"
    ]
    removals = [parts for action, parts in located if action.section == "REMOVE"]
    for parts, value in sorted(changes, key=lambda change: _indexes(change[0])):
        if value is not None:
            _put(item, parts, value)
        elif paths.find(item, parts) is not None:
            removals.append(parts)
    for parts in sorted(removals, key=_indexes, reverse=True):
        _remove(item, parts)
    return item


def touched(actions: tuple[Action, ...], b: Bindings) -> list[Parts]:
    return [paths.resolve(action.path, b.names) for action in actions]


def _indexes(parts: Parts) -> tuple[tuple[bool, Any], ...]:
    return tuple((isinstance(part, str), part) for part in parts)


def _result(action: Action, parts: Parts, b: Bindings, old: Item) -> Value | None:
    assert action.operand is not None
    if action.section == "SET":
        return _evaluate(action.operand, b, old)
    assert isinstance(action.operand, Placeholder)
    operand = b.values[action.operand.name]
    current = paths.find(old, parts)
    return _add(current, operand) if action.section == "ADD" else _subtract(current, operand)


def _evaluate(operand: Operand, b: Bindings, old: Item) -> Value:
    if isinstance(operand, Placeholder):
        return b.values[operand.name]
    if isinstance(operand, Path):
        value = paths.find(old, paths.resolve(operand, b.names))
        if value is None:
            raise invalid(
                "The provided expression refers to an attribute that does not exist in the item"
            )
        return value
    if isinstance(operand, Arithmetic):
        left, right = _evaluate(operand.left, b, old), _evaluate(operand.right, b, old)
        if "N" not in left or "N" not in right:
            raise invalid(WRONG_TYPE)
        calculate = numerics.add if operand.operator == "+" else numerics.subtract
        return {"N": calculate(left["N"], right["N"])}
    return _call(operand, b, old)


def _call(function: Function, b: Bindings, old: Item) -> Value:
    first, second = function.operands
    if function.name == "if_not_exists":
        assert isinstance(first, Path)
        value = paths.find(old, paths.resolve(first, b.names))
        return _evaluate(second, b, old) if value is None else value
    left, right = _evaluate(first, b, old), _evaluate(second, b, old)
    if "L" not in left or "L" not in right:
        raise invalid(WRONG_TYPE)
    return {"L": [*left["L"], *right["L"]]}


def _add(current: Value | None, operand: Value) -> Value:
    if current is None:
        return operand
    ((kind, content),) = operand.items()
    if kind not in current:
        raise invalid(WRONG_TYPE)
    if kind == "N":
        return {"N": numerics.add(current["N"], content)}
    if kind == "L":  # dynamodb-030: only AttributeUpdates can add to lists
        return {"L": [*current["L"], *content]}
    return {kind: values.sorted_set(kind, {*current[kind], *content})}


def _subtract(current: Value | None, operand: Value) -> Value | None:
    """None: nothing is left, or nothing was there."""
    if current is None:
        return None
    ((kind, content),) = operand.items()
    if kind not in current:
        raise invalid(WRONG_TYPE)
    left = set(current[kind]) - set(content)
    return {kind: values.sorted_set(kind, left)} if left else None


def _container(item: Item, parts: Parts) -> Any:
    """The dict or list that holds the path's last part; None where the item has no such place."""
    container: Any = item
    for part, following in pairwise(parts):
        try:
            value = container[part]
        except (KeyError, IndexError):
            return None
        container = value.get("L" if isinstance(following, int) else "M")
        if container is None:
            return None
    return container


def _put(item: Item, parts: Parts, value: Value) -> None:
    container = _container(item, parts)
    if container is None:
        raise invalid(_NO_PLACE)
    last = parts[-1]
    if isinstance(last, int) and last >= len(container):
        container.append(value)
    else:
        container[last] = value


def _remove(item: Item, parts: Parts) -> None:
    container = _container(item, parts)
    last = parts[-1]
    if container is None:
        raise invalid(_NO_PLACE)
    if isinstance(last, int):
        if last < len(container):
            del container[last]
    else:
        container.pop(last, None)
