"""The rule of a composite alarm: other alarms' states, joined by AND, OR and NOT.

    rule = both { "OR" both }     both = one { "AND" one }
    one  = "NOT" one | "(" rule ")" | "TRUE" | "FALSE" | state "(" name ")"

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloudlet.errors import AwsError
from cloudlet.monitoring.scanner import Scanner

_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
_NAMES_MAX = 100
Test = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    is_met: Test  # by alarms' states
    names: tuple[str, ...]


def parse(text: str) -> Rule:
    """Raises ValidationError."""
    parser = _Parser(text)
    test = parser.rule()
    parser.end()
    if len(set(parser.names)) > _NAMES_MAX:
        raise AwsError("ValidationError", f"A rule can name {_NAMES_MAX} alarms.")
    return Rule(test, tuple(dict.fromkeys(parser.names)))


class _Parser(Scanner):
    token = re.compile(r"""\s*(?P<word>"[^"]*"|'[^']*'|[()]|[^\s()"']+)""")

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.names: list[str] = []

    def wrong(self, why: str = "") -> AwsError:
        return AwsError("ValidationError", f"AlarmRule is not valid: {self.source}")

    def rule(self) -> Test:
        choices = self.series(self._both, "OR")
        return lambda states: any(test(states) for test in choices)

    def _both(self) -> Test:
        needed = self.series(lambda: self.deeper(self._one), "AND")
        return lambda states: all(test(states) for test in needed)

    def _one(self) -> Test:
        if self.take("NOT"):
            inner = self.deeper(self._one)
            return lambda states: not inner(states)
        if self.take("("):
            inner = self.rule()
            self.need(")")
            return inner
        if constant := self.take("TRUE", "FALSE"):
            return lambda states: constant == "TRUE"
        state = self.take(*_STATES)
        if not state:
            raise self.wrong()
        self.need("(")
        name = self.next()[1].strip("\"'").rsplit(":alarm:", 1)[-1]
        self.need(")")
        self.names.append(name)
        return lambda states: states.get(name) == state
