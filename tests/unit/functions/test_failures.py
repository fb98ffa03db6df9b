"""Functions' errors in the terminal: one line each, bounded."""

from cloudlet.functions.failures import Failures
from tests.harness import Clock


def test_errors_are_a_line_each_and_bounded() -> None:
    said: list[str] = []
    clock = Clock()
    failures = Failures(said.append, clock)
    failures.tell("f", b'{"errorType": "KeyError", "errorMessage": "a\\nb\\u001b[31m"}')
    failures.tell("f", b"not JSON")
    assert said == [
        "error: f: KeyError: a b\ufffd[31m",
        "error: f: it failed without an error document",
    ]
    for _ in range(30):
        failures.tell("f", b"{}")
    assert len(said) == 20
    clock.advance(10)
    failures.tell("g", b"{}")
    assert said[20:] == ["error: 12 more errors of functions since then", "error: g: it failed"]
