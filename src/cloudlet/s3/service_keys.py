"""SSE-KMS: each object has a data key of its own, which the key service makes and opens.

The service is asked in the caller's name: who may not use the key reads and writes nothing.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

import base64
import binascii
import json
from dataclasses import replace
from typing import Any

from cloudlet.call import Call, Caller, Output, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.seals import Kept, Seal
from cloudlet.store.sealing import Wrapper

_OWN_KEY = "alias/aws/s3"
_CONTEXT_HEADER = "x-amz-server-side-encryption-context"


async def made(call: Call, rule: Params) -> Seal:
    """For an object that the call writes; `rule` has the members of a bucket's default."""
    kept: Kept = {"ServerSideEncryption": "aws:kms"}
    if rule.get("BucketKeyEnabled"):
        kept["BucketKeyEnabled"] = True
    given = call.params.get("SSEKMSEncryptionContext")
    if given:
        kept["SSEKMSEncryptionContext"] = given
    kept["_resource"] = _resource(call, kept)
    key_id = rule.get("KMSMasterKeyID") or _OWN_KEY
    key = await _ask(
        call, "GenerateDataKey", KeyId=key_id, KeySpec="AES_256", EncryptionContext=_context(kept)
    )
    kept["SSEKMSKeyId"] = key["KeyId"]
    kept["_key"] = base64.b64encode(key["CiphertextBlob"]).decode()
    return Seal(kept, Wrapper(key["Plaintext"]))


def _resource(call: Call, kept: Kept) -> str:
    """A bucket key is one for all objects."""
    bucket = f"arn:aws:s3:::{call.params['Bucket']}"
    return bucket if kept.get("BucketKeyEnabled") else f"{bucket}/{call.params['Key']}"


def _context(kept: Kept) -> dict[str, str]:
    given = _decoded(kept.get("SSEKMSEncryptionContext", ""))
    return {**given, "aws:s3:arn": kept["_resource"]}


def _decoded(text: str) -> dict[str, str]:
    try:
        found: Any = json.loads(base64.b64decode(text, validate=True)) if text else {}
    except (ValueError, binascii.Error):
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise faults.invalid_argument(
            f"The header '{_CONTEXT_HEADER}' shall be Base64-encoded UTF-8 string holding JSON "
            "which represents a string-string map",
            _CONTEXT_HEADER,
            text,
        )
    return found


async def opened(call: Call, kept: Kept) -> Seal:
    """What opens an object that is kept so. Of the time before there was a key service: keys of
    the data directory's own."""
    if call.caller.kind == "anonymous":
        raise faults.invalid_argument(
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS "
            "Signature Version 4."
        )
    if "_key" not in kept:
        return Seal(kept, call.cloud.blobs.master.derived(kept["SSEKMSKeyId"]))
    key = await _ask(
        call,
        "Decrypt",
        KeyId=kept["SSEKMSKeyId"],
        CiphertextBlob=base64.b64decode(kept["_key"]),
        EncryptionContext=_context(kept),
    )
    return Seal(kept, Wrapper(key["Plaintext"]))


async def _ask(call: Call, operation: str, **params: Any) -> Output:
    try:
        return await call.cloud.invoke("kms", operation, params, _acting(call))
    except AwsError as error:
        if error.code == "AccessDeniedException":
            raise AwsError("AccessDenied", error.message, 403) from error
        raise AwsError(f"KMS.{error.code}", error.message, 400) from error


def _acting(call: Call) -> Caller:
    via = f"s3.{call.config.region}.amazonaws.com"
    keys = {"kms:ViaService": via, "aws:ViaAWSService": True}
    return replace(call.caller, context={**call.caller.context, **keys})
