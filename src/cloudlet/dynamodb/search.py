"""Query and Scan, on tables and indexes, page by page.

A page ends at `Limit` items or past 1 MB, counted before the filter; LastEvaluatedKey then names
the last item seen. Order is the order of key bytes in SQLite's clustered tables.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import definitions, expressions, keys, ranges, storage, values
from cloudlet.dynamodb.capacity import Consumed, PageRead, settle
from cloudlet.dynamodb.definitions import Index, Table
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.numerics import Malformed, invalid, worded_anew
from cloudlet.dynamodb.ranges import KeyRange
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError
from cloudlet.store.database import View
from cloudlet.wire.service import in_thread

_PAGE_BYTES = 1 << 20
_WRONG = "One or more parameter values were invalid: "
PROJECTIONS = ("AttributesToGet", "ProjectionExpression")
_BAD_START = "The provided starting key is invalid"


@dataclass(slots=True)
class Search:
    """One query or scan: where it reads, and what it keeps."""

    call: Call
    table: Table
    index: Index | None
    found: Expressions
    where: list[str] = field(default_factory=list)
    arguments: list[Any] = field(default_factory=list)
    partitions: range | None = None  # that a scan goes through, where they count
    takes_json: bool = False  # whole items may stay in the spelling that they are stored in

    @property
    def params(self) -> Params:
        return self.call.params

    def key_names(self) -> tuple[str, ...]:
        names = self.table.key_names()
        if self.index is not None:
            names += tuple(name for name in self.index.key_names() if name not in names)
        return names

    def restrict(self, clause: str, *arguments: Any) -> None:
        self.where.append(clause)
        self.arguments.extend(arguments)


@worded_anew()
def query(call: Call, view: View) -> Output:
    """Items of one partition in the order of their sort keys."""
    search = _search(call, view, "KeyConditionExpression")
    if search.found.tree("KeyConditionExpression") is None:
        raise invalid(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the"
            " request."
        )
    key_range = ranges.of(search.found, search.table, search.index)
    _check_filter(search)
    return query_page(search, view, key_range)


def query_page(search: Search, view: View, key_range: KeyRange) -> Output:
    params = search.params
    partition, sort = ("i.ik", "i.ir") if search.index else ("m.pk", "m.sk")
    search.restrict(f"{partition} = ?", key_range.pk)
    for bound in key_range.bounds:
        search.restrict(f"{sort} {bound.operator} ?", bound.raw)
    is_forward = params.get("ScanIndexForward", True)
    if params.get("ExclusiveStartKey") is not None:
        _start_query(search, key_range, ">" if is_forward else "<")
    columns = ["i.ir", "i.pk", "i.sk"] if search.index else ["m.sk"]
    output = _page(view, search, columns, is_forward)
    if _is_single(search):
        output.pop("LastEvaluatedKey", None)
    return output


@in_thread
def scan(call: Call, view: View) -> Output:
    """All items, or one segment of them, in the order of their partitions' hashes."""
    _check_segment(call.params)
    return scan_page(_search(call, view), view)


def scan_page(search: Search, view: View) -> Output:
    params = search.params
    column = "i.ik" if search.index else "m.pk"
    low, high = _segment(params)
    if low is not None:
        search.restrict(f"{column} >= ?", low)
    if high is not None:
        search.restrict(f"{column} < ?", high)
    columns = ["i.ik", "i.ir", "i.pk", "i.sk"] if search.index else ["m.pk", "m.sk"]
    first = low
    if params.get("ExclusiveStartKey") is not None:
        start = _start(search)
        first = start[0]
        if (low is not None and start[0] < low) or (high is not None and start[0] >= high):
            raise invalid(
                f"{_BAD_START}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with"
                f" correct Segment. TotalSegments: {params['TotalSegments']} Segment:"
                f" {params['Segment']}"
            )
        search.restrict(f"({', '.join(columns)}) > ({_marks(start)})", *start)
    if search.table.document["BillingMode"] == "PAY_PER_REQUEST":
        search.partitions = _partitions(first, high)
    return _page(view, search, columns, True)


def _search(call: Call, view: View, *kinds: str) -> Search:
    params = call.params
    try:
        _check_select(params)
    except AwsError as error:  # dynamodb-066: Query counts its complaint, Scan does not
        raise invalid("1 validation error detected: " * bool(kinds) + error.message) from None
    found = expressions.of(params, "FilterExpression", "ProjectionExpression", *kinds)
    table = definitions.get(view, call.config, params["TableName"])
    search = of(call, table, params.get("IndexName"), found)
    search.takes_json = call.takes_json
    return search


def of(call: Call, table: Table, index_name: str | None, found: Expressions) -> Search:
    index = table.index(index_name) if index_name is not None else None
    if index is not None and index.is_global:
        _check_global(call.params, index, found)
    return Search(call, table, index, found)


def _check_select(params: Params) -> None:
    select = params.get("Select")
    named = [each for each in PROJECTIONS if params.get(each) is not None]
    projection = named[0] if named else None
    if projection is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        what = "only the Count" if select == "COUNT" else select
        raise invalid(f"Cannot specify the {projection} when choosing to get {what}")
    if select == "SPECIFIC_ATTRIBUTES" and projection is None:
        raise invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get"
            " SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and params.get("IndexName") is None:
        raise invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")


def _check_global(params: Params, index: Index, found: Expressions) -> None:
    if params.get("ConsistentRead"):
        raise invalid("Consistent reads are not supported on global secondary indexes")
    if index.projection == "ALL":
        return
    if params.get("Select") == "ALL_ATTRIBUTES":
        raise invalid(
            f"{_WRONG}Select type ALL_ATTRIBUTES is not supported for global secondary index"
            f" {index.name} because its projection type is not ALL"
        )
    missing = [str(p[0]) for p in found.projection or () if p[0] not in index.included]
    if missing:
        raise invalid(
            f"{_WRONG}Global secondary index {index.name} does not project [{', '.join(missing)}]"
        )


def _check_filter(search: Search) -> None:
    names = (search.index or search.table).key_names()
    what = "Filter Expression" if search.params.get("FilterExpression") else "QueryFilter"
    for path in search.found.top_names("FilterExpression"):
        if path in names:
            raise invalid(
                f"{what} can only contain non-primary key attributes: Primary key attribute: {path}"
            )


def _check_segment(params: Params) -> None:
    total, segment = params.get("TotalSegments"), params.get("Segment")
    if total is None and segment is not None:
        raise invalid(
            "The TotalSegments parameter is required but was not present in the request when"
            " Segment parameter is present"
        )
    if total is not None and segment is None:
        raise invalid(
            "The Segment parameter is required but was not present in the request when parameter"
            " TotalSegments is present"
        )
    if total is not None and segment is not None and segment >= total:
        raise invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments:"
            f" Segment: {segment} is not less than TotalSegments: {total}"
        )


def _segment(params: Params) -> tuple[bytes | None, bytes | None]:
    """The range of partition keys that is the segment; None is open."""
    total = params.get("TotalSegments")
    if total is None:
        return None, None
    first = -(-params["Segment"] * keys.HASH_SPACE // total)
    end = -(-(params["Segment"] + 1) * keys.HASH_SPACE // total)
    high = None if end >= keys.HASH_SPACE else end.to_bytes(2, "big")
    return first.to_bytes(2, "big") if first < keys.HASH_SPACE else b"\xff\xff\xff", high


def _partitions(first: bytes | None, end: bytes | None) -> range:
    """dynamodb-054: a table on demand begins with four partitions, each measured by itself."""
    last = int.from_bytes(end, "big") - 1 if end else keys.HASH_SPACE - 1
    return range(first[0] >> 6 if first else 0, (last >> 14) + 1)


def _marks(arguments: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(arguments))


def _start(search: Search) -> tuple[bytes, ...]:
    """The place that ExclusiveStartKey names: (ik, ir, pk, sk) of an index, else (pk, sk)."""
    given = search.params["ExclusiveStartKey"]
    table, index = search.table, search.index
    try:
        item = {name: values.canonical(value)[0] for name, value in given.items()}
        if index is None:
            return tuple(keys.of_key(table, item)[0])
    except AwsError as error:
        now = error.now if isinstance(error, Malformed) else None
        raise Malformed(f"{_BAD_START}: {error.message}", now) from None
    is_whole = item.keys() == set(search.key_names())
    place = keys.of_index(table, index, item) if is_whole else None
    if place is None:
        raise invalid(_BAD_START)
    key, _ = keys.of_key(table, {name: item[name] for name in table.key_names()})
    return (*place, *key)


def _is_single(search: Search) -> bool:
    return search.index is None and search.table.range_key is None


def _start_query(search: Search, key_range: KeyRange, operator: str) -> None:
    pk, *rest = _start(search)
    if _is_single(search):  # dynamodb-052: the only item has nothing behind it
        ((name, value),) = search.params["ExclusiveStartKey"].items()
        ((kind, content),) = value.items()
        raise invalid(
            "The provided exclusive start key is invalid: ExclusiveStartKey:"
            f" {{{name}=AttributeValue: {{{kind}:{content}}}}}"
        )
    if pk != key_range.pk:
        raise invalid(
            "The provided starting key is outside query boundaries based on provided conditions"
        )
    if not key_range.holds(rest[0]):
        raise invalid("The provided starting key does not match the range key predicate")
    if search.index is None:
        search.restrict(f"m.sk {operator} ?", rest[0])
    else:
        search.restrict(f"(i.ir, i.pk, i.sk) {operator} (?, ?, ?)", *rest)


def _rows(view: View, search: Search, columns: list[str], is_forward: bool) -> Iterator[Any]:
    source = f"{search.table.sql_table} m"
    if search.index is not None:  # CROSS JOIN keeps the order: entries first, then their items
        source = f"{search.index.sql_table} i CROSS JOIN {source} ON m.pk = i.pk AND m.sk = i.sk"
    direction = "" if is_forward else " DESC"
    order = ", ".join(column + direction for column in columns)
    where = f" WHERE {' AND '.join(search.where)}" if search.where else ""
    return storage.read(
        view,
        f"SELECT m.item, m.size, {columns[0]} FROM {source}{where} ORDER BY {order}",
        search.arguments,
    )


def _fetches(search: Search) -> bool:
    """Does a local index need the table's items, for what it does not project?"""
    index, select = search.index, search.params.get("Select")
    if index is None or index.is_global or index.projection == "ALL":
        return False
    wanted = search.found.projection or ()
    return select == "ALL_ATTRIBUTES" or any(path[0] not in index.included for path in wanted)


def _passes(search: Search, has_filter: bool, narrows: Index | None) -> bool:
    """Are items counted and passed on, and nothing is looked for in them?"""
    is_whole = search.takes_json and search.found.projection is None
    is_counted = search.params.get("Select") == "COUNT"
    return (is_whole or is_counted) and not has_filter and narrows is None


def _page(view: View, search: Search, columns: list[str], is_forward: bool) -> Output:
    """dynamodb-053: the item that passes the limit of 1 MB is on the page."""
    limit = search.params.get("Limit") or 0
    index, found, fetches = search.index, search.found, _fetches(search)
    narrows = index if index is not None and index.projection != "ALL" else None
    has_filter = "FilterExpression" in found.by_kind
    passes = _passes(search, has_filter, narrows)
    kept: list[Any] = []
    scanned, page_bytes, is_cut, place, raw = 0, 0, False, b"", b""
    read = PageRead()
    for raw, size_bytes, place in _rows(view, search, columns, is_forward):
        item = raw if passes else orjson.loads(raw)
        if fetches:
            page_bytes += size_bytes
            read.fetched.append(size_bytes)
        if narrows is not None:
            entry = narrows.entry(item)
            size_bytes = values.canonical_item(entry)[1]
            item = item if fetches else entry
        scanned += 1
        page_bytes += size_bytes
        read.total_bytes += size_bytes
        if search.partitions is not None:
            read.by_partition[place[0] >> 6] += size_bytes
        if not has_filter or found.holds("FilterExpression", item):
            kept.append(item)
        if scanned == limit or page_bytes > _PAGE_BYTES:
            is_cut = True
            break
    if search.partitions is not None:
        end = (place[0] >> 6) + 1 if is_cut else search.partitions.stop
        read.partitions = range(search.partitions.start, end)
    output = _output(search, kept, scanned, read)
    if passes and "Items" in output:
        output["Items"] = orjson.Fragment(b"[" + b",".join(kept) + b"]")
    if is_cut:
        last = orjson.loads(raw)
        output["LastEvaluatedKey"] = {name: last[name] for name in search.key_names()}
    return output


def _output(search: Search, kept: list[Item], scanned: int, read: PageRead) -> Output:
    params = search.params
    output: Output = {"Count": len(kept), "ScannedCount": scanned}
    if params.get("Select") != "COUNT":
        wanted = search.found.projection
        output["Items"] = kept if wanted is None else [search.found.project(each) for each in kept]
    consumed = Consumed(search.table)
    consumed.add_page(search.index, read, params.get("ConsistentRead") is True)
    settle(search.call, "Read", output, consumed)
    return output
