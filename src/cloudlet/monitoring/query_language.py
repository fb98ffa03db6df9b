"""Logs Insights' query language: commands between bars, each a step from records to records.

fields, display, filter, parse, stats … by …, sort, limit, dedup.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.query_expressions import (
    Expression,
    QueryScanner,
    Record,
    malformed,
    number,
    searched,
    text,
)

T = TypeVar("T")
Step = Callable[[Iterable[Record]], Iterable[Record]]
LIMIT = 10_000
_COMMANDS_MAX = 50
_SORTED_MAX = 200_000
_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": lambda values: float(len(values)),
    "count_distinct": lambda values: float(len({text(value) for value in values})),
    "sum": lambda values: sum(_numbers(values)),
    "avg": lambda values: statistics.fmean(_numbers(values)),
    "min": lambda values: min(_numbers(values) or map(text, values)),
    "max": lambda values: max(_numbers(values) or map(text, values)),
    "stddev": lambda values: statistics.pstdev(_numbers(values)),
    "earliest": lambda values: values[-1],  # the newest come first
    "latest": lambda values: values[0],
    "sortsfirst": lambda values: min(values, key=text),
    "sortslast": lambda values: max(values, key=text),
}


def _numbers(values: list[Any]) -> list[float]:
    return [found for value in values if (found := number(value)) is not None]


class Query:
    """Raises MalformedQueryException. `run` takes records, the newest first."""

    def __init__(self, source: str) -> None:
        lines = [re.sub(r"^\s*#.*", "", line) for line in source.splitlines()]
        self._scanner = QueryScanner("\n".join(lines))
        self.shown: list[str] = ["@timestamp", "@message"]
        self._added: list[str] = []
        self._is_limited = False
        self._steps: list[Step] = []
        while True:
            self._steps.append(self._command())
            if self._scanner.peek()[0] == "end":
                break
            self._scanner.need("|")
            if len(self._steps) > _COMMANDS_MAX:
                raise malformed("The query has too many commands.")

    def run(self, records: Iterable[Record], limit: int) -> list[Record]:
        for step in self._steps:
            records = step(records)
        return list(records if self._is_limited else islice(records, limit))

    def _command(self) -> Step:
        command = self._scanner.take(
            "fields", "display", "filter", "parse", "stats", "sort", "limit", "dedup"
        )
        if not command:
            word = self._scanner.peek()[1]
            raise malformed(f"The command {word!r} is not supported.")
        found: Step = getattr(self, f"_{command}")()
        return found

    def _named(self) -> tuple[str, Expression]:
        """`expression [as name]`; without a name it is called as it is written."""
        scanner = self._scanner
        start = scanner.position
        expression = scanner.expression()
        written = scanner.source[start : scanner.position].strip().strip("`")
        return (scanner.name() if scanner.take("as") else written), expression

    def _list(self, one: Callable[[], T]) -> list[T]:
        return self._scanner.series(one, ",")

    def _fields(self) -> Step:
        named = self._list(self._named)
        shown = [name for name, _ in named]
        self.shown = shown if not self._added else [*self.shown, *shown]
        self._added += shown
        return lambda records: (
            {**record, **{name: value(record) for name, value in named}} for record in records
        )

    def _display(self) -> Step:
        self._added = []
        return self._fields()

    def _filter(self) -> Step:
        test = self._scanner.expression()
        return lambda records: (record for record in records if test(record))

    def _parse(self) -> Step:
        scanner = self._scanner
        source = "@message"
        if not scanner.is_regex_next() and scanner.peek()[0] in ("name", "quoted"):
            source = scanner.name()
        pattern, names = scanner.regex(), []
        if pattern is not None:
            names = list(pattern.groupindex)
        else:
            kind, word = scanner.next()
            if kind != "text":
                raise scanner.wrong()
            first, *rest = map(re.escape, word[1:-1].split("*"))
            cut = [f"(?>(.*?){part})" if part else "(.*)" for part in rest]  # none looks back
            pattern = re.compile(rf"\A(?>.*?{first}){''.join(cut)}", re.DOTALL)
        if scanner.take("as"):
            names = self._list(scanner.name)
        if pattern.groups != len(names):
            raise malformed("parse needs a name for each part that it finds.")
        found = pattern

        def parse(records: Iterable[Record]) -> Iterator[Record]:
            for record in records:
                match = searched(found, record.get(source))
                values = match.groups() if match else ()
                yield {**record, **dict(zip(names, values, strict=False))}

        self.shown = [*self.shown, *names] if self._added else self.shown
        return parse

    def _aggregate(self) -> tuple[str, Expression | None, Callable[[list[Any]], Any]]:
        scanner = self._scanner
        start = scanner.position
        name = scanner.name().lower()
        scanner.need("(")
        of: Expression | None = None
        if not scanner.take("*") and scanner.peek()[1] != ")":
            of = scanner.expression()
        function = _AGGREGATES.get(name)
        if name in ("pct", "median"):
            percent = 50.0
            if name == "pct":
                scanner.need(",")
                percent = float(scanner.next()[1])
            function = _percentile(percent)
        if function is None or (of is None and name != "count"):
            raise malformed(f"unknown aggregation {name}")
        scanner.need(")")
        written = scanner.source[start : scanner.position].strip()
        return (scanner.name() if scanner.take("as") else written), of, function

    def _stats(self) -> Step:
        aggregates = self._list(self._aggregate)
        keys = self._list(self._named) if self._scanner.take("by") else []
        self.shown = [*(name for name, _ in keys), *(name for name, _, _ in aggregates)]
        self._added = [*self.shown]

        def stats(records: Iterable[Record]) -> Iterator[Record]:
            groups: dict[tuple[Any, ...], list[list[Any]]] = {}
            for record in records:
                key = tuple(value(record) for _, value in keys)
                columns = groups.setdefault(key, [[] for _ in aggregates])
                for column, (_, of, _) in zip(columns, aggregates, strict=True):
                    value = record if of is None else of(record)
                    if value is not None:
                        column.append(True if of is None else value)
            for key, columns in groups.items():
                row = {name: value for (name, _), value in zip(keys, key, strict=True)}
                for column, (name, _, function) in zip(columns, aggregates, strict=True):
                    row[name] = _result(function, column)
                yield row

        return stats

    def _sort(self) -> Step:
        def one() -> tuple[Expression, bool]:
            expression = self._scanner.expression()
            return expression, self._scanner.take("asc", "desc") == "desc"

        orders = self._list(one)

        def sort(records: Iterable[Record]) -> list[Record]:
            found = list(islice(records, _SORTED_MAX + 1))
            if len(found) > _SORTED_MAX:
                raise malformed(f"More than {_SORTED_MAX} records would have to be sorted.")
            for expression, is_down in reversed(orders):
                found.sort(key=lambda record: _rank(expression(record)), reverse=is_down)
            return found

        return sort

    def _limit(self) -> Step:
        kind, word = self._scanner.next()
        if kind != "number" or not 0 < float(word) <= LIMIT:
            raise malformed(f"limit must be 1 to {LIMIT}.")
        self._is_limited = True
        return lambda records: islice(records, int(float(word)))

    def _dedup(self) -> Step:
        names = self._list(self._scanner.name)

        def dedup(records: Iterable[Record]) -> Iterator[Record]:
            seen = set()
            for record in records:
                key = tuple(text(record.get(name)) for name in names)
                if key not in seen:
                    seen.add(key)
                    yield record

        return dedup


def _rank(value: Any) -> tuple[int, float, str]:
    """Nothing, then numbers, then text."""
    found = number(value)
    if value is None:
        return 0, 0.0, ""
    return (2, 0.0, text(value)) if found is None else (1, found, "")


def _percentile(percent: float) -> Callable[[list[Any]], Any]:
    def of(values: list[Any]) -> Any:
        summary = Summary()
        for value in _numbers(values):
            summary.add(value)
        return summary.percentile(percent) if summary.count else None

    return of


def _result(function: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    try:
        return function(values)
    except (ValueError, IndexError, statistics.StatisticsError):
        return None
