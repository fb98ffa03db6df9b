"""The conditions inside `{ … }` and `[ … ]` filter patterns: one grammar, compiled to functions.

    condition  = all { "||" all }
    all        = one { "&&" one }
    one        = "(" condition ")" | name operator value | name "IS" ("NULL" | "TRUE" | "FALSE")
               | name ["NOT"] "EXISTS"

A name stands for any number of values (`$.list[*].id`); one that fulfils the condition will do.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.monitoring.scanner import Scanner
from cloudlet.policy import regexes

Values = list[Any]
Condition = Callable[[Callable[[str], Values]], bool]
_Test = Callable[[Any], bool]
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EXPRESSION = re.compile(r"[A-Za-z0-9:_#=@/;,\-\^$?\[\]{}|\\*+.\s]*")
_SELECTOR = re.compile(r"\$(?:\.?\[(?:\d+|\*|'[^']*'|\"[^\"]*\")\]|\.(?:[\w\-@:/]+|\*))*")
_STEP = re.compile(r"\[(\d+)\]|(\[\*\])|\[['\"]([^'\"]*)['\"]\]|\.?([\w\-@:/]+|\*)")
_TOKEN = re.compile(
    rf"\s*(?:(?P<quoted>\"(?:[^\"\\]|\\.)*\")|(?P<regex>%[^%]*%)|(?P<selector>{_SELECTOR.pattern})"
    r"|(?P<mark>&&|\|\||<=|>=|!=|\.\.\.|[=<>(),])|(?P<word>[^\s\"%=<>!&|(),\]}]+))"
)
_ORDER = {"<": lt, "<=": le, ">": gt, ">=": ge}
_REGEX_MAX = 2  # in one pattern
_SEARCHED_MAX = 10_000  # letters of a value


def expression(text: str) -> Callable[[str], bool]:
    """AWS's regular expressions have no groups; here no two repetitions may overlap, either."""
    if not _EXPRESSION.fullmatch(text):
        raise invalid(f"Invalid regular expression: %{text}%")
    try:
        search = regexes.compiled(text, re.ASCII, 1).search
    except re.error as error:
        raise invalid(f"Invalid regular expression: %{text}%") from error
    # of a longer text the beginning: a line of a function must not keep everybody waiting
    return lambda value: search(value[:_SEARCHED_MAX]) is not None


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def select(document: Any, selector: str) -> Values:
    """The values at `$.a[0].b`; `*` stands for every member or element."""
    found = [document]
    for step in _steps(selector):
        found = [value for each in found for value in _children(each, step)]
    return found


@lru_cache(maxsize=1024)
def _steps(selector: str) -> tuple[int | str | None, ...]:
    """None is the wildcard."""
    steps: list[int | str | None] = []
    for index, wildcard, quoted, name in _STEP.findall(selector.removeprefix("$")):
        if index:
            steps.append(int(index))
        else:
            steps.append(None if wildcard or name == "*" else quoted or name)
    return tuple(steps)


def _children(value: Any, step: int | str | None) -> Values:
    if isinstance(value, dict):
        if step is None:
            return list(value.values())
        return [value[step]] if step in value else []
    if isinstance(value, list):
        if step is None:
            return value
        return [value[step]] if isinstance(step, int) and step < len(value) else []
    return []


def of_document(text: str) -> tuple[Condition, tuple[str, ...]]:
    """`{ … }` → its condition and the selectors in it."""
    if not text.endswith("}"):
        raise invalid(f"Invalid filter pattern: {text}")
    parser = _Parser(text[1:-1], is_document=True)
    condition = parser.condition()
    parser.end()
    return condition, tuple(dict.fromkeys(parser.names))


def of_fields(text: str) -> list[tuple[str, Condition | None]]:
    """`[a, b = 1, …]` → each field's name and its condition; "..." is any number of fields."""
    if not text.endswith("]"):
        raise invalid(f"Invalid filter pattern: {text}")
    parser = _Parser(text[1:-1], is_document=False)
    fields = parser.series(parser.field, ",")
    parser.end()
    if sum(name == "..." for name, _ in fields) > 1:
        raise invalid("A filter pattern can have one ellipsis.")
    return fields


class _Parser(Scanner):
    token = _TOKEN

    def __init__(self, source: str, *, is_document: bool) -> None:
        super().__init__(source)
        self._is_document = is_document
        self._regexes = 0
        self.names: list[str] = []

    def wrong(self, why: str = "") -> AwsError:
        return invalid(f"Invalid filter pattern: {self.source.strip()}")

    def condition(self) -> Condition:
        choices = self.series(self._all, "||")
        return choices[0] if len(choices) == 1 else lambda of: any(each(of) for each in choices)

    def _all(self) -> Condition:
        needed = self.series(self._one, "&&")
        return needed[0] if len(needed) == 1 else lambda of: all(each(of) for each in needed)

    def _one(self) -> Condition:
        if self.take("("):
            inner = self.deeper(self.condition)
            self.need(")")
            return inner
        name = self._name()
        if self.take("IS"):
            return _one_of(name, self._constant())
        if self.take("NOT"):
            self.need("EXISTS")
            return lambda of: not of(name)
        if self.take("EXISTS"):
            return lambda of: bool(of(name))
        return _one_of(name, self._comparison())

    def _name(self) -> str:
        kind, word = self.next()
        if kind != ("selector" if self._is_document else "word") or word == "$":
            raise self.wrong()
        name = word if self._is_document else f"${word}"
        self.names.append(name)
        return name

    def field(self) -> tuple[str, Condition | None]:
        """A name alone, or with a condition that is about it."""
        if self.take("..."):
            return "...", None
        start = self.position
        name = self._name()
        if self.peek()[0] == "end" or self.peek() == ("mark", ","):
            return name[1:], None
        self.position = start
        return name[1:], self.condition()

    def _constant(self) -> _Test:
        wanted = {"NULL": None, "TRUE": True, "FALSE": False}
        word = self.take(*wanted)
        if not word:
            raise self.wrong()
        return lambda value: value is wanted[word]

    def _comparison(self) -> _Test:
        operator = self.take("=", "!=", *_ORDER)
        kind, word = self.next()
        if not operator or kind not in ("quoted", "regex", "word"):
            raise self.wrong()
        if operator in _ORDER:
            if kind != "word" or not _NUMBER.fullmatch(word):
                raise self.wrong()
            return _ordered(_ORDER[operator], float(word), is_text=not self._is_document)
        equal = self._equal(kind, word)
        return equal if operator == "=" else lambda value: not equal(value)

    def _equal(self, kind: str, word: str) -> _Test:
        if kind == "regex":
            self._regexes += 1
            if self._regexes > _REGEX_MAX:
                raise invalid("A filter pattern can have two regular expressions.")
            search = expression(word[1:-1])
            return lambda value: _is_scalar(value) and search(text_of(value))
        if kind == "word" and _NUMBER.fullmatch(word):
            return _ordered(lambda a, b: bool(a == b), float(word), is_text=not self._is_document)
        text = unescaped(word[1:-1]) if kind == "quoted" else word
        if "*" not in text:
            return lambda value: bool(value == text)
        match = _wildcard(text)
        return lambda value: _is_scalar(value) and match(text_of(value))


def _one_of(name: str, test: _Test) -> Condition:
    return lambda of: any(test(value) for value in of(name))


def _ordered(compare: Callable[[float, float], bool], bound: float, *, is_text: bool) -> _Test:
    """Numbers alone compare with numbers; fields of a line are text that may say one."""

    def test(value: Any) -> bool:
        if is_text:
            return bool(_NUMBER.fullmatch(value)) and compare(float(value), bound)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and compare(value, bound)

    return test


def _wildcard(text: str) -> Callable[[str], bool]:
    literal = text.replace("[", "[[]").replace("?", "[?]")
    match = re.compile(translate(literal)).match
    return lambda value: match(value) is not None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
