"""Encryption at rest: what lies on the disk, who may read it, what answers say."""

import asyncio
import base64
import hashlib
import itertools
import stat
from dataclasses import replace
from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.s3 import (
    buckets,
    copying,
    default_encryption,
    encryption,
    multipart,
    objects,
    reading,
)
from cloudlet.s3.schema import SCHEMA
from cloudlet.store import sealing
from cloudlet.store.blobs import Blobs
from tests.harness import ROOT
from tests.unit.s3.conftest import Shelf

CHUNK = sealing.CHUNK_BYTES
WORD = b"secret words "
SMALL, LARGE = WORD * 10, (WORD * (CHUNK // 4))[: 3 * CHUNK + 17]
S3 = {"ServerSideEncryption": "AES256"}
KMS = {"ServerSideEncryption": "aws:kms"}


def customer(letter: bytes, prefix: str = "") -> dict[str, str]:
    key = letter * 32
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": base64.b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


OURS, OTHERS = customer(b"o"), customer(b"x")
METHODS: list[dict[str, str]] = [{}, S3, KMS, OURS]


def put_default(shelf: Shelf, blocked: str = "", **rule: Any) -> None:
    has_bucket_key = rule.pop("BucketKeyEnabled", False)
    whole = {"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": has_bucket_key}
    if blocked:
        whole["BlockedEncryptionTypes"] = {"EncryptionType": [blocked]}
    shelf.call(
        default_encryption.put_bucket_encryption,
        Bucket="shelf",
        ServerSideEncryptionConfiguration={"Rules": [whole]},
    )


def rule_of(shelf: Shelf) -> Any:
    answer = shelf.call(default_encryption.get_bucket_encryption, Bucket="shelf")
    return answer["ServerSideEncryptionConfiguration"]["Rules"][0]


@pytest.fixture(autouse=True)
def _clients_may_bring_keys(shelf: Shelf) -> None:
    put_default(shelf, "NONE", SSEAlgorithm="AES256")


def needed(method: dict[str, str], prefix: str = "") -> dict[str, str]:
    """What reading needs of what writing said."""
    return customer(b"o", prefix) if "SSECustomerKey" in method else {}


def on_disk(shelf: Shelf) -> bytes:
    """Everything in the data directory, the database's pages included."""
    shelf.database.write_now(lambda tx: None)
    files = [file for file in shelf.config.data.rglob("*") if file.is_file()]
    return b"".join(file.read_bytes() for file in files)


def shown(output: Any) -> dict[str, Any]:
    return {k: v for k, v in output.items() if k.startswith(("SSE", "ServerSide", "BucketKey"))}


@pytest.mark.parametrize(
    "body", [b"", SMALL, LARGE, LARGE * 4], ids=["none", "row", "blob", "threads"]
)
@pytest.mark.parametrize("method", METHODS)
def test_bytes_are_sealed_and_come_back(shelf: Shelf, method: dict[str, str], body: bytes) -> None:
    put = shelf.put("k", body, **method)
    got = shelf.get("k", **needed(method))
    assert got["Body"] == body
    assert shown(got) == shown(put)
    head = shelf.call(reading.head_object, Bucket="shelf", Key="k", **needed(method))
    assert shown(head) == shown(put)
    stored = on_disk(shelf)
    assert WORD not in stored
    assert b"o" * 32 not in stored and OURS["SSECustomerKey"].encode() not in stored


def test_any_range_opens_its_chunks_only(shelf: Shelf) -> None:
    shelf.put("k", LARGE)
    edges = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, len(LARGE) - 1]
    for first, last in itertools.combinations_with_replacement(edges, 2):
        got = shelf.get("k", Range=f"bytes={first}-{last}")["Body"]
        assert got == LARGE[first : last + 1], (first, last)


def test_parts_are_sealed_each_and_never_rewritten(shelf: Shelf) -> None:
    bodies = [WORD * 500_000, LARGE]
    upload = shelf.start("k", **OURS)
    parts = []
    for number, body in enumerate(bodies, 1):
        part = shelf.part("k", upload, number, body, **OURS)
        assert part["SSECustomerKeyMD5"] == OURS["SSECustomerKeyMD5"]
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    with pytest.raises(AwsError, match="Subsequent part requests must include"):
        shelf.part("k", upload, 3, SMALL)
    with pytest.raises(AwsError, match="did not match the ones used originally"):
        shelf.part("k", upload, 3, SMALL, **OTHERS)
    before = {file.name: file.stat().st_ino for file in shelf.files()}
    done = shelf.complete("k", upload, parts)
    assert done["SSECustomerAlgorithm"] == "AES256" and "ServerSideEncryption" not in done
    assert {file.name: file.stat().st_ino for file in shelf.files()} == before
    whole = b"".join(bodies)
    got = shelf.get("k", Range=f"bytes={len(bodies[0]) - 5}-{len(bodies[0]) + 5}", **OURS)
    assert got["Body"] == whole[len(bodies[0]) - 5 : len(bodies[0]) + 6]
    assert WORD not in on_disk(shelf)


@pytest.mark.parametrize("body", [b"", SMALL, LARGE], ids=["none", "row", "blob"])
@pytest.mark.parametrize(("old", "new"), [*itertools.product(METHODS[1:], METHODS)])
def test_copies(shelf: Shelf, old: dict[str, str], new: dict[str, str], body: bytes) -> None:
    shelf.put("k", body, **old)
    source = {"CopySource": "shelf/k", **needed(old, "CopySource")}
    copied = shelf.call(copying.copy_object, Bucket="shelf", Key="copy", **source, **new)
    got = shelf.get("copy", **needed(new))
    assert got["Body"] == body
    assert shown(got) == shown(copied)
    assert got.get("ServerSideEncryption") == (new or S3).get("ServerSideEncryption")
    upload = shelf.start("parts", **new)
    part = shelf.call(
        copying.upload_part_copy, Bucket="shelf", Key="parts", UploadId=upload, PartNumber=1,
        **source, **needed(new),
    )["CopyPartResult"]  # fmt: skip
    shelf.complete("parts", upload, [{"PartNumber": 1, "ETag": part["ETag"]}])
    assert shelf.get("parts", **needed(new))["Body"] == body
    assert WORD not in on_disk(shelf)
    for key in ("k", "copy", "parts"):
        shelf.call(objects.delete_object, Bucket="shelf", Key=key)
    assert shelf.files() == []


def test_a_clients_key_is_needed_and_the_right_one(shelf: Shelf) -> None:
    shelf.put("k", SMALL, **OURS)
    shelf.put("plain", SMALL)
    for operation in (reading.get_object, reading.head_object):
        with pytest.raises(AwsError, match="InvalidRequest: The object was stored using a form"):
            shelf.call(operation, Bucket="shelf", Key="k")
        with pytest.raises(AwsError, match="AccessDenied"):
            shelf.call(operation, Bucket="shelf", Key="k", **OTHERS)
        with pytest.raises(AwsError, match="are not applicable to this object"):
            shelf.call(operation, Bucket="shelf", Key="plain", **OURS)
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.call(copying.copy_object, Bucket="shelf", Key="copy", CopySource="shelf/k")


def test_readers_say_nothing_of_encryption(shelf: Shelf) -> None:
    """s3-020: the header of writes is refused."""
    shelf.put("k", SMALL)
    headers = {"x-amz-server-side-encryption": "AES256"}
    with pytest.raises(AwsError, match="is not supported for this operation"):
        shelf.call(reading.get_object, headers=headers, Bucket="shelf", Key="k")


def test_completing_an_upload_with_checksums_needs_the_clients_key(shelf: Shelf) -> None:
    upload = shelf.start("k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT", **OURS)
    part = shelf.part("k", upload, 1, SMALL, **OURS)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.complete("k", upload, parts)
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.complete("k", upload, parts, **OTHERS)
    shelf.complete("k", upload, parts, **OURS)
    assert shelf.get("k", **OURS)["Body"] == SMALL


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SSECustomerAlgorithm": ""}, "InvalidArgument: .* a valid encryption algorithm"),
        ({"SSECustomerAlgorithm": "DES"}, "InvalidEncryptionAlgorithmError"),
        ({"SSECustomerKey": ""}, "an appropriate secret key"),
        ({"SSECustomerKey": base64.b64encode(b"short").decode()}, "was invalid for the specified"),
        ({"SSECustomerKeyMD5": ""}, "the client calculated MD5"),
        ({"SSECustomerKeyMD5": OTHERS["SSECustomerKeyMD5"]}, "did not match the hash"),
        ({"ServerSideEncryption": "AES256"}, "is incompatible with the encryption method"),
    ],
)
def test_clients_keys_are_checked(shelf: Shelf, changes: dict[str, str], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        shelf.put("k", SMALL, **{**OURS, **changes})


def test_kms_has_the_accounts_own_key(shelf: Shelf) -> None:
    put = shelf.put("k", SMALL, **KMS)
    arn = put["SSEKMSKeyId"]
    assert arn.startswith("arn:aws:kms:us-east-1:000000000000:key/")
    assert put["ServerSideEncryption"] == "aws:kms" and "BucketKeyEnabled" not in put
    for name in (arn, arn.rpartition("/")[2], "alias/aws/s3"):
        assert shelf.put("k", SMALL, **KMS, SSEKMSKeyId=name)["SSEKMSKeyId"] == arn
    assert shelf.put("k", SMALL, **KMS, BucketKeyEnabled=True)["BucketKeyEnabled"] is True
    with pytest.raises(AwsError, match=r"KMS\.NotFoundException"):
        shelf.put("k", SMALL, **KMS, SSEKMSKeyId="mine")
    with pytest.raises(AwsError, match="requires HTTP header"):
        shelf.put("k", SMALL, **S3, SSEKMSKeyId=arn)
    with pytest.raises(AwsError, match="require AWS Signature Version 4"):
        shelf.call(reading.get_object, caller=ANONYMOUS, Bucket="shelf", Key="k")


def test_new_buckets_take_no_keys_of_clients(shelf: Shelf) -> None:
    """s3-051: who wants SSE-C says so; what is there stays readable."""
    default = {"SSEAlgorithm": "AES256"}
    shelf.put("k", SMALL, **OURS)
    put_default(shelf, "SSE-C", **default)
    assert rule_of(shelf) == {
        "ApplyServerSideEncryptionByDefault": default,
        "BucketKeyEnabled": False,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    for change in (lambda: shelf.put("k", SMALL, **OURS), lambda: shelf.start("k", **OURS)):
        with pytest.raises(AwsError, match="has blocked upload requests") as refused:
            change()
        assert (refused.value.code, refused.value.status) == ("AccessDenied", 403)
    assert shelf.get("k", **OURS)["Body"] == SMALL
    put_default(shelf, **default)  # says nothing of it
    assert rule_of(shelf)["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    with pytest.raises(AwsError, match="MalformedXML"):
        put_default(shelf, "SSE-KMS", **default)
    for classic, blocked in ((True, None), (False, {"EncryptionType": ["SSE-C"]})):
        config = replace(shelf.config, classic_buckets=classic)
        call = shelf.made(operation="CreateBucket", Bucket=f"new-{classic}".lower())
        call.cloud = replace(shelf.cloud, config=config)
        shelf.database.write_now(lambda tx, call=call: buckets.create_bucket(call, tx))
        answer = shelf.call(default_encryption.get_bucket_encryption, Bucket=call.params["Bucket"])
        rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule.get("BlockedEncryptionTypes") == blocked


def test_a_buckets_default(shelf: Shelf) -> None:
    put_default(shelf, SSEAlgorithm="aws:kms", BucketKeyEnabled=True)
    assert rule_of(shelf) == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
        "BucketKeyEnabled": True,
        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]},
    }
    put = shelf.put("k", SMALL)
    assert (put["ServerSideEncryption"], put["BucketKeyEnabled"]) == ("aws:kms", True)
    assert shown(shelf.get("k")) == shown(put)
    assert shelf.put("k", SMALL, **S3)["ServerSideEncryption"] == "AES256"
    upload = shelf.start("parts")
    part = shelf.part("parts", upload, 1, LARGE)
    shelf.complete("parts", upload, [{"PartNumber": 1, "ETag": part["ETag"]}])
    assert shelf.get("parts")["ServerSideEncryption"] == "aws:kms"
    shelf.call(default_encryption.delete_bucket_encryption, Bucket="shelf")
    assert shelf.put("k", SMALL)["ServerSideEncryption"] == "AES256"
    put_default(shelf, SSEAlgorithm="aws:kms", KMSMasterKeyID="mine")  # looked for when needed
    with pytest.raises(AwsError, match=r"KMS\.NotFoundException"):
        shelf.put("k", SMALL)
    for wrong, code in (
        ({"SSEAlgorithm": "AES256", "KMSMasterKeyID": "mine"}, "InvalidArgument"),
        ({"SSEAlgorithm": "aws:kms:dsse"}, "NotImplemented"),
        ({"SSEAlgorithm": "rot13"}, "MalformedXML"),
    ):
        with pytest.raises(AwsError, match=code):
            put_default(shelf, **wrong)


def test_a_flipped_bit_is_never_served(shelf: Shelf) -> None:
    shelf.put("k", LARGE)
    (file,) = shelf.files()
    spoilt = bytearray(file.read_bytes())
    spoilt[CHUNK + 100] ^= 1
    file.write_bytes(spoilt)
    assert shelf.get("k", Range="bytes=0-9")["Body"] == LARGE[:10]
    with pytest.raises(AwsError, match="is damaged"):
        shelf.get("k")
    file.write_bytes(spoilt[:CHUNK])
    with pytest.raises(AwsError, match="is damaged"):
        shelf.get("k", Range="bytes=0-9")


def test_the_master_key_is_its_owners_and_stays(shelf: Shelf) -> None:
    file = shelf.config.data / "master-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    Blobs(shelf.config.data / "blobs", shelf.config.new_id)
    assert file.read_text() == text and len(bytes.fromhex(text)) == 32
    shelf.put("k", SMALL)
    file.write_text("00" * 32)
    other = Shelf(shelf.config.data, SCHEMA)
    with pytest.raises(AwsError, match="was encrypted under another key"):
        other.get("k")
    for bench in (shelf, shelf):  # the first look remembers it
        bench.database.write_now(lambda tx: encryption.check_master(tx, shelf.blobs))
    with pytest.raises(AwsError, match="put that one back"):
        other.database.write_now(lambda tx: encryption.check_master(tx, other.blobs))
    other.close()


def test_plain_blobs_of_older_days_stay_readable(shelf: Shelf) -> None:
    writer = shelf.blobs.create()
    writer.write(LARGE)
    writer.finish()
    shelf.put("k", LARGE)
    plain = f'[["{writer.blob}", 0, {len(LARGE)}]]'
    shelf.database.write_now(
        lambda tx: [
            tx.run("INSERT INTO s3_blob (blob, uses) VALUES (?, 1)", (writer.blob,)),
            tx.run("UPDATE s3_object SET segments = ?", (plain,)),
        ]
    )
    assert shelf.get("k", Range="bytes=5-9")["Body"] == LARGE[5:10]
    source = {"CopySource": "shelf/k", "ServerSideEncryption": "AES256"}
    shelf.call(copying.copy_object, Bucket="shelf", Key="k", **source)
    assert shelf.get("k")["Body"] == LARGE
    assert len(shelf.files()) == 2  # the plain one is gone; a first one's row was overwritten above
    assert not shelf.blobs.path(writer.blob).exists()


def user(*actions: str) -> Caller:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    arn = "arn:aws:iam::000000000000:user/ann"
    return replace(ROOT, kind="user", arn=arn, policies=(policy,))


def key_of(shelf: Shelf, operation: str = "CreateKey", **params: Any) -> str:
    made = asyncio.run(shelf.dispatcher.invoke("kms", operation, params, ROOT))
    key_id: str = made.get("KeyMetadata", {}).get("KeyId", "")
    return key_id


def test_kms_asks_the_key_whether_the_caller_may(shelf: Shelf) -> None:
    method = {**KMS, "SSEKMSKeyId": key_of(shelf)}
    place = {"Bucket": "shelf", "Key": "k"}
    writer, reader = user("kms:GenerateDataKey"), user("kms:Decrypt")
    with pytest.raises(AwsError, match="not authorized to perform: kms:GenerateDataKey") as refused:
        shelf.call(objects.put_object, SMALL, caller=reader, **place, **method)
    assert (refused.value.code, refused.value.status) == ("AccessDenied", 403)
    shelf.call(objects.put_object, SMALL, caller=writer, **place, **method)
    for operation in (reading.get_object, reading.get_object_attributes):
        with pytest.raises(AwsError, match="not authorized to perform: kms:Decrypt"):
            shelf.call(operation, caller=writer, ObjectAttributes=["Checksum"], **place)
    assert shelf.call(reading.get_object, caller=reader, **place)["Body"] == SMALL
    copy = {"Bucket": "shelf", "Key": "copy", "CopySource": "shelf/k"}
    with pytest.raises(AwsError, match="not authorized to perform: kms:Decrypt"):
        shelf.call(copying.copy_object, caller=writer, **copy)
    shelf.call(copying.copy_object, caller=reader, **copy)
    shelf.call(multipart.create_multipart_upload, caller=writer, **place, **method)


def test_heads_need_the_key_for_checksums_alone(shelf: Shelf) -> None:
    """s3-053: kms:Decrypt is asked for with x-amz-checksum-mode."""
    place = {"Bucket": "shelf", "Key": "k"}
    shelf.put("k", SMALL, **KMS, SSEKMSKeyId=key_of(shelf))
    assert shelf.call(reading.head_object, caller=user(), **place)["ContentLength"] == len(SMALL)
    with pytest.raises(AwsError, match="AccessDenied"):
        shelf.call(reading.head_object, caller=user(), ChecksumMode="ENABLED", **place)


def test_a_disabled_key_opens_nothing(shelf: Shelf) -> None:
    key_id = key_of(shelf)
    shelf.put("k", SMALL, **KMS, SSEKMSKeyId=key_id)
    key_of(shelf, "DisableKey", KeyId=key_id)
    with pytest.raises(AwsError, match=r"KMS\.DisabledException: .* is disabled\.") as refused:
        shelf.get("k")
    assert refused.value.status == 400
    with pytest.raises(AwsError, match=r"KMS\.DisabledException"):
        shelf.put("k", SMALL, **KMS, SSEKMSKeyId=key_id)
    key_of(shelf, "EnableKey", KeyId=key_id)
    assert shelf.get("k")["Body"] == SMALL
    key_of(shelf, "ScheduleKeyDeletion", KeyId=key_id)
    with pytest.raises(AwsError, match=r"KMS\.KMSInvalidStateException: .* is pending deletion\."):
        shelf.get("k")


def test_encryption_contexts(shelf: Shelf) -> None:
    context = base64.b64encode(b'{"team": "blue"}').decode()
    put = shelf.put("k", SMALL, **KMS, SSEKMSEncryptionContext=context)
    assert put["SSEKMSEncryptionContext"] == context
    assert shelf.get("k")["Body"] == SMALL
    for wrong in ("?", base64.b64encode(b'{"team": 1}').decode()):
        with pytest.raises(AwsError, match="holding JSON which represents a string-string map"):
            shelf.put("k", SMALL, **KMS, SSEKMSEncryptionContext=wrong)
    with pytest.raises(AwsError, match="requires HTTP header"):
        shelf.put("k", SMALL, SSEKMSEncryptionContext=context)
    sql = "UPDATE s3_object SET encryption = replace(encryption, 'shelf/k', 'shelf/other')"
    shelf.database.write_now(lambda tx: tx.run(sql))
    with pytest.raises(AwsError, match="InvalidCiphertextException"):  # bound to its name
        shelf.get("k")


def test_requests_that_name_no_key_get_the_accounts_own(shelf: Shelf) -> None:
    """s3-052: not the bucket's default one."""
    mine = key_of(shelf)
    put_default(shelf, SSEAlgorithm="aws:kms", KMSMasterKeyID=mine)
    assert shelf.put("k", SMALL)["SSEKMSKeyId"].endswith(mine)
    assert not shelf.put("k", SMALL, **KMS)["SSEKMSKeyId"].endswith(mine)


@pytest.mark.parametrize("method", METHODS)
def test_etags_of_sealed_objects_tell_nothing(shelf: Shelf, method: dict[str, str]) -> None:
    """s3-050: they are MD5s with SSE-S3 only."""
    md5 = hashlib.md5(SMALL).hexdigest()
    given = base64.b64encode(hashlib.md5(SMALL).digest()).decode()
    etag = shelf.put("k", SMALL, ContentMD5=given, **method)["ETag"].strip('"')
    assert len(etag) == 32
    assert (etag == md5) == (method in ({}, S3))
    source = {"CopySource": "shelf/k", **needed(method, "CopySource")}
    copied = shelf.call(copying.copy_object, Bucket="shelf", Key="plain", **source)
    assert copied["CopyObjectResult"]["ETag"] == f'"{md5}"'
    back = {"CopySource": "shelf/plain", **method}
    copied = shelf.call(copying.copy_object, Bucket="shelf", Key="back", **back)
    assert (copied["CopyObjectResult"]["ETag"] == f'"{md5}"') == (method in ({}, S3))


def test_completing_a_sealed_upload_tells_no_checksum_that_nobody_named(shelf: Shelf) -> None:
    """s3-056."""
    for method, has_read, named in (
        (KMS, True, {}), (OURS, False, {}), (KMS, True, {"ChecksumAlgorithm": "CRC32"}),
    ):  # fmt: skip
        upload = shelf.start("k", ChecksumType="FULL_OBJECT" if named else None, **method, **named)
        key = method if method is OURS else {}
        part = shelf.part("k", upload, 1, SMALL, **key)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        done = shelf.complete("k", upload, parts, **key)
        assert done["ETag"].endswith('-1"')
        assert ("ChecksumType" in done) == bool(named)
        got = shelf.get("k", ChecksumMode="ENABLED", **key)
        assert ("ChecksumType" in got) == has_read


def test_copies_onto_themselves(shelf: Shelf) -> None:
    """s3-055: only those of which nothing changes are refused. s3-054: the null version of the
    source isn't named."""
    place = {"Bucket": "shelf", "Key": "k", "CopySource": "shelf/k"}
    shelf.call(default_encryption.delete_bucket_encryption, Bucket="shelf")
    shelf.put("k", SMALL)
    with pytest.raises(AwsError, match="This copy request is illegal"):
        shelf.call(copying.copy_object, **place)
    shelf.put("k", SMALL, **KMS)
    copied = shelf.call(copying.copy_object, **place)
    assert copied["ServerSideEncryption"] == "AES256" and "CopySourceVersionId" not in copied
    with pytest.raises(AwsError, match="This copy request is illegal"):
        shelf.call(copying.copy_object, **place)
    put_default(shelf, SSEAlgorithm="AES256")
    shelf.call(copying.copy_object, **place)
    assert shelf.get("k")["Body"] == SMALL


def test_clients_keys_need_tls_but_from_this_machine(shelf: Shelf) -> None:
    for client, scheme, is_taken in (
        ("127.0.0.1", "http", True),
        ("192.0.2.1", "https", True),
        ("192.0.2.1", "http", False),
    ):
        call = shelf.made(operation="PutObject", Bucket="shelf", Key="k", **OURS)
        call.request.client, call.request.scheme = client, scheme
        if is_taken:
            asyncio.run(objects.put_object(call))
        else:
            with pytest.raises(AwsError, match="must be made over a secure connection"):
                asyncio.run(objects.put_object(call))
