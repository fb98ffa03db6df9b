"""Ids and secrets as AWS makes them, pages of listings, tags, and what a change must wake."""

import base64
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.config import Config
from cloudlet.iam import faults
from cloudlet.store.database import Transaction

TOPIC = "iam"
TAGS_MAX = 50


def unique_id(config: Config, prefix: str) -> str:
    """`AROA…`: 21 characters. Access keys (`AKIA…`, `ASIA…`) have 20, see `access_key_id`."""
    return prefix + base64.b32encode(bytes.fromhex(config.new_secret(11))).decode()[:17]


def access_key_id(config: Config, prefix: str) -> str:
    """As AWS's since 2019: a set bit, the account in 40 bits, then 39 random ones, in base32."""
    number = (1 << 40 | int(config.account)) << 39 | int(config.new_secret(5), 16) >> 1
    return prefix + base64.b32encode(number.to_bytes(10, "big")).decode()


@lru_cache(maxsize=4096)
def account_of_key(access_key: str) -> str | None:
    """The account an access key was made in, if it tells."""
    try:
        number = int.from_bytes(base64.b32decode(access_key[4:]), "big")
    except ValueError:
        return None
    if len(access_key) != 20 or not number >> 79:
        return None
    account = number >> 39 & (1 << 40) - 1
    return f"{account:012d}" if account < 10**12 else None


def secret_key(config: Config) -> str:
    return base64.b64encode(bytes.fromhex(config.new_secret(30))).decode()


def session_token(config: Config) -> str:
    return base64.b64encode(bytes.fromhex(config.new_secret(150))).decode()


def iam_arn(config: Config, kind: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{config.account}:{kind}{path}{name}"


def changed(call: Call, tx: Transaction) -> None:
    """What callers may do has changed: the credentials' cache must forget, before the answer."""
    tx.touch(TOPIC)
    if call.state is not None:
        tx.after_commit(call.state.forget)


def page(rows: Sequence[Any], params: Params, member: str, shape: Callable[[Any], Any]) -> Output:
    """One page of rows or tuples, which are sorted by their first column."""
    after, limit = _marker(params.get("Marker")), int(params.get("MaxItems", 100))
    rest = [row for row in rows if after is None or row[0] > after]
    output: Output = {member: [shape(row) for row in rest[:limit]], "IsTruncated": False}
    if len(rest) > limit:
        output["IsTruncated"] = True
        output["Marker"] = base64.urlsafe_b64encode(str(rest[limit - 1][0]).encode()).decode()
    return output


def _marker(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise faults.invalid("Invalid Marker.") from None


def tags_text(tags: list[dict[str, str]] | None, before: str = "{}") -> str:
    """Tags added to those of `before` (JSON), as JSON."""
    kept = orjson.loads(before)
    for tag in tags or []:
        kept[tag["Key"]] = tag["Value"]
    if len(kept) > TAGS_MAX:
        raise faults.limit(f"The number of tags has reached the maximum limit of {TAGS_MAX}.")
    return orjson.dumps(kept).decode()


def without_tags(before: str, keys: list[str]) -> str:
    kept = {key: value for key, value in orjson.loads(before).items() if key not in keys}
    return orjson.dumps(kept).decode()


def tag_list(text: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in orjson.loads(text).items()]
