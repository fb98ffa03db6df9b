"""DynamoDB's numbers: 38 significant digits, exact, and bytes that sort as the numbers do.

A number is `Parts(is_negative, digits, point)`: 0.digits × 10^point, digits without zeros at
either end ("" is zero). `encode` writes sign, exponent and base-100 digits; a negative number has
all bytes inverted and a final 0xFF, so that longer is smaller.
See "Data types" in https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Welcome.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Context, Decimal
from functools import lru_cache
from typing import NamedTuple

from cloudlet.errors import AwsError

_PLAIN = re.compile(r"-?[1-9][0-9]{0,37}|0")
_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,999}))?")
_DIGITS_MAX = 38
_POINT_MAX = 126
_POINT_MIN = -129
EXACT = Context(prec=400)


class Parts(NamedTuple):
    is_negative: bool
    digits: str
    point: int


_OVERFLOW = (
    "Number overflow. Attempting to store a number with magnitude larger than supported range"
)
_UNDERFLOW = _OVERFLOW.replace("overflow", "underflow").replace("larger", "smaller")
_NO_NUMBER = "The parameter cannot be converted to a numeric value"


class Malformed(AwsError):
    """What is wrong with a request, whatever the tables are. dynamodb-069: AWS has two sets of
    checks; `now` is how the newer one says it, which some of the operations have."""

    def __init__(self, message: str, now: str | None = None) -> None:
        super().__init__("ValidationException", message)
        self.now = message if now is None else now


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


@contextmanager
def worded_anew(count: str = "") -> Iterator[None]:
    """Around what has AWS's newer checks."""
    try:
        yield
    except Malformed as error:
        raise invalid(count + error.now) from None


def parse(text: str) -> Parts:
    """Raises Malformed with DynamoDB's sentence for what is no number or out of range."""
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]) or abs(int(match[4] or 0)) >> 63:
        raise Malformed(f"{_NO_NUMBER}: {text}" if text else _NO_NUMBER, f"{_NO_NUMBER}: {text}")
    whole, fraction, exponent = match[2], match[3] or "", int(match[4] or 0)
    padded = whole + fraction
    digits = padded.lstrip("0") or "0"  # dynamodb-070: also zero has its exponent
    point = len(digits) - len(fraction) + exponent
    if not _POINT_MIN <= point <= _POINT_MAX:
        raise _out_of_range(text, point, (exponent, exponent - len(fraction)))
    digits = digits.rstrip("0")
    if len(digits) > _DIGITS_MAX:
        raise Malformed("Attempting to store more than 38 significant digits in a Number")
    return Parts(match[1] == "-", digits, point) if digits else Parts(False, "", 0)


def _out_of_range(text: str, point: int, scales: tuple[int, int]) -> Malformed:
    """The older checks count in 32 bits, as Java's BigDecimal does."""
    now = old = _OVERFLOW if point > 0 else _UNDERFLOW
    if point >> 31 == 1:
        old = _UNDERFLOW
    if not all(-(1 << 31) < scale < 1 << 31 for scale in scales):
        old = f"{_NO_NUMBER}: {text}"
    return Malformed(old, now)


def canonical(text: str) -> str:
    """The one spelling of a number: no exponent, no needless zeros."""
    if _PLAIN.fullmatch(text):
        return text
    is_negative, digits, point = parse(text)
    if not digits:
        return "0"
    if point <= 0:
        spelled = "0." + "0" * -point + digits
    elif point >= len(digits):
        spelled = digits + "0" * (point - len(digits))
    else:
        spelled = f"{digits[:point]}.{digits[point:]}"
    return "-" + spelled if is_negative else spelled


def size_bytes(number: str) -> int:
    """Of a canonical number, as AWS measures: dynamodb-071: a byte for two digits on either side of
    the point, one more, one for the sign."""
    whole, _, fraction = number.lstrip("-0").partition(".")
    if not fraction:
        whole = whole.rstrip("0")
    elif not whole:
        fraction = fraction.lstrip("0")
    return (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + 1 + (number[0] == "-")


@lru_cache(maxsize=4096)
def encode(text: str) -> bytes:
    """At most 23 bytes whose order is the order of numbers."""
    is_negative, digits, point = parse(text)
    if not digits:
        return b"\x80"
    if point % 2:
        digits, point = "0" + digits, point + 1
    if len(digits) % 2:
        digits += "0"
    pairs = bytes(int(digits[i : i + 2]) + 1 for i in range(0, len(digits), 2))
    magnitude = bytes((0xC0, point // 2 + 100)) + pairs
    return bytes(255 - byte for byte in magnitude) + b"\xff" if is_negative else magnitude


def decimal(number: str) -> Decimal:
    return Decimal(number)


def add(left: str, right: str) -> str:
    return _result(EXACT.add(Decimal(left), Decimal(right)))


def subtract(left: str, right: str) -> str:
    return _result(EXACT.subtract(Decimal(left), Decimal(right)))


def _result(number: Decimal) -> str:
    """dynamodb-036: a result of too many digits is called an overflow."""
    if len(number.normalize(EXACT).as_tuple().digits) > _DIGITS_MAX:
        raise invalid(_OVERFLOW)
    return canonical(str(number))
