"""What a PartiQL statement's WHERE means for a table: items by their keys, queries, or a scan.

DynamoDB takes a WHERE apart into reads of one partition each (up to 50, none within another); what
names no partition is a scan. Writes name their item by equality on its whole key, and the rest of
their WHERE is a condition. Plans depend on text and key schema alone, and are kept.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from itertools import chain, product
from math import prod
from typing import Any, NamedTuple

from cloudlet.dynamodb import expressions, partiql_grammar
from cloudlet.dynamodb.expressions import Compiled
from cloudlet.dynamodb.grammar import (
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Logic,
    Not,
    Path,
    Placeholder,
)
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_grammar import Statement

Kinds = Mapping[str, Compiled]
_READS_MAX = 50
_BRANCHES_MAX = 1000
_CONDITIONS_MAX = 10_000  # in all branches together
_EXISTING = "#.key"  # the partition key, where only we speak of it


class Branch(NamedTuple):
    """One of the ways in which a WHERE can hold."""

    keys: tuple[tuple[str, Condition], ...]  # what speaks of a key attribute alone
    rest: tuple[Condition, ...]


class Keyed(NamedTuple):
    """A statement about one item."""

    key: Mapping[str, Placeholder]
    again: tuple[tuple[str, Placeholder], ...]  # further values for the same attributes
    has_rest: bool
    is_complete: bool
    by_kind: Kinds
    names: Mapping[str, str]


@lru_cache(maxsize=2048)
def reads(
    text: str, hash_keys: tuple[str, ...], range_keys: tuple[str, ...]
) -> tuple[Kinds, ...] | None:
    """The queries that a SELECT comes down to; None: a scan."""
    statement = partiql_grammar.parse(text)
    if statement.where is None:
        return None
    found: list[dict[str, Any]] = []
    for branch in _branches(statement, statement.where, hash_keys + range_keys):
        used = _used(branch.keys, hash_keys, range_keys)
        if used is None:
            return None
        left = [node for _, node in branch.keys if not any(node is each for each in used)]
        by_kind = {"KeyConditionExpression": _and(*used)}
        if left or branch.rest:
            by_kind["FilterExpression"] = _and(*left, *branch.rest)
        found.append(by_kind)
    if len(found) > _READS_MAX:
        raise invalid("Too many decomposed read operations for a given query.")
    return tuple(
        {kind: expressions.of_tree(kind, tree) for kind, tree in each.items()} for each in found
    )


@lru_cache(maxsize=2048)
def scan(text: str) -> Kinds:
    where = partiql_grammar.parse(text).where
    if where is None:
        return {}
    return {"FilterExpression": expressions.of_tree("FilterExpression", where)}


@lru_cache(maxsize=2048)
def keyed(text: str, hash_key: str, range_key: str | None) -> Keyed:
    """Of reads, IN with one value is equality, too."""
    statement = partiql_grammar.parse(text)
    wanted = [name for name in (hash_key, range_key) if name is not None]
    key: dict[str, Placeholder] = {}
    again: list[tuple[str, Placeholder]] = []
    rest: list[Condition] = []
    for node in _conjuncts(statement.where):
        name, value = _equality(statement, node)
        if value is None or name not in wanted:
            rest.append(node)
        elif name in key:
            again.append((name, value))
            if statement.verb == "EXISTS":
                rest.append(node)
        else:
            key[name] = value
    by_kind: dict[str, Any] = {}
    condition = _condition(statement.verb, rest)
    if condition is not None:
        by_kind["ConditionExpression"] = condition
    if statement.actions:
        by_kind["UpdateExpression"] = statement.actions
    compiled = {kind: expressions.of_tree(kind, tree) for kind, tree in by_kind.items()}
    names = {**statement.names, _EXISTING: hash_key}
    is_complete = len(key) == len(wanted)
    return Keyed(key, tuple(again), bool(rest), is_complete, compiled, names)


def _condition(verb: str, rest: list[Condition]) -> Condition | None:
    path = (Path((_EXISTING,)),)
    if verb == "INSERT":
        return Function("attribute_not_exists", path)
    if verb == "DELETE":  # dynamodb-042: where there is no item, nothing is asked
        absent = Function("attribute_not_exists", path)
        return Logic("OR", absent, _and(*rest)) if rest else None
    # dynamodb-043: UPDATE makes no items
    return _and(Function("attribute_exists", path), *rest)


def _and(*conditions: Condition) -> Condition:
    return reduce(lambda left, right: Logic("AND", left, right), conditions)


def _conjuncts(node: Condition | None) -> Iterator[Condition]:
    if isinstance(node, Logic) and node.operator == "AND":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    elif node is not None:
        yield node


def key_conditions(statement: Statement, node: Condition) -> Iterator[tuple[str, Any]]:
    """The attributes that a key condition speaks of, and what it says of each."""
    for each in _conjuncts(node):
        name = _spoken_of(statement, each)
        yield name, each.operands if isinstance(each, Function) else each


def _branches(statement: Statement, node: Condition, names: tuple[str, ...]) -> list[Branch]:
    if isinstance(node, Logic) and node.operator == "AND":
        return _joined([_branches(statement, each, names) for each in _conjuncts(node)])
    if isinstance(node, Logic):
        found = _branches(statement, node.left, names) + _branches(statement, node.right, names)
        if not any(branch.keys for branch in found):
            return [Branch((), (node,))]
        _check_size(len(found))
        return found
    name = _spoken_of(statement, node)
    if name not in names:
        return [Branch((), (node,))]
    if isinstance(node, In):
        return [Branch(((name, Comparison("=", node.operand, v)),), ()) for v in node.choices]
    return [Branch(((name, node),), ())]


def _joined(parts: list[list[Branch]]) -> list[Branch]:
    """Each way of one part with each way of the others."""
    longest = sum(max(len(each.keys) + len(each.rest) for each in part) for part in parts)
    _check_size(prod(map(len, parts)), longest)
    return [
        Branch(
            tuple(chain.from_iterable(each.keys for each in chosen)),
            tuple(chain.from_iterable(each.rest for each in chosen)),
        )
        for chosen in product(*parts)
    ]


def _check_size(count: int, longest: int = 1) -> None:
    if count > _BRANCHES_MAX or count * longest > _CONDITIONS_MAX:
        raise invalid("Too many decomposed read operations for a given query.")


def _spoken_of(statement: Statement, node: Condition) -> str:
    """The attribute of a condition that a query's key could have; else nothing."""
    if isinstance(node, Comparison) and node.operator != "<>":
        operands: tuple[Any, ...] = (node.left, node.right)
        if isinstance(node.left, Placeholder):
            operands = (node.right, node.left)
    elif isinstance(node, Between):
        operands = (node.operand, node.low, node.high)
    elif isinstance(node, In):
        operands = (node.operand, *node.choices)
    elif isinstance(node, Function) and node.name == "begins_with":
        operands = node.operands
    else:
        return ""
    path, *values = operands
    if not isinstance(path, Path) or not all(isinstance(each, Placeholder) for each in values):
        return ""
    return statement.names[str(path.parts[0])] if len(path.parts) == 1 else ""


def negates(statement: Statement, node: Condition | None, name: str | None) -> bool:
    """Is there something that the attribute must not be?"""
    if isinstance(node, Logic):
        return any(negates(statement, each, name) for each in (node.left, node.right))
    if isinstance(node, Not):
        return _spoken_of(statement, node.condition) == name
    if isinstance(node, Comparison) and node.operator == "<>":
        return _spoken_of(statement, node._replace(operator="=")) == name
    return False


def _equality(statement: Statement, node: Condition) -> tuple[str, Placeholder | None]:
    name, value = _spoken_of(statement, node), None
    if isinstance(node, Comparison) and node.operator == "=":
        value = node.right if isinstance(node.right, Placeholder) else node.left
    elif isinstance(node, In) and statement.verb == "SELECT" and len(node.choices) == 1:
        value = node.choices[0]
    return name, value if isinstance(value, Placeholder) else None


def _used(
    keys: tuple[tuple[str, Condition], ...], hash_keys: tuple[str, ...], range_keys: tuple[str, ...]
) -> list[Condition] | None:
    """What of a branch is a query's key condition; None: no partition is named."""
    used = []
    for name in hash_keys:
        equal = [node for each, node in keys if each == name and _is_equality(node)]
        if not equal:
            return None
        used.append(equal[0])
    for name in range_keys:
        about = [node for each, node in keys if each == name]
        equal = [node for node in about if _is_equality(node)]
        if not about:
            break
        used.append((equal or about)[0])
        if not equal:
            break
    return used


def _is_equality(node: Condition) -> bool:
    return isinstance(node, Comparison) and node.operator == "="
