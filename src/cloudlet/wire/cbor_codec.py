"""CBOR, as AWS's "rpc-v2-cbor" protocol uses it: bytes ↔ values that the JSON codec knows.

A date (tag 1) is read as its number of seconds and written from a datetime; the older
"x-amz-cbor-1.1" has milliseconds there. What AWS's clients
never send (other tags that mean something, simple values, keys that are no text) is refused.
https://www.rfc-editor.org/rfc/rfc8949, https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import math
import struct
from datetime import datetime
from typing import Any

from cloudlet.errors import AwsError

_DEPTH_MAX = 64
_SIZES = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None, 23: None}
_BREAK = 0xFF
_ENDLESS = -1


class Millis(int):
    """A date of the older protocol."""


def loads(data: bytes, seconds: int = 1) -> Any:
    """Raises SerializationException. `seconds`: how many units of a date are one."""
    reader = _Reader(data, seconds)
    try:
        value = reader.value(0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise _wrong() from error
    if reader.position != len(data):
        raise _wrong()
    return value


class _Reader:
    def __init__(self, data: bytes, seconds: int) -> None:
        self._data = data
        self._seconds = seconds
        self.position = 0

    def _take(self, size_bytes: int) -> bytes:
        end = self.position + size_bytes
        if end > len(self._data):
            raise _wrong()
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _argument(self, low: int) -> int:
        if low < 24:
            return low
        if low == 31:
            return _ENDLESS
        if low not in _SIZES:
            raise _wrong()
        form = _SIZES[low]
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def value(self, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise _wrong()
        kind, low = divmod(self._take(1)[0], 32)
        if kind == 7:
            return self._simple(low)
        size = self._argument(low)
        if kind in (0, 1, 6) and size == _ENDLESS:
            raise _wrong()
        if kind < 2:
            return size if kind == 0 else -1 - size
        if kind < 4:
            data = self._text(kind, size)
            return data.decode() if kind == 3 else data
        if kind == 4:
            return self._array(size, depth)
        return self._map(size, depth) if kind == 5 else self._tagged(size, depth)

    def _simple(self, low: int) -> Any:
        if low in _CONSTANTS:
            return _CONSTANTS[low]
        if low not in _FLOATS:
            raise _wrong()
        form = _FLOATS[low]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _is_end(self) -> bool:
        if self._data[self.position] != _BREAK:
            return False
        self.position += 1
        return True

    def _text(self, kind: int, size: int) -> bytes:
        if size != _ENDLESS:
            return self._take(size)
        parts = []
        while not self._is_end():
            inner, low = divmod(self._take(1)[0], 32)
            part = self._argument(low)
            if inner != kind or part == _ENDLESS:
                raise _wrong()
            parts.append(self._take(part))
        return b"".join(parts)

    def _array(self, size: int, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self._is_end() if size == _ENDLESS else len(items) < size:
            items.append(self.value(depth + 1))
        return items

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        count = 0
        while not self._is_end() if size == _ENDLESS else count < size:
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise _wrong()
            found[key] = self.value(depth + 1)
            count += 1
        return found

    def _tagged(self, tag: int, depth: int) -> Any:
        value = self.value(depth + 1)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if tag != 1 or not is_number or not math.isfinite(value):
            raise _wrong()
        return value if self._seconds == 1 else value / self._seconds


def dumps(value: Any) -> bytes:
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    if value is None or isinstance(value, bool):
        parts.append({None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value])
    elif isinstance(value, int):
        tag = b"\xc1" if isinstance(value, Millis) else b""
        parts.append(tag + (_head(0, value) if value >= 0 else _head(1, -1 - value)))
    elif isinstance(value, float):
        parts.append(b"\xfb" + struct.pack(">d", value))
    elif isinstance(value, str):
        text = value.encode()
        parts.append(_head(3, len(text)) + text)
    elif isinstance(value, bytes):
        parts.append(_head(2, len(value)) + value)
    elif isinstance(value, datetime):
        parts.append(b"\xc1\xfb" + struct.pack(">d", value.timestamp()))
    elif isinstance(value, dict):
        parts.append(_head(5, len(value)))
        for key, item in value.items():
            _write(key, parts)
            _write(item, parts)
    else:
        parts.append(_head(4, len(value)))
        for item in value:
            _write(item, parts)


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes((kind * 32 + number,))
    for low, form in _SIZES.items():
        if number < 1 << 8 * struct.calcsize(form):
            return bytes((kind * 32 + low,)) + struct.pack(form, number)
    raise OverflowError(number)


def _wrong() -> AwsError:
    return AwsError("SerializationException", "The request body is not valid CBOR.", 400)
