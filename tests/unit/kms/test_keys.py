"""Keys: their lives, names, policies, and what they encrypt."""

import asyncio
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.kms import rotation
from tests.harness import ROOT
from tests.unit.kms.conftest import ACCOUNT, Keys, allow, user

TEXT = b"a secret word"
DAY_S = 86_400


def test_a_key_by_all_its_names(keys: Keys) -> None:
    key_id = keys.make(Description="ours")
    keys.ask("CreateAlias", AliasName="alias/ours", TargetKeyId=key_id)
    names = (key_id, keys.arn(key_id), "alias/ours", keys.config.arn("kms", "alias/ours"))
    for name in names:
        sealed = keys.ask("Encrypt", KeyId=name, Plaintext=TEXT)
        assert sealed["KeyId"] == keys.arn(key_id)
        assert TEXT not in sealed["CiphertextBlob"]
        opened = keys.ask("Decrypt", CiphertextBlob=sealed["CiphertextBlob"])
        assert (opened["Plaintext"], opened["KeyId"]) == (TEXT, keys.arn(key_id))
        described = keys.ask("DescribeKey", KeyId=name)["KeyMetadata"]
        assert described["Description"] == "ours" and described["KeyManager"] == "CUSTOMER"
    assert TEXT not in b"".join(
        file.read_bytes() for file in keys.config.data.rglob("*") if file.is_file()
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine", "Invalid keyId 'mine'"),
        ("alias/mine", r"Alias arn:aws:kms:us-east-1:\d+:alias/mine is not found"),
        ("134f2428-cec1-4b25-a1ae-9048164dba47", r"Key 'arn:.*:key/134f2428-.*' does not exist"),
        (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/x", "Invalid arn eu-west-1"),
        ("arn:aws:sqs:us-east-1:1:key/x", "InvalidArnException"),
    ],
)
def test_what_is_not_there(keys: Keys, name: str, message: str) -> None:
    with pytest.raises(AwsError, match=message):
        keys.ask("Encrypt", KeyId=name, Plaintext=TEXT)


def test_the_encryption_context_must_be_the_same(keys: Keys) -> None:
    key_id = keys.make()
    context = {"a": "1", "b": "2"}
    sealed = keys.ask("Encrypt", KeyId=key_id, Plaintext=TEXT, EncryptionContext=context)
    blob = sealed["CiphertextBlob"]
    again = dict(reversed(context.items()))
    assert keys.ask("Decrypt", CiphertextBlob=blob, EncryptionContext=again)["Plaintext"] == TEXT
    flipped = blob[:-1] + bytes([blob[-1] ^ 1])
    for wrong, given in ((blob, {}), (blob, {"a": "1"}), (flipped, context), (b"no", context)):
        with pytest.raises(AwsError, match="InvalidCiphertextException"):
            keys.ask("Decrypt", CiphertextBlob=wrong, EncryptionContext=given)
    other = keys.make()
    with pytest.raises(AwsError, match="IncorrectKeyException"):
        keys.ask("Decrypt", CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    moved = keys.ask(
        "ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=other
    )
    assert moved["SourceKeyId"] == keys.arn(key_id) and moved["KeyId"] == keys.arn(other)
    assert keys.ask("Decrypt", CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == TEXT


def test_data_keys(keys: Keys) -> None:
    key_id = keys.make()
    for size, wanted in ((32, {"KeySpec": "AES_256"}), (16, {"KeySpec": "AES_128"})):
        made = keys.ask("GenerateDataKey", KeyId=key_id, **wanted)
        assert len(made["Plaintext"]) == size
        opened = keys.ask("Decrypt", CiphertextBlob=made["CiphertextBlob"])
        assert opened["Plaintext"] == made["Plaintext"]
    hidden = keys.ask("GenerateDataKeyWithoutPlaintext", KeyId=key_id, NumberOfBytes=7)
    assert "Plaintext" not in hidden
    assert len(keys.ask("Decrypt", CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == 7
    for params in ({}, {"KeySpec": "AES_256", "NumberOfBytes": 7}):
        with pytest.raises(AwsError, match="either number of bytes or key spec"):
            keys.ask("GenerateDataKey", KeyId=key_id, **params)
    assert len(keys.ask("GenerateRandom", NumberOfBytes=9)["Plaintext"]) == 9
    with pytest.raises(AwsError, match="DryRunOperationException"):
        keys.ask("Encrypt", KeyId=key_id, Plaintext=TEXT, DryRun=True)
    for absent in ({"GrantTokens": ["g"]}, {"Recipient": {"KeyEncryptionAlgorithm": "x"}}):
        with pytest.raises(AwsError, match="NotImplemented"):
            keys.ask("GenerateDataKey", KeyId=key_id, KeySpec="AES_256", **absent)


def test_disabled_and_deleted_keys_open_nothing(keys: Keys) -> None:
    key_id = keys.make()
    blob = keys.ask("Encrypt", KeyId=key_id, Plaintext=TEXT)["CiphertextBlob"]
    keys.ask("DisableKey", KeyId=key_id)
    with pytest.raises(AwsError, match=r"DisabledException: .* is disabled\."):
        keys.ask("Decrypt", CiphertextBlob=blob)
    keys.ask("EnableKey", KeyId=key_id)
    assert keys.ask("Decrypt", CiphertextBlob=blob)["Plaintext"] == TEXT
    with pytest.raises(AwsError, match="ValidationException"):
        keys.ask("ScheduleKeyDeletion", KeyId=key_id, PendingWindowInDays=6)
    keys.ask("CreateAlias", AliasName="alias/gone", TargetKeyId=key_id)
    due = keys.ask("ScheduleKeyDeletion", KeyId=key_id, PendingWindowInDays=7)
    assert due["KeyState"] == "PendingDeletion"
    for operation in ("EnableKey", "DisableKey", "ScheduleKeyDeletion"):
        with pytest.raises(AwsError, match=r"KMSInvalidStateException: .* is pending deletion\."):
            keys.ask(operation, KeyId=key_id)
    keys.ask("CancelKeyDeletion", KeyId=key_id)
    assert keys.ask("DescribeKey", KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"
    keys.ask("ScheduleKeyDeletion", KeyId=key_id, PendingWindowInDays=7)
    keys.clock.advance(7 * DAY_S)
    with pytest.raises(AwsError, match="does not exist"):  # even before the sweep
        keys.ask("DescribeKey", KeyId=key_id)
    asyncio.run(rotation.sweep(keys.cloud))
    for table in ("kms_key", "kms_material", "kms_alias"):
        assert keys.database.view().value(f"SELECT count(*) FROM {table}") == 0


def test_rotation_keeps_what_older_material_opens(keys: Keys) -> None:
    key_id = keys.make()
    blob = keys.ask("Encrypt", KeyId=key_id, Plaintext=TEXT)["CiphertextBlob"]
    before = keys.ask("DescribeKey", KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert keys.ask("GetKeyRotationStatus", KeyId=key_id)["KeyRotationEnabled"] is False
    keys.ask("EnableKeyRotation", KeyId=key_id, RotationPeriodInDays=90)
    status = keys.ask("GetKeyRotationStatus", KeyId=key_id)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
    keys.clock.advance(89 * DAY_S)
    asyncio.run(rotation.sweep(keys.cloud))
    assert keys.ask("DescribeKey", KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] == before
    keys.clock.advance(DAY_S)
    for _ in range(2):
        asyncio.run(rotation.sweep(keys.cloud))
    assert keys.ask("DescribeKey", KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] != before
    assert keys.database.view().value("SELECT count(*) FROM kms_material") == 2
    opened = keys.ask("Decrypt", CiphertextBlob=blob)
    assert (opened["Plaintext"], opened["KeyMaterialId"]) == (TEXT, before)
    keys.ask("DisableKeyRotation", KeyId=key_id)
    assert keys.ask("GetKeyRotationStatus", KeyId=key_id)["KeyRotationEnabled"] is False


def test_aliases_move(keys: Keys) -> None:
    first, second = keys.make(), keys.make()
    keys.ask("CreateAlias", AliasName="alias/a", TargetKeyId=first)
    keys.ask("UpdateAlias", AliasName="alias/a", TargetKeyId=second)
    (listed,) = keys.ask("ListAliases", KeyId=second)["Aliases"]
    assert listed["TargetKeyId"] == second and keys.ask("ListAliases", KeyId=first)["Aliases"] == []
    for operation, name, code in (
        ("CreateAlias", "alias/a", "AlreadyExistsException"),
        ("CreateAlias", "a", "must start with the prefix"),
        ("CreateAlias", "alias/a b", "InvalidAliasNameException"),
        ("CreateAlias", "alias/aws/a", "NotAuthorizedException"),
        ("UpdateAlias", "alias/b", "NotFoundException"),
    ):
        with pytest.raises(AwsError, match=code):
            keys.ask(operation, AliasName=name, TargetKeyId=first)
    keys.ask("DeleteAlias", AliasName="alias/a")
    with pytest.raises(AwsError, match="NotFoundException"):
        keys.ask("DeleteAlias", AliasName="alias/a")


def test_lists_come_in_pages(keys: Keys) -> None:
    made = sorted(keys.make() for _ in range(5))
    seen: list[str] = []
    keys.clock.pace_ms = 1
    params: dict[str, Any] = {"Limit": 2}
    while True:
        page = keys.ask("ListKeys", **params)
        seen += [each["KeyId"] for each in page["Keys"]]
        if not page["Truncated"]:
            break
        params["Marker"] = page["NextMarker"]
    assert seen == made
    with pytest.raises(AwsError, match="InvalidMarkerException"):
        keys.ask("ListKeys", Marker="?")


def test_tags(keys: Keys) -> None:
    tag = {"TagKey": "a", "TagValue": "1"}
    key_id = keys.make(Tags=[tag])
    keys.ask("TagResource", KeyId=key_id, Tags=[{"TagKey": "b", "TagValue": "2"}])
    keys.ask("UntagResource", KeyId=key_id, TagKeys=["a"])
    listed = keys.ask("ListResourceTags", KeyId=key_id)["Tags"]
    assert listed == [{"TagKey": "b", "TagValue": "2"}]
    many = [{"TagKey": str(n), "TagValue": ""} for n in range(51)]
    reserved = [{"TagKey": "AWS:x", "TagValue": ""}]
    for wrong, message in (([tag, tag], "Duplicate"), (many, "Too many"), (reserved, "reserved")):
        with pytest.raises(AwsError, match=f"TagException: .*{message}"):
            keys.ask("TagResource", KeyId=key_id, Tags=wrong)


def test_other_kinds_of_keys_are_refused(keys: Keys) -> None:
    for params in ({"KeySpec": "RSA_2048"}, {"KeyUsage": "SIGN_VERIFY"}, {"MultiRegion": True}):
        with pytest.raises(AwsError, match="NotImplemented"):
            keys.make(**params)


def test_iam_decides_where_the_key_policy_lets_it(keys: Keys) -> None:
    key_id = keys.make()
    sealed = keys.ask("Encrypt", user(allow("kms:Encrypt")), KeyId=key_id, Plaintext=TEXT)
    blob = sealed["CiphertextBlob"]
    with pytest.raises(AwsError, match="no identity-based policy allows the kms:Decrypt"):
        keys.ask("Decrypt", user(allow("kms:Encrypt")), CiphertextBlob=blob)
    elsewhere = allow("kms:*", resource=keys.arn("another"))
    with pytest.raises(AwsError, match="no identity-based policy"):
        keys.ask("Decrypt", user(elsewhere), CiphertextBlob=blob)
    tagged = allow("kms:Decrypt", Condition={"StringEquals": {"aws:ResourceTag/for": "ann"}})
    with pytest.raises(AwsError, match="no identity-based policy"):
        keys.ask("Decrypt", user(tagged), CiphertextBlob=blob)
    keys.ask("TagResource", KeyId=key_id, Tags=[{"TagKey": "for", "TagValue": "ann"}])
    assert keys.ask("Decrypt", user(tagged), CiphertextBlob=blob)["Plaintext"] == TEXT


def test_without_its_policy_nobody_uses_a_key(keys: Keys) -> None:
    """kms-001: a key policy that doesn't name the account shuts IAM's policies out, root's too."""
    ann = user(allow("kms:*"))
    mine = {
        "Version": "2012-10-17",
        "Statement": {**allow("kms:*"), "Principal": {"AWS": ann.arn}},
    }
    with pytest.raises(AwsError, match="will not allow you to update the key policy"):
        keys.make(Policy=json.dumps(mine))
    key_id = keys.make(Policy=json.dumps(mine), BypassPolicyLockoutSafetyCheck=True)
    blob = keys.ask("Encrypt", ann, KeyId=key_id, Plaintext=TEXT)["CiphertextBlob"]
    with pytest.raises(AwsError, match="no resource-based policy allows the kms:Decrypt action"):
        keys.ask("Decrypt", ROOT, CiphertextBlob=blob)
    bare = user()  # named by the key's policy: that is enough
    assert keys.ask("Decrypt", bare, CiphertextBlob=blob)["Plaintext"] == TEXT
    shared = {"Version": "2012-10-17", "Statement": [
        mine["Statement"],
        {**allow("kms:Decrypt"), "Principal": {"AWS": ACCOUNT},
         "Condition": {"StringEquals": {"kms:EncryptionContext:team": "blue"}}},
    ]}  # fmt: skip
    keys.ask("PutKeyPolicy", ann, KeyId=key_id, Policy=json.dumps(shared))
    kept = keys.ask("GetKeyPolicy", ann, KeyId=key_id)
    assert json.loads(kept["Policy"]) == shared and kept["PolicyName"] == "default"
    with pytest.raises(AwsError, match="no resource-based policy"):
        keys.ask("Decrypt", ROOT, CiphertextBlob=blob)
    team = {"team": "blue"}
    blue = keys.ask("Encrypt", ann, KeyId=key_id, Plaintext=TEXT, EncryptionContext=team)
    opened = keys.ask("Decrypt", CiphertextBlob=blue["CiphertextBlob"], EncryptionContext=team)
    assert opened["Plaintext"] == TEXT
    for wrong in ("{", "[]", '{"Statement": {"Effect": "Allow"}}'):
        with pytest.raises(AwsError, match="MalformedPolicyDocumentException"):
            keys.ask("PutKeyPolicy", ann, KeyId=key_id, Policy=wrong)


def test_aws_own_keys_are_made_at_first_use_and_work_through_their_service(keys: Keys) -> None:
    assert keys.ask("ListKeys")["Keys"] == []
    through = user(**{"kms:ViaService": "s3.us-east-1.amazonaws.com"})
    made = keys.ask("GenerateDataKey", through, KeyId="alias/aws/s3", KeySpec="AES_256")
    again = keys.ask("GenerateDataKey", through, KeyId="alias/aws/s3", KeySpec="AES_256")
    assert made["KeyId"] == again["KeyId"]
    (alias,) = keys.ask("ListAliases")["Aliases"]
    assert alias["AliasName"] == "alias/aws/s3"
    described = keys.ask("DescribeKey", KeyId="alias/aws/s3")["KeyMetadata"]
    assert described["KeyManager"] == "AWS" and described["Arn"] == made["KeyId"]
    with pytest.raises(AwsError, match="AccessDeniedException"):
        keys.ask("GenerateDataKey", KeyId="alias/aws/s3", KeySpec="AES_256")
    with pytest.raises(AwsError, match="AccessDeniedException"):
        keys.ask("DisableKey", KeyId=made["KeyId"])
    with pytest.raises(AwsError, match="is not found"):
        keys.ask("DescribeKey", KeyId="alias/aws/teapot")


def test_a_bottomless_policy(keys: Keys) -> None:
    with pytest.raises(AwsError, match="MalformedPolicyDocument"):
        keys.ask("CreateKey", Policy="[" * 9000)


def test_each_side_of_re_encrypt_is_allowed_its_own_context(keys: Keys) -> None:
    open_key, blue_key = keys.make(), keys.make()
    blue = {"StringEquals": {"kms:EncryptionContext:team": "blue"}}
    ann = user(
        allow("kms:Encrypt", "kms:ReEncryptFrom"),
        allow("kms:ReEncryptTo", resource=keys.arn(blue_key), Condition=blue),
    )
    team, other = {"team": "blue"}, {"team": "red"}
    blob = keys.ask("Encrypt", ann, KeyId=open_key, Plaintext=TEXT, EncryptionContext=team)
    source = {"CiphertextBlob": blob["CiphertextBlob"], "SourceEncryptionContext": team}
    there: dict[str, Any] = {"DestinationKeyId": blue_key}
    for context in (None, other):
        more = {"DestinationEncryptionContext": context} if context else {}
        with pytest.raises(AwsError, match="kms:ReEncryptTo"):
            keys.ask("ReEncrypt", ann, **source, **there, **more)
    keys.ask("ReEncrypt", ann, **source, **there, DestinationEncryptionContext=team)


def test_denials_of_other_resources_count(keys: Keys) -> None:
    everybody = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "*", "Resource": "*"}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "NotResource": "arn:x"}
    policy = {"Version": "2012-10-17", "Statement": [everybody, denial]}
    key_id = keys.make(Policy=json.dumps(policy))
    with pytest.raises(AwsError, match="explicit deny in a resource-based policy"):
        keys.ask("Encrypt", KeyId=key_id, Plaintext=TEXT)


@pytest.mark.parametrize("block", [{"StringEqual": {"a": "b"}}, {"Bool": "x"}, "x"])
def test_conditions_that_nobody_knows_are_refused(keys: Keys, block: Any) -> None:
    statement = {**allow("kms:*"), "Principal": {"AWS": ACCOUNT}, "Condition": block}
    with pytest.raises(AwsError, match="Invalid Condition type"):
        keys.make(Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
