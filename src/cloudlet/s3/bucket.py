"""A bucket as the operations see it, its owner, and its settings as stored documents."""

import hashlib
import json
import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.exchange import Request
from cloudlet.s3 import faults
from cloudlet.store.database import Transaction, View
from cloudlet.wire.protocol import s3_bucket_of_host

ACL = "acl"  # the setting that holds a bucket's list
ENFORCED = "BucketOwnerEnforced"  # ACLs are off


class Bucket(NamedTuple):
    id: int
    name: str
    region: str
    created_ms: int
    versioning: str  # "" (never), "Enabled" or "Suspended"
    encryption: str  # JSON, "" where none was put
    ownership: str  # of objects; "" (deleted) is as ObjectWriter

    @property
    def has_acls(self) -> bool:
        return self.ownership != ENFORCED

    def version(self, version_id: str, member: str = "VersionId") -> dict[str, str]:
        """The output member that names a version; buckets that never had any don't tell."""
        return {member: version_id or "null"} if self.versioning else {}


COLUMNS = "id, s3_bucket.name, region, created_ms, versioning, encryption, ownership"


def of_name(view: View, name: str) -> Bucket | None:
    return view.remembered(("bucket", name), lambda: _read(view, name))


def _read(view: View, name: str) -> Bucket | None:
    row = view.one(f"SELECT {COLUMNS} FROM s3_bucket WHERE name = ?", (name,))
    return None if row is None else Bucket(*row)


def of_call(call: Call, view: View, owner: str = "ExpectedBucketOwner") -> Bucket:
    """The bucket a call names; refuses where it isn't there or the caller expected another's."""
    name = call.params["Bucket"]
    bucket = of_name(view, name)
    if bucket is None:
        raise faults.no_such_bucket(name)
    expected = call.params.get(owner)
    if expected and not re.fullmatch(r"\d{12}", expected):
        raise AwsError(
            "InvalidBucketOwnerAWSAccountID",
            "The value of the expected bucket owner parameter must be an AWS Account ID... "
            f"[{expected}]",
            400,
        )
    if expected and expected != call.config.account:
        raise faults.access_denied()
    return bucket


def address(request: Request, bucket: str, key: str) -> str:
    """An object's, in the style in which the request named the bucket."""
    where = f"{request.scheme}://{request.host}" if request.host else ""
    below = "" if s3_bucket_of_host(request.host) else f"/{bucket}"
    return f"{where}{below}/{quote(key)}"


@lru_cache(256)
def owner_id(account: str) -> str:
    """The canonical user id: 64 hexadecimal digits, one for each account."""
    return hashlib.sha256(f"canonical user {account}".encode()).hexdigest()


def person(call: Call, canonical: str) -> dict[str, str]:
    """An owner as answers name it; s3-024: with a name, too, only until November 2025."""
    if not call.config.classic_buckets:
        return {"ID": canonical}
    return {"ID": canonical, "DisplayName": f"owner-{canonical[:12]}"}


def owner(call: Call) -> dict[str, str]:
    return person(call, owner_id(call.config.account))


def setting(view: View, bucket: int, name: str) -> Any:
    """The document of one setting, or None where the bucket has none."""
    query = "SELECT document FROM s3_setting WHERE bucket = ? AND name = ?"
    text = view.remembered((bucket, name), lambda: view.value(query, (bucket, name)))
    return None if text is None else json.loads(text)


def put_setting(tx: Transaction, bucket: int, name: str, document: Any) -> None:
    tx.run(
        "INSERT OR REPLACE INTO s3_setting (bucket, name, document) VALUES (?, ?, ?)",
        (bucket, name, json.dumps(document, ensure_ascii=False)),
    )


def drop_setting(tx: Transaction, bucket: int, name: str) -> None:
    tx.run("DELETE FROM s3_setting WHERE bucket = ? AND name = ?", (bucket, name))
