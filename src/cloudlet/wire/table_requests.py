"""What DynamoDB says of requests in its own words, before the model's constraints are looked at."""

import re
from typing import Any

from botocore.model import Shape

from cloudlet.errors import AwsError
from cloudlet.wire.validate import Validator

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_MISSING = "The parameter 'TableName' is required but was not present in the request"
_KEYS_MAX = 100


class TableRequests(Validator):
    def check(self, shape: Shape, params: dict[str, Any]) -> None:
        """dynamodb-067"""
        operation = shape.name.removesuffix("Input")
        if operation == "CreateTable" and params.get("TableName") is None:
            raise _invalid(_MISSING)
        if operation == "Query" and params.get("Limit", 1) < 1:
            raise _refused("Value at 'Limit'", "Member must have value greater than or equal to 1")
        requests = params.get("RequestItems")
        if requests == {}:
            raise _invalid(f"The requestItems parameter is required for {operation}")
        for name, request in (requests or {}).items() if operation == "BatchGetItem" else ():
            if len(request.get("Keys", ())) > _KEYS_MAX:
                where = f"Value at 'RequestItems.{name}.member.Keys'"
                raise _refused(where, f"Member must have length less than or equal to {_KEYS_MAX}")
        try:
            super().check(shape, params)
        except AwsError:
            if operation == "CreateTable":  # of a wrong name nothing else is said
                check_name(params["TableName"])
            raise


def check_name(name: str) -> None:
    """As the model has it; the API's newer shape for names or ARNs is laxer."""
    constraint = ""
    if len(name) < 3:
        constraint = "have length greater than or equal to 3"
    elif len(name) > 255:
        constraint = "have length less than or equal to 255"
    elif not _NAME.fullmatch(name):
        constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    if constraint:
        raise _refused(f"Value '{name}' at 'tableName'", f"Member must {constraint}")


def _refused(what: str, constraint: str) -> AwsError:
    return _invalid(
        f"1 validation error detected: {what} failed to satisfy constraint: {constraint}"
    )


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
