"""The words of a PartiQL statement, and where they stand: AWS's messages tell."""

import re
from typing import NamedTuple

from cloudlet.dynamodb.grammar import Placeholder
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Value
from cloudlet.errors import AwsError

_SPACE = r"(?:\s|--[^\n]*+|/\*.*?\*/)*+"  # possessive: a comment is no two signs
_TOKEN = re.compile(
    _SPACE
    + r"""(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")
    |(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<sign><<|>>|<>|<=|>=|!=|[=<>()\[\]{},.:;*?+-]))""",
    re.VERBOSE | re.DOTALL,
)
_REST = re.compile(_SPACE, re.DOTALL)
KEYWORDS = frozenset((
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CROSS", "DELETE", "DESC", "DISTINCT", "EXCEPT",
    "EXISTS", "FALSE", "FROM", "FULL", "GROUP", "HAVING", "IN", "INNER", "INSERT", "INTERSECT",
    "INTO", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "MISSING", "NOT", "NULL", "ON", "OR", "ORDER",
    "OUTER", "REMOVE", "RETURNING", "RIGHT", "SELECT", "SET", "TRUE", "UNION", "UPDATE", "VALUE",
    "VALUES", "WHERE",
))  # fmt: skip


class Token(NamedTuple):
    kind: str  # "text", "quoted", "number", "word", "sign" or "end"
    text: str  # without quotes
    start: int
    length: int


def malformed(why: str) -> AwsError:
    return invalid(f"Statement wasn't well formed, can't be processed: {why}")


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while match := _TOKEN.match(text, position):
        kind = str(match.lastgroup)
        raw = match[kind]
        shown = raw
        if kind in ("text", "quoted"):
            shown = raw[1:-1].replace(raw[0] * 2, raw[0])
        found.append(Token(kind, shown, match.start(kind), len(raw)))
        position = match.end()
    rest = _REST.match(text, position)
    if rest is not None and rest.end() < len(text):
        raise malformed("")
    found.append(Token("end", "", len(text), 0))
    return found


class Reader:
    """Goes through the tokens of one statement, and gathers what its placeholders stand for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.position = 0
        self.names: dict[str, str] = {}  # attribute → placeholder
        self.values: dict[str, Value | int] = {}
        self.parameters = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "word" and self.token.text.upper() in words

    def is_name(self) -> bool:
        return self.token.kind == "word" and self.token.text.upper() not in KEYWORDS

    def is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def is_text(self) -> bool:
        return self.token.kind == "text"

    def follows(self, sign: str) -> bool:
        """Is this a word before that sign?"""
        if self.token.kind != "word":
            return False
        following = self.tokens[self.position + 1]
        return following.kind == "sign" and following.text == sign

    def expect(self, text: str) -> None:
        if not (self.is_sign(text) or self.is_word(text)):
            is_keyword = self.token.kind == "word" and not self.is_name()
            raise malformed("Unexpected keyword" if is_keyword else "Unexpected token")
        self.take()

    def here(self) -> str:
        """Where the token stands, as AWS's messages tell."""
        token = self.token
        line_start = self.text.rfind("\n", 0, token.start) + 1
        line = self.text.count("\n", 0, token.start) + 1
        return f" at {line}:{token.start - line_start + 1}:{token.length}"

    def identifier(self, otherwise: str = "Unexpected keyword") -> str:
        token = self.token
        if token.kind == "quoted" or self.is_name():
            return self.take().text
        raise malformed(otherwise if token.kind == "word" else "Expected identifier")

    def name(self, attribute: str) -> str:
        return self.names.setdefault(attribute, f"#.{len(self.names)}")

    def placeholder(self, value: Value | int) -> Placeholder:
        name = f":.{len(self.values)}"
        self.values[name] = value
        return Placeholder(name)

    def parameter(self) -> Placeholder:
        self.take()
        self.parameters += 1
        return self.placeholder(self.parameters - 1)
