"""Parameters from before expressions: Expected, AttributeUpdates, KeyConditions, filters."""

from typing import Any

import pytest

from cloudlet.dynamodb import items, search
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused

KEY = {"pk": {"S": "p"}, "sk": {"N": "1"}}
_COUNTED = "1 validation error detected: "
_WRONG = "One or more parameter values were invalid: "


def _update(db: Bench, updates: dict[str, Any], **params: Any) -> Any:
    return db.call(items.update_item, TableName="tab", Key=KEY, AttributeUpdates=updates, **params)


def _get(db: Bench, **params: Any) -> Any:
    return db.call(items.get_item, TableName="tab", Key=KEY, **params).get("Item")


def _condition(operator: str, *operands: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(operands)}


def _put(value: Any) -> dict[str, Any]:
    return {"Action": "PUT", "Value": value}


@pytest.mark.parametrize(
    ("given", "added", "left"),
    [
        ({"N": "7"}, {"N": "-3.5"}, {"N": "3.5"}),
        ({"SS": ["a"]}, {"SS": ["b"]}, {"SS": ["a", "b"]}),
        ({"L": [{"N": "1"}]}, {"L": [{"S": "x"}]}, {"L": [{"N": "1"}, {"S": "x"}]}),
    ],
)
def test_updates_add_to_numbers_sets_and_lists(
    db: Bench, given: Any, added: Any, left: Any
) -> None:
    """dynamodb-030: lists too, which ADD of an UpdateExpression refuses."""
    _update(db, {"v": _put(given)})
    _update(db, {"v": {"Action": "ADD", "Value": added}})
    assert _get(db)["v"] == left
    error = refused(_update, db, {"v": {"Action": "ADD", "Value": {"NS": ["1"]}}})
    assert error.message == "Type mismatch for attribute to update"


def test_updates_delete(db: Bench) -> None:
    _update(db, {"v": _put({"NS": ["1", "2"]}), "w.x": _put({"S": "dots are part of the name"})})
    _update(db, {"v": {"Action": "DELETE", "Value": {"NS": ["2"]}}, "w.x": {"Action": "DELETE"}})
    assert _get(db) == {**KEY, "v": {"NS": ["1"]}}
    error = refused(_update, db, {"v": {"Action": "PUT"}})
    assert error.message.endswith("action is allowed when no attribute value is specified")
    error = refused(_update, db, {"v": {"Action": "DELETE", "Value": {"S": "1"}}})
    assert (
        error.message
        == f"{_COUNTED}{_WRONG}DELETE action with value is not supported for the type STRING"
    )


@pytest.mark.parametrize(
    "params", [{"AttributeUpdates": {"v": {"Action": "DELETE"}}}, {"UpdateExpression": "REMOVE v"}]
)
def test_removing_from_nothing_makes_nothing(db: Bench, params: dict[str, Any]) -> None:
    """dynamodb-031: but an update without any action makes an item of its key."""
    db.call(items.update_item, TableName="tab", Key=KEY, **params)
    assert _get(db) is None
    _update(db, {})
    assert _get(db) == KEY


@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ({"v": {"Value": {"N": "2.0"}}}, True),
        ({"v": {"Exists": True, "Value": {"N": "3"}}}, False),
        ({"w": {"Exists": False}}, True),
        ({"v": {"Exists": False}}, False),
        ({"v": _condition("NE", {"S": "2"}), "w": _condition("NE", {"N": "1"})}, True),
        ({"v": _condition("BETWEEN", {"N": "1"}, {"N": "2"})}, True),
        ({"v": _condition("IN", {"N": "1"}, {"N": "2"})}, True),
        ({"v": _condition("NOT_NULL"), "w": _condition("NULL")}, True),
        ({"s": _condition("NOT_CONTAINS", {"S": "el"})}, False),
        ({"s": _condition("BEGINS_WITH", {"S": "he"}), "v": _condition("LT", {"N": "1"})}, False),
    ],
)
def test_expected(db: Bench, expected: dict[str, Any], holds: bool) -> None:
    _update(db, {"v": _put({"N": "2"}), "s": _put({"S": "hello"})})
    if holds:
        _update(db, {}, Expected=expected)
    else:
        error = refused(_update, db, {}, Expected=expected)
        assert error.code == "ConditionalCheckFailedException"


def test_expected_one_of_several(db: Bench) -> None:
    either = {"v": {"Value": {"N": "9"}}, "w": {"Exists": False}}
    _update(db, {"v": _put({"N": "2"})}, Expected=either, ConditionalOperator="OR")
    error = refused(_update, db, {}, Expected=either, ConditionalOperator="AND")
    assert error.code == "ConditionalCheckFailedException"
    error = refused(_update, db, {}, Expected={}, ConditionalOperator="OR")
    assert error.message == (
        f"{_COUNTED}ConditionalOperator cannot be used without Filter or Expected"
    )
    many = {f"a{number}": {"Exists": False} for number in range(2000)}
    _update(db, {}, Expected=many)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: v"),
        ({}, "Value must be provided when Exists is null for Attribute: v"),
        (
            {"Exists": False, "Value": {"N": "1"}},
            "Value cannot be used when Exists is false for Attribute: v",
        ),
        (
            _condition("EQ", {"N": "1"}, {"N": "2"}),
            "Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
        (
            _condition("LT", {"BOOL": True}),
            "ComparisonOperator LT is not valid for BOOL AttributeValue type",
        ),
        (
            _condition("IN", {"N": "1"}, {"S": "1"}),
            "AttributeValues inside AttributeValueList must all be of the same type",
        ),
        (
            {"AttributeValueList": [{"N": "1"}]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: v",
        ),
    ],
)
def test_what_expected_may_not_say(db: Bench, given: dict[str, Any], message: str) -> None:
    error = refused(_update, db, {}, Expected={"v": given})
    assert (error.code, error.message) == ("ValidationException", _COUNTED + _WRONG + message)


def test_old_and_new_do_not_mix(db: Bench) -> None:
    error = refused(
        _update, db, {"v": _put({"N": "1"})}, ConditionExpression="attribute_exists(pk)"
    )
    assert error.message == (
        f"{_COUNTED}Can not use both expression and non-expression parameters in the same request:"
        " Non-expression parameters: {AttributeUpdates}"
        " Expression parameters: {ConditionExpression}"
    )


def test_queries(db: Bench) -> None:
    """dynamodb-032: KeyConditions may stand beside expressions, filters may not."""
    for number in range(4):
        item = {"pk": {"S": "p"}, "sk": {"N": str(number)}, "v": {"N": str(number % 2)}}
        db.call(items.put_item, TableName="tab", Item=item)
    conditions = {"pk": _condition("EQ", {"S": "p"}), "sk": _condition("GE", {"N": "1"})}
    asked = {"TableName": "tab", "KeyConditions": conditions}
    odd = {"v": _condition("EQ", {"N": "1"})}
    found = db.call(search.query, **asked, QueryFilter=odd, AttributesToGet=["sk"])
    assert found["Items"] == [{"sk": {"N": "1"}}, {"sk": {"N": "3"}}]
    found = db.call(
        search.query,
        **asked,
        FilterExpression="#v = :v",
        ExpressionAttributeNames={"#v": "v"},
        ExpressionAttributeValues={":v": {"N": "0"}},
    )
    assert [item["sk"]["N"] for item in found["Items"]] == ["2"]
    error = refused(db.call, search.query, **asked, QueryFilter=odd, ProjectionExpression="sk")
    assert "{KeyConditions, QueryFilter}" in error.message
    error = refused(db.call, search.query, **asked, QueryFilter={"sk": odd["v"]})
    assert error.message.startswith("QueryFilter can only contain non-primary key attributes")
    wrong = {"pk": _condition("NE", {"S": "p"})}
    error = refused(db.call, search.query, TableName="tab", KeyConditions=wrong)
    assert error.message == "Attempted conditional constraint is not an indexable operation"


def test_scans(db: Bench) -> None:
    _update(db, {"v": _put({"N": "2"})})
    found = db.call(search.scan, TableName="tab", ScanFilter={"v": _condition("GT", {"N": "1"})})
    assert found["Count"] == 1
    selected = {"AttributesToGet": ["v"], "Select": "SPECIFIC_ATTRIBUTES"}
    assert db.call(search.scan, TableName="tab", **selected)["Items"] == [{"v": {"N": "2"}}]
    error = refused(db.call, search.scan, TableName="tab", AttributesToGet=["v"], Select="COUNT")
    assert error.message == "Cannot specify the AttributesToGet when choosing to get only the Count"
