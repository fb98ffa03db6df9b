"""What DynamoDB says of requests in its own words, instead of the model's or with them."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
from botocore.model import Shape

from cloudlet.errors import AwsError
from cloudlet.wire.validate import Problems, Validator

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_MISSING = "The parameter 'TableName' is required but was not present in the request"
_NAMED = [
    "Member must have length less than or equal to 255",
    "Member must have length greater than or equal to 3",
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
]
_FAILED = "failed to satisfy constraint:"
_NONE = f"{_FAILED} Member must have length greater than or equal to 1"
_KEYS = re.compile(r"(?s)Value '.*' at 'requestItems\.(.+)\.member\.keys'")
_MEMBER = re.compile(r"(?s).* at '(\w+)")
_ITEM_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_ORDER = ("returnConsumedCapacity", "tableName", "returnValues", "returnItemCollectionMetrics")
_ENUMS = {
    "returnValues": "ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE",
    "conditionalOperator": "ALL, OR",
}


class TableRequests(Validator):
    def problems(self, shape: Shape, params: dict[str, Any]) -> Problems:
        """dynamodb-067"""
        operation = shape.name.removesuffix("Input")
        if operation == "CreateTable" and params.get("TableName") is None:
            raise _invalid(_MISSING)
        if operation == "Query" and params.get("Limit", 1) < 1:
            return [f"Value at 'Limit' {_FAILED} Member must have value greater than or equal to 1"]
        found = [*super().problems(shape, params), *_named_within(params)]
        if operation == "BatchWriteItem" and params.get("RequestItems") == {}:
            raise _invalid(f"The requestItems parameter is required for {operation}")
        if operation == "Query" and any("'conditionalOperator'" in each for each in found):
            raise _invalid(_enumerated("conditionalOperator"))
        if operation in _ITEM_WRITES and found:
            return _of_write(operation, params, sorted(found, key=_place))
        return _of_tables(operation, params, found)


def _of_tables(operation: str, params: dict[str, Any], found: Problems) -> Problems:
    requests = params.get("RequestItems") or {}
    is_wrong = any(not name.startswith("arn:") and _wrong(name) for name in requests)
    if operation == "BatchGetItem":
        if not requests and found:
            return [f"Value at 'RequestItems' {_NONE}"]
        found = [_KEYS.sub(r"Value at 'RequestItems.\1.member.Keys'", each) for each in found]
    if is_wrong and not (operation == "BatchWriteItem" and found):
        shown = orjson.dumps(requests, default=str).decode()
        keys = f"Map keys must satisfy constraint: [{', '.join(_NAMED)}]"
        found.insert(0, f"Value '{shown}' at 'requestItems' {_FAILED} {keys}")
    if operation == "CreateTable" and found:  # of a wrong name nothing else is said
        check_name(params["TableName"])
        found.sort(key=lambda each: "'localSecondaryIndexes" in each)
    return found


def _of_write(operation: str, params: dict[str, Any], found: Problems) -> Problems:
    """dynamodb-073: the newer checks stop at the table's name, and see nothing that is absent."""
    if any("Member must not be null" in each for each in found):
        return found
    if params.get("TableName") == "":
        return [f"Value at 'TableName' {_NONE}"]
    by_member = {_member(each): each for each in found}
    by_member.update((name, _enumerated(name)) for name in _ENUMS if name in by_member)
    if operation == "UpdateItem" and "returnValues" in by_member:
        return [by_member["returnValues"]]
    return list(by_member.values())


def _enumerated(name: str) -> str:
    return f"Failed to satisfy constraint: Member must satisfy enum value set: [{_ENUMS[name]}]"


def _member(problem: str) -> str:
    found = _MEMBER.match(problem)
    return found[1] if found else ""


def _place(problem: str) -> int:
    """Members come in an order of AWS's own, the key or item last."""
    name = _member(problem)
    return _ORDER.index(name) if name in _ORDER else 5 + (name in ("key", "item"))


def _named_within(params: dict[str, Any]) -> Iterator[str]:
    """Names of tables in actions of transactions."""
    for number, action in enumerate(params.get("TransactItems") or (), 1):
        for kind, given in action.items():
            name = given.get("TableName") or "arn:"
            if not name.startswith("arn:") and (constraint := _wrong(name)):
                where = f"transactItems.{number}.member.{kind[0].lower()}{kind[1:]}.tableName"
                yield f"Value '{name}' at '{where}' {_FAILED} {constraint}"


def _wrong(name: str) -> str:
    """What a name of a table fails to satisfy; "" for a good one."""
    if 3 <= len(name) <= 255:
        return "" if _NAME.fullmatch(name) else _NAMED[2]
    return _NAMED[0] if len(name) > 255 else _NAMED[1]


def check_name(name: str) -> None:
    """As the model has it; the API's newer shape for names or ARNs is laxer."""
    if constraint := _wrong(name):
        what = f"Value '{name}' at 'tableName' {_FAILED} {constraint}"
        raise _invalid(f"1 validation error detected: {what}")


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
