"""IAM's and STS's errors, with AWS's wording.

https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from cloudlet.errors import AwsError


def no_such(what: str, name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The {what} with name {name} cannot be found.", 404)


def no_such_policy(arn: str) -> AwsError:
    text = f"Policy {arn} does not exist or is not attachable."
    return AwsError("NoSuchEntity", text, 404)


def no_such_version(arn: str, version: str) -> AwsError:
    text = f"Policy {arn} version {version} does not exist or is not attachable."
    return AwsError("NoSuchEntity", text, 404)


def exists(what: str, name: str) -> AwsError:
    name = name if what.startswith("Instance") else f"with name {name}"
    return AwsError("EntityAlreadyExists", f"{what} {name} already exists.", 409)


def conflict(message: str) -> AwsError:
    return AwsError("DeleteConflict", message, 409)


def malformed_policy(message: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", message)


def no_entity(message: str) -> AwsError:
    return AwsError("NoSuchEntity", message, 404)


def quota(name: str, limit_: int) -> AwsError:
    return limit(f"Cannot exceed quota for {name}: {limit_}")


def invalid_input(message: str) -> AwsError:
    return AwsError("InvalidInput", message)


def limit(message: str) -> AwsError:
    return AwsError("LimitExceeded", message, 409)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)
