"""Key conditions: from a KeyConditionExpression to a partition and a range of sort keys."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.definitions import Index, Table, key_names
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.grammar import Between, Comparison, Function, Logic, Path, Placeholder
from cloudlet.dynamodb.keys import END, delimited, escaped, joined, partition
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.paths import resolve
from cloudlet.dynamodb.values import Value, key_bytes, type_of

_KIND = "KeyConditionExpression"
_BAD = f"Invalid condition in {_KIND}: "


class Bound(NamedTuple):
    operator: str  # SQL's: "=", ">", ">=", "<", "<="
    raw: bytes


class KeyRange(NamedTuple):
    pk: bytes  # with its hash
    bounds: tuple[Bound, ...]  # of the sort key

    def holds(self, raw: bytes) -> bool:
        return all(_HOLDS[bound.operator](raw, bound.raw) for bound in self.bounds)


_HOLDS = {
    "=": bytes.__eq__,
    ">": bytes.__gt__,
    ">=": bytes.__ge__,
    "<": bytes.__lt__,
    "<=": bytes.__le__,
}


_REVERSED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class _One(NamedTuple):
    """A condition on one key attribute."""

    name: str
    operator: str
    operands: tuple[Value, ...]


def of(found: Expressions, table: Table, index: Index | None) -> KeyRange:
    conditions = _by_name(found)
    for condition in conditions.values():
        if condition.name in table.types:
            _check_types(condition, table)
    if index is not None and max(len(index.hash_keys), len(index.range_keys)) > 1:
        return _of_several(index, conditions)
    hash_key, range_key = key_names(table.document["KeySchema"])
    if index is not None:
        hash_key, range_key = index.hash_key, next(iter(index.range_keys), None)
    if len(conditions) > 2:
        raise invalid("Conditions can be of length 1 or 2 only")
    return _of_pair(hash_key, range_key, conditions)


def _by_name(found: Expressions) -> dict[str, _One]:
    conditions: dict[str, _One] = {}
    for node in _conjuncts(found.tree(_KIND)):
        one = _one(node, found.bindings)
        if one.name in conditions:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        conditions[one.name] = one
    return conditions


def _of_pair(hash_key: str, range_key: str | None, conditions: dict[str, _One]) -> KeyRange:
    if hash_key not in conditions:
        raise invalid(f"Query condition missed key schema element: {hash_key}")
    partition_condition = conditions.pop(hash_key)
    if partition_condition.operator != "=":
        raise invalid("Query key condition not supported")
    pk = partition(_key_bytes(partition_condition.operands[0], hash_key))
    if not conditions:
        return KeyRange(pk, ())
    if range_key is None or range_key not in conditions:
        if range_key is None:
            raise invalid("Query key condition not supported")
        raise invalid(f"Query condition missed key schema element: {range_key}")
    return KeyRange(pk, _bounds(conditions[range_key], range_key))


def _of_several(index: Index, conditions: dict[str, _One]) -> KeyRange:
    """Keys of up to four and four attributes: all of the first kind are to be equal, of the others
    some from the left, and only the last of these may be in a range."""
    if any(name not in conditions or conditions[name].operator != "=" for name in index.hash_keys):
        raise invalid("Query key condition must have all HASH key attributes with equality")
    named = [name for name in index.range_keys if name in conditions]
    if (
        named != list(index.range_keys[: len(named)])
        or any(conditions[name].operator != "=" for name in named[:-1])
        or len(conditions) > len(index.hash_keys) + len(named)
    ):
        raise invalid(
            "Query key condition must name RANGE key attributes in the order of the key schema,"
            f" all but the last one with equality: {', '.join(index.range_keys)}"
        )
    pk = partition(joined([_operand(conditions[name]) for name in index.hash_keys]))
    if len(index.range_keys) == 1:
        return KeyRange(pk, tuple(b for n in named for b in _bounds(conditions[n], n)))
    before = b"".join(delimited(_operand(conditions[name])) for name in named[:-1])
    return KeyRange(pk, _bounds_within(before, conditions[named[-1]]) if named else ())


def _operand(condition: _One) -> bytes:
    return _key_bytes(condition.operands[0], condition.name)


def _bounds_within(before: bytes, condition: _One) -> tuple[Bound, ...]:
    """Bounds of keys that begin with `before`, of which the next attribute meets the condition."""
    raw = [before + escaped(_key_bytes(value, condition.name)) for value in condition.operands]
    beyond = _after_prefix(before)
    rest = (Bound(">=", before), *([Bound("<", beyond)] if beyond else []))
    if condition.operator == "begins_with":
        end = _after_prefix(raw[0])
        return (*rest, Bound(">=", raw[0]), *([Bound("<", end)] if end else []))
    least, after = [each + END for each in raw], [_after_prefix(each + END) for each in raw]
    return (
        *rest,
        *{
            "=": (Bound(">=", least[0]), Bound("<", after[0])),
            ">": (Bound(">=", after[0]),),
            ">=": (Bound(">=", least[0]),),
            "<": (Bound("<", least[0]),),
            "<=": (Bound("<", after[0]),),
            "BETWEEN": (Bound(">=", least[0]), Bound("<", after[-1])),
        }[condition.operator],
    )


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, Logic):
        if node.operator == "OR":
            raise invalid(f"Invalid operator used in {_KIND}: OR")
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node


def _one(node: Any, b: Bindings) -> _One:
    operator, operands = _parts(node)
    name = operator if not isinstance(node, Function) else node.name
    nested = [each for each in operands if isinstance(each, Function)]
    if nested:
        raise invalid("KeyConditionExpressions cannot contain nested operations")
    path, *rest = operands
    if not isinstance(path, Path):
        if not any(isinstance(each, Path) for each in rest):
            raise invalid(f"{_BAD}No key attribute specified")
        raise invalid(f"{_BAD}{name} operator must have the key attribute as its first operand")
    if any(isinstance(each, Path) for each in rest):
        raise invalid(f"{_BAD}Multiple attribute names used in one condition")
    parts = resolve(path, b.names)
    if len(parts) > 1:
        raise invalid("KeyConditionExpressions cannot have conditions on nested attributes")
    values = tuple(b.values[each.name] for each in rest if isinstance(each, Placeholder))
    return _One(str(parts[0]), operator, values)


def _parts(node: Any) -> tuple[str, tuple[Any, ...]]:
    if isinstance(node, Comparison) and node.operator != "<>":
        if isinstance(node.right, Path) and isinstance(node.left, Placeholder):
            return _REVERSED[node.operator], (node.right, node.left)
        return node.operator, (node.left, node.right)
    if isinstance(node, Between):
        return "BETWEEN", (node.operand, node.low, node.high)
    if isinstance(node, Function) and node.name == "begins_with":
        return node.name, node.operands
    if isinstance(node, Function):
        raise invalid(f"Invalid operator used in {_KIND}: {node.name}")
    name = node.operator if isinstance(node, Comparison) else type(node).__name__.upper()
    raise invalid(f"Invalid operator used in {_KIND}: {name}")


def _check_types(condition: _One, table: Table) -> None:
    for value in condition.operands:
        if type_of(value) != table.types[condition.name]:
            raise invalid(
                "One or more parameter values were invalid: Condition parameter type does not match"
                " schema type"
            )


def _key_bytes(value: Value, name: str) -> bytes:
    raw = key_bytes(value)
    if not raw:
        kind = "string" if "S" in value else "binary"
        raise invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute"
            f" cannot contain an empty {kind} value. Key: {name}"
        )
    return raw


def _bounds(condition: _One, name: str) -> tuple[Bound, ...]:
    raw = [_key_bytes(value, name) for value in condition.operands]
    if condition.operator == "BETWEEN":
        return (Bound(">=", raw[0]), Bound("<=", raw[1]))
    if condition.operator == "begins_with":
        end = _after_prefix(raw[0])
        return (Bound(">=", raw[0]), *([Bound("<", end)] if end else []))
    return (Bound(condition.operator, raw[0]),)


def _after_prefix(prefix: bytes) -> bytes:
    """The first key behind all that begin with the prefix; b"" if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else b""
