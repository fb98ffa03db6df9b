"""Which route of an HTTP API a request is for. Sans-IO: paths in, route out.

Theory of operation. Routes become a tree of path segments: literal children, one variable child,
and greedy ends. A walk visits candidates from the most to the least specific: a literal before a
variable before a greedy segment, the longest greedy prefix first. The first candidate that has the
request's method, or ANY, is the route; `$default` is what is left.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
Ends = dict[str, tuple[T, tuple[str, ...]]]  # method → (route, names of the variables)


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    variable: "_Node[T] | None" = None
    ends: Ends[T] = field(default_factory=dict)
    greedy: Ends[T] = field(default_factory=dict)


class RouteTable(Generic[T]):
    def __init__(self, default: T | None = None) -> None:
        self.default = default
        self._root: _Node[T] = _Node()

    def add(self, key: str, route: T) -> None:
        """`key` is a route key, such as `GET /pets/{id}` or `$default`."""
        if key == "$default":
            self.default = route
            return
        method, path = key.split(" ", 1)
        node, names = self._root, []
        for segment in path[1:].split("/"):
            if not (segment.startswith("{") and segment.endswith("}")):
                node = node.literals.setdefault(segment, _Node())
                continue
            names.append(segment[1:-1].removesuffix("+"))
            if segment.endswith("+}"):
                node.greedy[method] = (route, tuple(names))
                return
            if node.variable is None:
                node.variable = _Node()
            node = node.variable
        node.ends[method] = (route, tuple(names))

    def match(self, method: str, path: str) -> tuple[T, dict[str, str]] | None:
        """The route and its path parameters for a decoded path without the stage."""
        segments = path[1:].split("/")
        for ends, values in _walk(self._root, segments, 0, ()):
            found = ends.get(method) or ends.get("ANY")
            if found is not None:
                route, names = found
                return route, dict(zip(names, values, strict=True))
        return None if self.default is None else (self.default, {})


def _walk(
    node: _Node[T], segments: list[str], position: int, values: tuple[str, ...]
) -> Iterator[tuple[Ends[T], tuple[str, ...]]]:
    if position == len(segments):
        if node.ends:
            yield node.ends, values
        return
    segment = segments[position]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, position + 1, values)
    if node.variable is not None and segment:
        yield from _walk(node.variable, segments, position + 1, (*values, segment))
    if node.greedy:
        rest = "/".join(segments[position:])
        if rest:
            yield node.greedy, (*values, rest)
