"""Shape ↔ JSON values, compiled once per shape into closures.

DynamoDB's `AttributeValue` is opaque: the service keeps and answers wire JSON, and the hot path
never looks inside. Nulls count as absent, as AWS treats them.
"""

from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.errors import AwsError
from cloudlet.wire import scalars
from cloudlet.wire.cbor_codec import Millis
from cloudlet.wire.models import AMZ_CBOR, CBOR, CBORS, serialization

Convert = Callable[[Any], Any]
_OPAQUE = {"AttributeValue"}
_JSON_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}


def _wire_name(shape: Shape, name: str) -> str:
    return str(serialization(shape).get("name", name))


class Parser:
    """JSON → parameters. `of(shape)` is compiled once; recursive shapes are looked up when used."""

    def __init__(self) -> None:
        self._compiled: dict[str, Convert] = {}

    def of(self, shape: Shape) -> Convert:
        if shape.name not in self._compiled:
            self._compiled[shape.name] = lambda value: self._compiled[shape.name](value)
            self._compiled[shape.name] = self._compile(shape)
        return self._compiled[shape.name]

    def _compile(self, shape: Shape) -> Convert:
        if shape.name in _OPAQUE or serialization(shape).get("document"):
            return _same
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return _list(self.of(shape.member))
        if isinstance(shape, MapShape):
            return _map(self.of(shape.value))
        if shape.type_name == "timestamp":
            return scalars.parse_timestamp
        if shape.type_name == "blob":
            return scalars.parse_blob
        return _scalar(shape.type_name)

    def _structure(self, shape: StructureShape) -> Convert:
        members = {
            _wire_name(member, name): (name, self.of(member))
            for name, member in shape.members.items()
        }

        def parse(value: Any) -> Any:
            if type(value) is not dict:
                raise _mismatch(value, "structure")
            parsed = {}
            for key, item in value.items():
                member = members.get(key)
                if member is not None and item is not None:
                    parsed[member[0]] = member[1](item)
            return parsed

        return parse


def _scalar(kind: str) -> Convert:
    expected = _JSON_KINDS.get(kind, (str,))

    def parse(value: Any) -> Any:
        if kind in ("integer", "long"):
            if type(value) is float and value.is_integer():
                value = int(value)
            if type(value) is int and scalars.LONG_MIN <= value <= scalars.LONG_MAX:
                return value
        elif type(value) in expected:
            return value
        raise _mismatch(value, kind)

    return parse


def _list(item: Convert) -> Convert:
    def parse(value: Any) -> Any:
        if type(value) is not list:
            raise _mismatch(value, "list")
        return [item(each) for each in value]

    return parse


def _map(item: Convert) -> Convert:
    def parse(value: Any) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, "map")
        if item is _same and None not in value.values():
            return value
        return {key: item(each) for key, each in value.items() if each is not None}

    return parse


def _mismatch(value: Any, kind: str) -> AwsError:
    names = {dict: "structure", list: "list", str: "STRING_VALUE", bool: "TRUE_VALUE"}
    found = names.get(type(value), "NUMBER_VALUE")
    if found in ("structure", "list"):
        return AwsError("SerializationException", f"Unrecognized collection type for {kind}", 400)
    return AwsError("SerializationException", f"{found} can not be converted to {kind}", 400)


class Formatter:
    """Output → JSON values that orjson takes; in those of CBOR, values that `cbor_codec` does."""

    def __init__(self, timestamp_style: str = "unixTimestamp") -> None:
        self._compiled: dict[str, Convert] = {}
        self._timestamp_style = timestamp_style

    def of(self, shape: Shape) -> Convert:
        style = serialization(shape).get("timestampFormat", "")
        key = f"{shape.name}/{style}"
        if key not in self._compiled:
            self._compiled[key] = lambda value: self._compiled[key](value)
            self._compiled[key] = self._compile(shape)
        return self._compiled[key]

    def _compile(self, shape: Shape) -> Convert:
        if shape.name in _OPAQUE:
            return _same
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            item = self.of(shape.member)
            return _same if item is _same else lambda value: [item(each) for each in value]
        if isinstance(shape, MapShape):
            item = self.of(shape.value)
            if item is _same:
                return _same
            return lambda value: {key: item(each) for key, each in value.items()}
        if shape.type_name == "timestamp":
            style = serialization(shape).get("timestampFormat", self._timestamp_style)
            if style == AMZ_CBOR:
                return lambda value: Millis(scalars.format_timestamp(value, "unixTimestamp") * 1000)
            if style == CBOR:
                return lambda value: scalars.parse_timestamp(
                    scalars.format_timestamp(value, "unixTimestamp")
                )
            return lambda value: scalars.format_timestamp(value, style)
        is_cbor = self._timestamp_style in CBORS
        if shape.type_name == "double" and is_cbor:
            return float
        return scalars.format_blob if shape.type_name == "blob" and not is_cbor else _same

    def _structure(self, shape: StructureShape) -> Convert:
        members = {
            name: (_wire_name(member, name), self.of(member))
            for name, member in shape.members.items()
            if "location" not in serialization(member)
        }

        def build(value: Any) -> Any:
            built = {}
            for name, item in value.items():
                member = members.get(name)
                if member is not None and item is not None:
                    built[member[0]] = member[1](item)
            return built

        return build


def _same(value: Any) -> Any:
    return value
