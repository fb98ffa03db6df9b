"""PartiQL, exports and imports through boto3; who may, and a kill in the middle."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server


def make(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def done(describe: Any, member: str, kind: str, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        told: dict[str, Any] = describe(**{f"{kind}Arn": arn})[member]
        if told[f"{kind}Status"] != "IN_PROGRESS":
            return told
        time.sleep(0.05)
    raise AssertionError(f"the {kind} does not end")


def fill(client: Any, name: str, count: int) -> None:
    for first in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": f"{n}"}, "text": {"S": "x" * 2000}}}}
            for n in range(first, min(first + 25, count))
        ]
        client.batch_write_item(RequestItems={name: puts})


def scanned(client: Any, name: str) -> list[Any]:
    pages = client.get_paginator("scan").paginate(TableName=name)
    return [item for page in pages for item in page["Items"]]


def test_statements_over_http(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("dynamodb"), next(names)
    make(client, name)
    insert = f"INSERT INTO \"{name}\" VALUE {{'id': ?, 'n': 1}}"
    client.execute_statement(Statement=insert, Parameters=[{"S": "a"}])
    with pytest.raises(client.exceptions.DuplicateItemException):
        client.execute_statement(Statement=insert, Parameters=[{"S": "a"}])
    client.execute_transaction(
        TransactStatements=[
            {"Statement": f"UPDATE \"{name}\" SET n = n + 1 WHERE id = 'a'"},
            {"Statement": insert, "Parameters": [{"S": "b"}]},
        ]
    )
    select = f'SELECT n FROM "{name}" WHERE id = '
    answer = client.batch_execute_statement(
        Statements=[{"Statement": f"{select}'{each}'"} for each in "abc"]
    )
    assert [each.get("Item") for each in answer["Responses"]] == [
        {"n": {"N": "2"}}, {"n": {"N": "1"}}, None,
    ]  # fmt: skip
    with pytest.raises(ClientError, match="Statement wasn't well formed") as refused:
        client.execute_statement(Statement="SELECTT * FROM x")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_policies_can_forbid_scans(server: Server, names: Iterator[str]) -> None:
    root, name = server.client("dynamodb"), next(names)
    make(root, name)
    iam, user = server.client("iam"), next(names)
    iam.create_user(UserName=user)
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny", "Action": "dynamodb:PartiQLSelect", "Resource": arn,
                "Condition": {"Bool": {"dynamodb:FullTableScan": ["true"]}},
            },
            {"Effect": "Allow", "Action": "dynamodb:PartiQLSelect", "Resource": arn},
        ],
    }  # fmt: skip
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    client = server.client(
        "dynamodb",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    assert (
        client.execute_statement(Statement=f"SELECT * FROM \"{name}\" WHERE id = 'a'")["Items"]
        == []
    )
    for statement in (f'SELECT * FROM "{name}"', f"DELETE FROM \"{name}\" WHERE id = 'a'"):
        with pytest.raises(ClientError) as refused:
            client.execute_statement(Statement=statement)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_table_moves_through_s3(server: Server, names: Iterator[str], bucket: str) -> None:
    client, s3, name = server.client("dynamodb"), server.client("s3"), next(names)
    make(client, name)
    fill(client, name, 60)
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    told = client.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket, S3Prefix="out")
    export = told["ExportDescription"]["ExportArn"]
    told = done(client.describe_export, "ExportDescription", "Export", export)
    assert (told["ExportStatus"], told["ItemCount"]) == ("COMPLETED", 60)

    def read(key: str) -> bytes:
        contents: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return contents

    summary = json.loads(read(told["ExportManifest"]))
    found = []
    for line in read(summary["manifestFilesS3Key"]).splitlines():
        data = gzip.decompress(read(json.loads(line)["dataFileS3Key"]))
        found += [json.loads(each)["Item"] for each in data.splitlines()]
    assert found == scanned(client, name)
    copy = next(names)
    again = client.import_table(
        S3BucketSource={
            "S3Bucket": bucket,
            "S3KeyPrefix": told["ExportManifest"].replace("manifest-summary.json", "data/"),
        },
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": copy,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]["ImportArn"]
    told = done(client.describe_import, "ImportTableDescription", "Import", again)
    assert (told["ImportStatus"], told["ImportedItemCount"]) == ("COMPLETED", 60)
    assert scanned(client, copy) == found
    assert client.list_exports(TableArn=arn)["ExportSummaries"][0]["ExportArn"] == export
    assert again in [each["ImportArn"] for each in client.list_imports()["ImportSummaryList"]]


def test_a_kill_in_the_middle(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        client, s3 = server.client("dynamodb"), server.client("s3")
        s3.create_bucket(Bucket="moves")
        make(client, "from")
        fill(client, "from", 500)
        before = scanned(client, "from")
        lines = b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in before)
        for number in range(4):
            s3.put_object(Bucket="moves", Key=f"in/{number}", Body=lines)
        arn = client.describe_table(TableName="from")["Table"]["TableArn"]
        taken = client.import_table(
            S3BucketSource={"S3Bucket": "moves", "S3KeyPrefix": "in/"},
            InputFormat="DYNAMODB_JSON",
            TableCreationParameters={
                "TableName": "into",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )["ImportTableDescription"]["ImportArn"]
        told = client.export_table_to_point_in_time(TableArn=arn, S3Bucket="moves")
        server.kill()
        server.start()
        client = server.client("dynamodb")
        export = told["ExportDescription"]["ExportArn"]
        out = done(client.describe_export, "ExportDescription", "Export", export)
        into = done(client.describe_import, "ImportTableDescription", "Import", taken)
        assert (out["ExportStatus"], out["ItemCount"]) == ("COMPLETED", 500)
        assert (into["ImportStatus"], into["ProcessedItemCount"]) == ("COMPLETED", 2000)
        assert scanned(client, "into") == before
    finally:
        server.stop()
