"""What the parsers of this package have in common: a text, read token by token.

Each language says in `token` what its tokens are: a group for each kind, of which "mark", "word"
and "name" are what `take` looks for. Errors are the language's own (`wrong`).
"""

import re
from collections.abc import Callable
from typing import TypeVar

from cloudlet.errors import AwsError

T = TypeVar("T")
Token = tuple[str, str]  # kind and text; ("end", "") at the end


class Scanner:
    """`position` is where it stands."""

    token: re.Pattern[str]
    ignores_case = False
    depth_max = 50

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self._depth = 0

    def wrong(self, why: str = "") -> AwsError:
        raise NotImplementedError

    def _match(self) -> re.Match[str] | None:
        if not self.source[self.position :].strip():
            return None
        match = self.token.match(self.source, self.position)
        if match is None:
            raise self.wrong()
        return match

    def peek(self) -> Token:
        match = self._match()
        return (str(match.lastgroup), match[str(match.lastgroup)]) if match else ("end", "")

    def next(self) -> Token:
        match = self._match()
        token = self.peek()
        self.position = match.end() if match else self.position
        return token

    def take(self, *words: str) -> str:
        """The next token if it is one of these, else ""."""
        kind, word = self.peek()
        word = word.lower() if self.ignores_case else word
        if kind not in ("mark", "word", "name") or word not in words:
            return ""
        self.next()
        return word

    def need(self, word: str) -> None:
        if not self.take(word):
            raise self.wrong()

    def end(self) -> None:
        if self.peek()[0] != "end":
            raise self.wrong()

    def series(self, one: Callable[[], T], mark: str, *others: str) -> list[T]:
        """One or more, with a mark between two of them."""
        found = [one()]
        while self.take(mark, *others):
            found.append(one())
        return found

    def deeper(self, inner: Callable[[], T]) -> T:
        self._depth += 1
        if self._depth > self.depth_max:
            raise self.wrong("it is nested too deeply")
        found = inner()
        self._depth -= 1
        return found
