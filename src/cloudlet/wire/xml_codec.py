"""Shape ↔ XML, for rest-xml bodies and query answers.

Parsed with the standard library's expat (which refuses entity bombs), written as text directly:
listings of a thousand keys are hot.
"""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.errors import AwsError
from cloudlet.wire import scalars
from cloudlet.wire.models import serialization

Element = ElementTree.Element
Read = Callable[[Element], Any]
Write = Callable[[str, Any], str]  # element name, value → text
_UNSAFE = re.compile("[&<>\r]")
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def parse_document(data: bytes) -> Element:
    """The root element; names lose their namespace."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise malformed() from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def malformed() -> AwsError:
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        400,
    )


def _item_name(shape: ListShape) -> str:
    return str(serialization(shape.member).get("name", "member"))


def _member_name(member: Shape, name: str) -> str:
    """A flattened list's elements carry the item's own name, if it has one."""
    if isinstance(member, ListShape) and serialization(member).get("flattened"):
        own = serialization(member.member).get("name")
        return str(own or serialization(member).get("name", name))
    return str(serialization(member).get("name", name))


class Fragment(str):
    """The elements of a flattened list, spelled already."""


def escaped(text: str) -> str:
    """Clients read a bare carriage return as a line's end."""
    return escape(text, {"\r": "&#13;"}) if _UNSAFE.search(text) else text


class Reader:
    """XML → parameters."""

    def __init__(self) -> None:
        self._compiled: dict[str, Read] = {}

    def of(self, shape: Shape) -> Read:
        key = f"{shape.name}/{sorted(serialization(shape).items(), key=str)}"
        if key not in self._compiled:
            self._compiled[key] = lambda element: self._compiled[key](element)
            self._compiled[key] = self._compile(shape)
        return self._compiled[key]

    def _compile(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            item, name = self.of(shape.member), _item_name(shape)
            return lambda element: [item(child) for child in element if child.tag == name]
        if isinstance(shape, MapShape):
            return self._map(shape)
        parse = scalars.text_parser(shape)
        strip = shape.type_name != "string"
        return lambda element: parse((element.text or "").strip() if strip else element.text or "")

    def _structure(self, shape: StructureShape) -> Read:
        plain: dict[str, tuple[str, Read]] = {}
        flat: dict[str, tuple[str, Read]] = {}
        attributes: list[tuple[str, str]] = []
        for name, member in shape.members.items():
            wire_name = _member_name(member, name)
            if serialization(member).get("xmlAttribute"):
                attributes.append((name, wire_name.rpartition(":")[2]))
            elif isinstance(member, ListShape) and serialization(member).get("flattened"):
                flat[wire_name] = (name, self.of(member.member))
            else:
                plain[wire_name] = (name, self.of(member))

        def read(element: Element) -> Any:
            parsed: dict[str, Any] = {}
            for child in element:
                if child.tag in flat:
                    name, item = flat[child.tag]
                    parsed.setdefault(name, []).append(item(child))
                elif child.tag in plain:
                    name, item = plain[child.tag]
                    parsed[name] = item(child)
            for name, attribute in attributes:
                for key, value in element.attrib.items():
                    if key.rpartition("}")[2] == attribute:
                        parsed[name] = value
            return parsed

        return read

    def _map(self, shape: MapShape) -> Read:
        key_name = str(serialization(shape.key).get("name", "key"))
        value_name = str(serialization(shape.value).get("name", "value"))
        read_value = self.of(shape.value)

        def read(element: Element) -> Any:
            entries = {}
            for entry in element.iter("entry"):
                key, value = entry.find(key_name), entry.find(value_name)
                if key is not None and value is not None:
                    entries[key.text or ""] = read_value(value)
            return entries

        return read


class Writer:
    """Output → XML text."""

    def __init__(self) -> None:
        self._compiled: dict[str, Write] = {}

    def of(self, shape: Shape) -> Write:
        key = f"{shape.name}/{sorted(serialization(shape).items(), key=str)}"
        if key not in self._compiled:
            self._compiled[key] = lambda name, value: self._compiled[key](name, value)
            self._compiled[key] = self._compile(shape)
        return self._compiled[key]

    def _compile(self, shape: Shape) -> Write:
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        text = scalars.text_formatter(shape, "iso8601")
        if shape.type_name == "string":
            return lambda name, value: f"<{name}>{escaped(str(value))}</{name}>"
        return lambda name, value: f"<{name}>{text(value)}</{name}>"

    def _list(self, shape: ListShape) -> Write:
        item = self.of(shape.member)
        if serialization(shape).get("flattened"):
            return lambda name, value: (
                value if type(value) is Fragment else "".join([item(name, each) for each in value])
            )
        item_name = _item_name(shape)

        def write(name: str, value: Any) -> str:
            return f"<{name}>{''.join([item(item_name, each) for each in value])}</{name}>"

        return write

    def _map(self, shape: MapShape) -> Write:
        key_name = str(serialization(shape.key).get("name", "key"))
        value_name = str(serialization(shape.value).get("name", "value"))
        item = self.of(shape.value)
        is_flat = serialization(shape).get("flattened")

        def write(name: str, value: Any) -> str:
            tag = name if is_flat else "entry"
            entries = "".join(
                f"<{tag}><{key_name}>{escape(key)}</{key_name}>{item(value_name, each)}</{tag}>"
                for key, each in value.items()
            )
            return entries if is_flat else f"<{name}>{entries}</{name}>"

        return write

    def _structure(self, shape: StructureShape) -> Write:
        content = self.members(shape)
        namespace = _namespace(shape)

        def write(name: str, value: Any) -> str:
            return f"<{name}{namespace(value)}>{content(value)}</{name}>"

        return write

    def members(self, shape: StructureShape) -> Callable[[Any], str]:
        """The elements of a structure's members, without one around them."""
        members = [
            (name, _member_name(member, name), self.of(member))
            for name, member in shape.members.items()
            if "location" not in serialization(member)
            and not serialization(member).get("xmlAttribute")
        ]
        # s3-094: lists come last, for clients that give each element what was told before it
        members.sort(key=lambda each: isinstance(shape.members[each[0]], ListShape))

        def write(value: Any) -> str:
            return "".join(
                [
                    item(wire_name, value[name])
                    for name, wire_name, item in members
                    if value.get(name) is not None
                ]
            )

        return write

    def mixed(self, shape: StructureShape) -> Callable[[Any], str]:
        """s3-046: flattened lists whose elements AWS mixes: `_order` names the list of each."""
        content = self.members(shape)
        lists = {
            name: (_member_name(member, name), self.of(member.member))
            for name, member in shape.members.items()
            if isinstance(member, ListShape)
        }

        def write(value: Any) -> str:
            left = {name: iter(value[name]) for name in set(value["_order"])}
            plain = {name: each for name, each in value.items() if name not in left}
            elements = []
            for name in value["_order"]:
                wire_name, item = lists[name]
                elements.append(item(wire_name, next(left[name])))
            return content(plain) + "".join(elements)

        return write


def _namespace(shape: StructureShape) -> Callable[[Any], str]:
    """`xsi:type` of ACL grantees; nothing else in the models we answer has attributes."""
    attributes = [
        (name, str(serialization(member)["name"]))
        for name, member in shape.members.items()
        if serialization(member).get("xmlAttribute")
    ]
    if not attributes:
        return lambda value: ""
    prefix = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    return lambda value: (
        prefix
        + "".join(
            f" {attribute}={quoteattr(str(value[name]))}"
            for name, attribute in attributes
            if value.get(name) is not None
        )
    )
