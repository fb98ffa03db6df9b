"""The expressions of one request: compiled once per text, checked against their placeholders.

Theory of operation. `compiled(kind, text)` parses a text and turns conditions into closures; the
result depends on the text alone and is kept (least recently used go first). `of(params, kinds)`
gathers a request's expressions, canonical values and names, refuses undefined and unused
placeholders, and runs the checks that need to know the values.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from cloudlet.dynamodb import conditions, grammar, legacy, paths, updates, values
from cloudlet.dynamodb.conditions import Bindings, Test
from cloudlet.dynamodb.grammar import Action, Between, Function, Path, Placeholder
from cloudlet.dynamodb.numerics import Malformed, invalid
from cloudlet.dynamodb.paths import Parts
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError

_NAME = re.compile(r"#[A-Za-z0-9_]+")
_VALUE = re.compile(r":[A-Za-z0-9_]+")
_NESTING_MAX = 32


@dataclass(frozen=True, slots=True)
class Compiled:
    tree: grammar.Tree
    names: tuple[str, ...]  # placeholders in order of appearance
    values: tuple[str, ...]
    test: Test | None  # of conditions
    weighs_values: bool  # what is refused depends on more than the types of values


@lru_cache(maxsize=2048)
def compiled(kind: str, text: str) -> Compiled:
    try:
        tree = grammar.parse(kind, text)
    except AwsError as error:
        raise invalid(f"Invalid {kind}: {error.message}") from None
    return of_tree(kind, tree)


def of_tree(kind: str, tree: grammar.Tree) -> Compiled:
    names: dict[str, None] = {}
    found_values: dict[str, None] = {}
    for node in _leaves(tree):
        if isinstance(node, Placeholder):
            found_values[node.name] = None
        else:
            if len(node.parts) > _NESTING_MAX:
                raise invalid(
                    f"Invalid {kind}: The document path has too many nesting levels; nesting"
                    f" levels: {len(node.parts)}"
                )
            names.update((p, None) for p in node.parts if isinstance(p, str) and p[0] == "#")
    is_test = kind not in ("UpdateExpression", "ProjectionExpression")
    test = conditions.compile_test(cast(grammar.Condition, tree)) if is_test else None
    weighs_values = is_test and _weighs_values(tree)
    return Compiled(tree, tuple(names), tuple(found_values), test, weighs_values)


def _weighs_values(node: Any) -> bool:
    if isinstance(node, Between) or (isinstance(node, Function) and node.name == "attribute_type"):
        return True
    return isinstance(node, tuple) and any(map(_weighs_values, node))


def _leaves(node: Any) -> Iterator[Path | Placeholder]:
    if isinstance(node, Path | Placeholder):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _leaves(part)


class Expressions:
    """A request's expressions with their bindings."""

    __slots__ = ("bindings", "by_kind", "is_legacy")

    def __init__(
        self, by_kind: dict[str, Compiled], bindings: Bindings, *, is_legacy: bool = False
    ) -> None:
        self.by_kind = by_kind
        self.bindings = bindings
        self.is_legacy = is_legacy

    def holds(self, kind: str, item: Item) -> bool:
        """True where there is no such expression."""
        expression = self.by_kind.get(kind)
        if expression is None:
            return True
        assert expression.test is not None
        return expression.test(self.bindings, item)

    def tree(self, kind: str) -> Any:
        expression = self.by_kind.get(kind)
        return None if expression is None else expression.tree

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.tree("UpdateExpression") or ()

    @property
    def projection(self) -> list[Parts] | None:
        tree: tuple[Path, ...] | None = self.tree("ProjectionExpression")
        if tree is None:
            return None
        return [paths.resolve(path, self.bindings.names) for path in tree]

    def top_names(self, kind: str) -> Iterator[str]:
        """The attributes an expression speaks of."""
        for node in _leaves(self.tree(kind)):
            if isinstance(node, Path):
                yield str(paths.resolve(node, self.bindings.names)[0])

    def project(self, item: Item) -> Item:
        wanted = self.projection
        return item if wanted is None else paths.project(item, wanted)


_NONE = Expressions({}, Bindings({}, {}))


def of(params: dict[str, Any], *kinds: str) -> Expressions:
    try:
        if not legacy.NAMES.isdisjoint(params):
            return _with_legacy(params, kinds)
        return _of_texts(params, kinds)
    except AwsError as error:
        if isinstance(error, Malformed) or error.code != "ValidationException":
            raise
        raise Malformed(error.message) from None


def _with_legacy(params: dict[str, Any], kinds: tuple[str, ...]) -> Expressions:
    trees, old = legacy.translated(params)
    new = _of_texts(params, kinds)
    by_kind = {**new.by_kind, **{kind: of_tree(kind, trees[kind]) for kind in trees}}
    names, given = {**new.bindings.names, **old.names}, {**new.bindings.values, **old.values}
    return Expressions(by_kind, Bindings(names, given), is_legacy=True)


def _of_texts(params: dict[str, Any], kinds: tuple[str, ...]) -> Expressions:
    texts = {kind: params[kind] for kind in kinds if params.get(kind) is not None}
    names = params.get("ExpressionAttributeNames")
    given = params.get("ExpressionAttributeValues")
    if not texts:
        if names is not None:
            raise invalid("ExpressionAttributeNames can only be specified when using expressions")
        if given is not None:
            which = " and ".join(kind for kind in kinds if kind != "ProjectionExpression")
            said = "ExpressionAttributeValues can only be specified when using expressions"
            raise Malformed(f"{said}: {which} is null", said)
        return _NONE
    bindings = Bindings(_names(names), _values(given))
    by_kind = {kind: compiled(kind, text) for kind, text in texts.items()}
    if any(expression.weighs_values for expression in by_kind.values()):
        _check_all(by_kind, bindings)
    else:
        types = tuple((name, values.type_of(value)) for name, value in bindings.values.items())
        _check_types(tuple(texts.items()), tuple(bindings.names.items()), types)
    return Expressions(by_kind, bindings)


_Pairs = tuple[tuple[str, str], ...]


@lru_cache(maxsize=2048)
def _check_types(texts: _Pairs, names: _Pairs, types: _Pairs) -> None:
    """What is right with these types of values is right with any such values."""
    b = Bindings(dict(names), {name: {kind: None} for name, kind in types})
    _check_all({kind: compiled(kind, text) for kind, text in texts}, b)


def _check_all(by_kind: dict[str, Compiled], b: Bindings) -> None:
    for kind, expression in by_kind.items():
        _check(kind, expression, b)
    _check_used(by_kind, b)


def _names(names: dict[str, str] | None) -> dict[str, str]:
    if names is None:
        return {}
    if not names:
        raise invalid("ExpressionAttributeNames must not be empty")
    for key in names:
        if not _NAME.fullmatch(key):
            raise invalid(
                f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"'
            )
        if not names[key]:
            raise values.empty_name()
    return names


def _values(given: dict[str, Any] | None) -> dict[str, values.Value]:
    if given is None:
        return {}
    if not given:
        raise invalid("ExpressionAttributeValues must not be empty")
    result = {}
    for key, value in given.items():
        if not _VALUE.fullmatch(key):
            raise invalid(
                f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"'
            )
        try:
            result[key], _ = values.canonical(value)
        except AwsError as error:
            if error.code != "ValidationException":
                raise
            raise Malformed(
                f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}",
                error.now if isinstance(error, Malformed) else error.message,
            ) from None
    return result


def _check(kind: str, expression: Compiled, b: Bindings) -> None:
    try:
        for name in expression.names:
            if name not in b.names:
                raise invalid(
                    "An expression attribute name used in the document path is not defined;"
                    f" attribute name: {name}"
                )
        if kind == "UpdateExpression":
            for name in expression.values:
                if name not in b.values:
                    raise conditions.undefined(name)
            updates.check(cast(tuple[Action, ...], expression.tree), b)
        elif kind == "ProjectionExpression":
            tree = cast(tuple[Path, ...], expression.tree)
            paths.check_overlap([paths.resolve(path, b.names) for path in tree])
        else:
            conditions.check(cast(grammar.Condition, expression.tree), b)
    except AwsError as error:
        raise invalid(f"Invalid {kind}: {error.message}") from None


def _check_used(by_kind: dict[str, Compiled], b: Bindings) -> None:
    used_names = {name for each in by_kind.values() for name in each.names}
    unused = [name for name in b.names if name not in used_names]
    if unused:
        raise invalid(
            "Value provided in ExpressionAttributeNames unused in expressions: keys:"
            f" {{{', '.join(unused)}}}"
        )
    used_values = {name for each in by_kind.values() for name in each.values}
    unused = [name for name in b.values if name not in used_values]
    if unused:
        raise invalid(
            "Value provided in ExpressionAttributeValues unused in expressions: keys:"
            f" {{{', '.join(unused)}}}"
        )
