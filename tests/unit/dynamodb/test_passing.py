"""Items that are only passed on stay in the spelling that they are stored in; definitions are
remembered until one changes."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from cloudlet.call import Call
from cloudlet.dynamodb import definitions, items, search, storage, tables
from cloudlet.exchange import Body, Request
from tests.harness import ROOT, Bench
from tests.unit.dynamodb.conftest import PLAIN, refused

NAME = {"TableName": "tab"}
KEY = {"pk": {"S": "p"}, "sk": {"N": "1"}}
ALL = {
    "KeyConditionExpression": "pk = :p",
    "ExpressionAttributeValues": {":p": {"S": "p"}},
}


def item(number: int) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"N": str(number)}, "g": {"S": "ü"}, "h": {"S": "h"}}


def asked(db: Bench, operation: Callable[..., Any], **params: Any) -> tuple[bytes, bytes]:
    """The answer to a request in JSON, and to one from inside, as JSON."""
    answers = []
    for takes_json in (True, False):
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(db.cloud, "dynamodb", operation.__name__, params, ROOT, request)
        call.takes_json = takes_json
        with db.database.snapshot() as view:
            answers.append(orjson.dumps(operation(call, view)))
    return answers[0], answers[1]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Limit": 2},
        {"Limit": 2, "ScanIndexForward": False},
        {"Select": "COUNT"},
        {"ProjectionExpression": "sk"},
        {"FilterExpression": "h = :p"},
        {"IndexName": "by_h"},
        {"IndexName": "by_h", "Select": "ALL_ATTRIBUTES"},
        {"ReturnConsumedCapacity": "INDEXES"},
        {"KeyConditionExpression": "pk = :p AND sk > :n"},
    ],
)
def test_queries_answer_the_same_in_both_spellings(db: Bench, more: dict[str, Any]) -> None:
    for number in range(3):
        db.call(items.put_item, **NAME, Item=item(number))
    params = {**NAME, **ALL, **more}
    if "sk >" in params["KeyConditionExpression"]:
        params["ExpressionAttributeValues"] = {":p": {"S": "p"}, ":n": {"N": "7"}}
    passed, made = asked(db, search.query, **params)
    assert passed == made


@pytest.mark.parametrize("more", [{}, {"Limit": 2}, {"IndexName": "by_g"}, {"Select": "COUNT"}])
def test_scans_do(db: Bench, more: dict[str, Any]) -> None:
    for number in range(3):
        db.call(items.put_item, **NAME, Item=item(number))
    passed, made = asked(db, search.scan, **NAME, **more)
    assert passed == made


@pytest.mark.parametrize("more", [{}, {"ProjectionExpression": "sk, h"}])
def test_single_items_do(db: Bench, more: dict[str, Any]) -> None:
    db.call(items.put_item, **NAME, Item=item(1))
    passed, made = asked(db, items.get_item, **NAME, Key=KEY, **more)
    assert passed == made
    assert orjson.loads(made)["Item"]["sk"] == {"N": "1"}


def test_a_remembered_definition_is_forgotten_with_a_change(db: Bench) -> None:
    key = {"id": {"S": "a"}}
    db.call(items.put_item, TableName="plain", Item=key)
    assert db.call(items.get_item, TableName="plain", Key=key)["Item"] == key
    db.call(tables.delete_table, TableName="plain")
    error = refused(db.call, items.get_item, TableName="plain", Key=key)
    assert error.code == "ResourceNotFoundException"
    db.call(tables.create_table, **PLAIN)
    assert "Item" not in db.call(items.get_item, TableName="plain", Key=key)


def test_a_change_that_fails_is_forgotten(db: Bench) -> None:
    def change(tx: Any) -> None:
        tx.run("DELETE FROM dynamodb_tables WHERE name = 'plain'")
        assert definitions.find(tx, db.config, "plain") is None
        raise KeyError

    with pytest.raises(KeyError):
        db.database.write_now(change)
    assert db.database.write_now(lambda tx: definitions.find(tx, db.config, "plain")) is not None


def test_a_table_that_went_meanwhile_is_not_found(db: Bench) -> None:
    table = definitions.get(db.database.view(), db.config, "plain")
    db.database.write_now(lambda tx: storage.drop_table(tx, table))
    error = refused(db.call, items.get_item, TableName="plain", Key={"id": {"S": "a"}})
    assert error.code == "ResourceNotFoundException"
    assert refused(db.call, search.scan, TableName="plain").code == error.code
