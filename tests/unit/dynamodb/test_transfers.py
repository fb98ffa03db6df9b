"""Exports to and imports from S3, with an S3 of a few lines in place of the real one."""

import asyncio
import gzip
import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudlet.call import Caller
from cloudlet.dynamodb import exports, imports, items, search, tables, transfer_runs
from cloudlet.errors import AwsError
from cloudlet.exchange import Body
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, TABLE, keys, refused, types

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"


class Shelf:
    """Objects by key. Fails once after some calls where it is told to."""

    def __init__(self, db: Bench) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[tuple[str, Any, Caller | None]] = []
        self.fails_at: int | None = None
        db.cloud.invoke = self

    async def __call__(
        self, service: str, operation: str, params: dict[str, Any], caller: Caller | None = None
    ) -> dict[str, Any]:
        self.calls.append((operation, params, caller))
        if params["Bucket"] != "shelf":
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        if self.fails_at is not None and len(self.calls) > self.fails_at:
            self.fails_at = None
            raise asyncio.CancelledError  # as when the process ends
        if operation == "PutObject":
            assert isinstance(params["Body"], Body)
            contents = await params["Body"].read(1 << 30)
            self.objects[params["Key"]] = contents
            return {"ETag": f'"{hashlib.md5(contents).hexdigest()}"'}
        if operation == "GetObject":
            return {"Body": self.objects[params["Key"]]}
        after = params.get("ContinuationToken", "")
        found = [k for k in sorted(self.objects) if k.startswith(params["Prefix"]) and k > after]
        more = {"NextContinuationToken": found[0]} if len(found) > 1 else {}
        return {"Contents": [{"Key": key} for key in found[:1]], **more}


@pytest.fixture
def shelf(db: Bench) -> Shelf:
    return Shelf(db)


def fill(db: Bench, count: int) -> None:
    for number in range(count):
        item = {"pk": {"S": f"p{number % 7}"}, "sk": {"N": str(number)}, "b": {"B": "AQI="}}
        db.call(items.put_item, TableName="tab", Item={**item, "n": {"NS": ["1", "2.5"]}})


def run(db: Bench) -> None:
    asyncio.run(transfer_runs.progress(db.cloud))


def export(db: Bench, **more: Any) -> dict[str, Any]:
    params = {"TableArn": f"{ARN}tab", "S3Bucket": "shelf", **more}
    output = db.call(exports.export_table_to_point_in_time, **params)
    told: dict[str, Any] = output["ExportDescription"]
    return told


def described(db: Bench, told: dict[str, Any]) -> dict[str, Any]:
    output = db.call(exports.describe_export, ExportArn=told["ExportArn"])
    again: dict[str, Any] = output["ExportDescription"]
    return again


def take(db: Bench, prefix: str, **more: Any) -> dict[str, Any]:
    shape = {name: TABLE[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    shape["AttributeDefinitions"] = types(pk="S", sk="N")
    params: dict[str, Any] = {
        "S3BucketSource": {"S3Bucket": "shelf", "S3KeyPrefix": prefix},
        "InputFormat": "DYNAMODB_JSON",
        "InputCompressionType": "GZIP",
        "TableCreationParameters": {"TableName": "copy", **shape},
        **more,
    }
    told: dict[str, Any] = db.call(imports.import_table, **params)["ImportTableDescription"]
    return told


def taken(db: Bench, told: dict[str, Any]) -> dict[str, Any]:
    output = db.call(imports.describe_import, ImportArn=told["ImportArn"])
    again: dict[str, Any] = output["ImportTableDescription"]
    return again


def scanned(db: Bench, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = db.call(search.scan, TableName=name)["Items"]
    return found


def test_an_export_is_laid_out_as_documented(db: Bench, shelf: Shelf) -> None:
    fill(db, 20)
    told = export(db, S3Prefix="2026")
    assert told["ExportStatus"] == "IN_PROGRESS"
    run(db)
    told = described(db, told)
    assert (told["ExportStatus"], told["ItemCount"]) == ("COMPLETED", 20)
    folder = f"2026/AWSDynamoDB/{told['ExportArn'].rpartition('/')[2]}"
    assert told["ExportManifest"] == f"{folder}/manifest-summary.json"
    assert shelf.objects[f"{folder}/_started"] == b""
    summary = json.loads(shelf.objects[told["ExportManifest"]])
    assert summary["version"] == "2020-06-30"
    assert (summary["itemCount"], summary["outputFormat"]) == (20, "DYNAMODB_JSON")
    files = shelf.objects[summary["manifestFilesS3Key"]]
    checksum = b64encode(hashlib.md5(files).digest())
    assert shelf.objects[f"{folder}/manifest-files.checksum"] == checksum
    found = []
    for line in files.splitlines():
        file = json.loads(line)
        contents = shelf.objects[file["dataFileS3Key"]]
        assert file["dataFileS3Key"].startswith(f"{folder}/data/")
        assert file["md5Checksum"] == b64encode(hashlib.md5(contents).digest()).decode()
        lines = gzip.decompress(contents).splitlines()
        assert len(lines) == file["itemCount"]
        found += [json.loads(each)["Item"] for each in lines]
    assert found == scanned(db, "tab")


def test_an_empty_table_is_one_empty_file(db: Bench, shelf: Shelf) -> None:
    told = export(db)
    run(db)
    assert described(db, told)["ItemCount"] == 0
    (data,) = [key for key in shelf.objects if "/data/" in key]
    assert gzip.decompress(shelf.objects[data]) == b""


def test_large_tables_are_several_files(
    db: Bench, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_FILE_BYTES", 400)
    fill(db, 20)
    told = export(db)
    run(db)
    assert len([key for key in shelf.objects if "/data/" in key]) > 2
    assert described(db, told)["ItemCount"] == 20


def test_what_is_exported_can_be_imported(db: Bench, shelf: Shelf) -> None:
    fill(db, 1100)
    told = export(db)
    run(db)
    folder = described(db, told)["ExportManifest"].rpartition("/")[0]
    told = take(db, f"{folder}/data/")
    assert told["ImportStatus"] == "IN_PROGRESS"
    run(db)
    told = taken(db, told)
    assert (told["ImportStatus"], told["ErrorCount"]) == ("COMPLETED", 0)
    assert told["ProcessedItemCount"] == told["ImportedItemCount"] == 1100
    assert scanned(db, "copy") == scanned(db, "tab")
    described_table = db.call(tables.describe_table, TableName="copy")["Table"]
    assert described_table["ItemCount"] == 1100


def test_an_import_goes_on_where_it_was(
    db: Bench, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_BATCH", 3)
    for number in range(3):
        lines = [
            json.dumps({"Item": {"pk": {"S": f"{number}"}, "sk": {"N": str(n)}}}) for n in range(10)
        ]
        shelf.objects[f"in/{number}"] = gzip.compress("\n".join(lines).encode())
    told = take(db, "in/")
    original, count = imports._store, 0

    def dies(cloud: Any, job: Any, batch: Any, tx: Any) -> None:
        nonlocal count
        count += 1
        if count == 6:
            raise asyncio.CancelledError
        original(cloud, job, batch, tx)

    monkeypatch.setattr(imports, "_store", dies)
    with pytest.raises(asyncio.CancelledError):
        run(db)
    half = taken(db, told)
    assert (half["ImportStatus"], half["ImportedItemCount"]) == ("IN_PROGRESS", 13)
    run(db)
    whole = taken(db, told)
    assert (whole["ImportStatus"], whole["ImportedItemCount"]) == ("COMPLETED", 30)
    assert whole["ProcessedItemCount"] == 30
    assert len(scanned(db, "copy")) == 30


def test_an_export_begins_anew(db: Bench, shelf: Shelf) -> None:
    """dynamodb-046: and tells the moment of what it has."""
    fill(db, 3)
    told = export(db)
    shelf.fails_at = 2
    with pytest.raises(asyncio.CancelledError):
        run(db)
    db.clock.advance(60)
    fill(db, 5)
    run(db)
    again = described(db, told)
    assert (again["ExportStatus"], again["ItemCount"]) == ("COMPLETED", 5)
    assert again["ExportTime"] - told["ExportTime"] == 60


def test_only_the_present_can_be_exported(db: Bench, shelf: Shelf) -> None:
    """dynamodb-046"""
    now = datetime.fromtimestamp(db.clock() / 1000, UTC)
    assert export(db, ExportTime=now)["ExportStatus"] == "IN_PROGRESS"
    db.clock.advance(5)
    assert refused(export, db, ExportTime=now).code == "InvalidExportTimeException"
    for option in ({"ExportFormat": "ION"}, {"ExportType": "INCREMENTAL_EXPORT"}):
        assert refused(export, db, **option).code == "NotImplemented"
    missing = refused(export, db, TableArn=f"{ARN}nowhere")
    assert missing.code == "TableNotFoundException"


def test_tokens_repeat_and_lists_page(db: Bench, shelf: Shelf) -> None:
    first = export(db, ClientToken="once")
    assert export(db, ClientToken="once")["ExportArn"] == first["ExportArn"]
    conflict = refused(export, db, ClientToken="once", S3Prefix="other")
    assert conflict.code == "ExportConflictException"
    db.clock.advance(1)
    second = export(db)
    page = db.call(exports.list_exports, MaxResults=1, TableArn=f"{ARN}tab")
    assert [each["ExportArn"] for each in page["ExportSummaries"]] == [second["ExportArn"]]
    rest = db.call(exports.list_exports, NextToken=page["NextToken"])
    assert [each["ExportArn"] for each in rest["ExportSummaries"]] == [first["ExportArn"]]
    assert "NextToken" not in rest
    error = refused(db.call, exports.describe_export, ExportArn=f"{ARN}tab/export/0-0")
    assert error.code == "ExportNotFoundException"


def test_failures_are_told(db: Bench, shelf: Shelf) -> None:
    told = export(db, S3Bucket="nowhere")
    stranger = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000", access_key="gone")
    db.call(
        exports.export_table_to_point_in_time,
        caller=stranger, TableArn=f"{ARN}tab", S3Bucket="shelf", ClientToken="t",
    )  # fmt: skip
    run(db)
    told = described(db, told)
    assert (told["ExportStatus"], told["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    repeated = export(db, ClientToken="t")
    assert (repeated["ExportStatus"], repeated["FailureCode"]) == ("FAILED", "S3AccessDenied")
    assert not shelf.objects


def test_of_an_import_that_failed_at_once_no_table_is_left(db: Bench, shelf: Shelf) -> None:
    """dynamodb-079"""
    table = {
        "TableName": "made",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": keys("id"),
        "AttributeDefinitions": types(id="S"),
    }
    told = db.call(
        imports.import_table,
        S3BucketSource={"S3Bucket": "nowhere"},
        InputFormat="DYNAMODB_JSON",
        TableCreationParameters=table,
    )["ImportTableDescription"]
    assert "made" in db.call(tables.list_tables)["TableNames"]
    run(db)
    told = db.call(imports.describe_import, ImportArn=told["ImportArn"])["ImportTableDescription"]
    assert (told["ImportStatus"], told["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert "made" not in db.call(tables.list_tables)["TableNames"]


def test_s3_is_asked_in_the_callers_name(db: Bench, shelf: Shelf) -> None:
    export(db, S3SseAlgorithm="KMS", S3SseKmsKeyId="k", S3BucketOwner="000000000000")
    run(db)
    operation, params, caller = shelf.calls[0]
    assert operation == "PutObject"
    assert (params["ServerSideEncryption"], params["SSEKMSKeyId"]) == ("aws:kms", "k")
    assert params["ExpectedBucketOwner"] == "000000000000"
    assert caller is not None
    assert caller.kind == "root"
    assert caller.context["aws:CalledVia"] == ["dynamodb.amazonaws.com"]


def test_csv(db: Bench, shelf: Shelf) -> None:
    """dynamodb-047: text but for keys; what is empty isn't there."""
    shelf.objects["in.csv"] = b'pk;sk;note\na;1;"x; ""y""\nz"\nb;2;\nc;no number;w\nd;4\n'
    told = take(
        db, "in.csv", InputFormat="CSV", InputCompressionType="NONE",
        InputFormatOptions={"Csv": {"Delimiter": ";"}},
    )  # fmt: skip
    run(db)
    told = taken(db, told)
    assert (told["ImportStatus"], told["ImportedItemCount"], told["ErrorCount"]) == (
        "COMPLETED", 2, 2,
    )  # fmt: skip
    assert sorted(scanned(db, "copy"), key=lambda item: str(item["pk"])) == [
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "note": {"S": 'x; "y"\nz'}},
        {"pk": {"S": "b"}, "sk": {"N": "2"}},
    ]


def test_csv_with_headers_of_its_own(db: Bench, shelf: Shelf) -> None:
    shelf.objects["in.csv"] = b"a,1\nb,2\n"
    options = {"Csv": {"HeaderList": ["pk", "sk"]}}
    take(db, "in", InputFormat="CSV", InputCompressionType="NONE", InputFormatOptions=options)
    run(db)
    assert len(scanned(db, "copy")) == 2


def test_lines_that_are_no_items_are_counted(db: Bench, shelf: Shelf) -> None:
    good = {"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}}
    lines = [json.dumps(good), "{", '{"Item": 1}', '{"Item": {"pk": {"S": "a"}}}', "", "[]"]
    shelf.objects["in"] = "\n".join(lines).encode()
    told = take(db, "in", InputCompressionType="NONE")
    run(db)
    told = taken(db, told)
    assert (told["ProcessedItemCount"], told["ErrorCount"]) == (5, 4)


@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
def test_what_cannot_be_read_fails(db: Bench, shelf: Shelf, compression: str) -> None:
    shelf.objects["in"] = b"\xff\xfe no archive"
    told = take(db, "in", InputFormat="CSV", InputCompressionType=compression)
    run(db)
    told = taken(db, told)
    assert told["ImportStatus"] == "FAILED"
    assert "cannot be read" in told["FailureMessage"]


def test_imports_that_are_refused(db: Bench, shelf: Shelf) -> None:
    assert refused(take, db, "in", InputFormat="ION").code == "NotImplemented"
    assert refused(take, db, "in", InputCompressionType="ZSTD").code == "NotImplemented"
    exists = {**PLAIN, "TableName": "tab", "KeySchema": keys("id")}
    assert refused(take, db, "in", TableCreationParameters=exists).code == "ResourceInUseException"
    take(db, "nothing")
    listed = db.call(imports.list_imports)["ImportSummaryList"]
    assert [each["InputFormat"] for each in listed] == ["DYNAMODB_JSON"]


def test_a_table_deleted_meanwhile(db: Bench, shelf: Shelf) -> None:
    shelf.objects["in"] = b'{"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}}'
    told, out = take(db, "in", InputCompressionType="NONE"), export(db)
    for name in ("copy", "tab"):
        db.call(tables.delete_table, TableName=name)
    run(db)
    assert taken(db, told)["ImportStatus"] == described(db, out)["ExportStatus"] == "FAILED"


def test_bombs_are_read_in_pieces(db: Bench, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_LINE_MAX", 10_000)
    held: list[int] = []
    lines = imports._lines

    def watched(file: Any, job: Any) -> Any:
        for line in lines(file, job):
            held.append(len(line))
            yield line

    monkeypatch.setattr(imports, "_lines", watched)
    good = json.dumps({"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}}).encode()
    bomb = good + b"\n" * 30_000 + b"x" * 1_000_000 + b"\n" + good.replace(b"a", b"b")
    shelf.objects["in/a"] = gzip.compress(bomb)
    told = take(db, "in/", InputCompressionType="GZIP")
    run(db)
    told = taken(db, told)
    assert (told["ImportStatus"], told["ImportedItemCount"]) == ("COMPLETED", 2)
    assert (told["ErrorCount"], told["ProcessedItemCount"]) == (1, 3)
    assert max(held) == 10_000


def test_long_lines_of_csv_fail(db: Bench, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_LINE_MAX", 10_000)
    shelf.objects["in/a"] = b"pk,sk\n" + b"1," * 10_000
    told = take(db, "in/", InputFormat="CSV", InputCompressionType="NONE")
    run(db)
    assert "a line is too long" in taken(db, told)["FailureMessage"]


def test_a_job_that_fails_in_an_unknown_way_holds_up_nobody(db: Bench, shelf: Shelf) -> None:
    class Broken(dict[str, bytes]):
        def __getitem__(self, key: str) -> bytes:
            raise OSError(28, "No space left on device")

    shelf.objects = Broken({"in/a": b""})
    told = take(db, "in/")
    run(db)
    told = taken(db, told)
    assert (told["ImportStatus"], told["FailureCode"]) == ("FAILED", "InternalServerError")
