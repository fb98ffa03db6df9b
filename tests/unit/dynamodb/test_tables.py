"""The life of tables: create, describe, update, delete, list; TTL, tags, limits."""

import asyncio
from typing import Any

import pytest

from cloudlet.dynamodb import items, search, settings, sweep, tables
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, keys, refused, types

_WRONG = "One or more parameter values were invalid: "
ALL = {"ProjectionType": "ALL"}


def index(name: str, hash_key: str) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": keys(hash_key), "Projection": ALL}


def describe(db: Bench, name: str = "plain") -> Any:
    return db.call(tables.describe_table, TableName=name)["Table"]


def test_create_and_describe(db: Bench) -> None:
    shown = db.call(tables.create_table, **{**PLAIN, "TableName": "new"})["TableDescription"]
    assert shown["TableStatus"] == "CREATING"
    shown = describe(db, "new")
    assert shown["TableStatus"] == "ACTIVE"
    assert shown["TableArn"] == "arn:aws:dynamodb:us-east-1:000000000000:table/new"
    assert shown["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "LatestStreamArn" in describe(db, "tab")
    error = refused(db.call, tables.create_table, **{**PLAIN, "TableName": "new"})
    assert (error.code, error.message) == (
        "ResourceInUseException",
        "Table already exists: new",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BillingMode": None}, _WRONG + "ReadCapacityUnits and WriteCapacityUnits must both be"
         " specified when BillingMode is PROVISIONED"),
        ({"ProvisionedThroughput": {}}, _WRONG + "Neither ReadCapacityUnits nor WriteCapacityUnits"
         " can be specified when BillingMode is PAY_PER_REQUEST"),
        ({"AttributeDefinitions": types(x="S")}, "Invalid KeySchema: Some index key attribute have"
         " no definition"),
        ({"AttributeDefinitions": types(id="S", x="S")}, _WRONG + "Number of attributes in"
         " KeySchema does not exactly match number of attributes defined in AttributeDefinitions"),
        ({"KeySchema": keys("id", "id")}, "Invalid KeySchema: Some index key attribute have no"
         " definition"),
        ({"KeySchema": keys("id", "id"), "AttributeDefinitions": types(id="S", x="S")},
         "Both the Hash Key and the Range Key element in the"
         " KeySchema have the same name"),
        ({"GlobalSecondaryIndexes": []}, _WRONG + "List of GlobalSecondaryIndexes is empty"),
        ({"LocalSecondaryIndexes": [index("l", "id")]},
         _WRONG + "Table KeySchema does not have a range key, which is required when specifying a"
         " LocalSecondaryIndex"),
        ({"GlobalSecondaryIndexes": [index("g", "z")]},
         _WRONG + "Some index key attributes are not defined in AttributeDefinitions. Keys: [z],"
         " AttributeDefinitions: [id]"),
        ({"StreamSpecification": {"StreamEnabled": True}}, _WRONG + "StreamViewType must be"
         " specified when StreamEnabled is true"),
    ],
)  # fmt: skip
def test_create_refusals(db: Bench, changes: dict[str, Any], message: str) -> None:
    params = {**PLAIN, "TableName": "new", **changes}
    params = {name: value for name, value in params.items() if value is not None}
    assert refused(db.call, tables.create_table, **params).message == message
    assert db.call(tables.list_tables)["TableNames"] == ["plain", "tab"]


def test_parameters_that_are_absent_are_named(db: Bench) -> None:
    error = refused(db.call, tables.create_table, **{**PLAIN, "VectorIndexes": []})
    assert error.code == "NotImplemented" and "VectorIndexes" in error.message


def test_delete(db: Bench) -> None:
    db.call(tables.update_table, TableName="plain", DeletionProtectionEnabled=True)
    error = refused(db.call, tables.delete_table, TableName="plain")
    assert "currently protected against deletion" in error.message
    db.call(tables.update_table, TableName="plain", DeletionProtectionEnabled=False)
    shown = db.call(tables.delete_table, TableName="plain")["TableDescription"]
    assert shown["TableStatus"] == "DELETING"
    error = refused(db.call, tables.describe_table, TableName="plain")
    assert error.message == "Requested resource not found: Table: plain not found"
    db.call(tables.delete_table, TableName="tab")
    rows = db.database.view().all(
        "SELECT name FROM sqlite_master WHERE name LIKE 'dynamodb!_i%' ESCAPE '!'"
    )
    assert rows == []
    db.call(tables.create_table, **PLAIN)
    assert describe(db)["ItemCount"] == 0


def test_list_pages(db: Bench) -> None:
    first = db.call(tables.list_tables, Limit=1)
    assert first == {"TableNames": ["plain"], "LastEvaluatedTableName": "plain"}
    assert db.call(tables.list_tables, ExclusiveStartTableName="plain") == {"TableNames": ["tab"]}


def fill(db: Bench, count: int) -> None:
    def write(tx: Any) -> None:
        for number in range(count):
            item = {"id": {"S": f"i{number}"}, "g": {"S": f"g{number % 3}"}}
            storage_put(db, tx, item)

    db.database.write_now(write)


def storage_put(db: Bench, tx: Any, item: Any) -> None:
    from cloudlet.dynamodb import writes

    write = writes.prepare_put(tx, db.config, {"TableName": "plain", "Item": item})
    writes.read(tx, [write])
    writes.check(write)
    writes.perform(tx, db.config, [write])


def add_index(db: Bench) -> Any:
    return db.call(
        tables.update_table,
        TableName="plain",
        AttributeDefinitions=types(id="S", g="S"),
        GlobalSecondaryIndexUpdates=[{"Create": index("by_g", "g")}],
    )["TableDescription"]


def by_g(db: Bench, word: str) -> int:
    return db.call(
        search.query,
        TableName="plain",
        IndexName="by_g",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": word}},
    )["Count"]


def test_an_index_is_added_to_a_live_table_and_removed(db: Bench) -> None:
    fill(db, 30)
    assert add_index(db)["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    shown = describe(db)["GlobalSecondaryIndexes"][0]
    assert (shown["IndexStatus"], shown["ItemCount"]) == ("ACTIVE", 30)
    assert by_g(db, "g1") == 10
    updates = [{"Delete": {"IndexName": "by_g"}}]
    left = db.call(tables.update_table, TableName="plain", GlobalSecondaryIndexUpdates=updates)
    (index,) = left["TableDescription"]["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["IndexStatus"]) == ("by_g", "DELETING")
    assert "GlobalSecondaryIndexes" not in describe(db)
    assert describe(db)["AttributeDefinitions"] == types(id="S")
    error = refused(by_g, db, "g1")
    assert error.message == "The table does not have the specified index: by_g"


def test_a_big_table_is_backfilled_behind_its_writes(db: Bench) -> None:
    fill(db, 2400)
    add_index(db)
    assert describe(db)["TableStatus"] == "UPDATING"
    assert "backfilling" in refused(by_g, db, "g1").message
    for number in range(0, 2400, 7):
        key = {"id": {"S": f"i{number}"}}
        if number % 2:
            db.call(items.delete_item, TableName="plain", Key=key)
        else:
            db.call(items.put_item, TableName="plain", Item={**key, "g": {"S": "moved"}})
    asyncio.run(sweep.backfill(db.cloud))
    shown = describe(db)
    assert shown["TableStatus"] == "ACTIVE"
    assert shown["GlobalSecondaryIndexes"][0]["ItemCount"] == shown["ItemCount"]
    assert by_g(db, "moved") == len([n for n in range(0, 2400, 7) if n % 2 == 0])
    assert sum(by_g(db, f"g{n}") for n in range(3)) + by_g(db, "moved") == shown["ItemCount"]


def test_update_needs_something(db: Bench) -> None:
    assert "At least one of" in refused(db.call, tables.update_table, TableName="tab").message
    updates = [{"Delete": {"IndexName": "nope"}}]
    error = refused(
        db.call, tables.update_table, TableName="tab", GlobalSecondaryIndexUpdates=updates
    )
    assert error.code == "ResourceNotFoundException"


def test_billing_mode(db: Bench) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    db.call(
        tables.update_table,
        TableName="plain",
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
    )
    assert describe(db)["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    error = refused(db.call, tables.update_table, TableName="plain", ProvisionedThroughput=units)
    assert "will not change" in error.message


def test_time_to_live(db: Bench) -> None:
    def set_(name: str, is_on: bool) -> Any:
        wanted = {"AttributeName": name, "Enabled": is_on}
        return db.call(
            settings.update_time_to_live, TableName="plain", TimeToLiveSpecification=wanted
        )

    def status() -> Any:
        return db.call(settings.describe_time_to_live, TableName="plain")["TimeToLiveDescription"]

    assert status() == {"TimeToLiveStatus": "DISABLED"}
    assert refused(set_, "x", False).message == "TimeToLive is already disabled"
    set_("x", True)
    assert status() == {"TimeToLiveStatus": "ENABLED", "AttributeName": "x"}
    assert refused(set_, "x", True).message == "TimeToLive is already enabled"
    assert "different AttributeName" in refused(set_, "y", False).message
    set_("x", False)
    assert status() == {"TimeToLiveStatus": "DISABLED"}


def test_tags(db: Bench) -> None:
    arn = describe(db)["TableArn"]
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    db.call(settings.tag_resource, ResourceArn=arn, Tags=tags)
    db.call(settings.untag_resource, ResourceArn=arn, TagKeys=["a", "zz"])
    assert db.call(settings.list_tags_of_resource, ResourceArn=arn)["Tags"] == tags[1:]
    for change, none in (
        (settings.tag_resource, {"Tags": []}),
        (settings.untag_resource, {"TagKeys": []}),
    ):
        error = refused(db.call, change, ResourceArn=arn, **none)
        assert error.message.startswith("Atleast one Tag")
    error = refused(db.call, settings.list_tags_of_resource, ResourceArn=arn + "x")
    assert error.code == "ResourceNotFoundException"


def test_what_dynamodb_says_of_itself(db: Bench) -> None:
    assert db.call(settings.describe_limits)["TableMaxReadCapacityUnits"] == 40000
    assert db.call(settings.describe_endpoints)["Endpoints"][0]["Address"] == "127.0.0.1:4566"
    shown = db.call(settings.describe_continuous_backups, TableName="tab")
    assert shown["ContinuousBackupsDescription"]["ContinuousBackupsStatus"] == "DISABLED"
    error = refused(db.call, settings.describe_continuous_backups, TableName="nope")
    assert error.code == "TableNotFoundException"

    def recovery(is_on: bool) -> Any:
        wanted = {"PointInTimeRecoveryEnabled": is_on}
        return db.call(
            settings.update_continuous_backups,
            TableName="tab",
            PointInTimeRecoverySpecification=wanted,
        )

    assert recovery(False) == shown
    assert refused(recovery, True).code == "NotImplemented"
