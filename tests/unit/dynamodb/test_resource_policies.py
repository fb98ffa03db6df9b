"""Policies of tables and streams: revisions, refusals, and what they say about a call."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cloudlet.call import Call, Caller
from cloudlet.dynamodb import permissions, resource_policies, sweep, tables
from cloudlet.exchange import Body, Request
from cloudlet.policy import evaluation
from cloudlet.policy.context import Context
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, refused

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/tab"
USER = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000")
STRANGER = Caller(
    "user",
    "arn:aws:iam::111111111111:user/s",
    "111111111111",
    policies=({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},),
)
_NOT_FOUND = "Resource-based policy not found for the provided ResourceArn: "


def policy(*actions: str, **changes: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [USER.arn, STRANGER.arn]},
        "Action": [f"dynamodb:{action}" for action in actions or ("GetItem",)],
        "Resource": "*",
    }
    statement.update(changes)
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def put(db: Bench, text: str | None = None, arn: str = TABLE, **params: Any) -> str:
    text = policy() if text is None else text
    made = db.call(resource_policies.put_resource_policy, ResourceArn=arn, Policy=text, **params)
    return str(made["RevisionId"])


def get(db: Bench, arn: str = TABLE) -> Any:
    return db.call(resource_policies.get_resource_policy, ResourceArn=arn)


def delete(db: Bench, **params: Any) -> Any:
    return db.call(resource_policies.delete_resource_policy, ResourceArn=TABLE, **params)


def test_revisions(db: Bench) -> None:
    assert refused(get, db).message == _NOT_FOUND + TABLE
    first = put(db, ExpectedRevisionId="NO_POLICY")
    assert put(db) == first
    assert get(db) == {"Policy": policy(), "RevisionId": first}
    second = put(db, policy("PutItem"), ExpectedRevisionId=first)
    assert second > first
    error = refused(put, db, ExpectedRevisionId="NO_POLICY")
    assert (error.code, error.message) == (
        "PolicyNotFoundException",
        f"{_NOT_FOUND}Requested policy update expecting none to be present for table tab, but a"
        f" policy exists with revision id {second}.",
    )
    for call in (put, delete):
        assert refused(call, db, ExpectedRevisionId=first).message == (
            f"{_NOT_FOUND}Requested update for policy with revision id {first}, but the policy"
            f" associated to target table tab has revision id {second}."
        )
    assert delete(db, ExpectedRevisionId=second) == {"RevisionId": second}
    assert delete(db) == {}
    assert refused(delete, db, ExpectedRevisionId=second).code == "PolicyNotFoundException"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid policy document: This policy contains invalid Json"),
        ("[]", "Invalid policy document: Could not parse the policy: Statement is empty!"),
        (policy(Resource=None), "Invalid policy document: Missing required field Resource"),
        (policy(Effect="Maybe"), "Invalid policy document: Missing required field Effect"),
        (policy(Principal=1), "Invalid principal in policy document."),
        (policy(Action="s3:*"), "The following action names are invalid: s3:*"),
        (policy(Principal="*"), "Resource-based policy grants unbounded access"),
        (" " * 20481, "Maximum policy size of 20480 bytes exceeded"),
    ],
)
def test_documents_that_are_refused(db: Bench, text: str, message: str) -> None:
    assert message in refused(put, db, text).message


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("tab", "ARNs must start with 'arn:': tab"),
        ("arn:aws:s3:::b", "Provided Arn is not a DynamoDB resource arn"),
        (f"{TABLE}/backup/1", "Provided Arn is not a DynamoDB resource arn"),
        (f"{TABLE}/index/by_g", "only table or stream is accepted"),
        (TABLE.replace("us-east-1", "us-west-2"), "Invalid resource Arn"),
        (TABLE.replace("000000000000", "111111111111"), "that match the resource owner’s account"),
        (f"{TABLE}x", "Requested resource not found: Table: tabx not found"),
        (f"{TABLE}/stream/1", "Requested resource not found"),
    ],
)
def test_arns_that_are_refused(db: Bench, arn: str, message: str) -> None:
    assert message in refused(put, db, arn=arn).message


def test_locking_oneself_out_wants_a_word(db: Bench) -> None:
    text = policy(Effect="Deny", Action="dynamodb:*", Principal={"AWS": "000000000000"})
    assert "ConfirmRemoveSelfResourceAccess" in refused(put, db, text).message
    put(db, text, ConfirmRemoveSelfResourceAccess=True)


def call_of(db: Bench, operation: str, caller: Caller = USER, **params: Any) -> Call:
    request = Request("POST", "/", "", {}, Body.of(b""), id="r")
    return Call(db.cloud, "dynamodb", operation, params, caller, request)


def allowed(db: Bench, operation: str, caller: Caller = USER, **params: Any) -> bool:
    call = call_of(db, operation, caller, **params)
    view = db.database.view()
    documents = permissions.policies(call, view)
    return all(
        evaluation.evaluate(
            caller, wanted, Context(db.config, caller, call.request, wanted), documents
        ).is_allowed
        for wanted in permissions.requirements(call)
    )


def test_a_policy_is_about_its_own_table_and_indexes(db: Bench) -> None:
    assert not allowed(db, "GetItem", TableName="tab")
    put(db, policy("GetItem", "Query", "BatchGetItem"))
    assert allowed(db, "GetItem", TableName="tab")
    assert allowed(db, "Query", TableName="tab", IndexName="by_g")
    assert not allowed(db, "PutItem", TableName="tab", Item={})
    assert not allowed(db, "GetItem", TableName="plain")
    both = {"tab": {"Keys": []}, "plain": {"Keys": []}}
    assert allowed(db, "BatchGetItem", RequestItems={"tab": {"Keys": []}})
    assert not allowed(db, "BatchGetItem", RequestItems=both)
    put(db, policy("Query", Resource=f"{TABLE}/index/*"))
    assert not allowed(db, "Query", TableName="tab")
    assert allowed(db, "Query", TableName="tab", IndexName="by_g")
    put(db, json.dumps({"Statement": {**json.loads(policy("Query"))["Statement"][0]}}))
    assert allowed(db, "Query", TableName="tab")


def test_not_resource(db: Bench) -> None:
    document = json.loads(policy("Query"))
    del document["Statement"][0]["Resource"]
    document["Statement"][0]["NotResource"] = f"{TABLE}/index/*"
    put(db, json.dumps(document))
    assert allowed(db, "Query", TableName="tab")
    assert not allowed(db, "Query", TableName="tab", IndexName="by_g")


def test_a_streams_policy_is_its_own(db: Bench) -> None:
    stream = db.call(tables.describe_table, TableName="tab")["Table"]["LatestStreamArn"]
    put(db, policy("DescribeStream", "GetItem"), stream)
    assert allowed(db, "DescribeStream", StreamArn=stream)
    assert not allowed(db, "GetItem", TableName="tab")
    assert get(db, stream)["Policy"] == policy("DescribeStream", "GetItem")
    db.call(tables.delete_table, TableName="tab")
    db.clock.advance(25 * 3600)
    db.database.write_now(lambda tx: sweep.trim(tx, db.clock.now_ms))
    assert refused(get, db, stream).code == "PolicyNotFoundException"


def test_strangers_need_both_sides(db: Bench) -> None:
    put(db, policy("GetItem", "UpdateTimeToLive"))
    assert allowed(db, "GetItem", STRANGER, TableName=TABLE)
    assert not allowed(db, "GetItem", replace(STRANGER, policies=()), TableName=TABLE)
    assert not allowed(db, "UpdateTimeToLive", STRANGER, TableName=TABLE)


def test_a_table_is_made_with_a_policy_and_takes_it_along(db: Bench) -> None:
    params = {**PLAIN, "TableName": "new", "ResourcePolicy": policy()}
    wanted = permissions.requirements(call_of(db, "CreateTable", **params))
    assert [each.action for each in wanted] == [
        "dynamodb:CreateTable",
        "dynamodb:PutResourcePolicy",
    ]
    db.call(tables.create_table, **params)
    arn = TABLE.replace("tab", "new").replace("newle", "table")
    assert get(db, arn)["Policy"] == policy()
    db.call(tables.delete_table, TableName="new")
    assert refused(get, db, arn).code == "ResourceNotFoundException"
    db.call(tables.create_table, **{**PLAIN, "TableName": "new"})
    assert refused(get, db, arn).code == "PolicyNotFoundException"
