"""Filter patterns: which log events a filter, a search or a live tail is for.

Three kinds, told apart by their first character: terms in any text (`ERROR -"not this"`,
`%regular.expression%`), conditions on a JSON document (`{ $.status >= 500 }`) and fields between
spaces (`[ip, ..., status = 4*]`). What a pattern found is a `Found`: metric filters take their
values from it.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.monitoring import filter_conditions
from cloudlet.monitoring.filter_conditions import Values, invalid, select, text_of

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|([^\s"]+))\s*')
_PLAIN_TERM = re.compile(r"\w+")
_FIELD = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)')
_PLAIN_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Found:
    """A match. `value("$.latency")` is what a selector of this kind of pattern finds in it."""

    values: Callable[[str], Values]
    selectors: tuple[str, ...] = ()

    def value(self, selector: str) -> Any:
        found = self.values(selector)
        return found[0] if found else None

    def extracted(self) -> dict[str, str]:
        """What TestMetricFilter shows: the values of all that the pattern names."""
        pairs = ((selector, self.value(selector)) for selector in self.selectors)
        return {selector: text_of(value) for selector, value in pairs if value is not None}


Pattern = Callable[[str], Found | None]
_NOTHING = Found(lambda selector: [])


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """The pattern as a function on messages. Raises InvalidParameterException."""
    text = text.strip()
    if text.startswith("{"):
        return _document_pattern(text)
    if text.startswith("["):
        return _fields_pattern(text)
    return _terms_pattern(text)


def _terms_pattern(text: str) -> Pattern:
    tests: dict[str, list[Callable[[str], bool]]] = {"": [], "-": [], "?": []}
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise invalid(f"Invalid filter pattern: {text}")
        mark, quoted, regex, plain = match.groups()
        if regex is not None:
            test: Callable[[str], bool] = filter_conditions.expression(regex)
        else:
            if plain is not None and not _PLAIN_TERM.fullmatch(plain):
                raise invalid(f"Invalid character(s) in term '{plain}'")
            term = plain if quoted is None else filter_conditions.unescaped(quoted)
            test = _contains(term)
        tests[mark].append(test)
        position = match.end()
    wanted, unwanted, either = tests[""], tests["-"], tests["?"]
    if wanted or unwanted:  # monitoring-001: ?terms beside others are ignored
        either = []

    def pattern(message: str) -> Found | None:
        is_found = (
            all(test(message) for test in wanted)
            and not any(test(message) for test in unwanted)
            and (not either or any(test(message) for test in either))
        )
        return _NOTHING if is_found else None

    return pattern


def _contains(term: str) -> Callable[[str], bool]:
    return lambda message: term in message


def _document_pattern(text: str) -> Pattern:
    condition, selectors = filter_conditions.of_document(text)

    def pattern(message: str) -> Found | None:
        if not message.lstrip().startswith(("{", "[")):
            return None
        try:
            document = orjson.loads(message)
        except ValueError:
            return None
        found = Found(lambda selector: select(document, selector), selectors)
        return found if condition(found.values) else None

    return pattern


def _columns(message: str) -> Iterator[re.Match[str]]:
    """Behind the last bracket none is looked for: each that opens would look through all the
    rest."""
    last, match = message.rfind("]"), _FIELD.search(message)
    while match:
        yield match
        pattern = _FIELD if match.end() <= last else _PLAIN_FIELD
        match = pattern.search(message, match.end())


def _fields_pattern(text: str) -> Pattern:
    fields = filter_conditions.of_fields(text)
    names = [name for name, _ in fields]
    gap = names.index("...") if "..." in names else -1

    def pattern(message: str) -> Found | None:
        values = [next(g for g in m.groups() if g is not None) for m in _columns(message)]
        if gap >= 0:
            missing = len(values) - (len(names) - 1)
            if missing < 0:
                return None
            columns = [*names[:gap], *("" for _ in range(missing)), *names[gap + 1 :]]
        elif len(values) == len(names):
            columns = names
        else:
            return None
        row = {f"${name}": value for name, value in zip(columns, values, strict=True) if name}
        found = Found(lambda selector: [row[selector]] if selector in row else [], tuple(row))
        is_met = all(test is None or test(found.values) for _, test in fields)
        return found if is_met else None

    return pattern
