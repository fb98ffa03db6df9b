"""SSE-C: a key that a client brings with every request; it is never stored.

AWS takes such keys over TLS alone. So does cloudlet, but for clients on this machine.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
"""

import base64
import binascii
import hashlib

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.policy.context import is_secure
from cloudlet.s3 import faults
from cloudlet.s3.seals import HEADER, Kept, Seal
from cloudlet.store.sealing import Wrapper

_MUST = "Requests specifying Server Side Encryption with Customer provided keys must "
_MEMBERS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
NEEDED = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be "
    "provided to retrieve the object."
)


def is_meant(call: Call, prefix: str = "") -> bool:
    return any(call.params.get(prefix + member) for member in _MEMBERS)


def brought(call: Call, prefix: str = "") -> Seal:
    """The call's key, checked, to seal with."""
    text, md5 = _named(call, prefix)
    key = _decoded(text)
    if len(key) != 32:
        raise _refusal("The secret key was invalid for the specified algorithm.")
    return _sealing(key, md5)


def opening(call: Call, prefix: str, kept: Kept) -> Seal:
    """The same, if it is the one that something was sealed with."""
    text, md5 = _named(call, prefix)
    if md5 != kept["SSECustomerKeyMD5"]:
        raise AwsError("AccessDenied", f"{_MUST}provide the correct secret key.", 403)
    return _sealing(_decoded(text), md5)


def _named(call: Call, prefix: str) -> tuple[str, str]:
    algorithm, text, md5 = (call.params.get(prefix + member) for member in _MEMBERS)
    if not is_secure(call.request):
        raise faults.invalid_request(f"{_MUST}be made over a secure connection.")
    if not algorithm:
        raise _refusal(f"{_MUST}provide a valid encryption algorithm.")
    if algorithm != "AES256":
        raise AwsError(
            "InvalidEncryptionAlgorithmError",
            "The Encryption request you specified is not valid. Supported value: AES256.",
            400,
            ArgumentName=HEADER,
            ArgumentValue=algorithm,
        )
    if not text:
        raise _refusal(f"{_MUST}provide an appropriate secret key.")
    if not md5:
        raise _refusal(f"{_MUST}provide the client calculated MD5 of the secret key.")
    return text, md5


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _sealing(key: bytes, md5: str) -> Seal:
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    if base64.b64encode(digest).decode() != md5:
        raise _refusal(
            "The calculated MD5 hash of the key did not match the hash that was provided."
        )
    return Seal({"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": md5}, Wrapper(key))


def _refusal(message: str) -> AwsError:
    return AwsError("InvalidArgument", message, 400, ArgumentName=HEADER)
