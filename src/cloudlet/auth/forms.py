"""Signatures of browser forms: what is signed is the form's policy, as it was sent.

Version 4 (`x-amz-algorithm` and its kin), and version 2 (`AWSAccessKeyId`, `signature`), which
boto3 still makes where nothing else is asked of it. Whether the form keeps to its policy is for S3.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
"""

import base64
import hmac
from collections.abc import Callable, Mapping

from cloudlet.auth import refusals, sigv4
from cloudlet.auth.refusals import Dialect
from cloudlet.auth.sigv4 import Credential, Lookup, Verifier
from cloudlet.errors import AwsError

_S3 = Dialect("s3")
# In the order in which AWS misses them
_VERSION_4 = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature")
_VERSION_2 = ("AWSAccessKeyId", "Signature")
SIGNING = frozenset(name.lower() for name in (*_VERSION_4, *_VERSION_2))
Fields = Mapping[str, str]


def access_key(fields: Fields) -> str:
    """The key that a form says it is signed with; "" if it doesn't say."""
    return fields.get("x-amz-credential", "").partition("/")[0] or fields.get("awsaccesskeyid", "")


class FormVerifier:
    """`open_credential` as in `Verifier`, whose signing keys are used here, too."""

    def __init__(
        self, verifier: Verifier, open_credential: Callable[[str], Credential] | None
    ) -> None:
        self._verifier = verifier
        self._open_credential = open_credential

    def verify(self, fields: Fields, lookup: Lookup, now_ms: int, region: str) -> Credential | None:
        """Whose signature it is; None for an unsigned form without a policy."""
        is_signed = any(name in fields for name in SIGNING)
        if "policy" not in fields:
            if is_signed:
                raise missing("Policy")
            return None
        if not is_signed:
            raise AwsError("AccessDenied", "Access Denied", 403)
        is_new = any(name.lower() in fields for name in _VERSION_4)
        for name in _VERSION_4 if is_new else _VERSION_2:
            if name.lower() not in fields:
                raise missing(name)
        scope = _scope(fields, region) if is_new else None
        credential = lookup(access_key(fields))
        if credential is None:
            if self._open_credential is None:
                raise refusals.unknown_key(_S3, access_key(fields))
            return self._open_credential(access_key(fields))
        sigv4.check_token(_S3, credential, fields.get("x-amz-security-token"), now_ms)
        self._check(fields, credential, scope)
        return credential

    def _check(self, fields: Fields, credential: Credential, scope: tuple[str, str] | None) -> None:
        text = fields["policy"]
        if scope is None:
            sent = fields["signature"]
            digest = hmac.digest(credential.secret.encode(), text.encode(), "sha1")
            wanted = base64.b64encode(digest).decode()
        else:
            sent = fields["x-amz-signature"]
            key = self._verifier.signing_key(credential.secret, *scope, "s3")
            wanted = hmac.digest(key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(wanted.encode(), sent.encode()):
            raise refusals.mismatch(_S3, credential.access_key, sent, text)


def _scope(fields: Fields, region: str) -> tuple[str, str]:
    """Day and region of the credential."""
    if fields["x-amz-algorithm"] != sigv4.ALGORITHM:
        detail = f'X-Amz-Algorithm only supports "{sigv4.ALGORITHM}"'
        raise refusals.malformed(_S3, True, detail)
    parts = fields["x-amz-credential"].rsplit("/", 4)
    form = "Error parsing the X-Amz-Credential parameter; "
    if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"]:
        raise refusals.malformed(_S3, True, f"{form}{sigv4.CREDENTIAL_FORM}")
    if parts[2] != region:
        detail = f"{form}the region '{parts[2]}' is wrong; expecting '{region}'"
        raise refusals.malformed(_S3, True, detail, Region=region)
    return parts[1], parts[2]


def missing(field: str) -> AwsError:
    return AwsError(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{field}'.  If it is specified, please check the "
        "order of the fields.",
        400,
        ArgumentName=field,
        ArgumentValue="",
    )
