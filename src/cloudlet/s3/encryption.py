"""Server-side encryption: which keys keep an object's bytes, as requests and buckets ask for it.

SSE-S3, the default, rests on the data directory's master key; SSE-KMS on the key service's keys
(`service_keys`), SSE-C on those of clients (`customer_keys`). What buckets ask for is settled in
`default_encryption`.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from cloudlet.call import Call, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import customer_keys, default_encryption, faults, service_keys
from cloudlet.s3.bucket import Bucket
from cloudlet.s3.seals import HEADER, Kept, Seal
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Transaction

_OF_KMS = ("SSEKMSKeyId", "SSEKMSEncryptionContext")


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


async def wanted(call: Call, bucket: Bucket) -> Seal:
    """How an object that the call writes is to be kept."""
    params, default = call.params, default_encryption.of_bucket(bucket)
    method = params.get("ServerSideEncryption")
    if customer_keys.is_meant(call):
        return _by_customer(call, default, method)
    if method != "aws:kms" and any(params.get(member) for member in _OF_KMS):
        raise faults.invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            f"{HEADER} : aws:kms",
            HEADER,
            method,
        )
    if method is not None:
        default_encryption.check_method(method, HEADER)
        # s3-052: who asks for KMS and names no key gets aws/s3, whatever the bucket's default is
        default = {**default, "SSEAlgorithm": method, "KMSMasterKeyID": params.get("SSEKMSKeyId")}
    if default.get("SSEAlgorithm") != "aws:kms":
        return Seal({}, call.cloud.blobs.master.wrapper)
    has_bucket_key = params.get("BucketKeyEnabled", default.get("BucketKeyEnabled"))
    return await service_keys.made(call, {**default, "BucketKeyEnabled": has_bucket_key})


def _by_customer(call: Call, default: Params, method: str | None) -> Seal:
    if "SSE-C" in default.get("Blocked", ()):
        resource = f"arn:aws:s3:::{call.params['Bucket']}/{call.params['Key']}"
        raise AwsError(
            "AccessDenied",
            f"User: {call.caller.arn} is not authorized to perform: s3:PutObject on resource: "
            f'"{resource}" because this bucket has blocked upload requests that specify Server '
            "Side Encryption with Customer provided keys (SSE-C). Please specify a different "
            "server-side encryption type",
            403,
        )
    if method:
        raise faults.invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the "
            "encryption method specified",
            HEADER,
            method,
        )
    return customer_keys.brought(call)


def of_kept(call: Call, kept: Kept, prefix: str = "", known: Seal | None = None) -> Seal | None:
    """What opens an object that is kept so. None: the key service must be asked first, with
    `service_keys.opened`; its answer comes back as `known`."""
    if customer_keys.is_meant(call, prefix):
        if "SSECustomerKeyMD5" not in kept:
            raise faults.invalid_request(
                "The encryption parameters are not applicable to this object."
            )
        return customer_keys.opening(call, prefix, kept)
    if "SSECustomerKeyMD5" in kept:
        raise faults.invalid_request(customer_keys.NEEDED)
    if not kept:
        return Seal(kept, call.cloud.blobs.master.wrapper)
    return known if known is not None and known.kept == kept else None


def refuse_for_reads(call: Call) -> None:
    """s3-020: how an object is kept is not for its readers to say."""
    if HEADER in call.request.headers:
        raise faults.invalid_argument(
            f"{HEADER} header is not supported for this operation.",
            HEADER,
            call.request.headers[HEADER],
        )


async def of_upload(call: Call, kept: Kept) -> Seal:
    """What seals a part of an upload."""
    seal = check_upload(call, kept)
    return await service_keys.opened(call, kept) if seal is None else seal


def check_upload(call: Call, kept: Kept) -> Seal | None:
    """An upload's key must come with each part, and no other. None as of `of_kept`."""
    if customer_keys.is_meant(call) != ("SSECustomerKeyMD5" in kept):
        raise faults.invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must "
            "include the appropriate encryption parameters."
        )
    if not customer_keys.is_meant(call):
        return of_kept(call, kept)
    seal = customer_keys.brought(call)
    if seal.kept != kept:
        raise faults.invalid_request(
            "The provided encryption parameters did not match the ones used originally."
        )
    return seal
