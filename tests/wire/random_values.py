"""Random values of any botocore shape, as a client would send or a service answer them."""

import string
from datetime import UTC, datetime
from random import Random
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

_TEXT = string.ascii_letters + string.digits + " -_./äλ<&>\"'%+=,:"
_HEADER_SAFE = string.ascii_letters + string.digits + "-_."


class Values:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def of(self, shape: Shape, depth: int = 0) -> Any:
        if shape.serialization.get("document"):
            return {"a": [1, "b"]}
        if isinstance(shape, StructureShape):
            return self._structure(shape, depth)
        if isinstance(shape, ListShape):
            count = self.random.randint(1, 2) if depth < 4 else 1
            return [self.of(shape.member, depth + 1) for _ in range(count)]
        if isinstance(shape, MapShape):
            return {self._text(shape.key): self.of(shape.value, depth + 1) for _ in range(2)}
        return self._scalar(shape)

    def _structure(self, shape: StructureShape, depth: int) -> dict[str, Any]:
        if shape.name == "AttributeValue":
            return {"S": "text"}
        members = dict(shape.members)
        if shape.metadata.get("union") or getattr(shape, "is_tagged_union", False):
            members = dict([self.random.choice(list(members.items()))])
        value = {}
        for name, member in members.items():
            required = name in shape.required_members
            if required or (depth < 3 and self.random.random() < 0.6):
                value[name] = self.of(member, depth + 1)
        if depth and members and not value:  # no wire format keeps an empty structure in a list
            name, member = next(iter(members.items()))
            value[name] = self.of(member, depth + 1) if depth < 9 else "x"
        return value

    def _scalar(self, shape: Shape) -> Any:
        kind, random = shape.type_name, self.random
        if kind in ("integer", "long"):
            return random.randint(int(shape.metadata.get("min", 1)), 9999)
        if kind in ("float", "double"):
            return random.randint(1, 999) / 4
        if kind == "boolean":
            return random.random() < 0.5
        if kind == "timestamp":
            return datetime.fromtimestamp(random.randint(10**9, 2 * 10**9), UTC)
        if kind == "blob":
            return random.randbytes(random.randint(1, 20))
        return self._text(shape)

    def _text(self, shape: Shape) -> str:
        if shape.enum:
            return str(self.random.choice(shape.enum))
        located = shape.serialization.get("location")
        alphabet = _HEADER_SAFE if located in ("header", "headers") else _TEXT
        low = max(1, int(shape.metadata.get("min", 1)))
        text = "".join(self.random.choice(alphabet) for _ in range(low + self.random.randint(0, 8)))
        return text.strip() or "x"
