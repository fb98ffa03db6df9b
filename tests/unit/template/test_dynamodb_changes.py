"""What an update of a stack asks of a table, one thing at a time."""

from pathlib import Path
from typing import Any

import pytest

from cloudlet.template.resources.dynamodb import _changes
from tests.unit.template.fakes import FakeCloud

ARN = "arn:aws:kms:us-east-1:000000000000:key/k"
FOUND: dict[str, Any] = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000},
    "OnDemandThroughput": {"MaxReadRequestUnits": 5},
    "SSEDescription": {"KMSMasterKeyArn": ARN},
}
WANTED: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "OnDemandThroughput": {"MaxReadRequestUnits": 5},
    "SSESpecification": {"Enabled": True},
}
OTHER = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/other"}


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        ({}, None),
        ({"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}}, None),
        ({"SSESpecification": OTHER}, {"SSESpecification": OTHER}),
        ({"SSESpecification": None}, {"SSESpecification": {"Enabled": False}}),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 12000}}, None),
        (
            {"WarmThroughput": {"ReadUnitsPerSecond": 12001}},
            {"WarmThroughput": {"ReadUnitsPerSecond": 12001}},
        ),
        (
            {"OnDemandThroughput": {"MaxWriteRequestUnits": 7}},
            {"OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 7}},
        ),
    ],
)
def test_changes(wanted: dict[str, Any], change: dict[str, Any] | None) -> None:
    assert _changes({**WANTED, **wanted}, FOUND) == ([] if change is None else [change])


def test_continuous_backups_are_warned_of(tmp_path: Path) -> None:
    """Once, not with each deployment."""
    cloud = FakeCloud(tmp_path)
    text = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{AttributeName: k, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: k, AttributeType: S}]
      BillingMode: PAY_PER_REQUEST
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: %s}
"""
    for is_on, warnings in (("true", 1), ("true", 1), ("false", 1), ('"true"', 2)):
        cloud.deploy(text % is_on)
        assert sum("point-in-time recovery is not" in line for line in cloud.said) == warnings
    assert "UpdateContinuousBackups" not in cloud.operations()
