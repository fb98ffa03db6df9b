"""SNS's errors, in its words."""

from cloudlet.errors import AwsError


def invalid(what: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: {what}")


def missing(what: str) -> AwsError:
    return AwsError("NotFound", f"{what} does not exist", 404)
