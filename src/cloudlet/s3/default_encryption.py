"""How a bucket's objects are encrypted where requests don't say, and what it lets nobody ask for.

s3-051: new buckets take no uploads with SSE-C (AWS, since April 2026), but for classic ones.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.store.database import Transaction, View

_LATER = ("aws:kms:dsse", "aws:fsx")


def of_new_bucket(config: Config) -> str:
    """What a bucket has from the start, as it is stored."""
    return "" if config.classic_buckets else orjson.dumps({"Blocked": ["SSE-C"]}).decode()


def of_bucket(bucket: Bucket) -> Params:
    """The bucket's rule, flattened; `Blocked` names encryption types."""
    found: Params = orjson.loads(bucket.encryption) if bucket.encryption else {}
    return found


def check_method(method: str, argument: str) -> None:
    if method in _LATER:
        raise NotImplementedByCloudlet(f"S3 encryption with {method}")
    if method not in ("AES256", "aws:kms"):
        raise faults.invalid_argument(
            "The encryption method specified is not supported", argument, method
        )


def get_bucket_encryption(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    if call.config.classic_buckets and not bucket.encryption:  # none by default before 2023
        raise AwsError(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
            404,
            BucketName=bucket.name,
        )
    kept = {"SSEAlgorithm": "AES256", **of_bucket(bucket)}
    rule: dict[str, Any] = {"BucketKeyEnabled": kept.pop("BucketKeyEnabled", False)}
    blocked = kept.pop("Blocked", None)
    rule["ApplyServerSideEncryptionByDefault"] = kept
    if blocked:
        rule["BlockedEncryptionTypes"] = {"EncryptionType": blocked}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def put_bucket_encryption(call: Call, tx: Transaction) -> None:
    """For objects written from now on. A key that is named is looked for when it is needed, as AWS
    does; which types are blocked stays where it isn't said."""
    bucket = of_call(call, tx)
    rules = (call.params.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or []
    if len(rules) != 1:
        raise faults.malformed_xml()
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {"SSEAlgorithm": "AES256"}
    method = default.get("SSEAlgorithm")
    if method in _LATER:
        raise NotImplementedByCloudlet(f"S3 encryption with {method}")
    if method not in ("AES256", "aws:kms"):
        raise faults.malformed_xml()
    if default.get("KMSMasterKeyID") and method == "AES256":
        raise faults.invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
            "aws:kms:dsse",
            "ApplyServerSideEncryptionByDefault",
        )
    rule = {**default, "BucketKeyEnabled": bool(rules[0].get("BucketKeyEnabled"))}
    blocked = (rules[0].get("BlockedEncryptionTypes") or {}).get("EncryptionType")
    _check_blocked(blocked)
    _keep(tx, bucket, rule, blocked)


def _check_blocked(blocked: list[str] | None) -> None:
    if blocked is not None and sorted(blocked) not in (["NONE"], ["SSE-C"]):
        raise faults.malformed_xml()


def delete_bucket_encryption(call: Call, tx: Transaction) -> None:
    """Back to SSE-S3."""
    _keep(tx, of_call(call, tx), {}, None)


def _keep(tx: Transaction, bucket: Bucket, rule: Params, blocked: list[str] | None) -> None:
    blocked = blocked or of_bucket(bucket).get("Blocked")
    kept = {**rule, **({"Blocked": blocked} if blocked else {})}
    text = orjson.dumps(kept).decode() if kept else ""
    tx.run("UPDATE s3_bucket SET encryption = ? WHERE id = ?", (text, bucket.id))
