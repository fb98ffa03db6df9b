"""The rule of a composite alarm: other alarms' states, joined by AND, OR and NOT.

    rule = both { "OR" both }     both = one { "AND" one }
    one  = "NOT" one | "(" rule ")" | "TRUE" | "FALSE" | state "(" name ")"

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloudlet.errors import AwsError

_TOKEN = re.compile(r'\s*(?:"[^"]*"|\'[^\']*\'|[()]|[^\s()"\']+)')
_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
_NAMES_MAX = 100
_DEPTH_MAX = 50
Test = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    is_met: Test  # by alarms' states
    names: tuple[str, ...]


def parse(text: str) -> Rule:
    """Raises ValidationError."""
    parser = _Parser(text)
    test = parser.rule()
    if parser.word():
        raise parser.wrong()
    if len(set(parser.names)) > _NAMES_MAX:
        raise AwsError("ValidationError", f"A rule can name {_NAMES_MAX} alarms.")
    return Rule(test, tuple(dict.fromkeys(parser.names)))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._read(text)
        self._position = 0
        self._depth = 0
        self.names: list[str] = []

    def _read(self, text: str) -> list[str]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.wrong()
            tokens.append(match[0].strip())
            position = match.end()
        return tokens

    def wrong(self) -> AwsError:
        return AwsError("ValidationError", f"AlarmRule is not valid: {self._text}")

    def word(self) -> str:
        """The token in turn; "" at the end."""
        is_more = self._position < len(self._tokens)
        return self._tokens[self._position] if is_more else ""

    def _take(self, *words: str) -> str:
        word = self.word()
        if word not in words:
            return ""
        self._position += 1
        return word

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self.wrong()

    def rule(self) -> Test:
        choices = [self._both()]
        while self._take("OR"):
            choices.append(self._both())
        return lambda states: any(test(states) for test in choices)

    def _both(self) -> Test:
        needed = [self._one()]
        while self._take("AND"):
            needed.append(self._one())
        return lambda states: all(test(states) for test in needed)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self.wrong()
        test = self._inner()
        self._depth -= 1
        return test

    def _inner(self) -> Test:
        if self._take("NOT"):
            inner = self._one()
            return lambda states: not inner(states)
        if self._take("("):
            inner = self.rule()
            self._need(")")
            return inner
        if constant := self._take("TRUE", "FALSE"):
            return lambda states: constant == "TRUE"
        state = self._take(*_STATES)
        if not state:
            raise self.wrong()
        self._need("(")
        name = self.word().strip("\"'").rsplit(":alarm:", 1)[-1]
        self._position += 1
        self._need(")")
        self.names.append(name)
        return lambda states: states.get(name) == state
