"""Which rules an object falls under, and what its status is."""

from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import replication, replication_rules
from cloudlet.s3.bucket import of_name
from cloudlet.s3.records import Record
from tests.unit.s3.conftest import Shelf

ROLE = "arn:aws:iam::000000000000:role/copier"


def record(key: str, **changes: Any) -> Record:
    return Record(1, key, 1, "etag", 0, ("CRC32", "FULL_OBJECT", ""), **changes)


def rule(name: str, priority: int, to: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "ID": name,
        "Priority": priority,
        "Filter": {},
        "Status": "Enabled",
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{to}-bucket"},
        **changes,
    }


def chosen(rules: list[dict[str, Any]], found: Record) -> list[str]:
    return [each["ID"] for each in replication_rules.chosen({"Rules": rules}, found)]


def test_of_rules_for_one_destination_the_most_important_counts() -> None:
    rules = [rule("low", 1), rule("high", 2), rule("elsewhere", 0, "b")]
    assert sorted(chosen(rules, record("k"))) == ["elsewhere", "high"]


def test_filters() -> None:
    tag = {"Key": "t", "Value": "1"}
    rules = [
        rule("prefix", 1, "a", Filter={"Prefix": "x/"}),
        rule("tag", 2, "b", Filter={"Tag": tag}),
        rule("both", 3, "c", Filter={"And": {"Prefix": "x/", "Tags": [tag]}}),
        rule("off", 4, "d", Status="Disabled"),
    ]
    assert chosen(rules, record("x/1")) == ["prefix"]
    assert chosen(rules, record("1", tags={"t": "1", "u": "2"})) == ["tag"]
    assert chosen(rules, record("x/1", tags={"t": "1"})) == ["prefix", "tag", "both"]


def test_objects_under_kms_are_taken_when_asked() -> None:
    sealed = record("k", encryption={"SSEKMSKeyId": "key"})
    selected = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    assert chosen([rule("plain", 1)], sealed) == []
    assert chosen([rule("kms", 1, SourceSelectionCriteria=selected)], sealed) == ["kms"]


def test_what_clients_seal_fails() -> None:
    """s3-076: their key is not here when the copy is made."""
    sealed = record("k", encryption={"SSECustomerKeyMD5": "md5"})
    assert replication.begin({"Rules": [rule("r", 1)]}, sealed) == []
    assert replication.status_of(sealed.traits) == "FAILED"


def test_delete_markers_follow_where_the_rule_says() -> None:
    also = {"Status": "Enabled"}
    rules = [rule("kept", 1), rule("told", 2, "b", DeleteMarkerReplication=also)]
    first = {"ID": "first", "Prefix": "", "Status": "Enabled", "Destination": {"Bucket": ":c"}}
    found = replication_rules.for_marker({"Rules": [*rules, first]}, "k")
    assert sorted(each["ID"] for each in found) == ["first", "told"]


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["COMPLETED", "PENDING"], "PENDING"),
        (["PENDING", "FAILED"], "FAILED"),
        (["COMPLETED", "COMPLETED"], "COMPLETED"),
    ],
)
def test_of_several_destinations_the_worst_counts(statuses: list[str], told: str) -> None:
    found = dict(zip("ab", statuses, strict=True))
    assert replication.status_of({"replication": found}) == told


def test_the_source_must_have_versions(shelf: Shelf) -> None:
    bucket = of_name(shelf.database.view(), "shelf")
    assert bucket is not None
    with pytest.raises(AwsError, match="Versioning must be 'Enabled'"):
        replication_rules.checked(shelf.config, bucket, {"Role": ROLE, "Rules": [rule("r", 1)]})
