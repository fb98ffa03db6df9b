"""Server-side encryption: which keys keep an object's bytes, and what answers tell of it.

SSE-S3, the default, rests on the data directory's master key. SSE-KMS rests on keys of a local key
store, which has the account's `aws/s3` key alone. With SSE-C a client brings the key, in every
request that reads or writes; nothing of it is stored but what tells it from others.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.store.blobs import Blobs, Segment
from cloudlet.store.database import Transaction, View
from cloudlet.store.sealing import Wrapper

Shown = dict[str, Any]  # output members; {} stands for SSE-S3
_S3: Shown = {"ServerSideEncryption": "AES256"}
_SSE_C = "Requests specifying Server Side Encryption with Customer provided keys must provide "
_HEADER = "x-amz-server-side-encryption"
_LATER = ("aws:kms:dsse", "aws:fsx")


@dataclass(frozen=True, slots=True)
class Seal:
    """What keeps an object's data keys, and how answers tell of it."""

    shown: Shown
    wrapper: Wrapper


def check_master(tx: Transaction, blobs: Blobs) -> None:
    """Refuses to go on with another master key than the one that objects rest on."""
    known = tx.value("SELECT fingerprint FROM s3_master")
    if known is None:
        tx.run("INSERT INTO s3_master VALUES (?)", (blobs.master.fingerprint,))
    elif known != blobs.master.fingerprint:
        raise AwsError(
            "InternalError",
            "The file master-key in the data folder is not the key that its objects are sealed "
            "with: put that one back.",
            500,
        )


def shown(kept: Shown) -> Output:
    return kept or _S3


def wanted(call: Call, bucket: Bucket) -> Seal:
    """How an object that the call writes is to be kept."""
    params, blobs = call.params, call.cloud.blobs
    for_customer = _customer(params, "")
    method = params.get("ServerSideEncryption")
    if for_customer is not None:
        if method:
            raise faults.invalid_argument(
                "Server Side Encryption with Customer provided key is incompatible with the "
                "encryption method specified",
                _HEADER,
                method,
            )
        return for_customer
    key_id, default = params.get("SSEKMSKeyId"), _default(bucket)
    if key_id and method != "aws:kms":
        raise faults.invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            f"{_HEADER} : aws:kms"
        )
    if method is None:
        return _by_default(call.config, blobs, default, params)
    _check_method(method)
    if method == "AES256":
        return Seal({}, blobs.master.wrapper)
    rule = {**default, "KMSMasterKeyID": key_id or default.get("KMSMasterKeyID")}
    return _kms(call.config, blobs, rule, params)


def _check_method(method: str) -> None:
    if method in _LATER:
        raise NotImplementedByCloudlet(f"S3 encryption with {method}")
    if method not in ("AES256", "aws:kms"):
        raise faults.invalid_argument(
            "The encryption method specified is not supported", _HEADER, method
        )


def _by_default(config: Config, blobs: Blobs, default: Params, params: Params) -> Seal:
    if default.get("SSEAlgorithm") == "aws:kms":
        return _kms(config, blobs, default, params)
    return Seal({}, blobs.master.wrapper)


def _kms(config: Config, blobs: Blobs, rule: Params, params: Params) -> Seal:
    arn = key_arn(config, rule.get("KMSMasterKeyID"))
    kept: Shown = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    if params.get("BucketKeyEnabled", rule.get("BucketKeyEnabled")):
        kept["BucketKeyEnabled"] = True
    return Seal(kept, blobs.master.derived(arn))


def key_arn(config: Config, key_id: str | None) -> str:
    """The ARN of the account's `aws/s3` key, if that is meant: no other key is there."""
    digits = hashlib.sha256(f"aws/s3 {config.account} {config.region}".encode()).hexdigest()
    known = "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}"))
    known = f"{known}-{digits[20:32]}"
    arn = config.arn("kms", f"key/{known}")
    names = ("alias/aws/s3", config.arn("kms", "alias/aws/s3"), known, arn)
    if key_id and key_id not in names:
        raise AwsError("KMS.NotFoundException", f"Invalid keyId '{key_id}'", 400)
    return arn


def of_kept(call: Call, kept: Shown, prefix: str = "") -> Seal:
    """What opens an object that is kept so; a client's own key must come with the call."""
    brought = _customer(call.params, prefix)
    master = call.cloud.blobs.master
    if "SSECustomerKeyMD5" not in kept:
        if brought is not None:
            raise faults.invalid_request(
                "The encryption parameters are not applicable to this object."
            )
        if "SSEKMSKeyId" not in kept:
            return Seal(kept, master.wrapper)
        if call.caller.kind == "anonymous":
            raise faults.invalid_argument(
                "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS "
                "Signature Version 4."
            )
        return Seal(kept, master.derived(kept["SSEKMSKeyId"]))
    if brought is None:
        raise faults.invalid_request(
            "The object was stored using a form of Server Side Encryption. The correct parameters "
            "must be provided to retrieve the object."
        )
    if brought.shown != kept:
        raise faults.access_denied()
    return brought


def refuse_for_reads(call: Call) -> None:
    """s3-020: how an object is kept is not for its readers to say."""
    if _HEADER in call.request.headers:
        raise faults.invalid_argument(
            f"{_HEADER} header is not supported for this operation.",
            _HEADER,
            call.request.headers[_HEADER],
        )


def of_upload(call: Call, kept: Shown) -> Seal:
    """The same for a part of an upload."""
    brought = _customer(call.params, "")
    if brought is None and "SSECustomerKeyMD5" in kept:
        raise faults.invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must "
            "include the appropriate encryption parameters."
        )
    if brought is not None and brought.shown != kept:
        raise faults.invalid_request(
            "The provided encryption parameters did not match the ones used originally."
        )
    return brought or of_kept(call, kept)


def rewrapped(segments: list[Segment], old: Seal, new: Seal) -> list[Segment]:
    """The same bytes, for an object that is kept otherwise."""
    if old.shown == new.shown:
        return list(segments)
    keys = {each.key: new.wrapper.wrap(old.wrapper.unwrap(each.key).key) for each in segments}
    return [each._replace(key=keys[each.key]) for each in segments]


def _customer(params: Params, prefix: str) -> Seal | None:
    """The key that a client brings, checked; it is never stored."""
    algorithm, text, md5 = (
        params.get(f"{prefix}SSECustomer{name}") for name in ("Algorithm", "Key", "KeyMD5")
    )
    if not (algorithm or text or md5):
        return None
    if not algorithm:
        raise faults.invalid_argument(f"{_SSE_C}a valid encryption algorithm.")
    if algorithm != "AES256":
        raise AwsError(
            "InvalidEncryptionAlgorithmError",
            "The Encryption request you specified is not valid. Supported value: AES256.",
            400,
        )
    if not text:
        raise faults.invalid_argument(f"{_SSE_C}an appropriate secret key.")
    if not md5:
        raise faults.invalid_argument(f"{_SSE_C}the client calculated MD5 of the secret key.")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise faults.invalid_argument("The secret key was invalid for the specified algorithm.")
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    if base64.b64encode(digest).decode() != md5:
        raise faults.invalid_argument(
            "The calculated MD5 hash of the key did not match the hash that was provided."
        )
    return Seal({"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": md5}, Wrapper(key))


def _default(bucket: Bucket) -> Params:
    """The bucket's rule, flattened; {} where none was put."""
    found: Params = json.loads(bucket.encryption) if bucket.encryption else {}
    return found


def get_bucket_encryption(call: Call, view: View) -> Output:
    default: Params = {"SSEAlgorithm": "AES256", "BucketKeyEnabled": False}
    default.update(_default(of_call(call, view)))
    has_bucket_key = default.pop("BucketKeyEnabled")
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": has_bucket_key}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def put_bucket_encryption(call: Call, tx: Transaction) -> None:
    """For objects written from now on."""
    bucket = of_call(call, tx)
    rules = (call.params.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or []
    if len(rules) != 1:
        raise faults.malformed_xml()
    if rules[0].get("BlockedEncryptionTypes"):
        raise NotImplementedByCloudlet("Blocking encryption types")
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {"SSEAlgorithm": "AES256"}
    method, key_id = default.get("SSEAlgorithm"), default.get("KMSMasterKeyID")
    if method in _LATER:
        raise NotImplementedByCloudlet(f"S3 encryption with {method}")
    if method not in ("AES256", "aws:kms"):
        raise faults.malformed_xml()
    if key_id and method == "AES256":
        raise faults.invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
            "aws:kms:dsse"
        )
    key_arn(call.config, key_id)
    _keep(tx, bucket, {**default, "BucketKeyEnabled": bool(rules[0].get("BucketKeyEnabled"))})


def delete_bucket_encryption(call: Call, tx: Transaction) -> None:
    """Back to SSE-S3."""
    _keep(tx, of_call(call, tx), None)


def _keep(tx: Transaction, bucket: Bucket, rule: Mapping[str, Any] | None) -> None:
    text = "" if rule is None else json.dumps(rule)
    tx.run("UPDATE s3_bucket SET encryption = ? WHERE id = ?", (text, bucket.id))
