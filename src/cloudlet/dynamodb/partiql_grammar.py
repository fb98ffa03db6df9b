"""PartiQL statements, as far as DynamoDB has the language.

A statement becomes a small tree whose conditions and actions are the nodes of `grammar`, with
placeholders of our own for names, literals and parameters. It depends on the text alone, and is
kept. What a statement means for a table is `partiql_plan`'s to say.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from cloudlet.dynamodb import partiql_literals
from cloudlet.dynamodb.grammar import (
    Action,
    Arithmetic,
    Condition,
    Function,
    Operand,
    Path,
    Placeholder,
)
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_conditions import (
    UPDATES,
    check_count,
    expression,
    operand,
    path,
    some,
    tested,
)
from cloudlet.dynamodb.partiql_tokens import Reader, malformed
from cloudlet.dynamodb.values import Value, type_of

_LEFTOVER = "Unexpected token after expression"


class Statement(NamedTuple):
    verb: str  # "SELECT", "INSERT", "UPDATE", "DELETE", or "EXISTS" around a SELECT
    table: str
    names: Mapping[str, str]
    values: Mapping[str, Value | int]  # literals, and the numbers of parameters
    parameters: int
    index_name: str | None = None
    where: Condition | None = None
    columns: tuple[tuple[str, Path], ...] = ()  # what they are called and where; none: all
    order: tuple[tuple[str, bool], ...] = ()  # attributes, and whether they ascend
    item: Mapping[str, Placeholder] = {}
    actions: tuple[Action, ...] = ()
    returning: str = "NONE"  # as `ReturnValues` has it


@lru_cache(maxsize=2048)
def parse(text: str) -> Statement:
    """Raises AwsError as DynamoDB words it."""
    try:
        return _statement(Reader(text))
    except RecursionError:
        raise malformed("The statement is nested too deeply") from None


def _statement(r: Reader) -> Statement:
    verb = r.token.text.upper() if r.token.kind == "word" else ""
    if verb not in _CLAUSES:
        raise malformed("Expected data manipulation")
    r.take()
    given = _CLAUSES[verb](r)
    if r.is_sign(";"):
        r.take()
    if r.token.kind != "end":
        raise malformed(_LEFTOVER)
    names = {placeholder: name for name, placeholder in r.names.items()}
    verb = "UPDATE" if verb == "FROM" else verb
    return Statement(verb, names=names, values=r.values, parameters=r.parameters, **given)


def _select(r: Reader) -> dict[str, Any]:
    columns: tuple[tuple[str, Path], ...] = ()
    if r.is_sign("*"):
        r.take()
    else:
        columns = some(r, _column)
    r.expect("FROM")
    table, index = _table(r, "Unexpected term")
    where = _where(r)
    order: tuple[tuple[str, bool], ...] = ()
    if r.is_word("ORDER"):
        r.take()
        r.expect("BY")
        order = some(r, _ordering)
        if where is None and not r.is_word("WHERE"):
            raise invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
    return {"table": table, "index_name": index, "where": where, "columns": columns, "order": order}


def _column(r: Reader) -> tuple[str, Path]:
    """dynamodb-040: a column is called as the last name of its path and what indexes follow."""
    if r.follows("("):
        raise invalid(f"Unexpected path component{r.here()}")
    found = path(r)
    names = [n for n, part in enumerate(found.parts) if isinstance(part, str)]
    name, *indexes = found.parts[names[-1] :]
    attribute = next(each for each, placeholder in r.names.items() if placeholder == name)
    return attribute + "".join(f"[{index}]" for index in indexes), found


def _ordering(r: Reader) -> tuple[str, bool]:
    name, is_forward = r.identifier(), True
    if r.is_word("ASC", "DESC"):
        is_forward = r.take().text.upper() == "ASC"
    return name, is_forward


def _exists(r: Reader) -> dict[str, Any]:
    r.expect("(")
    r.expect("SELECT")
    clauses = _select(r)
    r.expect(")")
    return clauses


def _insert(r: Reader) -> dict[str, Any]:
    r.expect("INTO")
    table = r.identifier()
    if not r.is_word("VALUE"):
        raise malformed(_LEFTOVER)
    r.take()
    item: dict[str, Placeholder] = {}
    for name in partiql_literals.members(r):
        item[name] = r.parameter() if r.is_sign("?") else r.placeholder(partiql_literals.literal(r))
    return {"table": table, "item": item}


def _delete(r: Reader) -> dict[str, Any]:
    r.expect("FROM")
    if r.is_word("WHERE"):
        raise malformed("Expected identifier for simple path")
    table, _ = _table(r, "Expected identifier for simple path")
    where, returning = _where(r), _returning(r)
    if returning not in ("NONE", "ALL_OLD"):
        raise invalid("Only RETURNING ALL OLD * is allowed in DELETE statements")
    return {"table": table, "where": where, "returning": returning}


def _update(r: Reader) -> dict[str, Any]:
    """dynamodb-076: one that begins with FROM has its WHERE before its actions."""
    is_from = r.tokens[0].text.upper() == "FROM"
    table, _ = _table(r)
    where = _where(r) if is_from else None
    actions: list[Action] = []
    while r.is_word("SET", "REMOVE"):
        is_set = r.take().text.upper() == "SET"
        actions += some(r, _set if is_set else _remove)
    if not actions:
        raise malformed("Expected data manipulation")
    where, returning = where if is_from else _where(r), _returning(r)
    return {"table": table, "actions": tuple(actions), "where": where, "returning": returning}


def _table(r: Reader, otherwise: str = "Expected identifier") -> tuple[str, str | None]:
    """A table and maybe an index of it; nothing is called otherwise."""
    if r.token.kind not in ("word", "quoted"):
        raise malformed(otherwise)
    table, index = r.identifier(), None
    if r.is_sign("."):
        r.take()
        index = r.identifier()
    if r.is_word("AS") or r.token.kind == "quoted" or r.is_name():
        raise invalid("Aliasing is not supported")
    return table, index


def _where(r: Reader) -> Condition | None:
    if not r.is_word("WHERE"):
        return None
    r.take()
    return tested(expression(r))


def _returning(r: Reader) -> str:
    if not r.is_word("RETURNING"):
        return "NONE"
    r.take()
    if not r.is_word("ALL", "MODIFIED"):
        raise malformed("Expected returning clause")
    scope = {"ALL": "ALL", "MODIFIED": "UPDATED"}[r.take().text.upper()]
    if not r.is_word("OLD", "NEW"):
        raise malformed("Expected returning clause")
    which = r.take().text.upper()
    r.expect("*")
    return f"{scope}_{which}"


def _remove(r: Reader) -> Action:
    return Action("REMOVE", path(r))


def _set(r: Reader) -> Action:
    target = path(r)
    r.expect("=")
    name = r.token.text.lower() if r.follows("(") else ""
    if name in ("set_add", "set_delete"):
        return _set_members(r, target, name)
    left = _term(r)
    if r.is_sign("+", "-"):
        left = Arithmetic(r.take().text, left, _term(r))
    return Action("SET", target, left)


def _set_members(r: Reader, target: Path, name: str) -> Action:
    where, shown = r.here(), name.upper()
    r.take()
    r.expect("(")
    place = r.here()
    arguments = some(r, operand)
    r.expect(")")
    if len(arguments) != 2:
        raise invalid(f"{shown} must have exactly two arguments{where}")
    if arguments[0] != target:
        raise invalid(f"The first argument to {shown} must equal the assignment value{where}")
    members = arguments[1]
    literal = r.values.get(members.name) if isinstance(members, Placeholder) else None
    is_set = isinstance(literal, int) or (literal and type_of(literal) in ("SS", "NS", "BS"))
    if not is_set:
        raise invalid(f"The second argument to {shown} must be a value with type SET{place}")
    return Action("ADD" if name == "set_add" else "DELETE", target, cast(Operand, members))


def _term(r: Reader) -> Operand:
    if not r.follows("("):
        return cast(Operand, operand(r))
    name, where = r.token.text.lower(), r.here()
    if name not in UPDATES:
        raise invalid(f"Unrecognized function: {name}{where}")
    r.take()
    r.expect("(")
    operands = some(r, _term)
    r.expect(")")
    check_count(name, operands)
    return Function(name, operands)


_CLAUSES: dict[str, Callable[[Reader], dict[str, Any]]] = {
    "SELECT": _select,
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "EXISTS": _exists,
    "FROM": _update,
}
