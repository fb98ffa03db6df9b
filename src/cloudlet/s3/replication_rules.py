"""Replication rules: what AWS's schema and S3 itself demand of them, and whom they apply to.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket
from cloudlet.s3.records import Record

RULES_MAX = 1000
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/.+")
_BUCKET = re.compile(r"arn:aws[\w-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEMA = (
    "for this version of Cross Region Replication configuration schema. Please refer to S3 "
    "Developer Guide for more information."
)
_SWITCHES = ("DeleteMarkerReplication", "ExistingObjectReplication")
Rule = dict[str, Any]


def checked(config: Config, bucket: Bucket, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is kept."""
    if bucket.versioning != "Enabled":
        raise faults.invalid_request(
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        )
    role, rules = wanted.get("Role") or "", wanted.get("Rules") or []
    if not rules or not role or len(rules) > RULES_MAX:
        raise faults.malformed_xml()
    if not _ROLE.fullmatch(role):
        raise faults.invalid_argument("Invalid Role ARN", "Role", role)
    kept = [_checked(config, bucket, rule) for rule in rules]
    _check_together(kept)
    return {"Role": role, "Rules": kept}


def _checked(config: Config, bucket: Bucket, rule: Rule) -> Rule:
    if rule.get("Status") not in ("Enabled", "Disabled") or not rule.get("Destination"):
        raise faults.malformed_xml()
    if len(rule.get("ID") or "") > 255:
        raise faults.invalid_argument("ID length should not exceed allowed limit of 255")
    for name in _SWITCHES:
        _check_switch(rule.get(name))
    if rule.get("Filter") is None:
        _check_first_schema(rule)
    else:
        _check_second_schema(rule)
    _check_destination(config, bucket, rule)
    return {**rule, "ID": rule.get("ID") or config.new_id()}


def _check_switch(found: Mapping[str, Any] | None) -> None:
    if found is not None and found.get("Status") not in ("Enabled", "Disabled"):
        raise faults.malformed_xml()


def _check_first_schema(rule: Rule) -> None:
    """Rules without a filter have a prefix, and nothing of what came later."""
    if rule.get("Prefix") is None:
        raise faults.malformed_xml()
    for name in ("Priority", *_SWITCHES):
        if rule.get(name) is not None:
            raise faults.invalid_request(f"{name} cannot be specified {_SCHEMA}")


def _check_second_schema(rule: Rule) -> None:
    if rule.get("Prefix") is not None:
        raise faults.malformed_xml()
    for name in ("Priority", "DeleteMarkerReplication"):
        if rule.get(name) is None:
            raise faults.invalid_request(f"{name} must be specified {_SCHEMA}")
    if rule["Priority"] < 0:
        raise faults.malformed_xml()
    kinds = [name for name in ("Prefix", "Tag", "And") if rule["Filter"].get(name) is not None]
    if len(kinds) > 1:
        raise faults.malformed_xml()
    _, tags = condition(rule)
    if tags and rule["DeleteMarkerReplication"]["Status"] == "Enabled":
        raise faults.invalid_request(
            "Delete marker replication is not supported if any Tag filter is specified. Please "
            "refer to S3 Developer Guide for more information."
        )


def _check_destination(config: Config, bucket: Bucket, rule: Rule) -> None:
    to = rule["Destination"]
    if not _BUCKET.fullmatch(to.get("Bucket") or ""):
        raise faults.invalid_argument("Invalid bucket ARN", "Bucket", to.get("Bucket"))
    if to["Bucket"].rpartition(":")[2] == bucket.name:
        raise faults.invalid_request("Destination bucket cannot be the source bucket.")
    if to.get("AccessControlTranslation"):
        if to["AccessControlTranslation"].get("Owner") != "Destination":
            raise faults.malformed_xml()
        if not to.get("Account"):
            raise faults.invalid_request(
                "Account must be specified when AccessControlTranslation is specified."
            )
    _check_time(to)
    _check_encryption(rule)


def _check_time(to: Mapping[str, Any]) -> None:
    """The only threshold that AWS has are 15 minutes; replication time comes with metrics."""
    time, metrics = to.get("ReplicationTime"), to.get("Metrics")
    for found, threshold in ((time, "Time"), (metrics, "EventThreshold")):
        _check_switch(found)
        if found and (found.get(threshold) or {"Minutes": 15}).get("Minutes") != 15:
            raise faults.invalid_argument(f"{threshold} must be 15 minutes", threshold)
    has_time = time and time["Status"] == "Enabled"
    if has_time and not (metrics and metrics["Status"] == "Enabled"):
        raise faults.invalid_request("Metrics must be enabled when ReplicationTime is enabled.")


def _check_encryption(rule: Rule) -> None:
    selected = rule.get("SourceSelectionCriteria") or {}
    for name in ("SseKmsEncryptedObjects", "ReplicaModifications"):
        _check_switch(selected.get(name))
    if (selected.get("ReplicaModifications") or {}).get("Status") == "Enabled":
        raise NotImplementedByCloudlet("S3 replica modification sync")
    key_id = (rule["Destination"].get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")
    if takes_kms(rule) and not key_id:
        raise faults.invalid_request(
            "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present."
        )
    if key_id and not takes_kms(rule):
        raise faults.invalid_request(
            "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present."
        )


def _check_together(rules: list[Rule]) -> None:
    if len({rule["ID"] for rule in rules}) < len(rules):
        raise faults.invalid_argument("Rule Id must be unique")
    first = [rule for rule in rules if rule.get("Filter") is None]
    if first and len(first) < len(rules):
        raise faults.invalid_request(f"Filter must be specified in all rules {_SCHEMA}")
    if first and len({rule["Destination"]["Bucket"] for rule in rules}) > 1:
        raise faults.invalid_request("Number of distinct destination bucket ARNs cannot exceed 1")
    if not first and len({rule["Priority"] for rule in rules}) < len(rules):
        raise AwsError("InvalidRequest", "Found duplicate rule priority.", 400)


def condition(rule: Rule) -> tuple[str, dict[str, str]]:
    """The prefix and the tags that an object must have."""
    chosen = rule.get("Filter") or {}
    both = chosen.get("And") or {}
    tags = [*([chosen["Tag"]] if chosen.get("Tag") else []), *(both.get("Tags") or [])]
    prefix = rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""
    return prefix, {tag["Key"]: tag.get("Value", "") for tag in tags}


def takes_kms(rule: Rule) -> bool:
    found = (rule.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects") or {}
    return found.get("Status") == "Enabled"


def chosen(configuration: Mapping[str, Any], record: Record) -> list[Rule]:
    """The rules that an object falls under: of those for one destination the most important."""
    is_kms = "SSEKMSKeyId" in record.encryption
    fitting = [rule for rule in configuration["Rules"] if takes_kms(rule) or not is_kms]
    return _best([rule for rule in fitting if _covers(rule, record.key, record.tags)])


def for_marker(configuration: Mapping[str, Any], key: str) -> list[Rule]:
    """The same for a delete marker. Rules of the first schema always take them along."""
    best = _best([rule for rule in configuration["Rules"] if _covers(rule, key, {})])
    always = {"Status": "Enabled"}
    return [
        rule
        for rule in best
        if (rule.get("DeleteMarkerReplication") or always)["Status"] == "Enabled"
    ]


def _covers(rule: Rule, key: str, tags: Mapping[str, str]) -> bool:
    prefix, wanted = condition(rule)
    is_on = rule["Status"] == "Enabled" and key.startswith(prefix)
    return is_on and wanted.items() <= tags.items()


def _best(rules: list[Rule]) -> list[Rule]:
    found: dict[str, Rule] = {}
    for rule in sorted(rules, key=lambda each: each.get("Priority") or 0):
        found[rule["Destination"]["Bucket"]] = rule
    return list(found.values())
