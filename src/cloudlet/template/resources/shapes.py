"""CloudFormation property values → API parameters, by botocore's shapes.

The two mostly agree. They differ in the case of names ("ACMCertificateArn"), in CloudFront's lists
(`{"Quantity": n, "Items": […]}`), and in types, because a template's numbers and booleans may be
text. A member that the API does not have is an error: nothing is silently dropped.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.template.intrinsics import promised
from cloudlet.template.problems import TemplateError


def parameters(service: str, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties as the operation's parameters; names that it lacks are an error."""
    return _structure(_input(service, operation), properties, "")


def member(service: str, operation: str, path: str, value: Any) -> Any:
    """The value as the member that `path` names ("NotificationConfiguration")."""
    shape: Shape = _input(service, operation)
    for name in path.split("."):
        assert isinstance(shape, StructureShape)
        shape = shape.members[name]
    return _convert(shape, value, path)


def has(service: str, operation: str, name: str) -> bool:
    """Whether the operation has the parameter, however it is spelt."""
    return name.lower() in {each.lower() for each in _input(service, operation).members}


def nothing(service: str, operation: str, name: str) -> Any:
    """The empty value of a parameter; None if it has none or the operation lacks it."""
    shape = _input(service, operation)
    empty = {"string": "", "boolean": False, "map": {}, "list": [], "structure": {}}
    return empty.get(shape.members[name].type_name) if name in shape.members else None


@lru_cache(maxsize=128)
def _input(service: str, operation: str) -> StructureShape:
    from cloudlet.wire import models

    shape = models.load(service).operation(operation).input_shape
    assert isinstance(shape, StructureShape)
    return shape


def _convert(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(value, str) and promised(value):
        return value
    if isinstance(shape, StructureShape):
        if isinstance(value, list) and {"Quantity", "Items"} <= shape.members.keys():
            items = _convert(shape.members["Items"], value, path)
            return {"Quantity": len(items), "Items": items}
        if not isinstance(value, dict):
            raise TemplateError(f"Value of property {path} must be an object")
        return _structure(shape, value, path)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise TemplateError(f"Value of property {path} must be of type List")
        return [_convert(shape.member, item, f"{path}[{n}]") for n, item in enumerate(value)]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise TemplateError(f"Value of property {path} must be an object")
        return {
            str(name): _convert(shape.value, item, f"{path}.{name}") for name, item in value.items()
        }
    return _scalar(shape, value, path)


def _structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    members = {name.lower(): name for name in shape.members}
    converted = {}
    for given, item in value.items():
        name = given if given in shape.members else members.get(given.lower())
        where = f"{path}.{given}" if path else given
        if name is None:
            raise TemplateError(f"The property {where} is not implemented by cloudlet.")
        converted[name] = _convert(shape.members[name], item, where)
    if {"Quantity", "Items"} <= shape.members.keys() and "Items" in converted:
        converted.setdefault("Quantity", len(converted["Items"]))
    return converted


def _scalar(shape: Shape, value: Any, path: str) -> Any:
    try:
        return _SCALARS[shape.type_name](value)
    except (ValueError, TypeError, KeyError):
        raise TemplateError(f"Value of property {path} must be of type {shape.type_name}") from None


def _boolean(value: Any) -> bool:
    return {"true": True, "false": False}[str(value).lower()]


def _integer(value: Any) -> int:
    number = float(value)
    if isinstance(value, bool) or number != int(number):
        raise ValueError(value)
    return int(number)


def text(value: Any) -> str:
    """Scalars as CloudFormation writes them; documents as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def _timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _blob(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


_SCALARS: Mapping[str, Any] = {
    "string": text,
    "boolean": _boolean,
    "integer": _integer,
    "long": _integer,
    "float": float,
    "double": float,
    "timestamp": _timestamp,
    "blob": _blob,
}
