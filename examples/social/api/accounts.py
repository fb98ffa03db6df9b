"""Users: sign-up, sign-in, profiles.

A handle is taken by a conditional write. Sign-ins are counted before the password is looked at, so
that many at a time do not get round the limit.
"""

import re
import time
from typing import Any

import passwords
import table
import tokens
from problems import Problem, malformed, not_found
from web import Request, Result

HANDLE = re.compile(r"[a-z][a-z0-9_]{2,19}")
PASSWORD_MIN = 10
SIGN_INS_MAX = 10  # per user
WINDOW_S = 900


def sign_up(request: Request) -> Result:
    given = request.fields(handle=20, password=100, name=50)
    handle, password = require_handle(given.get("handle", "")), given.get("password", "")
    if len(password) < PASSWORD_MIN:
        raise malformed(f"'password' must have at least {PASSWORD_MIN} characters.")
    user = {
        **table.user_key(handle),
        "kind": "user",
        "handle": handle,
        "name": given.get("name", handle),
        "followers": 0,
        "following": 0,
        "posts": 0,
    }
    secret = {**table.key(f"USER#{handle}", "PASSWORD"), "hash": passwords.hashed(password)}
    try:
        table.transact(table.put(user, table.NEW), table.put(secret))
    except table.Refused:
        raise Problem(409, "Taken", f"There is a user {handle} already.") from None
    return 201, view(user)


def sign_in(request: Request) -> Result:
    given = request.fields(handle=20, password=100)
    handle = given.get("handle", "")
    wrong = Problem(401, "Not signed in", "User name or password is wrong.")
    if not HANDLE.fullmatch(handle):
        raise wrong
    attempts = _count_attempt(handle)
    secret = table.get(f"USER#{handle}", "PASSWORD")
    if not passwords.is_right(given.get("password", ""), secret["hash"] if secret else None):
        raise wrong
    table.table.delete_item(Key=attempts)
    return 201, {"token": tokens.issue(handle), "expires_in": tokens.LIFETIME_S}


def _count_attempt(handle: str) -> dict[str, str]:
    """The key of the count; raises when there were too many in this quarter of an hour."""
    now = int(time.time())
    until = now - now % WINDOW_S + WINDOW_S
    key = table.key(f"USER#{handle}", f"SIGNINS#{until}")
    counted = table.table.update_item(
        Key=key,
        UpdateExpression="SET #ttl = :until ADD attempts :one",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues={":until": until, ":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    if counted["Attributes"]["attempts"] > SIGN_INS_MAX:
        detail = "Too many sign-ins with this user name."
        raise Problem(429, "Too many requests", detail, retry_after_s=until - now)
    return key


def me(request: Request) -> Result:
    return 200, view(find(request.user))


def show(request: Request) -> Result:
    user = find(request.path["handle"])
    edge = table.get(f"USER#{request.user}", f"FOLLOWS#{user['handle']}")
    return 200, view(user) | {"followed": edge is not None}


def find(handle: str) -> table.Item:
    user = table.get(f"USER#{handle}", table.PROFILE) if HANDLE.fullmatch(handle) else None
    if user is None:
        raise not_found(f"There is no user {handle[:20]}.")
    return user


def require_handle(handle: str) -> str:
    if not HANDLE.fullmatch(handle):
        raise malformed(
            "'handle' must have 3 to 20 small letters, digits and underscores, a letter first."
        )
    return handle


def view(user: table.Item) -> dict[str, Any]:
    counts = {name: int(user[name]) for name in ("followers", "following", "posts")}
    return {"handle": user["handle"], "name": user["name"], **counts}
