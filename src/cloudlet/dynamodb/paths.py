"""Document paths on items: look up, project, and paths that get in each other's way."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloudlet.dynamodb.grammar import Path
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Item, Value

Parts = tuple[str | int, ...]


def resolve(path: Path, names: Mapping[str, str]) -> Parts:
    """The path with its `#placeholders` replaced."""
    if not names:
        return path.parts
    return tuple(
        names[part] if isinstance(part, str) and part[0] == "#" else part for part in path.parts
    )


def find(item: Item, parts: Parts) -> Value | None:
    value = item.get(parts[0])  # type: ignore[arg-type]  # a path starts with a name
    for part in parts[1:]:
        if value is None:
            return None
        value = _child(value, part)
    return value


def _child(value: Value, part: str | int) -> Value | None:
    if isinstance(part, int):
        elements = value.get("L")
        return elements[part] if elements is not None and part < len(elements) else None
    members: Item | None = value.get("M")
    return None if members is None else members.get(part)


def project(item: Item, paths: Sequence[Parts]) -> Item:
    """The parts of an item that the paths name; list elements close ranks."""
    tree: dict[Any, Any] = {}
    for parts in paths:
        node = tree
        for part in parts:
            node = node.setdefault(part, {})
    return _pick_map(item, tree)


def _pick_map(members: Item, tree: dict[Any, Any]) -> Item:
    result: Item = {}
    for name, below in tree.items():
        if isinstance(name, str) and name in members:
            picked = _pick(members[name], below)
            if picked is not None:
                result[name] = picked
    return result


def _pick(value: Value, tree: dict[Any, Any]) -> Value | None:
    if not tree:
        return value
    if "M" in value:
        members = _pick_map(value["M"], tree)
        return {"M": members} if members else None
    if "L" not in value:
        return None
    elements = value["L"]
    indexes = sorted(index for index in tree if isinstance(index, int) and index < len(elements))
    picked = [_pick(elements[index], tree[index]) for index in indexes]
    found = [element for element in picked if element is not None]
    return {"L": found} if found else None


def check_overlap(paths: Sequence[Parts]) -> None:
    """Refuses paths of which one contains the other, or that need both a list and a map."""
    tree: dict[Any, Any] = {}
    for index, second in enumerate(paths):
        if _fits(tree, second):
            continue
        first = next(each for each in paths[:index] if _clash(each, second))
        raise invalid(
            f"Two document paths {_clash(first, second)} with each other; must remove or rewrite"
            f" one of these paths; path one: {shown(first)}, path two: {shown(second)}"
        )


def _fits(tree: dict[Any, Any], parts: Parts) -> bool:
    """Adds a path to those that are in the tree, unless it gets in the way of one of them."""
    node, is_new = tree, False
    for part in parts:
        below = node.get(part)
        if below is None:
            if node and type(part) is not type(next(iter(node))):
                return False
            below, is_new = {}, True
            node[part] = below
        elif not below:
            return False
        node = below
    return is_new


def _clash(first: Parts, second: Parts) -> str:
    for one, other in zip(first, second, strict=False):
        if one != other:
            return "conflict" if type(one) is not type(other) else ""
    return "overlap"


def shown(parts: Parts) -> str:
    return "[" + ", ".join(f"[{p}]" if isinstance(p, int) else p for p in parts) + "]"
