"""Velocity templates as API Gateway renders them: text in, a compiled template out. Sans-IO.

Theory of operation. One recursive descent over the source makes closures: nodes append text to a
list, expressions return values. References (`$a.b(1)[2]`, `$!a`, `${a}`) walk from a variable over
properties, methods and indexes, which `vtl_values` knows for Java's types. Block directives swallow
the line break behind them, `#set` also the blanks before it. Templates are a stage's and trusted no
further than their limits: loops and texts are bounded.
gateway-050: a reference that leads nowhere renders as nothing; Velocity would render its source.
https://velocity.apache.org/engine/1.7/vtl-reference.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings.html
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from cloudlet.gateway.rest import vtl_values
from cloudlet.gateway.rest.vtl_expressions import Expression, Reader, Step, Variables, spent, walk
from cloudlet.gateway.rest.vtl_values import VtlError

__all__ = ["Template", "VtlError"]

Node = Callable[[Variables, list[str]], None]

_ITERATIONS_MAX = 1000  # of one loop
_SPECIAL = re.compile(r"[$#\\]")
_DIRECTIVE = re.compile(r"#(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ENDS = frozenset(("else", "elseif", "end"))


class _Broken(Exception):
    """`#break`: leaves the loop."""


class _Stopped(Exception):
    """`#stop` or `#return`: leaves the template."""


class Template:
    """`render` may change the variables: `#set` writes into them."""

    def __init__(self, source: str) -> None:
        parser = _Parser(source)
        try:
            self._nodes, end = parser.block(0)
        except RecursionError:
            raise VtlError("the template is nested too deep") from None
        if end:
            raise VtlError(f"#{end} without a beginning")

    def render(self, variables: Variables) -> str:
        out: list[str] = []
        try:
            _run(self._nodes, variables, out)
        except (_Stopped, _Broken):
            pass
        except RecursionError:
            raise VtlError("the template calls itself too deep") from None
        if sum(map(len, out)) > vtl_values.TEXT_MAX:
            raise VtlError("a text is too long")
        return "".join(out)


def _run(nodes: list[Node], variables: Variables, out: list[str]) -> None:
    for node in nodes:
        node(variables, out)


class _Parser(Reader):
    """One pass over the source: text, references and directives become nodes."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.macros: dict[str, tuple[list[str], list[Node]]] = {}
        self._directives: dict[str, Callable[[int], Node]] = {
            "set": self._set,
            "if": self._if,
            "foreach": self._foreach,
            "macro": self._macro,
            "break": self._leave,
            "stop": self._leave,
            "return": self._leave,
        }

    def template(self, source: str) -> Expression:
        return Template(source).render

    # Blocks

    def block(self, depth: int) -> tuple[list[Node], str]:
        """Nodes up to the end of the block, and the directive that ended it ("": the source)."""
        nodes: list[Node] = []
        while True:
            found = _SPECIAL.search(self.source, self.at)
            end = found.start() if found else len(self.source)
            if end > self.at:
                nodes.append(_text(self.source[self.at : end]))
            self.at = end
            if found is None:
                if depth:
                    raise VtlError("#end is missing")
                return nodes, ""
            character = found.group()
            if character == "$":
                nodes.append(self._reference_node())
            elif character == "\\":
                nodes.append(self._escape())
            elif not self._comment(nodes):
                ended = self._directive(nodes, depth)
                if ended:
                    return nodes, ended

    def _comment(self, nodes: list[Node]) -> bool:
        for opening, closing in (("##", "\n"), ("#*", "*#"), ("#[[", "]]#")):
            if self.source.startswith(opening, self.at):
                end = self.source.find(closing, self.at + len(opening))
                stop = len(self.source) if end < 0 else end
                if opening == "#[[":
                    nodes.append(_text(self.source[self.at + 3 : stop]))
                self.at = min(len(self.source), stop + len(closing))
                return True
        return False

    def _directive(self, nodes: list[Node], depth: int) -> str:
        """Appends the directive's node; returns the name of one that ends the block."""
        start = self.at
        found = _DIRECTIVE.match(self.source, start)
        name = (found.group(1) or found.group(2)) if found else ""
        if found is None or not (name in _ENDS or name in self._directives or name in self.macros):
            if name in ("parse", "include", "evaluate", "define"):
                raise VtlError(f"#{name} is not allowed")
            nodes.append(_text("#"))
            self.at += 1
            return ""
        self.at = found.end()
        if name in _ENDS:
            if name != "elseif":
                self.swallow_line_end()
            return name
        if name == "set":
            _strip_blanks(nodes, self.source, start)
        make = self._directives.get(name) or self._macro_call
        self._called = name
        nodes.append(make(depth))
        return ""

    def _set(self, depth: int) -> Node:
        self.expect("(")
        self.skip()
        if not self.source.startswith("$", self.at):
            raise VtlError("#set needs a reference")
        name, steps = self.reference()
        self.expect("=")
        value = self.expression()
        self.close()

        def node(variables: Variables, out: list[str]) -> None:
            result = value(variables)
            if not steps:
                variables[name] = result  # null too: as if it had never been set
                return
            target = walk(variables.get(name), steps[:-1], variables)
            kind, key, _ = steps[-1]
            vtl_values.put(target, key if kind == "property" else key(variables), result)

        return node

    def _if(self, depth: int) -> Node:
        branches: list[tuple[Expression, list[Node]]] = []
        otherwise: list[Node] = []
        ended = "elseif"
        while ended == "elseif":
            self.expect("(")
            test = self.expression()
            self.close()
            nodes, ended = self.block(depth + 1)
            branches.append((test, nodes))
        if ended == "else":
            otherwise, ended = self.block(depth + 1)
        if ended != "end":
            raise VtlError(f"#{ended} after #else")

        def node(variables: Variables, out: list[str]) -> None:
            for test, nodes in branches:
                if vtl_values.is_true(test(variables)):
                    return _run(nodes, variables, out)
            _run(otherwise, variables, out)

        return node

    def _foreach(self, depth: int) -> Node:
        self.expect("(")
        self.skip()
        name, steps = self.reference()
        self.skip()
        if steps or not self.source.startswith("in", self.at):
            raise VtlError("#foreach needs `$item in …`")
        self.at += 2
        items = self.expression()
        self.close()
        nodes, ended = self.block(depth + 1)
        if ended != "end":
            raise VtlError(f"#{ended} in #foreach")

        def node(variables: Variables, out: list[str]) -> None:
            outer = {key: variables.get(key) for key in (name, "foreach", "velocityCount")}
            try:
                for item, state in _iterations(items(variables), outer["foreach"]):
                    spent(variables)
                    variables.update(
                        {name: item, "foreach": state, "velocityCount": state["count"]}
                    )
                    _run(nodes, variables, out)
            except _Broken:
                pass
            variables.update(outer)

        return node

    def _leave(self, depth: int) -> Node:
        error = _Broken if self._called == "break" else _Stopped
        self.swallow_line_end()

        def node(variables: Variables, out: list[str]) -> None:
            raise error

        return node

    def _macro(self, depth: int) -> Node:
        self.expect("(")
        self.skip()
        name = self.name()
        names = []
        self.skip()
        while not self.source.startswith(")", self.at):
            names.append(self.reference()[0])
            self.skip_comma()
        self.close()
        nodes: list[Node] = []
        self.macros[name] = (names, nodes)  # before its body: it may call itself
        body, ended = self.block(depth + 1)
        if ended != "end":
            raise VtlError(f"#{ended} in #macro")
        nodes.extend(body)
        return _text("")

    def _macro_call(self, depth: int) -> Node:
        names, nodes = self.macros[self._called]
        arguments: list[Expression] = []
        if self.source.startswith("(", self.at):
            self.at += 1
            arguments = self.items(")")
        self.swallow_line_end()

        def node(variables: Variables, out: list[str]) -> None:
            spent(variables)
            outer = {name: variables.get(name) for name in names}
            values = [argument(variables) for argument in arguments]
            values += [None] * (len(names) - len(values))
            variables.update(zip(names, values, strict=False))
            _run(nodes, variables, out)
            variables.update(outer)

        return node

    # References

    def _reference_node(self) -> Node:
        found = self._referred(self.at + 1)
        if found is None:
            return _text("$")
        name, steps = found

        def node(variables: Variables, out: list[str]) -> None:
            value = walk(variables.get(name), steps, variables)
            if value is not None:
                out.append(spent(variables, vtl_values.text(value)))

        return node

    def _referred(self, otherwise: int) -> tuple[str, list[Step]] | None:
        """The reference that stands here; without one the reader goes on at `otherwise`."""
        try:
            return self.reference()
        except VtlError:
            self.at = otherwise
            return None

    def _escape(self) -> Node:
        """`\\$name` is `$name` where that is defined; elsewhere a backslash is one."""
        start = self.at
        self.at += 1
        found = self._referred(self.at)
        if found is None:
            return _text("\\")
        name, steps = found
        source = self.source[start : self.at]

        def node(variables: Variables, out: list[str]) -> None:
            known = walk(variables.get(name), steps, variables) is not None
            out.append(source[1:] if known else source)

        return node


def _iterations(items: Any, parent: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    values = vtl_values.elements(items)[:_ITERATIONS_MAX]
    for number, item in enumerate(values, 1):
        yield (
            item,
            {
                "count": number,
                "index": number - 1,
                "hasNext": number < len(values),
                "first": number == 1,
                "last": number == len(values),
                "parent": parent,
            },
        )


def _text(text: str) -> Node:
    def node(variables: Variables, out: list[str]) -> None:
        out.append(text)

    node.text = text  # type: ignore[attr-defined]
    return node


def _strip_blanks(nodes: list[Node], source: str, at: int) -> None:
    """Blanks before #set go with it."""
    text = getattr(nodes[-1], "text", None) if nodes else None
    if text and text[-1] in " \t":
        nodes[-1] = _text(text.rstrip(" \t"))
