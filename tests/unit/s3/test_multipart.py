"""Multipart uploads: life, checks, checksums; copying parts; listing them."""

import asyncio
import base64
import hashlib
import zlib
from typing import Any

import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Body
from cloudlet.s3 import completion, copying, multipart, reading, uploads
from cloudlet.s3.bucket import owner_id
from tests.unit.s3.conftest import Shelf

FIRST = bytes(range(256)) * (5 << 12)  # 5 MiB, the least for a part that isn't the last
SECOND = FIRST[::-1]
LAST = b"the end"


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def uploaded(shelf: Shelf, key: str, *bodies: bytes, **params: Any) -> tuple[str, list[Any]]:
    upload = shelf.start(key, **params)
    parts = []
    for number, body in enumerate(bodies, 1):
        etag = shelf.part(key, upload, number, body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    return upload, parts


def test_parts_become_an_object(shelf: Shelf) -> None:
    upload, parts = uploaded(
        shelf, "k", FIRST, SECOND, LAST, ContentType="text/x", Metadata={"a": "b"}, Tagging="t=1"
    )
    files = sorted(shelf.files())
    done = shelf.complete("k", upload, parts)
    md5s = b"".join(hashlib.md5(part).digest() for part in (FIRST, SECOND, LAST))
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-3"'
    assert sorted(shelf.files()) == files  # no byte was copied
    got = shelf.get("k", ChecksumMode="ENABLED")
    assert got["Body"] == FIRST + SECOND + LAST
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/x", {"a": "b"}, 1)
    whole = shelf.put("whole", FIRST + SECOND + LAST)
    assert got["ChecksumCRC64NVME"] == whole["ChecksumCRC64NVME"]
    middle = shelf.get("k", Range=f"bytes={len(FIRST) - 2}-{len(FIRST) + 1}")
    assert middle["Body"] == FIRST[-2:] + SECOND[:2]


def test_completing_again_answers_the_same(shelf: Shelf) -> None:
    upload, parts = uploaded(shelf, "k", LAST)
    done = shelf.complete("k", upload, parts)
    assert shelf.complete("k", upload, parts) == done
    shelf.put("k", b"newer")
    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.complete("k", upload, parts)


def test_parts_of_an_object_are_readable(shelf: Shelf) -> None:
    upload, parts = uploaded(shelf, "k", FIRST, LAST)
    shelf.complete("k", upload, parts)
    got = shelf.get("k", PartNumber=2)
    assert (got["Body"], got["PartsCount"]) == (LAST, 2)
    with pytest.raises(AwsError, match="InvalidPartNumber"):
        shelf.get("k", PartNumber=3)
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.get("k", PartNumber=1, Range="bytes=0-1")
    shelf.put("plain", b"data")
    assert shelf.get("plain", PartNumber=1)["ContentRange"] == "bytes 0-3/4"


def test_unused_and_replaced_parts_are_freed(shelf: Shelf) -> None:
    upload, _ = uploaded(shelf, "k", LAST, FIRST, SECOND)
    again = shelf.part("k", upload, 1, b"changed")["ETag"]
    assert len(shelf.files()) == 3
    shelf.complete("k", upload, [{"PartNumber": 1, "ETag": again}])
    assert len(shelf.files()) == 1
    assert shelf.get("k")["Body"] == b"changed"


def test_aborting_frees_all(shelf: Shelf) -> None:
    upload, parts = uploaded(shelf, "k", FIRST, LAST)
    shelf.call(multipart.abort_multipart_upload, Bucket="shelf", Key="k", UploadId=upload)
    assert shelf.files() == []
    for operation in (multipart.abort_multipart_upload, uploads.list_parts):
        with pytest.raises(AwsError, match="NoSuchUpload"):
            shelf.call(operation, Bucket="shelf", Key="k", UploadId=upload)
    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.complete("k", upload, parts)
    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.part("k", upload, 1, FIRST)
    assert shelf.files() == []


def test_an_upload_aborted_meanwhile_keeps_no_part(shelf: Shelf) -> None:
    upload = shelf.start("k")

    async def receive(sent: list[int] = []) -> bytes:  # noqa: B006
        sent.append(1)
        if len(sent) == 2:
            abort = {"Bucket": "shelf", "Key": "k", "UploadId": upload}
            await asyncio.to_thread(shelf.call, multipart.abort_multipart_upload, **abort)
        return FIRST if len(sent) < 3 else b""

    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.part("k", upload, 1, b"", Body=Body(receive, 2 * len(FIRST)))
    assert shelf.files() == []


def test_an_upload_belongs_to_its_key(shelf: Shelf) -> None:
    upload, parts = uploaded(shelf, "k", LAST)
    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.complete("other", upload, parts)


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([2, 1], "InvalidPartOrder"),
        ([1, 2, 1], "InvalidPartOrder"),
        ([1, 9], "InvalidPart"),
        ([], "MalformedXML"),
        ([0], "InvalidArgument"),
        ([2, 3], "EntityTooSmall"),
    ],
)
def test_part_lists_are_checked(shelf: Shelf, numbers: list[int], code: str) -> None:
    upload, parts = uploaded(shelf, "k", FIRST, LAST, LAST)
    etags = {part["PartNumber"]: part["ETag"] for part in parts}
    wanted = [{"PartNumber": n, "ETag": etags.get(n, '"x"')} for n in numbers]
    with pytest.raises(AwsError) as caught:
        shelf.complete("k", upload, wanted)
    assert caught.value.code == code
    with pytest.raises(AwsError, match="InvalidPart") as refused:
        shelf.complete("k", upload, [{"PartNumber": 1, "ETag": '"wrong"'}])
    assert refused.value.fields == {"UploadId": upload, "PartNumber": 1, "ETag": "wrong"}
    with pytest.raises(AwsError, match="MalformedXML"):
        shelf.complete("k", upload, [{"PartNumber": 1}])
    assert len(shelf.files()) == 3


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers(shelf: Shelf, number: int) -> None:
    upload = shelf.start("k")
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.part("k", upload, number, LAST)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"MpuObjectSize": 1}, "InvalidRequest"),
        ({"ChecksumType": "COMPOSITE"}, "InvalidRequest"),
        ({"ChecksumCRC64NVME": b64(b"12345678")}, "BadDigest"),
        ({"ChecksumCRC64NVME": "x", "ChecksumMD5": "x"}, "Multiple checksum Types"),
        ({"IfMatch": '"x"'}, "NoSuchKey"),
    ],
)
def test_claims_about_the_whole(shelf: Shelf, params: dict[str, Any], code: str) -> None:
    upload, parts = uploaded(shelf, "k", LAST)
    with pytest.raises(AwsError, match=code):
        shelf.complete("k", upload, parts, **params)
    shelf.complete("k", upload, parts, MpuObjectSize=len(LAST), IfNoneMatch="*")


def test_checksums_nobody_chose_and_ones_without_their_type(shelf: Shelf) -> None:
    """s3-096, s3-097: the former say nothing, the latter are taken for those of parts."""
    upload, parts = uploaded(shelf, "k", LAST)
    shelf.complete("k", upload, parts, ChecksumSHA256="x")
    chosen = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
    upload, parts = uploaded(shelf, "k", LAST, **chosen)
    said = {"ChecksumCRC32C": shelf.put("l", LAST, ChecksumAlgorithm="CRC32C")["ChecksumCRC32C"]}
    with pytest.raises(AwsError, match="BadDigest"):
        shelf.complete("k", upload, parts, **said)
    shelf.complete("k", upload, parts, **said, ChecksumType="FULL_OBJECT")


def test_upload_ids_mark_uploads_of_their_key(shelf: Shelf) -> None:
    upload = shelf.start("a")
    ask = {"Bucket": "shelf", "UploadIdMarker": upload}
    assert len(shelf.call(uploads.list_multipart_uploads, **ask)["Uploads"]) == 1
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.call(uploads.list_multipart_uploads, **ask, KeyMarker="b")


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_are_combined(shelf: Shelf, name: str) -> None:
    upload, parts = uploaded(
        shelf, "k", FIRST, SECOND, LAST, ChecksumAlgorithm=name, ChecksumType="FULL_OBJECT"
    )
    done = shelf.complete("k", upload, parts)
    whole = shelf.put("whole", FIRST + SECOND + LAST, ChecksumAlgorithm=name)
    assert done[f"Checksum{name}"] == whole[f"Checksum{name}"]
    assert done["ChecksumType"] == "FULL_OBJECT"


def test_composite_checksums(shelf: Shelf) -> None:
    upload = shelf.start("k", ChecksumAlgorithm="SHA256")
    with pytest.raises(AwsError, match="Checksum Type mismatch"):
        shelf.part("k", upload, 1, FIRST)
    with pytest.raises(AwsError, match="Checksum Type mismatch"):
        shelf.part("k", upload, 1, FIRST, ChecksumCRC32=crc32(FIRST))
    sums = [hashlib.sha256(FIRST).digest(), hashlib.sha256(LAST).digest()]
    parts = []
    for number, (body, digest) in enumerate(zip((FIRST, LAST), sums, strict=True), 1):
        answer = shelf.part("k", upload, number, body, ChecksumSHA256=b64(digest))
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": b64(digest)})
    bare = [{"PartNumber": 1, "ETag": parts[0]["ETag"]}]
    with pytest.raises(AwsError, match="must include the checksum for each part"):
        shelf.complete("k", upload, bare)
    wrong = [{**parts[0], "ChecksumSHA256": b64(sums[1])}]
    with pytest.raises(AwsError, match="InvalidPart"):
        shelf.complete("k", upload, wrong)
    for said, told in (
        ({"ChecksumSHA256": "x"}, "x"),
        ({"ChecksumCRC32": "AAAAAA=="}, f"CRC32:AAAAAA==;SHA256:{b64(sums[0])};"),
    ):
        with pytest.raises(AwsError, match="Invalid Base64 or multiple checksums") as refused:
            shelf.complete("k", upload, [{**parts[0], **said}])
        assert refused.value.fields["ArgumentValue"] == told
    done = shelf.complete("k", upload, parts)
    expected = b64(hashlib.sha256(b"".join(sums)).digest()) + "-2"
    assert (done["ChecksumSHA256"], done["ChecksumType"]) == (expected, "COMPOSITE")
    attributes = shelf.call(
        reading.get_object_attributes,
        Bucket="shelf", Key="k", ObjectAttributes=["ObjectParts"], MaxParts=1,
    )  # fmt: skip
    listed = attributes["ObjectParts"]
    assert (listed["TotalPartsCount"], listed["IsTruncated"]) == (2, True)
    assert listed["Parts"][0]["ChecksumSHA256"] == b64(sums[0])
    part = shelf.get("k", PartNumber=2, ChecksumMode="ENABLED")
    assert part["ChecksumSHA256"] == b64(sums[1])


@pytest.mark.parametrize(
    "params",
    [
        {"ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumAlgorithm": "CRC7"},
    ],
)
def test_checksum_choices_that_do_not_go_together(shelf: Shelf, params: dict[str, str]) -> None:
    with pytest.raises(AwsError, match="InvalidRequest"):
        shelf.start("k", **params)


def test_a_part_is_verified_though_the_upload_names_no_algorithm(shelf: Shelf) -> None:
    upload = shelf.start("k")
    with pytest.raises(AwsError, match="BadDigest"):
        shelf.part("k", upload, 1, LAST, ChecksumCRC32=crc32(b"other"))
    answer = shelf.part("k", upload, 1, LAST, ChecksumCRC32=crc32(LAST))
    assert answer["ChecksumCRC32"] == crc32(LAST)
    with pytest.raises(AwsError, match="BadDigest"):
        wrong = b64(b"0" * 16)
        shelf.part("k", upload, 2, LAST, ContentMD5=wrong)


def test_parts_from_copies(shelf: Shelf) -> None:
    shelf.put("small", b"0123456789")
    shelf.put("big", FIRST + SECOND)
    upload = shelf.start("k")

    def copy(number: int, source: str, **params: Any) -> Any:
        return shelf.call(
            copying.upload_part_copy,
            Bucket="shelf", Key="k", UploadId=upload, PartNumber=number,
            CopySource=source, **params,
        )["CopyPartResult"]  # fmt: skip

    span = f"bytes=1-{len(FIRST) + 1}"
    first = copy(1, "/shelf/big", CopySourceRange=span)
    second = copy(2, "shelf/small", CopySourceRange="bytes=2-4")
    for bad in ("bytes=0-10", "bytes=-3", "0-1", "bytes=3-2", "bytes=0-²"):
        with pytest.raises(AwsError, match="InvalidArgument"):
            copy(3, "shelf/small", CopySourceRange=bad)
    parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    assert second["ETag"] == f'"{hashlib.md5(b"234").hexdigest()}"'
    shelf.put("big", b"gone")
    shelf.complete("k", upload, parts)
    body = (FIRST + SECOND)[1 : len(FIRST) + 2] + b"234"
    assert shelf.get("k")["Body"] == body


def test_listing_parts(shelf: Shelf) -> None:
    upload, _ = uploaded(shelf, "k", *[b"%d" % n for n in range(5)])
    seen: list[int] = []
    marker = 0
    while True:
        page = shelf.call(
            uploads.list_parts,
            Bucket="shelf", Key="k", UploadId=upload, MaxParts=2, PartNumberMarker=marker,
        )  # fmt: skip
        seen += [part["PartNumber"] for part in page["Parts"]]
        marker = page["NextPartNumberMarker"]
        if not page["IsTruncated"]:
            break
    assert seen == [1, 2, 3, 4, 5]


def test_listing_uploads(shelf: Shelf) -> None:
    made = []
    for key in ("b", "a/1", "b", "a/2", "c"):
        shelf.clock.advance(1)
        made.append((key, shelf.start(key)))
    ordered = [made[1], made[3], made[0], made[2], made[4]]
    seen: list[tuple[str, str]] = []
    markers: dict[str, str] = {}
    while True:
        page = shelf.call(uploads.list_multipart_uploads, Bucket="shelf", MaxUploads=2, **markers)
        seen += [(each["Key"], each["UploadId"]) for each in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    assert seen == ordered
    page = shelf.call(uploads.list_multipart_uploads, Bucket="shelf", Delimiter="/", MaxUploads=1)
    assert page["CommonPrefixes"] == [{"Prefix": "a/"}]
    page = shelf.call(
        uploads.list_multipart_uploads,
        Bucket="shelf", Delimiter="/", KeyMarker=page["NextKeyMarker"],
    )  # fmt: skip
    assert [each["Key"] for each in page["Uploads"]] == ["b", "b", "c"]
    page = shelf.call(uploads.list_multipart_uploads, Bucket="shelf", KeyMarker="b")
    assert [each["Key"] for each in page["Uploads"]] == ["c"]
    page = shelf.call(uploads.list_multipart_uploads, Bucket="shelf", Prefix="a/")
    assert [each["Key"] for each in page["Uploads"]] == ["a/1", "a/2"]


def test_a_part_named_twice_is_what_was_named_last(shelf: Shelf) -> None:
    """s3-065"""
    upload, parts = uploaded(shelf, "k", LAST)
    shelf.complete("k", upload, [{"PartNumber": 1, "ETag": '"before"'}, *parts])
    assert shelf.get("k")["Body"] == LAST


def test_an_upload_without_a_list_of_parts(shelf: Shelf) -> None:
    """s3-066: no document is another error than one without parts."""
    upload, _ = uploaded(shelf, "k", LAST)
    named = {"Bucket": "shelf", "Key": "k", "UploadId": upload}
    with pytest.raises(AwsError, match="You must specify at least one part"):
        shelf.call(completion.complete_multipart_upload, **named)
    with pytest.raises(AwsError, match="NoSuchUpload"):
        shelf.call(completion.complete_multipart_upload, **{**named, "UploadId": "x"})


def test_initiators_have_names_and_owners_have_none(shelf: Shelf) -> None:
    """s3-061"""
    ann = Caller("user", "arn:aws:iam::000000000000:user/team/ann", "000000000000")
    shelf.start("a")
    shelf.call(multipart.create_multipart_upload, caller=ann, Bucket="shelf", Key="b")
    rows = shelf.call(uploads.list_multipart_uploads, Bucket="shelf")["Uploads"]
    account = owner_id("000000000000")
    assert [row["Owner"] for row in rows] == [{"ID": account}] * 2
    assert [row["Initiator"] for row in rows] == [
        {"ID": account, "DisplayName": "000000000000"},
        {"ID": ann.arn, "DisplayName": "ann"},
    ]


def test_the_last_upload_is_named_even_at_the_end(shelf: Shelf) -> None:
    """s3-063: and prefixes never, so that a page of them alone names nothing."""
    upload = shelf.start("a/b")
    listed = shelf.call(uploads.list_multipart_uploads, Bucket="shelf")
    assert (listed["NextKeyMarker"], listed["NextUploadIdMarker"]) == ("a/b", upload)
    listed = shelf.call(uploads.list_multipart_uploads, Bucket="shelf", Delimiter="/")
    assert (listed["NextKeyMarker"], listed["NextUploadIdMarker"]) == ("", "")
    shelf.start("b")
    asked = {"Bucket": "shelf", "Delimiter": "/", "MaxUploads": 1}
    assert shelf.call(uploads.list_multipart_uploads, **asked)["NextKeyMarker"] == ""


def test_composite_checksums_of_parts_and_attributes(shelf: Shelf) -> None:
    """s3-062: attributes tell a composite checksum without its count; a part has its own."""
    upload = shelf.start("k", ChecksumAlgorithm="CRC32C")
    value = shelf.part("k", upload, 1, LAST, ChecksumAlgorithm="CRC32C")["ChecksumCRC32C"]
    etag = shelf.part("k", upload, 1, LAST, ChecksumAlgorithm="CRC32C")["ETag"]
    part = {"PartNumber": 1, "ETag": etag, "ChecksumCRC32C": value}
    with pytest.raises(AwsError, match="The sha1 you specified for part 1 did not match"):
        shelf.complete(
            "k",
            upload,
            [{"PartNumber": 1, "ETag": etag, "ChecksumSHA1": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}],
        )
    done = shelf.complete("k", upload, [part])["ChecksumCRC32C"]
    asked = {"Bucket": "shelf", "Key": "k", "ObjectAttributes": ["Checksum"]}
    told = shelf.call(reading.get_object_attributes, **asked)["Checksum"]
    assert f"{told['ChecksumCRC32C']}-1" == done
    read = shelf.get("k", PartNumber=1, ChecksumMode="ENABLED")
    assert read["ChecksumCRC32C"] == value
