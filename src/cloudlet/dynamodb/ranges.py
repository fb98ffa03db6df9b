"""Key conditions: from a KeyConditionExpression to a partition and a range of sort keys."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.definitions import Index, Table, key_names
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.grammar import Between, Comparison, Function, Logic, Path, Placeholder
from cloudlet.dynamodb.keys import END, bytes_of, delimited, escaped, joined, partition
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.paths import resolve
from cloudlet.dynamodb.values import Value, type_of

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
        if found.is_legacy:
            raise invalid("Conditions can be of length 1 or 2 only")
        raise invalid(
            f"The number of query conditions ({len(conditions)}) exceeds the number of key"
            f" attributes defined in the schema ({1 + (range_key is not None)})"
        )
    return _of_pair(hash_key, range_key, conditions)


def _by_name(found: Expressions) -> dict[str, _One]:
    conditions: dict[str, _One] = {}
    for node in _conjuncts(found.tree(_KIND)):
        one = _one(node, found.bindings)
        if one.name in conditions:
            raise invalid(
                f"Invalid {_KIND}: KeyConditionExpressions must only contain one condition per key"
            )
        conditions[one.name] = one
    return conditions


def _of_pair(hash_key: str, range_key: str | None, conditions: dict[str, _One]) -> KeyRange:
    if hash_key not in conditions:
        raise invalid(f"Query condition missed key schema element: {hash_key}")
    partition_condition = conditions.pop(hash_key)
    if partition_condition.operator != "=":
        raise invalid("Query key condition not supported")
    pk = partition(bytes_of(hash_key, partition_condition.operands[0]))
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
    if len(conditions) > len(index.hash_keys) + len(named):
        raise invalid("Query key condition not supported")
    before = index.range_keys[: index.range_keys.index(named[-1])] if named else ()
    lacking = [n for n in before if n not in conditions or conditions[n].operator != "="]
    if lacking:
        raise invalid(
            f"RANGE key attributes {', '.join(lacking)} must have equality conditions specified in"
            f" the query because a condition is present on key attribute {named[-1]}"
        )
    pk = partition(joined([_operand(conditions[name]) for name in index.hash_keys]))
    if len(index.range_keys) == 1:
        return KeyRange(pk, tuple(b for n in named for b in _bounds(conditions[n], n)))
    start = b"".join(delimited(_operand(conditions[name])) for name in named[:-1])
    return KeyRange(pk, _bounds_within(start, conditions[named[-1]]) if named else ())


def _operand(condition: _One) -> bytes:
    return bytes_of(condition.name, condition.operands[0])


def _bounds_within(before: bytes, condition: _One) -> tuple[Bound, ...]:
    """Bounds of keys that begin with `before`, of which the next attribute meets the condition."""
    raw = [before + escaped(bytes_of(condition.name, value)) for value in condition.operands]
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


def _bounds(condition: _One, name: str) -> tuple[Bound, ...]:
    raw = [bytes_of(name, value) for value in condition.operands]
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
