"""Conditions and paths of PartiQL statements, as the nodes of `grammar`.

Conditions are values here: what stands in parentheses, or a function's result, may be compared.
So most of this returns either kind of node, and `tested` insists on a condition.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-operators.html
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from cloudlet.dynamodb import grammar, partiql_literals
from cloudlet.dynamodb.grammar import Between, Comparison, Condition, Function, In, Logic, Not, Path
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_tokens import Reader, malformed

T = TypeVar("T")
_COMPARATORS = {"!=": "<>", **{sign: sign for sign in ("=", "<>", "<", "<=", ">", ">=")}}
_INDEX_MAX = (1 << 31) - 1
_IN_MAX = 100
UPDATES = ("list_append", "if_not_exists")


def some(r: Reader, one: Callable[[Reader], T]) -> tuple[T, ...]:
    found = [one(r)]
    while r.is_sign(","):
        r.take()
        found.append(one(r))
    return tuple(found)


def expression(r: Reader, *words: str) -> Any:
    """What binds least comes first: alternatives of conjunctions of negations."""
    word, *inner = words or ("OR", "AND")
    one = (lambda r: expression(r, *inner)) if inner else _negation
    left = one(r)
    while r.is_word(word):
        r.take()
        if r.token.kind == "end":
            raise malformed("Missing right-hand side expression of infix operator")
        left = Logic(word, tested(left), tested(one(r)))
    return left


def _negation(r: Reader) -> Any:
    if r.is_word("NOT"):
        r.take()
        return Not(tested(_negation(r)))
    return _predicate(r)


def tested(node: Any) -> Condition:
    if not is_condition(node):
        raise malformed("Unexpected expression")
    return cast(Condition, node)


def _predicate(r: Reader) -> Any:
    left = operand(r)
    if r.token.kind == "sign" and r.token.text in _COMPARATORS:
        operator = _COMPARATORS[r.take().text]
        right = operand(r)
        if operator not in ("=", "<>") and (is_condition(left) or is_condition(right)):
            raise invalid(
                "Incorrect operand type for operator or function; operator or function:"
                f" {operator}, operand type: BOOL"
            )
        return Comparison(operator, left, right)
    if r.is_word("IS"):
        return _kind(r, left)
    is_not = r.is_word("NOT")
    if is_not:
        r.take()
    if r.is_word("BETWEEN"):
        r.take()
        low = operand(r)
        r.expect("AND")
        found: Condition = Between(left, low, operand(r))
    elif r.is_word("IN"):
        found = _membership(r, left)
    elif is_not:
        raise malformed("Unexpected keyword")
    else:
        return left
    return Not(found) if is_not else found


def _kind(r: Reader, left: Any) -> Condition:
    r.take()
    is_not = r.is_word("NOT")
    if is_not:
        r.take()
    kind = r.take().text.upper()
    found: Condition
    if kind == "MISSING":
        return Function("attribute_exists" if is_not else "attribute_not_exists", (left,))
    if kind not in partiql_literals.TYPES:
        raise malformed("Expected type name")
    name = r.placeholder({"S": partiql_literals.TYPES[kind]})
    found = Function("attribute_type", (left, name))
    return Not(found) if is_not else found


def _membership(r: Reader, left: Any) -> In:
    r.take()
    closing = {"[": "]", "(": ")"}.get(r.token.text)
    if closing is None or r.token.kind != "sign":
        raise malformed("Expected expression")
    r.take()
    choices = some(r, operand)
    r.expect(closing)
    if len(choices) > _IN_MAX:
        raise invalid(
            "The IN operator is provided with too many operands; number of operands:"
            f" {len(choices)}"
        )
    return In(left, choices)


def operand(r: Reader) -> Any:
    if r.is_sign("("):
        r.take()
        inner = expression(r)
        r.expect(")")
        return inner
    if r.follows("("):
        return _function(r)
    if r.is_sign("?"):
        return r.parameter()
    if partiql_literals.is_literal(r):
        return r.placeholder(partiql_literals.literal(r))
    if r.is_word("IS", "LIKE"):
        raise malformed("Unexpected operator")
    if r.token.kind in ("sign", "end"):
        raise malformed("Unexpected term")
    return path(r)


def _function(r: Reader) -> Function:
    name = r.token.text.lower()
    if grammar.OPERANDS.get(name) is None or name in UPDATES:
        raise invalid(f"Unrecognized function: {name}{r.here()}")
    r.take()
    r.expect("(")
    operands = () if r.is_sign(")") else some(r, operand)
    r.expect(")")
    check_count(name, operands)
    return Function(name, operands)


def path(r: Reader) -> Path:
    parts: list[str | int] = [r.name(r.identifier())]
    while r.is_sign(".", "["):
        if r.take().text == ".":
            parts.append(r.name(r.identifier("Invalid path dot component")))
            continue
        parts.append(r.name(r.take().text) if r.is_text() else _index(r))
        r.expect("]")
    return Path(tuple(parts))


def _index(r: Reader) -> int:
    is_negative = r.is_sign("-")
    if is_negative:
        r.take()
    where, text = r.here(), r.token.text
    if r.token.kind != "number" or not text.isdigit():
        raise malformed("Invalid path component")
    r.take()
    number = int(text[:4000])  # more digits than that Python refuses
    index = -number if is_negative else number
    if not 0 <= index <= _INDEX_MAX:
        raise invalid(f"List index is not within the allowable range; index: [{index}]{where}")
    return index


def is_condition(node: Any) -> bool:
    if isinstance(node, Function):
        return node.name != "size"
    return isinstance(node, Comparison | Between | In | Logic | Not)


def check_count(name: str, operands: tuple[Any, ...]) -> None:
    if len(operands) != grammar.OPERANDS[name]:
        raise invalid(
            "Incorrect number of operands for operator or function; operator or function:"
            f" {name}, number of operands: {len(operands)}"
        )
