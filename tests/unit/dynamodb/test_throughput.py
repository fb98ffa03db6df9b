"""Warm values, bounds on demand, and keys of KMS: what UpdateTable and DescribeTable say."""

from typing import Any

import pytest

from cloudlet.dynamodb import tables
from cloudlet.errors import AwsError
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, keys, refused, types

_WRONG = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
PROVISIONED = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
INDEX = {"IndexName": "g", "KeySchema": keys("g"), "Projection": {"ProjectionType": "ALL"}}
INDEXED = {"AttributeDefinitions": types(id="S", g="S"), "GlobalSecondaryIndexes": [INDEX]}
ARN = "arn:aws:kms:us-east-1:000000000000:key/k"


def create(db: Bench, **changes: Any) -> Any:
    params = {**PLAIN, "TableName": "new", **changes}
    return db.call(tables.create_table, **params)["TableDescription"]


def update(db: Bench, **changes: Any) -> Any:
    return db.call(tables.update_table, TableName="new", **changes)["TableDescription"]


def described(db: Bench) -> Any:
    return db.call(tables.describe_table, TableName="new")["Table"]


def warm(read: int, write: int, status: str = "ACTIVE") -> dict[str, Any]:
    return {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write, "Status": status}


def asked(read: int, write: int) -> dict[str, Any]:
    return {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write}


def test_warm_from_the_beginning(db: Bench) -> None:
    """dynamodb-059"""
    shown = create(db, **INDEXED)
    assert "WarmThroughput" not in shown
    assert "WarmThroughput" not in shown["GlobalSecondaryIndexes"][0]
    assert described(db)["WarmThroughput"] == warm(12000, 4000)
    assert described(db)["GlobalSecondaryIndexes"][0]["WarmThroughput"] == warm(12000, 4000)


def test_warm_as_asked(db: Bench) -> None:
    shown = create(db, **PROVISIONED, WarmThroughput=asked(1000, 1200))
    assert shown["WarmThroughput"] == warm(1000, 1200, "UPDATING")
    assert described(db)["WarmThroughput"] == warm(1000, 1200)
    shown = update(db, WarmThroughput={"ReadUnitsPerSecond": 1001})  # dynamodb-060
    assert (shown["TableStatus"], shown["WarmThroughput"]) == (
        "ACTIVE",
        warm(1000, 1200, "UPDATING"),
    )
    assert described(db)["WarmThroughput"] == warm(1001, 1200)
    error = refused(update, db, WarmThroughput=asked(1, 1))
    assert error.message == (
        f"{_WRONG}Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current"
        " WarmThroughput, decreasing WarmThroughput is not supported"
    )


def test_warm_values_follow_what_was_provisioned(db: Bench) -> None:
    create(db, **PROVISIONED)
    assert described(db)["WarmThroughput"] == warm(5, 6)
    for read, write in ((9, 9), (1, 1)):
        units = {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
        update(db, ProvisionedThroughput=units)
        assert described(db)["WarmThroughput"] == warm(9, 9)
    update(db, BillingMode="PAY_PER_REQUEST")
    assert described(db)["WarmThroughput"] == warm(12000, 4000)
    update(db, **PROVISIONED)
    assert described(db)["WarmThroughput"] == warm(12000, 4000)


def test_warm_index(db: Bench) -> None:
    create(db, **INDEXED)
    changed = {"IndexName": "g", "WarmThroughput": asked(12001, 4000)}
    shown = update(db, GlobalSecondaryIndexUpdates=[{"Update": changed}])
    assert shown["GlobalSecondaryIndexes"][0]["WarmThroughput"] == warm(12000, 4000, "UPDATING")
    assert described(db)["GlobalSecondaryIndexes"][0]["WarmThroughput"] == warm(12001, 4000)
    changed["WarmThroughput"] = asked(1, 1)
    error = refused(update, db, GlobalSecondaryIndexUpdates=[{"Update": changed}])
    assert "for WarmThroughput for index g is lower than current" in error.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"WarmThroughput": asked(1, 1)}, "Requested ReadUnitsPerSecond for WarmThroughput for"
         " table is lower than initial throughput for OnDemand. See: https://docs.aws.amazon.com/"
         "amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"
         "#on-demand-capacity-mode-initial"),
        ({**PROVISIONED, "WarmThroughput": asked(1, 9)}, "Requested ReadUnitsPerSecond for"
         " WarmThroughput for table is lower than ReadCapacityUnits of ProvisionedThroughput"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 0}}, "Requested MaxReadRequestUnits for"
         " OnDemandThroughput for table is outside of valid range"),
        ({**PROVISIONED, "OnDemandThroughput": {"MaxReadRequestUnits": 1}}, "MaxReadRequestUnits"
         " for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."),
        ({"SSESpecification": {"SSEType": "KMS"}}, "SSEType can not be specified if Enabled is"
         " false"),
        ({"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}}, "SSEType KMS is required"
         " if KMSMasterKeyId is specified"),
        ({"SSESpecification": {"Enabled": True, "SSEType": "AES256"}}, "SSEType AES256 is not"
         " supported"),
    ],
)  # fmt: skip
def test_refused_at_creation(db: Bench, changes: dict[str, Any], message: str) -> None:
    assert refused(create, db, **changes).message == _WRONG + message


def test_bounds_on_demand(db: Bench) -> None:
    create(db, OnDemandThroughput={"MaxReadRequestUnits": 100})
    assert described(db)["OnDemandThroughput"] == {"MaxReadRequestUnits": 100}
    shown = update(db, OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 7})
    assert shown["TableStatus"] == "ACTIVE"
    bounds = {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 7}
    assert described(db)["OnDemandThroughput"] == bounds
    error = refused(update, db, OnDemandThroughput={"MaxReadRequestUnits": 40_001})
    assert (error.code, error.message) == (
        "LimitExceededException",
        "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for table"
        " exceeds TableMaxReadCapacityUnits of the account in region us-east-1",
    )
    update(db, **PROVISIONED)
    assert "OnDemandThroughput" not in described(db)
    error = refused(update, db, OnDemandThroughput={"MaxReadRequestUnits": 1})
    assert error.message == (
        f"{_WRONG}MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table"
        " BillingMode is PROVISIONED"
    )


def key(state: str = "Enabled") -> Any:
    return {"KeyMetadata": {"Arn": ARN, "KeyState": state, "Enabled": state == "Enabled"}}


def test_a_key_is_named_changed_and_dropped(db: Bench) -> None:
    db.answers["DescribeKey"] = key()
    shown = create(db, SSESpecification={"Enabled": True})
    there = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": ARN}
    assert shown["SSEDescription"] == described(db)["SSEDescription"] == there
    assert db.invoked[-1] == ("kms", "DescribeKey", {"KeyId": "alias/aws/dynamodb"})
    specification = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": ARN}
    assert (
        "already encrypted with given"
        in refused(update, db, SSESpecification=specification).message
    )
    shown = update(db, SSESpecification={"Enabled": False})  # dynamodb-062
    assert shown["SSEDescription"] == there | {"Status": "UPDATING"}
    assert "SSEDescription" not in described(db)
    assert refused(update, db, SSESpecification={"Enabled": False}).message == (
        f"{_WRONG}Table is already encrypted by default"
    )
    shown = update(db, SSESpecification=specification)
    assert shown["SSEDescription"] == {"Status": "UPDATING"}
    assert described(db)["SSEDescription"] == there


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("Disabled", "KMS key disabled error: com.amazonaws.services.kms.model.DisabledException:"
         f" {ARN} is disabled. (Service: AWSKMS; Status Code: 400; Error Code: DisabledException;"),
        ("PendingDeletion", "KMS validation error: com.amazonaws.services.kms.model."
         f"KMSInvalidStateException: {ARN} is pending deletion. (Service: AWSKMS;"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_used(db: Bench, state: str, message: str) -> None:
    """dynamodb-061"""
    db.answers["DescribeKey"] = key(state)
    assert refused(create, db, SSESpecification={"Enabled": True}).message.startswith(message)


def test_kms_may_refuse(db: Bench) -> None:
    def denied(_: Any) -> Any:
        raise AwsError("AccessDeniedException", "User: u is not")

    db.answers["DescribeKey"] = denied
    error = refused(create, db, SSESpecification={"Enabled": True})
    assert error.message.startswith("KMS key access denied error: ")


def test_what_is_done_alone(db: Bench) -> None:
    """dynamodb-063, dynamodb-064"""
    create(db)
    for name, value, what in (
        ("SSESpecification", {"Enabled": False}, "Server-Side Encryption"),
        ("TableClass", "STANDARD", "TableClass"),
        ("DeletionProtectionEnabled", True, "DeletionProtection"),
    ):
        error = refused(update, db, BillingMode="PAY_PER_REQUEST", **{name: value})
        message = f"{_WRONG}{what} modification must be the only operation in the request"
        assert error.message == message
    assert update(db, TableClass="STANDARD")["TableStatus"] == "UPDATING"
    assert update(db, DeletionProtectionEnabled=True)["TableStatus"] == "ACTIVE"
    for nothing in ({}, {"GlobalSecondaryIndexUpdates": []}):
        assert "or TableClass is required" in refused(update, db, **nothing).message
