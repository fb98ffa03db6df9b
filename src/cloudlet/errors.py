"""The one exception that crosses layers.

A layer that knows an AWS rule raises `AwsError` where the rule is broken; `wire` alone turns it
into bytes of the right protocol, and only `front` catches anything broader.
"""

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error as AWS documents it.

    `code` is AWS's error code ("NoSuchKey"), `status` the HTTP status, `fields` further members of
    the error document (S3's `BucketName`, DynamoDB's `CancellationReasons`).
    """

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def is_odd(error: Exception) -> bool:
    """Whether a log shall tell where it was raised: a store that is full says enough."""
    return not isinstance(error, AwsError)


class NotImplementedByCloudlet(AwsError):
    """An AWS operation or option that cloudlet does not have; it is never silently ignored."""

    def __init__(self, what: str) -> None:
        super().__init__("NotImplemented", f"{what} is not implemented by cloudlet.", 501)


def refuse(params: Mapping[str, Any], *options: str, what: str = "{}") -> None:
    """Raises for the first of these options that a call has; `what` words it."""
    for option in options:
        if params.get(option):
            raise NotImplementedByCloudlet(what.format(option))
