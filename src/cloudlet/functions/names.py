"""How a function may be called: name, partial ARN or ARN, each with or without a qualifier.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import re
from typing import NamedTuple

from cloudlet.config import Config
from cloudlet.errors import AwsError

LATEST = "$LATEST"
_REFERENCE = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]*):)?(?:(?P<account>\d{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9-_]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]{1,128}))?"
)


class Reference(NamedTuple):
    name: str
    qualifier: str  # "" = none given


def parse(reference: str, qualifier: str | None = None) -> Reference:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{reference}' at 'functionName' failed to satisfy"
            " constraint: Member must satisfy regular expression pattern: "
            r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?"
            r"(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?",
        )
    inner = match["qualifier"]
    if inner and qualifier and inner != qualifier:
        raise AwsError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    return Reference(match["name"], qualifier or inner or "")


def function_arn(config: Config, name: str, qualifier: str = "") -> str:
    arn = config.arn("lambda", f"function:{name}")
    return f"{arn}:{qualifier}" if qualifier else arn


def not_found(config: Config, name: str, qualifier: str = "") -> AwsError:
    arn = function_arn(config, name, qualifier)
    return AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404, Type="User")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message, 400, Type="User")


def missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, 404, Type="User")


def conflict(message: str) -> AwsError:
    return AwsError("ResourceConflictException", message, 409, Type="User")


def precondition_failed() -> AwsError:
    return AwsError(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the"
        " GetFunction/GetAlias API to retrieve the latest Revision Id",
        412,
        Type="User",
    )
