"""SELECT: a statement's queries one after the other, or its scan, page by page.

A page has what up to ten queries find, or `Limit` items were looked at, or 1 MB; NextToken then
says where to go on. ORDER BY sets the order of the queries, and the direction in them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, cast

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import (
    conditions,
    definitions,
    expressions,
    partiql_grammar,
    partiql_plan,
    paths,
    ranges,
    search,
    updates,
    values,
)
from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.definitions import Index, Table
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.grammar import Path, Placeholder
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_grammar import Statement
from cloudlet.dynamodb.partiql_plan import Kinds
from cloudlet.dynamodb.ranges import KeyRange
from cloudlet.dynamodb.values import Item, type_of
from cloudlet.store.database import View

_QUERIES_PER_PAGE = 10
_BEYOND = b"\xff" * 1025  # every sort key
_OTHER_TOKEN = "NextToken does not match request"


class Bound(NamedTuple):
    """A statement with its parameters."""

    text: str
    statement: Statement
    bindings: Bindings
    params: Params  # that came with it


class _Query(NamedTuple):
    found: Expressions
    key_range: KeyRange


def parameters(params: Params) -> list[values.Value]:
    return [values.canonical(each)[0] for each in params.get("Parameters") or ()]


def bound(params: Params) -> Bound:
    given = parameters(params)
    statement = partiql_grammar.parse(params["Statement"])
    if len(given) != statement.parameters:
        raise invalid("Number of parameters in request and statement don't match.")
    known = statement.values.items()
    b = Bindings(statement.names, {n: given[v] if isinstance(v, int) else v for n, v in known})
    if statement.where is not None:
        conditions.check(statement.where, b)
    updates.check(statement.actions, b)
    for action in statement.actions:
        operand = action.operand
        is_added = action.section == "ADD" and isinstance(operand, Placeholder)
        if is_added and "N" in b.values[cast(Placeholder, operand).name]:
            raise invalid("The second argument to SET_ADD must be a value with type SET")
    return Bound(params["Statement"], statement, b, params)


def source(view: View, call: Call, statement: Statement) -> tuple[Table, Index | None]:
    table, name = definitions.get(view, call.config, statement.table), statement.index_name
    if name is not None and all(index.name != name for index in table.indexes):
        raise invalid("The table does not have the specified index")
    index = table.index(name) if name is not None else None
    if index is not None and max(len(index.hash_keys), len(index.range_keys)) > 1:
        raise invalid(
            "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or"
            " multi-attribute RANGE keys."
        )
    if index is not None and index.is_global and call.params.get("ConsistentRead"):
        raise invalid("Strongly consistent read is not supported on Global Secondary Indexes")
    return table, index


def queries(each: Bound, table: Table, index: Index | None) -> tuple[Kinds, ...] | None:
    """None: a scan."""
    if index is not None:
        return partiql_plan.reads(each.text, index.hash_keys, index.range_keys)
    names = table.key_names()
    return partiql_plan.reads(each.text, names[:1], names[1:])


def leading(each: Bound, table: Table, index: Index | None) -> list[values.Value]:
    """The partition keys that a statement names; none of a scan."""
    statement, hash_key = each.statement, (index or table).hash_key
    if statement.verb == "INSERT":
        given = statement.item.get(hash_key)
        return [] if given is None else [each.bindings.values[given.name]]
    if statement.verb != "SELECT":
        value = partiql_plan.keyed(each.text, table.hash_key, table.range_key).key.get(hash_key)
        return [] if value is None else [each.bindings.values[value.name]]
    found = []
    for kinds in queries(each, table, index) or ():
        tree: Any = kinds["KeyConditionExpression"].tree
        for name, node in partiql_plan.key_conditions(statement, tree):
            if name == hash_key:
                found += [each.bindings.values[x.name] for x in node if isinstance(x, Placeholder)]
    return found


def select(call: Call, view: View, each: Bound) -> Output:
    table, index = source(view, call, each.statement)
    kinds = queries(each, table, index)
    projection = _projection(each.statement)
    _check_order(each.statement, table, index, kinds is not None)
    if kinds is None:
        found = Expressions({**partiql_plan.scan(each.text), **projection}, each.bindings)
        return _scan(call, view, each, search.of(_inner(call), table, _name(index), found))
    made = []
    for kind in kinds:
        found = Expressions({**kind, **projection}, each.bindings)
        _check_types(found, each.statement, table)
        _check_projected(found, index)
        made.append(_Query(found, ranges.of(found, table, index)))
    if not _are_apart(made):
        range_key = next(iter((table if index is None else index).key_names()[1:]), None)
        if not partiql_plan.negates(each.statement, each.statement.where, range_key):
            raise invalid(
                "Overlapping conditions with range keys are not supported in where clause"
            )
        found = Expressions({**partiql_plan.scan(each.text), **projection}, each.bindings)
        places = dict.fromkeys(query.key_range.pk for query in made)
        made = [_Query(found, KeyRange(pk, ())) for pk in places]
    return _query(call, view, each, _in_order(each.statement, made, table, index))


def _name(index: Index | None) -> str | None:
    return None if index is None else index.name


def _projection(statement: Statement) -> dict[str, Any]:
    """The whole attributes that columns are found in."""
    if not statement.columns:
        return {}
    tops = dict.fromkeys(Path(path.parts[:1]) for _, path in statement.columns)
    kind = "ProjectionExpression"
    return {kind: expressions.of_tree(kind, tuple(tops))}


def _inner(call: Call, **more: Any) -> Call:
    shared = ("ConsistentRead", "Limit", "ReturnConsumedCapacity")
    params = {name: call.params[name] for name in shared if name in call.params}
    return replace(call, params={**params, **more})


# What AWS refuses


def _check_order(statement: Statement, table: Table, index: Index | None, is_keyed: bool) -> None:
    for name, _ in statement.order:
        if name not in (index or table).key_names():
            raise invalid(f"Attribute {name} in ORDER BY clause must be part of the primary key")
    if statement.order and not is_keyed:
        raise invalid(
            "Must have at least one non-optional hash key condition in WHERE clause when using"
            " ORDER BY clause."
        )


def _check_types(found: Expressions, statement: Statement, table: Table) -> None:
    for name, node in partiql_plan.key_conditions(statement, found.tree("KeyConditionExpression")):
        for operand in node:
            if not isinstance(operand, Placeholder):
                continue
            if type_of(found.bindings.values[operand.name]) != table.types[name]:
                raise invalid(
                    "Key attribute's data type should match its data type in table's schema:"
                    f" Key {name}"
                )


def _check_projected(found: Expressions, index: Index | None) -> None:
    if index is None or not index.is_global or index.projection == "ALL":
        return
    if "FilterExpression" not in found.by_kind:
        return
    names = dict.fromkeys(found.top_names("FilterExpression"))
    missing = [name for name in names if name not in index.included]
    if missing:
        raise invalid(
            f"One or more parameter values were invalid: Secondary index {index.name} does not"
            f" project one or more filter attributes: [{', '.join(missing)}]"
        )


def _are_apart(made: list[_Query]) -> bool:
    """dynamodb-044: no two queries may find the same item, but where one tells what the sort key
    must not be: then all of a partition is looked at."""
    spans = sorted((query.key_range.pk, *_span(query.key_range)) for query in made)
    return not any(
        pk == next_pk and start < end for (pk, _, end), (next_pk, start, _) in pairwise(spans)
    )


def _span(key_range: KeyRange) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """From the first place to the one behind the last; 1: behind that key."""
    low, high = (b"", 0), (_BEYOND, 1)
    for operator, raw in key_range.bounds:
        if operator in ("=", ">", ">="):
            low = max(low, (raw, int(operator == ">")))
        if operator in ("=", "<", "<="):
            high = min(high, (raw, int(operator != "<")))
    return low, high


def _in_order(
    statement: Statement, made: list[_Query], table: Table, index: Index | None
) -> tuple[list[_Query], bool]:
    """The queries in their order, and whether each goes forward."""
    if not statement.order:
        return made, True
    order = dict(statement.order)
    hash_key = (index or table).hash_key
    if hash_key not in order and len({query.key_range.pk for query in made}) > 1:
        raise invalid(
            "Must have hash key in ORDER BY clause when more than one hash key condition specified"
            " in WHERE clause."
        )
    others = [is_forward for name, is_forward in order.items() if name != hash_key]
    # dynamodb-041: ordered by the partition key alone, sort keys descend
    is_forward = others[0] if others else False
    made = sorted(made, key=lambda query: _span(query.key_range), reverse=not is_forward)
    is_reversed = not order.get(hash_key, True)
    return sorted(made, key=lambda q: q.key_range.pk[2:], reverse=is_reversed), is_forward


# Pages


def _scan(call: Call, view: View, each: Bound, made: search.Search) -> Output:
    _, start = _resume(each)
    more: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
    if made.index is not None and not made.index.is_global:
        more["Select"] = "ALL_PROJECTED_ATTRIBUTES"  # a scan sees the index only
    page = search.scan_page(replace(made, call=_inner(call, **more)), view)
    last = page.get("LastEvaluatedKey")
    return _output(each, page["Items"], (0, last) if last else None, page)


def _query(call: Call, view: View, each: Bound, ordered: tuple[list[_Query], bool]) -> Output:
    table, index = source(view, call, each.statement)
    made, is_forward = ordered
    first, start = _resume(each)
    left = call.params.get("Limit")
    found: list[Item] = []
    total: Output = {}
    following: tuple[int, Any] | None = None
    for number, query in enumerate(made[first:], first):
        if number == first + _QUERIES_PER_PAGE or left == 0:
            following = (number, None)
            break
        more = {"Limit": left} if left is not None else {}
        if start is not None:
            more["ExclusiveStartKey"] = start
        inner = _inner(call, **more, ScanIndexForward=is_forward)
        page = search.query_page(
            search.of(inner, table, _name(index), query.found), view, query.key_range
        )
        found += page["Items"]
        total = _summed(total, page)
        last, start = page.get("LastEvaluatedKey"), None
        if left is not None:
            left -= page["ScannedCount"]
        if last:
            following = (number, last)
            break
    return _output(each, found, following, total)


def _summed(total: Any, page: Any) -> Any:
    """Numbers of two documents added up."""
    if isinstance(page, Mapping) and isinstance(total, Mapping):
        return {**total, **{k: _summed(total[k], page[k]) if k in total else page[k] for k in page}}
    return total + page if isinstance(page, int | float) else page


def _output(
    each: Bound, found: list[Item], following: tuple[int, Any] | None, page: Output
) -> Output:
    output: Output = {"Items": [columns(each, item) for item in found]}
    if "ConsumedCapacity" in page:
        output["ConsumedCapacity"] = page["ConsumedCapacity"]
    if following is not None:
        number, last = following
        place = {"query": number, "start": last, "of": _digest(each)}
        output["NextToken"] = b64encode(orjson.dumps(place)).decode()
        if last is not None:
            output["LastEvaluatedKey"] = last
    return output


def columns(each: Bound, item: Item) -> Item:
    if not each.statement.columns:
        return item
    found = {
        name: paths.find(item, paths.resolve(path, each.bindings.names))
        for name, path in each.statement.columns
    }
    return {name: value for name, value in found.items() if value is not None}


def _digest(each: Bound) -> str:
    asked = orjson.dumps([each.text, each.params.get("Parameters")])
    return hashlib.sha256(asked).hexdigest()


def _resume(each: Bound) -> tuple[int, Any]:
    token = each.params.get("NextToken")
    if token is None:
        return 0, None
    try:
        place = orjson.loads(b64decode(token, validate=True))
        if place["of"] == _digest(each):
            return cast(int, place["query"]), place["start"]
    except (ValueError, KeyError, TypeError):
        pass
    raise invalid(_OTHER_TOKEN)
