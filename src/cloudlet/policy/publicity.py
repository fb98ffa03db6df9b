"""Whether a resource's policy is public, as AWS defines the word.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

import ipaddress
from typing import Any

# Conditions that tie a statement to someone known: it isn't public, as AWS defines the word.
_FIXING = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
}
_EQUAL = ("stringequals", "stringlike", "arnequals", "arnlike", "stringequalsignorecase")


def listed(value: Any) -> list[Any]:
    """IAM lets a lone value stand for a list of one."""
    return value if isinstance(value, list) else [value]


def is_public(policy: dict[str, Any]) -> bool:
    """Whether any statement lets everybody in, without a condition that names who."""
    return any(
        statement["Effect"] == "Allow" and _for_all(statement) and not _is_fixed(statement)
        for statement in listed(policy["Statement"])
    )


def _for_all(statement: dict[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement["Principal"]
    if principal == "*":
        return True
    return any("*" in listed(value) for value in principal.values())


def _is_fixed(statement: dict[str, Any]) -> bool:
    for operator, tests in statement.get("Condition", {}).items():
        # ForAllValues also holds of who has no such key: it ties a statement to nobody
        name = operator.lower().removeprefix("foranyvalue:")
        for key, values in tests.items():
            if name == "ipaddress" and key.lower() == "aws:sourceip":
                if all(_is_narrow(str(value)) for value in listed(values)):
                    return True
            elif key.lower() in _FIXING and name in _EQUAL:
                like = "like" in name or name.startswith("arn")
                if not like or not any(_is_vague(key, str(value)) for value in listed(values)):
                    return True
    return False


def _is_vague(key: str, value: str) -> bool:
    """Of ARNs the account must be fixed; other values must have no wildcard."""
    if key.lower().endswith("arn") and value.count(":") >= 5:
        return any(letter in value.split(":")[4] for letter in "*?")
    return "*" in value or "?" in value


def _is_narrow(network: str) -> bool:
    """Very wide ranges count as everybody."""
    try:
        parsed = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    return parsed.prefixlen >= (8 if parsed.version == 4 else 32)
