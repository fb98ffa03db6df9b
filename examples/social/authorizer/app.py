"""authorizer: who does this session belong to?

In comes API Gateway's TOKEN event, out goes a policy with the user in its context. The gateway
keeps the verdict for a minute, for all methods: so the policy names the whole stage.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import base64
import hashlib
import hmac
import json
import os
import time
from functools import cache
from typing import Any

import boto3


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    scheme, _, token = event["authorizationToken"].partition(" ")
    user = user_of(token, key(), int(time.time())) if scheme == "Bearer" else None
    if user is None:
        raise Exception("Unauthorized")  # the words that API Gateway answers 401 to
    api, stage = event["methodArn"].split("/")[:2]
    statement = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": f"{api}/{stage}/*",
    }
    return {
        "principalId": user,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"handle": user},
    }


@cache
def key() -> bytes:
    name = os.environ["SIGNING_KEY"]
    found = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    return base64.b64decode(found["Parameter"]["Value"])


def user_of(token: str, key: bytes, now: int) -> str | None:
    """None for what is malformed, of another algorithm ("none", too), forged or over."""
    try:
        header, claims, signature = token.split(".")
        expected = hmac.digest(key, f"{header}.{claims}".encode(), hashlib.sha256)
        if json.loads(_bytes(header))["alg"] != "HS256":
            return None
        if not hmac.compare_digest(expected, _bytes(signature)):
            return None
        found = json.loads(_bytes(claims))
        return str(found["sub"]) if found["exp"] > now else None
    except (ValueError, KeyError, TypeError):
        return None


def _bytes(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
