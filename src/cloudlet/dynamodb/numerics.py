"""DynamoDB's numbers: 38 significant digits, exact, and bytes that sort as the numbers do.

A number is `Parts(is_negative, digits, point)`: 0.digits × 10^point, digits without zeros at
either end ("" is zero). `encode` writes sign, exponent and base-100 digits; a negative number has
all bytes inverted and a final 0xFF, so that longer is smaller.
See "Data types" in https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Welcome.html
"""

import re
from decimal import Context, Decimal
from functools import lru_cache
from typing import NamedTuple

from cloudlet.errors import AwsError

_PLAIN = re.compile(r"-?[1-9][0-9]{0,37}|0")
_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,9}))?")
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


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def parse(text: str) -> Parts:
    """Raises AwsError with DynamoDB's sentence for what is no number or out of range."""
    match = _NUMBER.fullmatch(text)
    if not text:
        raise invalid("The parameter cannot be converted to a numeric value")
    if match is None or not (match[2] or match[3]):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    whole, fraction = match[2], match[3] or ""
    padded = whole + fraction
    digits = padded.lstrip("0")
    point = len(whole) + int(match[4] or 0) - (len(padded) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return Parts(False, "", 0)
    _check_range(len(digits), point)
    return Parts(match[1] == "-", digits, point)


def _check_range(digit_count: int, point: int) -> None:
    if point > _POINT_MAX:
        raise invalid(_OVERFLOW)
    if point < _POINT_MIN:
        raise invalid(
            "Number underflow. Attempting to store a number with magnitude smaller than supported"
            " range"
        )
    if digit_count > _DIGITS_MAX:
        raise invalid("Attempting to store more than 38 significant digits in a Number")


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
    """Of a canonical number, as AWS measures: a byte for two digits, one more, one for the sign."""
    if number == "0":
        return 1
    digits = number.lstrip("-0.").replace(".", "")
    if "." not in number:
        digits = digits.rstrip("0")
    return (len(digits) + 1) // 2 + 1 + (number[0] == "-")


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
