"""Lexer and parser of the four kinds of expression; one grammar, one tree.

Theory of operation. `parse(kind, text)` makes a tree of the node types below. Placeholders
(`#name`, `:value`) stay placeholders: a tree depends on the text alone, so that it can be kept and
used again with other names and values. What can be refused without them (syntax, reserved words,
functions and their operand counts) is refused here; the rest in `expressions`.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import NamedTuple, TypeVar

from cloudlet.dynamodb.numerics import invalid

T = TypeVar("T")
_TOKEN = re.compile(r"\s*([#:][A-Za-z0-9_]+|[A-Za-z][A-Za-z0-9_]*|[0-9]+|<>|<=|>=|[=<>()\[\],.+-])")
_SPACE = re.compile(r"\s*")
EXPRESSION_MAX_BYTES = 4096
_INDEX_MAX = (1 << 31) - 1
_COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")
OPERANDS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
    "if_not_exists": 2,
    "list_append": 2,
}
_CONDITIONS = tuple(OPERANDS)[:5]
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
_RESERVED = frozenset(files(__package__).joinpath("reserved_words.txt").read_text().split())
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")


class Path(NamedTuple):
    parts: tuple[str | int, ...]


class Placeholder(NamedTuple):
    name: str


class Function(NamedTuple):
    name: str
    operands: tuple["Operand", ...]


class Arithmetic(NamedTuple):
    operator: str
    left: "Operand"
    right: "Operand"


Operand = Path | Placeholder | Function | Arithmetic


class Comparison(NamedTuple):
    operator: str
    left: Operand
    right: Operand


class Between(NamedTuple):
    operand: Operand
    low: Operand
    high: Operand


class In(NamedTuple):
    operand: Operand
    choices: tuple[Operand, ...]


class Logic(NamedTuple):
    operator: str  # "AND" or "OR"
    left: "Condition"
    right: "Condition"


class Not(NamedTuple):
    condition: "Condition"


Condition = Comparison | Between | In | Logic | Not | Function


class Action(NamedTuple):
    section: str
    path: Path
    operand: Operand | None = None


Tree = Condition | tuple[Path, ...] | tuple[Action, ...]


class Token(NamedTuple):
    text: str
    start: int
    end: int


def parse(kind: str, text: str) -> Tree:
    """`kind` is the parameter's name ("FilterExpression"); raises AwsError naming it."""
    try:
        if not text.strip():
            raise invalid("The expression can not be empty;")
        size_bytes = len(text.encode())
        if size_bytes > EXPRESSION_MAX_BYTES:
            size = "" if kind == "UpdateExpression" else f" expression size: {size_bytes}"
            raise invalid(f"Expression size has exceeded the maximum allowed size;{size}")
        parser = _Parser(text, kind)
        tree: Tree
        if kind == "UpdateExpression":
            tree = parser.update()
        elif kind == "ProjectionExpression":
            tree = parser.projection()
        else:
            tree = parser.condition()
        parser.expect_end()
        return tree
    except RecursionError:
        raise invalid("The expression is nested too deeply;") from None


def _tokens(text: str) -> list[Token]:
    tokens = []
    position = 0
    while match := _TOKEN.match(text, position):
        tokens.append(Token(match[1], match.start(1), match.end(1)))
        position = match.end()
    space = _SPACE.match(text, position)
    rest = space.end() if space else position
    if rest < len(text):
        tokens.append(Token(text[rest], rest, rest + 1))
        # dynamodb-069: at the beginning, what is near it is the character behind it
        tokens.append(Token("", rest + 1, rest + 1 if rest else min(2, len(text))))
    tokens.append(Token("<EOF>", len(text), len(text)))
    return tokens


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, kind: str) -> None:
        self.text = text
        self.kind = kind
        self.tokens = _tokens(text)
        self.position = 0

    @property
    def token(self) -> str:
        return self.tokens[self.position].text

    def take(self) -> str:
        token = self.token
        self.position += 1
        return token

    def is_word(self, *words: str) -> bool:
        return self.token.upper() in words

    def expect(self, token: str) -> None:
        if self.token.upper() != token:
            raise self.syntax_error()
        self.position += 1

    def expect_end(self) -> None:
        if self.position < len(self.tokens) - 1:
            raise self.syntax_error()

    def syntax_error(self) -> Exception:
        here = self.tokens[self.position]
        first = self.tokens[max(0, self.position - 1)]
        last = self.tokens[min(len(self.tokens) - 1, self.position + 1)]
        near = self.text[first.start : last.end]
        return invalid(f'Syntax error; token: "{here.text}", near: "{near}"')

    def some(self, one: Callable[[], T]) -> tuple[T, ...]:
        found = [one()]
        while self.token == ",":
            self.position += 1
            found.append(one())
        return tuple(found)

    # paths and operands

    def path(self) -> Path:
        parts: list[str | int] = [self.name()]
        while True:
            if self.token == ".":
                self.position += 1
                parts.append(self.name())
            elif self.token == "[":
                self.position += 1
                if not self.token.isdigit():
                    raise self.syntax_error()
                parts.append(self.index())
                self.expect("]")
            else:
                return Path(tuple(parts))

    def index(self) -> int:
        index = int(self.token)
        if index > _INDEX_MAX:
            raise invalid(f"List index is not within the allowable range; index: [{self.token}]")
        self.position += 1
        return index

    def name(self) -> str:
        token = self.token
        if not (token[:1] == "#" or (token[:1].isascii() and token[:1].isalpha())):
            raise self.syntax_error()
        if token.upper() in _RESERVED:
            raise invalid(f"Attribute name is a reserved keyword; reserved keyword: {self.token}")
        return self.take()

    def operand(self) -> Operand:
        if self.token[:1] == ":":
            return Placeholder(self.take())
        following = self.tokens[min(self.position + 1, len(self.tokens) - 1)].text
        if following == "(" and self.token[:1].isalpha():
            return self.function()
        return self.path()

    def function(self) -> Function:
        name = self.take()
        if name not in OPERANDS:
            raise invalid(f"Invalid function name; function: {name}")
        self.expect("(")
        operands = self.some(self.operand)
        self.expect(")")
        if len(operands) != OPERANDS[name]:
            raise invalid(
                "Incorrect number of operands for operator or function; operator or function:"
                f" {name}, number of operands: {len(operands)}"
            )
        self.check_use(name, name in ("if_not_exists", "list_append"))
        allowed = "if_not_exists" if self.is_update else "size"
        for operand in operands:
            if isinstance(operand, Function) and operand.name != allowed:
                raise _misused(operand.name)
        return Function(name, operands)

    @property
    def is_update(self) -> bool:
        return self.kind == "UpdateExpression"

    def check_use(self, name: str, is_for_updates: bool) -> None:
        if is_for_updates != self.is_update:
            raise _misused(name)

    # conditions

    def condition(self) -> Condition:
        left = self.conjunction()
        while self.is_word("OR"):
            self.position += 1
            left = Logic("OR", left, self.conjunction())
        return left

    def conjunction(self) -> Condition:
        left = self.negation()
        while self.is_word("AND"):
            self.position += 1
            left = Logic("AND", left, self.negation())
        return left

    def negation(self) -> Condition:
        if self.is_word("NOT"):
            self.position += 1
            return Not(self.negation())
        return self.predicate()

    def predicate(self) -> Condition:
        if self.token == "(":
            return self.parenthesized()
        operand = self.operand()
        if self.token in _COMPARATORS:
            comparison = Comparison(self.take(), operand, self.operand())
            for side in (comparison.left, comparison.right):
                _check_is_value(side)
            return comparison
        if self.is_word("BETWEEN"):
            self.position += 1
            low = self.operand()
            self.expect("AND")
            _check_is_value(operand)
            return Between(operand, low, self.operand())
        if self.is_word("IN"):
            return self.membership(operand)
        if isinstance(operand, Function):
            if operand.name not in _CONDITIONS:
                raise _misused(operand.name)
            return operand
        raise self.syntax_error()

    def membership(self, operand: Operand) -> In:
        self.position += 1
        self.expect("(")
        choices = self.some(self.operand)
        self.expect(")")
        if len(choices) > 100:
            raise invalid(
                "Incorrect number of operands for operator or function; operator or function: IN,"
                f" number of operands: {len(choices) + 1}"
            )
        return In(operand, choices)

    def parenthesized(self) -> Condition:
        start = self.position
        self.position += 1
        condition = self.condition()
        is_doubled = (
            self.tokens[start + 1].text == "(" and self.closes(start + 1) == self.position - 1
        )
        self.expect(")")
        if is_doubled:
            raise invalid("The expression has redundant parentheses;")
        return condition

    def closes(self, start: int) -> int:
        """The index of the parenthesis that closes the one at `start`."""
        depth = 0
        for index in range(start, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.tokens[index].text, 0)
            if depth == 0:
                return index
        return -1

    # projections and updates

    def projection(self) -> tuple[Path, ...]:
        return self.some(self.path)

    def update(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        seen: set[str] = set()
        while self.position < len(self.tokens) - 1:
            section = self.token.upper()
            if section not in _SECTIONS:
                raise self.syntax_error()
            if section in seen:
                raise invalid(
                    f'The "{section}" section can only be used once in an update expression;'
                )
            seen.add(section)
            self.position += 1
            actions.extend(self.some(getattr(self, f"{section.lower()}_action")))
        return tuple(actions)

    def set_action(self) -> Action:
        path = self.path()
        self.expect("=")
        return Action("SET", path, self.sum())

    def sum(self) -> Operand:
        left = self.term()
        if self.token in ("+", "-"):
            return Arithmetic(self.take(), left, self.term())
        return left

    def term(self) -> Operand:
        if self.token != "(":
            return self.operand()
        self.position += 1
        inner = self.sum()
        self.expect(")")
        return inner

    def remove_action(self) -> Action:
        return Action("REMOVE", self.path())

    def add_action(self) -> Action:
        return Action("ADD", self.path(), self.placeholder())

    def delete_action(self) -> Action:
        return Action("DELETE", self.path(), self.placeholder())

    def placeholder(self) -> Placeholder:
        if self.token[:1] != ":":
            raise self.syntax_error()
        return Placeholder(self.take())


def _misused(name: str) -> Exception:
    return invalid(
        f"The function is not allowed to be used this way in an expression; function: {name}"
    )


def _check_is_value(operand: Operand) -> None:
    if isinstance(operand, Function) and operand.name != "size":
        raise _misused(operand.name)
