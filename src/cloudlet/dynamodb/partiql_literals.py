"""Literals of PartiQL statements as attribute values.

A literal holds no parameters, and is nested at most 31 times. Sets are bags of texts or of numbers.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.data-types.html
"""

from collections.abc import Iterator

from cloudlet.dynamodb import numerics, values
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_tokens import Reader, malformed
from cloudlet.dynamodb.values import Value
from cloudlet.errors import AwsError

# What IS may ask for, beside MISSING
TYPES = {
    "NULL": "NULL", "BOOL": "BOOL", "BOOLEAN": "BOOL", "STRING": "S", "VARCHAR": "S",
    "LIST": "L", "STRUCT": "M", "TUPLE": "M", "BLOB": "B",
    **dict.fromkeys(("INT", "INT4", "INT8", "INTEGER", "SMALLINT", "NUMERIC"), "N"),
    **dict.fromkeys(("DECIMAL", "FLOAT", "REAL"), "N"),
}  # fmt: skip
_WORDS: dict[str, Value] = {
    "TRUE": {"BOOL": True},
    "FALSE": {"BOOL": False},
    "NULL": {"NULL": True},
}
_NESTING_MAX = 31
_ROOT = "root"


def is_literal(r: Reader) -> bool:
    return (
        r.token.kind in ("text", "number")
        or r.is_sign("-", "+", "[", "{", "<<")
        or r.is_word(*_WORDS)
    )


def literal(r: Reader) -> Value:
    return _value(r, _ROOT, 0)


def members(r: Reader) -> Iterator[str]:
    """The names of a map's members; the caller reads what belongs to each."""
    r.expect("{")
    if r.is_sign("}"):
        r.take()
        return
    while True:
        if not r.is_text():
            raise malformed("Expected identifier")
        name = r.take().text
        r.expect(":")
        yield name
        if not r.is_sign(","):
            break
        r.take()
    r.expect("}")


def _value(r: Reader, place: str, depth: int) -> Value:
    if depth > _NESTING_MAX:
        raise invalid(f"Nesting Levels have exceeded supported limits under {place}")
    if r.is_sign("{"):
        return {"M": {name: _value(r, f"{place}.{name}", depth + 1) for name in members(r)}}
    if r.is_sign("["):
        return {"L": list(_elements(r, "]", place, depth))}
    if r.is_sign("<<"):
        return _set(list(_elements(r, ">>", place, depth)))
    if r.is_word(*_WORDS):
        return dict(_WORDS[r.take().text.upper()])
    if r.is_text():
        return {"S": r.take().text}
    if r.is_sign("?") or r.follows("("):
        what = "Parameter" if r.is_sign("?") else r.token.text.lower()
        raise invalid(f"Unsupported data type: {what} under key {place}{r.here()}")
    return _number(r, place)


def _elements(r: Reader, closing: str, place: str, depth: int) -> Iterator[Value]:
    r.take()
    count = 0
    while not r.is_sign(closing):
        if count:
            r.expect(",")
        yield _value(r, f"{place}[{count}]", depth + 1)
        count += 1
    r.take()


def _number(r: Reader, place: str) -> Value:
    """Signs may be repeated; they are the number's, wherever it stands."""
    is_negative = False
    while r.is_sign("-", "+"):
        is_negative ^= r.take().text == "-"
    if r.token.kind != "number":
        raise malformed("Expected expression")
    number = r.take().text
    try:
        return {"N": numerics.canonical(f"-{number}" if is_negative else number)}
    except AwsError as error:  # dynamodb-077
        if error.message.endswith(number):
            raise malformed("") from None
        raise invalid(f"{error.message} under {place}") from None


def _set(elements: list[Value]) -> Value:
    if not elements:
        raise invalid("Empty bags are not supported")
    kinds = {values.type_of(member) for member in elements}
    if kinds not in ({"S"}, {"N"}):
        raise invalid(
            "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags"
        )
    (kind,) = kinds
    return values.canonical({f"{kind}S": [member[kind] for member in elements]})[0]
