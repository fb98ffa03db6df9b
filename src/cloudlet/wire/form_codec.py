"""Form fields → parameters, the query protocol (IAM, STS, SNS, CloudFormation).

`Tags.member.1.Key=a` is a path of names and one-based numbers; fields are first folded into a
tree, then read along the shape. See https://smithy.io/2.0/aws/protocols/aws-query-protocol.html.
"""

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.errors import AwsError
from cloudlet.wire import scalars
from cloudlet.wire.models import serialization

_DEPTH_MAX = 16
Tree = dict[str, Any]


def parse(fields: list[tuple[str, str]], shape: StructureShape) -> dict[str, Any]:
    tree: Tree = {}
    for name, value in fields:
        _fold(tree, name.split("."), value)
    parsed: dict[str, Any] = _read(tree, shape)
    return parsed


def _fold(tree: Tree, path: list[str], value: str) -> None:
    if len(path) > _DEPTH_MAX:
        raise AwsError("MalformedInput", "A parameter name is nested too deep.", 400)
    for part in path[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            below = tree[part] = {"": below}
        tree = below
    tree[path[-1]] = value


def _read(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(value, shape)
    if isinstance(shape, ListShape):
        return _list(value, shape)
    if isinstance(shape, MapShape):
        return _map(value, shape)
    if isinstance(value, dict):
        raise AwsError("MalformedInput", "A parameter has a value and parts.", 400)
    return scalars.text_parser(shape)(value)


def _structure(value: Any, shape: StructureShape) -> Any:
    if not isinstance(value, dict):
        return {}
    parsed = {}
    for name, member in shape.members.items():
        wire_name = str(serialization(member).get("name", name))
        if isinstance(member, ListShape) and serialization(member).get("flattened"):
            wire_name = str(serialization(member.member).get("name", wire_name))
        if wire_name in value:
            parsed[name] = _read(value[wire_name], member)
    return parsed


def _list(value: Any, shape: ListShape) -> Any:
    if not isinstance(value, dict):
        return []  # `Tags=` is an empty list
    if not serialization(shape).get("flattened"):
        value = value.get(serialization(shape.member).get("name", "member"), {})
    return [_read(item, shape.member) for _, item in _numbered(value)]


def _map(value: Any, shape: MapShape) -> Any:
    if not isinstance(value, dict):
        return {}
    if not serialization(shape).get("flattened"):
        value = value.get("entry", {})
    key_name = str(serialization(shape.key).get("name", "key"))
    value_name = str(serialization(shape.value).get("name", "value"))
    return {
        entry.get(key_name, ""): _read(entry[value_name], shape.value)
        for _, entry in _numbered(value)
        if isinstance(entry, dict) and value_name in entry
    }


def _numbered(value: Any) -> list[tuple[int, Any]]:
    if not isinstance(value, dict):
        return []
    return sorted((int(key), item) for key, item in value.items() if key.isdigit())
