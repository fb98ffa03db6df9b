"""DynamoDB through boto3: client and resource, with conversions, paging, conditions, batches."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from tests.server import Server


@pytest.fixture
def table(server: Server, names: Iterator[str]) -> Any:
    settings = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
    resource: Any = boto3.resource("dynamodb", **settings, **server.credentials())
    made = resource.create_table(
        TableName=next(names),
        KeySchema=[
            {"AttributeName": "owner", "KeyType": "HASH"},
            {"AttributeName": "at", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
            {"AttributeName": "kind", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    made.wait_until_exists()
    return made


def refusal(call: Any, **params: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    return dict(refused.value.response)


def test_all_types_come_back(table: Any) -> None:
    item = {
        "owner": "ü", "at": Decimal("-1.5e-20"), "binary": b"\x00\xff", "none": None, "yes": True,
        "list": [1, "a", {"deep": [Decimal("3.14")]}], "words": {"a", "b"}, "numbers": {1, 2},
        "blobs": {b"1", b"2"}, "empty": "", "map": {}, "big": Decimal("9" * 38),
    }  # fmt: skip
    table.put_item(Item=item)
    got = table.get_item(Key={"owner": "ü", "at": Decimal("-1.5e-20")})["Item"]
    got["binary"] = bytes(got["binary"])
    got["blobs"] = {bytes(each) for each in got["blobs"]}
    assert got == item


def test_query_pages_and_indexes(table: Any) -> None:
    with table.batch_writer() as batch:
        for at in range(120):
            batch.put_item(
                Item={"owner": "me", "at": at, "kind": "ab"[at % 2], "pad": "x" * 30_000}
            )
    client = table.meta.client
    pages = client.get_paginator("query").paginate(
        TableName=table.name, KeyConditionExpression=Key("owner").eq("me")
    )
    read = [page["Items"] for page in pages]
    assert len(read) > 3  # a megabyte each
    assert [int(item["at"]) for page in read for item in page] == list(range(120))
    found = table.query(
        IndexName="by-kind",
        KeyConditionExpression=Key("kind").eq("b") & Key("at").between(100, 110),
        ScanIndexForward=False,
    )
    assert [int(item["at"]) for item in found["Items"]] == [109, 107, 105, 103, 101]
    some = table.scan(FilterExpression=Attr("at").lt(3), Limit=10)
    assert some["Count"] == 3 and some["ScannedCount"] == 10 and some["LastEvaluatedKey"]


def test_updates_and_conditions(table: Any) -> None:
    key = {"owner": "me", "at": 1}
    counted = {
        "Key": key,
        "UpdateExpression": "ADD n :one SET tags = list_append(if_not_exists(tags, :none), :tag)",
        "ExpressionAttributeValues": {":one": 1, ":none": [], ":tag": ["x"]},
        "ReturnValues": "UPDATED_NEW",
    }
    table.update_item(**counted)
    assert table.update_item(**counted)["Attributes"] == {"n": 2, "tags": ["x", "x"]}
    error = refusal(
        table.put_item,
        Item=key,
        ConditionExpression=Attr("owner").not_exists(),
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert error["Error"]["Code"] == "ConditionalCheckFailedException"
    assert error["Item"]["n"] == 2 or error["Item"]["n"] == {"N": "2"}


def test_transactions(table: Any) -> None:
    client = table.meta.client
    put = {"Put": {"TableName": table.name, "Item": {"owner": "t", "at": 1}}}
    check = {
        "ConditionCheck": {
            "TableName": table.name,
            "Key": {"owner": "t", "at": 2},
            "ConditionExpression": "attribute_exists(n)",
        }
    }
    error = refusal(client.transact_write_items, TransactItems=[put, check])
    assert error["Error"]["Code"] == "TransactionCanceledException"
    assert [each["Code"] for each in error["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    assert "Item" not in table.get_item(Key={"owner": "t", "at": 1})
    client.transact_write_items(TransactItems=[put], ClientRequestToken="same")
    client.transact_write_items(TransactItems=[put], ClientRequestToken="same")
    other = {"Put": {"TableName": table.name, "Item": {"owner": "t", "at": 9}}}
    error = refusal(client.transact_write_items, TransactItems=[other], ClientRequestToken="same")
    assert error["Error"]["Code"] == "IdempotentParameterMismatchException"


def test_counting_from_many_threads(server: Server, table: Any) -> None:
    def count() -> None:
        client = server.client("dynamodb")
        for _ in range(25):
            client.update_item(
                TableName=table.name,
                Key={"owner": {"S": "c"}, "at": {"N": "0"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert table.get_item(Key={"owner": "c", "at": 0})["Item"]["n"] == 200


def test_refusals(server: Server, table: Any) -> None:
    error = refusal(table.put_item, Item={"owner": "x"})
    assert error["Error"]["Code"] == "ValidationException"
    assert "Missing the key at in the item" in error["Error"]["Message"]
    error = refusal(table.put_item, Item={"owner": "x", "at": 1, "pad": "x" * 410_000})
    assert error["Error"]["Message"] == "Item size has exceeded the maximum allowed size"
    client = server.client("dynamodb")
    error = refusal(client.describe_table, TableName="nobody")
    assert error["Error"]["Code"] == "ResourceNotFoundException"
    assert error["Error"]["Message"] == "Requested resource not found: Table: nobody not found"
    error = refusal(client.query, TableName=table.name, KeyConditionExpression="owner = :o")
    assert "reserved keyword: owner" in error["Error"]["Message"]
    error = refusal(client.create_backup, TableName=table.name, BackupName="later")
    assert "CreateBackup" in error["Error"]["Message"]


def test_a_table_with_a_key(server: Server, names: Iterator[str]) -> None:
    kms, dynamodb, name = server.client("kms"), server.client("dynamodb"), next(names)
    key = kms.create_key()["KeyMetadata"]
    specification = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key["KeyId"]}
    params = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "SSESpecification": specification,
    }
    kms.disable_key(KeyId=key["KeyId"])
    error = refusal(dynamodb.create_table, **params)["Error"]
    assert error["Message"].startswith("KMS key disabled error: ")
    kms.enable_key(KeyId=key["KeyId"])
    dynamodb.create_table(**params)
    described = dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]
    assert described == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key["Arn"]}
    dynamodb.update_table(TableName=name, SSESpecification={"Enabled": True})
    own = dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]["KMSMasterKeyArn"]
    assert kms.describe_key(KeyId=own)["KeyMetadata"]["Description"] == (
        "Default key that protects my DynamoDB data when no other key is defined"
    )
