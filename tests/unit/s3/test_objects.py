"""Putting, getting and deleting objects: conditions, ranges, checksums, limits."""

import asyncio
import base64
import hashlib
import threading
import time
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Body
from cloudlet.s3 import bulk, intake, objects, reading, tagging
from cloudlet.s3.records import known_blobs
from cloudlet.wire import digests
from tests.unit.s3.conftest import Shelf

BIG = bytes(range(256)) * 1024  # 256 KiB: a blob
HUGE = BIG * 13  # through the threads


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("body", [b"", b"x", b"y" * (64 << 10), BIG, HUGE])
def test_what_was_put_comes_back(shelf: Shelf, body: bytes) -> None:
    put = shelf.put("k", body, ContentType="text/plain", Metadata={"Colour": "blue"})
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert put["ServerSideEncryption"] == "AES256"
    got = shelf.get("k", ChecksumMode="ENABLED")
    assert got["Body"] == body
    assert got["ContentLength"] == len(body)
    assert got["ContentType"] == "text/plain"
    assert got["Metadata"] == {"colour": "blue"}
    assert got["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]
    assert len(shelf.files()) == (len(body) > intake.INLINE_BYTES_MAX)
    head = shelf.call(reading.head_object, Bucket="shelf", Key="k")
    assert head["ETag"] == put["ETag"]
    assert head["LastModified"] == shelf.clock.now_ms // 1000


def test_body_may_come_as_a_parameter(shelf: Shelf) -> None:
    shelf.put("k", Body=b"from inside")
    assert shelf.get("k")["Body"] == b"from inside"


def test_overwriting_and_deleting_free_the_bytes(shelf: Shelf) -> None:
    shelf.put("k", BIG)
    shelf.put("k", HUGE)
    assert len(shelf.files()) == 1
    shelf.call(objects.delete_object, Bucket="shelf", Key="k")
    shelf.call(objects.delete_object, Bucket="shelf", Key="k")
    assert shelf.files() == []
    shelf.put("small", b"1")
    for body, count in ((b"2", 1), (HUGE, 0), (b"3", 1), (b"", 0), (b"4", 1)):
        shelf.put("small", body)
        assert shelf.database.view().value("SELECT count(*) FROM s3_content") == count
        assert shelf.get("small")["Body"] == body
    with pytest.raises(AwsError, match="NoSuchKey"):
        shelf.get("k")


def test_a_reader_keeps_what_it_opened(shelf: Shelf) -> None:
    shelf.put("k", HUGE)

    async def read() -> bytes:
        call = shelf.made(Bucket="shelf", Key="k")
        output = (await reading.get_object(call)).output
        body = aiter(output["Body"])
        data = await anext(body)
        await asyncio.to_thread(shelf.put, "k", b"new")
        async for chunk in body:
            data += chunk
        await output["Body"].aclose()
        return data

    assert asyncio.run(read()) == HUGE
    assert shelf.files() == []


def test_a_reader_that_comes_too_late_looks_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is replaced between the look at its row and the pinning of its blob."""
    shelf.put("k", BIG)
    pin = shelf.blobs.reader
    replaced: list[str] = []

    def late(*segments: Any) -> Any:
        if not replaced:
            replaced.append("k")
            writing = threading.Thread(target=shelf.put, args=("k", HUGE))
            writing.start()
            writing.join()
        return pin(*segments)

    monkeypatch.setattr(shelf.blobs, "reader", late)
    assert shelf.get("k")["Body"] == HUGE


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, None),
        ("bytes=-3", -3, None),
        ("bytes=1-9999999", 1, None),
        ("bytes=01-" + "9" * 5000, 1, None),  # s3-037
    ],
)
@pytest.mark.parametrize("body", [b"0123456789", BIG])
def test_ranges(shelf: Shelf, body: bytes, header: str, start: int, end: int | None) -> None:
    shelf.put("k", body)
    got = shelf.get("k", Range=header)
    assert got["Body"] == body[start:end]
    assert got["ContentLength"] == len(got["Body"])
    first = start if start >= 0 else len(body) + start
    assert got["ContentRange"] == f"bytes {first}-{first + len(got['Body']) - 1}/{len(body)}"


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "bytes=3-2", "chars=1-2", "bytes=-", "junk"])
def test_ranges_that_are_ignored(shelf: Shelf, header: str) -> None:
    shelf.put("k", b"0123456789")
    got = shelf.get("k", Range=header)
    assert got["Body"] == b"0123456789"
    assert "ContentRange" not in got


@pytest.mark.parametrize(
    "header", ["bytes=10-", "bytes=99-100", "bytes=-0", f"bytes={'1' * 5000}-"]
)
def test_ranges_beyond_the_object(shelf: Shelf, header: str) -> None:
    shelf.put("k", b"0123456789")
    with pytest.raises(AwsError, match="InvalidRange") as caught:
        shelf.get("k", Range=header)
    assert caught.value.status == 416
    assert caught.value.fields == {"RangeRequested": header, "ActualObjectSize": 10}


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(1_795_000_000 + seconds, UTC)


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"IfMatch": "ETAG"}, 200),
        ({"IfMatch": "*"}, 200),
        ({"IfMatch": '"other"'}, 412),
        ({"IfNoneMatch": "ETAG"}, 304),
        ({"IfNoneMatch": '"other"'}, 200),
        ({"IfModifiedSince": at(0)}, 304),
        ({"IfModifiedSince": at(-1)}, 200),
        ({"IfUnmodifiedSince": at(0)}, 200),
        ({"IfUnmodifiedSince": at(-1)}, 412),
        ({"IfMatch": "ETAG", "IfUnmodifiedSince": at(-1)}, 200),
        ({"IfNoneMatch": '"other"', "IfModifiedSince": at(0)}, 200),
        ({"IfNoneMatch": "ETAG", "IfModifiedSince": at(-1)}, 304),
        ({"IfMatch": '"other"', "IfNoneMatch": "ETAG"}, 412),
        ({"IfModifiedSince": "no date"}, 200),
    ],
)
def test_conditions_on_reads(shelf: Shelf, conditions: dict[str, Any], status: int) -> None:
    etag = shelf.put("k", b"data")["ETag"]
    params = {name: etag if value == "ETAG" else value for name, value in conditions.items()}
    for operation in (reading.get_object, reading.head_object):
        if status == 200:
            shelf.call(operation, Bucket="shelf", Key="k", **params)
            continue
        with pytest.raises(AwsError) as caught:
            shelf.call(operation, Bucket="shelf", Key="k", **params)
        assert caught.value.status == status
        if status == 304:
            assert caught.value.fields["ETag"] == etag


def test_conditions_on_writes(shelf: Shelf) -> None:
    etag = shelf.put("k", b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(AwsError, match="PreconditionFailed"):
        shelf.put("k", b"2", IfNoneMatch="*")
    with pytest.raises(AwsError, match="PreconditionFailed"):
        shelf.put("k", BIG, IfMatch='"other"')
    with pytest.raises(AwsError, match="NoSuchKey"):
        shelf.put("new", b"2", IfMatch=etag)
    with pytest.raises(AwsError, match="NotImplemented"):
        shelf.put("k", b"2", IfNoneMatch=etag)
    assert shelf.files() == []
    shelf.put("k", b"2", IfMatch=etag)
    assert shelf.get("k")["Body"] == b"2"
    with pytest.raises(AwsError, match="PreconditionFailed"):
        shelf.call(objects.delete_object, Bucket="shelf", Key="k", IfMatch=etag)


def test_overrides_are_for_signed_requests(shelf: Shelf) -> None:
    shelf.put("k", b"data")
    got = shelf.get("k", ResponseContentType="text/css", ResponseContentDisposition="attachment")
    assert (got["ContentType"], got["ContentDisposition"]) == ("text/css", "attachment")
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.call(
            reading.get_object, Bucket="shelf", Key="k", ResponseContentType="x", caller=ANONYMOUS
        )


def test_who_may_not_list_learns_nothing(shelf: Shelf) -> None:
    def refuse(_: Any) -> Any:
        raise AwsError("AccessDenied", "Access Denied", 403)

    with pytest.raises(AwsError, match="NoSuchKey"):
        shelf.call(reading.get_object, Bucket="shelf", Key="none", caller=ANONYMOUS)
    shelf.answers["ListObjectsV2"] = refuse
    for operation in (reading.get_object, reading.head_object):
        with pytest.raises(AwsError, match="AccessDenied"):
            shelf.call(operation, Bucket="shelf", Key="none", caller=ANONYMOUS)


@pytest.mark.parametrize(
    ("key", "params", "code"),
    [
        ("k" * 1025, {}, "KeyTooLongError"),
        ("ü" * 513, {}, "KeyTooLongError"),
        ("k", {"Metadata": {"a": "b" * 2048}}, "MetadataTooLarge"),
        ("k", {"ContentMD5": "short"}, "InvalidDigest"),
        ("k", {"ContentMD5": base64.b64encode(b"0" * 16).decode()}, "BadDigest"),
        ("k", {"ChecksumCRC32": crc32(b"other")}, "BadDigest"),
        ("k", {"ChecksumCRC32": "!"}, "InvalidRequest"),
        ("k", {"ChecksumCRC32": crc32(b"data"), "ChecksumSHA1": "x"}, "InvalidRequest"),
        ("k", {"ChecksumXXHASH64": "x"}, "InvalidRequest"),
        ("k", {"StorageClass": "CUPBOARD"}, "InvalidStorageClass"),
        ("k", {"ServerSideEncryption": "aws:kms:dsse"}, "NotImplemented"),
        ("k", {"ServerSideEncryption": "AES"}, "InvalidArgument"),
        ("k", {"SSECustomerAlgorithm": "AES256"}, "has blocked upload requests"),
        ("k", {"ObjectLockMode": "GOVERNANCE"}, "must both be supplied"),
        ("k", {"ObjectLockLegalHoldStatus": "ON"}, "missing Object Lock Configuration"),
        ("k", {"ACL": "public-read"}, "AccessControlListNotSupported"),
        ("k", {"WebsiteRedirectLocation": "elsewhere"}, "InvalidRedirectLocation"),
        ("k", {"Tagging": "&".join(f"k{n}=v" for n in range(11))}, "BadRequest"),
        ("k", {"Tagging": "a=1&a=2"}, "InvalidArgument"),
    ],
)
def test_refused_puts_leave_nothing(
    shelf: Shelf, key: str, params: dict[str, Any], code: str
) -> None:
    for body in (b"data", BIG):
        with pytest.raises(AwsError, match=code):
            shelf.put(key, body, **params)
    assert shelf.files() == []
    assert shelf.database.view().value("SELECT count(*) FROM s3_object") == 0


def test_missing_buckets(shelf: Shelf) -> None:
    for operation in (objects.put_object, reading.get_object, objects.delete_object):
        with pytest.raises(AwsError, match="NoSuchBucket"):
            shelf.call(operation, Bucket="nowhere", Key="k")


@pytest.mark.parametrize("name", sorted(digests.NEW))
def test_every_algorithm_is_stored_and_answered(shelf: Shelf, name: str) -> None:
    for body in (b"data", HUGE):
        computed = shelf.put("k", body, ChecksumAlgorithm=name)[f"Checksum{name}"]
        shelf.put("k", body, **{f"Checksum{name}": computed})
        got = shelf.get("k", ChecksumMode="ENABLED")
        assert got[f"Checksum{name}"] == computed
        assert got["ChecksumType"] == "FULL_OBJECT"
    known = {"SHA256": hashlib.sha256, "MD5": hashlib.md5, "SHA1": hashlib.sha1}
    if name in known:
        assert computed == base64.b64encode(known[name](HUGE).digest()).decode()


def test_s3_011_an_algorithm_alone_is_an_error_in_headers_only(shelf: Shelf) -> None:
    headers = {"x-amz-sdk-checksum-algorithm": "CRC32"}
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.call(
            objects.put_object, b"d", headers=headers,
            Bucket="shelf", Key="k", ChecksumAlgorithm="CRC32",
        )  # fmt: skip
    assert shelf.put("k", b"d", ChecksumAlgorithm="CRC32")["ChecksumCRC32"] == crc32(b"d")


@pytest.mark.parametrize("body", [b"data", HUGE])
def test_checksums_in_trailers(shelf: Shelf, body: bytes) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32"}

    def put(value: str) -> Any:
        arriving = Body.of(body)
        arriving.trailers = {"x-amz-checksum-crc32": value}  # type: ignore[attr-defined]
        return shelf.call(
            objects.put_object, headers=headers, Bucket="shelf", Key="k", Body=arriving
        )

    assert put(crc32(body))["ChecksumCRC32"] == crc32(body)
    with pytest.raises(AwsError, match="BadDigest"):
        put(crc32(body + b"!"))


class Gone(Exception):
    """The client went away."""


@pytest.mark.parametrize("blocks", [0, 1, 3, 40])
def test_a_body_that_breaks_off_leaves_nothing(shelf: Shelf, blocks: int) -> None:
    async def receive(left: list[int] = [blocks]) -> bytes:  # noqa: B006
        if not left[0]:
            raise Gone
        left[0] -= 1
        return BIG

    with pytest.raises(Gone):
        shelf.put("k", Body=Body(receive, 1 << 30))
    wait_for(lambda: shelf.files() == [])


def wait_for(condition: Any) -> None:
    """A thread that is told to undo its work does so soon."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("size", [10, len(BIG), len(HUGE)])
def test_wrong_lengths(shelf: Shelf, size: int) -> None:
    body = Body.of(HUGE[:size])
    body.length = size + 1
    with pytest.raises(AwsError, match="IncompleteBody"):
        shelf.put("k", Body=body)
    body = Body.of(b"")
    body.length = None
    with pytest.raises(AwsError, match="NotImplemented"):
        shelf.put("k", Body=body)
    body.length = (5 << 30) + 1
    with pytest.raises(AwsError, match="EntityTooLarge"):
        shelf.put("k", Body=body)
    assert shelf.files() == []


def test_a_failing_store_refuses_and_leaves_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = shelf.blobs.create

    def failing(*key: Any) -> Any:
        writer = create(*key)
        monkeypatch.setattr(writer, "write", lambda data: (_ for _ in ()).throw(full))
        return writer

    full = AwsError("ServiceUnavailable", "The store is full", 503)
    monkeypatch.setattr(shelf.blobs, "create", failing)
    for body in (BIG, HUGE, HUGE * 4):
        with pytest.raises(AwsError, match="ServiceUnavailable"):
            shelf.put("k", body)
    wait_for(lambda: shelf.files() == [])


def test_a_cancelled_put_leaves_nothing(shelf: Shelf) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def receive(sent: list[int] = [0]) -> bytes:  # noqa: B006
            sent[0] += 1
            if sent[0] > 30:
                started.set()
                await asyncio.sleep(60)
            return BIG

        call = shelf.made(Bucket="shelf", Key="k", Body=Body(receive, 1 << 30))
        task = asyncio.ensure_future(objects.put_object(call))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    wait_for(lambda: shelf.files() == [])


def test_delete_objects(shelf: Shelf) -> None:
    for key in "abc":
        shelf.put(key, BIG)
    wanted = {
        "Objects": [
            {"Key": "a"},
            {"Key": "missing"},
            {"Key": "b", "VersionId": "7"},
            {"Key": "c", "ETag": '"x"'},
        ]
    }
    answer = shelf.call(bulk.delete_objects, Bucket="shelf", Delete=wanted)
    assert answer["Deleted"] == [{"Key": "a"}, {"Key": "missing"}]
    codes = [(error["Key"], error["Code"]) for error in answer["Errors"]]
    assert codes == [("b", "NoSuchVersion"), ("c", "PreconditionFailed")]  # s3-045
    assert len(shelf.files()) == 2
    quiet = {"Objects": [{"Key": "b"}], "Quiet": True}
    assert shelf.call(bulk.delete_objects, Bucket="shelf", Delete=quiet) == {}
    for bad in ({"Objects": []}, {"Objects": [{"Key": "a"}] * 1001}):
        with pytest.raises(AwsError, match="MalformedXML"):
            shelf.call(bulk.delete_objects, Bucket="shelf", Delete=bad)


def test_each_key_of_a_bulk_deletion_is_allowed_for_itself(shelf: Shelf) -> None:
    for key in ("mine/a", "yours/a"):
        shelf.put(key, b"1")
    statement = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*/mine/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    user = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000", policies=(policy,))
    both = {"Objects": [{"Key": "mine/a"}, {"Key": "yours/a"}]}
    answer = shelf.call(bulk.delete_objects, caller=user, Bucket="shelf", Delete=both)
    assert answer["Deleted"] == [{"Key": "mine/a"}]
    denied = {"Key": "yours/a", "Code": "AccessDenied", "Message": "Access Denied"}
    assert answer["Errors"] == [denied]
    versioned = {"Objects": [{"Key": "mine/b", "VersionId": "null"}]}
    answer = shelf.call(bulk.delete_objects, caller=user, Bucket="shelf", Delete=versioned)
    assert answer["Errors"][0]["Code"] == "AccessDenied"  # s3:DeleteObjectVersion is another
    answer = shelf.call(bulk.delete_objects, caller=ANONYMOUS, Bucket="shelf", Delete=both)
    assert len(answer["Errors"]) == 2


def test_deletions_have_conditions_on_etags_only(shelf: Shelf) -> None:
    """s3-018: size and time are conditions in directory buckets alone."""
    with pytest.raises(AwsError, match="NotImplemented"):
        shelf.call(objects.delete_object, Bucket="shelf", Key="k", IfMatchSize=1)
    named = {"Objects": [{"Key": "k", "Size": 1}]}
    answer = shelf.call(bulk.delete_objects, Bucket="shelf", Delete=named)
    assert answer["Errors"][0]["Code"] == "NotImplemented"


def test_object_tags(shelf: Shelf) -> None:
    shelf.put("k", b"1", Tagging="a=1&b=two%20words")
    assert shelf.get("k")["TagCount"] == 2
    tags = shelf.call(tagging.get_object_tagging, Bucket="shelf", Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    new = {"TagSet": [{"Key": "c", "Value": ""}]}
    shelf.call(tagging.put_object_tagging, Bucket="shelf", Key="k", Tagging=new)
    assert shelf.call(tagging.get_object_tagging, Bucket="shelf", Key="k") == new
    shelf.call(tagging.delete_object_tagging, Bucket="shelf", Key="k")
    assert "TagCount" not in shelf.get("k")
    with pytest.raises(AwsError, match="NoSuchKey"):
        shelf.call(tagging.get_object_tagging, Bucket="shelf", Key="missing")


def test_versions_do_not_exist(shelf: Shelf) -> None:
    shelf.put("k", b"1")
    assert shelf.get("k", VersionId="null")["Body"] == b"1"
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.get("k", VersionId="abc")


def test_headers_are_kept(shelf: Shelf) -> None:
    shelf.put(
        "k", b"1", CacheControl="no-cache", ContentEncoding="aws-chunked,gzip", Expires=at(60)
    )
    got = shelf.get("k")
    assert got["CacheControl"] == "no-cache"
    assert got["ContentEncoding"] == "gzip"
    assert got["Expires"].endswith("GMT")
    assert got["ContentType"] == "binary/octet-stream"


def test_s3_014_attributes_have_a_bare_etag(shelf: Shelf) -> None:
    etag = shelf.put("k", b"data")["ETag"]
    asked = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    answer = shelf.call(
        reading.get_object_attributes, Bucket="shelf", Key="k", ObjectAttributes=asked
    )
    assert answer["ETag"] == etag.strip('"')
    assert answer["ObjectSize"] == 4
    assert answer["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert answer["ObjectParts"] is None
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.call(
            reading.get_object_attributes, Bucket="shelf", Key="k", ObjectAttributes=["Colour"]
        )


def test_orphans_are_known_from_others(shelf: Shelf) -> None:
    shelf.put("k", BIG)
    writer = shelf.blobs.create()
    writer.write(b"orphan")
    writer.finish()
    assert shelf.blobs.collect(known_blobs(shelf.database.view())) == 1
    assert shelf.get("k")["Body"] == BIG


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("=?UTF-8?B?YWJj?=", "abc"),
        ("=?utf-8?q?a_b?=", "a b"),
        ("=?UTF-8?Q?=C3=84?=", "=?UTF-8?Q?=C3=84?="),
        ("=?UTF-8?B?AAECAw==?=", "=?UTF-8?B?AAECAw==?="),
        ("=?UTF-8?B?x?=", "=?UTF-8?B?x?="),
    ],
)
def test_encoded_words_of_plain_text_are_read(shelf: Shelf, sent: str, kept: str) -> None:
    """s3-064"""
    shelf.put("k", b"1", Metadata={"m": sent})
    assert shelf.get("k")["Metadata"] == {"m": kept}


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ({"Key": "a,b", "Value": ""}, "The TagKey you have provided is invalid"),
        ({"Key": "a", "Value": "b,c"}, "The TagValue you have provided is invalid"),
        ({"Key": "aws:a", "Value": ""}, "Your TagKey cannot be prefixed with aws:"),
        ({"Key": "a"}, "MalformedXML"),
    ],
)
def test_tags_are_checked(shelf: Shelf, tag: dict[str, str], message: str) -> None:
    shelf.put("k")
    with pytest.raises(AwsError, match=message):
        shelf.call(tagging.put_object_tagging, Bucket="shelf", Key="k", Tagging={"TagSet": [tag]})
    shelf.call(
        tagging.put_object_tagging,
        Bucket="shelf",
        Key="k",
        Tagging={"TagSet": [{"Key": "é +-=._:/@", "Value": ""}, {"Key": "1", "Value": "ß"}]},
    )
    read = shelf.call(tagging.get_object_tagging, Bucket="shelf", Key="k")["TagSet"]
    assert [each["Key"] for each in read] == ["1", "é +-=._:/@"]
