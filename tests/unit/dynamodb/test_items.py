"""PutItem, GetItem, UpdateItem, DeleteItem."""

from typing import Any

import pytest

from cloudlet.dynamodb import items, values
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused

_WRONG = "One or more parameter values were invalid: "
KEY = {"pk": {"S": "p"}, "sk": {"N": "1"}}


def put(db: Bench, **more: Any) -> Any:
    return db.call(items.put_item, TableName="tab", Item={**KEY, **more})


def get(db: Bench, **params: Any) -> Any:
    return db.call(items.get_item, TableName="tab", Key=KEY, **params).get("Item")


def test_put_and_get(db: Bench) -> None:
    assert get(db) is None
    assert put(db, v={"N": "1.50"}) == {}
    assert get(db) == {**KEY, "v": {"N": "1.5"}}
    assert get(db, ProjectionExpression="v") == {"v": {"N": "1.5"}}
    same = {"pk": {"S": "p"}, "sk": {"N": "1.0"}}
    assert db.call(items.get_item, TableName="tab", Key=same)["Item"]["v"] == {"N": "1.5"}


def test_a_table_may_be_named_by_its_arn(db: Bench) -> None:
    put(db)
    arn = db.config.arn("dynamodb", "table/tab")
    assert db.call(items.get_item, TableName=arn, Key=KEY)["Item"] == KEY


def test_unknown_table(db: Bench) -> None:
    error = refused(db.call, items.get_item, TableName="nope", Key=KEY)
    assert (error.code, error.message) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"pk": {"S": "p"}}, _WRONG + "Missing the key sk in the item"),
        (
            {"pk": {"N": "1"}, "sk": {"N": "1"}},
            _WRONG + "Type mismatch for key pk expected: S actual: N",
        ),
        (
            {"pk": {"S": ""}, "sk": {"N": "1"}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute"
            " cannot contain an empty string value. Key: pk",
        ),
        (
            {"pk": {"S": "x" * 2049}, "sk": {"N": "1"}},
            _WRONG + "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
        (
            {**KEY, "g": {"N": "1"}},
            _WRONG + "Type mismatch for Index Key g Expected: S Actual: N IndexName: by_g",
        ),
        (
            {**KEY, "g": {"S": ""}},
            "One or more parameter values are not valid. A value specified for a secondary index"
            " key is not supported. The AttributeValue for a key attribute cannot contain an empty"
            " string value. IndexName: by_g, IndexKey: g",
        ),
        ({**KEY, "v": {"S": "x" * 409600}}, "Item size has exceeded the maximum allowed size"),
    ],
)
def test_put_refusals(db: Bench, item: dict[str, Any], message: str) -> None:
    assert refused(db.call, items.put_item, TableName="tab", Item=item).message == message


@pytest.mark.parametrize(
    "key", [{}, {"pk": {"S": "p"}}, {**KEY, "x": {"S": "1"}}, {"pk": {"S": "p"}, "sk": {"S": "1"}}]
)
def test_key_must_match_the_schema(db: Bench, key: dict[str, Any]) -> None:
    for operation in (items.get_item, items.delete_item, items.update_item):
        error = refused(db.call, operation, TableName="tab", Key=key)
        assert error.message == "The provided key element does not match the schema"


def test_item_of_exactly_400_kb(db: Bench) -> None:
    overhead = len("id") + 1 + len("v")
    value = {"S": "x" * (409600 - overhead)}
    db.call(items.put_item, TableName="plain", Item={"id": {"S": "i"}, "v": value})
    error = refused(
        db.call,
        items.update_item,
        TableName="plain",
        Key={"id": {"S": "i"}},
        UpdateExpression="SET w = :w",
        ExpressionAttributeValues={":w": {"S": ""}},
    )
    assert error.message == "Item size to update has exceeded the maximum allowed size"


def test_empty_values_are_allowed_outside_keys(db: Bench) -> None:
    put(db, s={"S": ""}, b={"B": ""}, l={"L": []}, m={"M": {}})
    assert get(db) == {**KEY, "s": {"S": ""}, "b": {"B": ""}, "l": {"L": []}, "m": {"M": {}}}


def test_conditions(db: Bench) -> None:
    new = {"ConditionExpression": "attribute_not_exists(pk)"}
    db.call(items.put_item, TableName="tab", Item=KEY, **new)
    error = refused(db.call, items.put_item, TableName="tab", Item=KEY, **new)
    assert error.code == "ConditionalCheckFailedException"
    assert error.message == "The conditional request failed"
    assert error.fields == {}
    shown = refused(
        db.call,
        items.delete_item,
        TableName="tab",
        Key=KEY,
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
        **new,
    )
    assert shown.fields == {"Item": KEY}
    assert get(db) == KEY


def test_return_values(db: Bench) -> None:
    put(db, v={"N": "1"}, m={"M": {"a": {"N": "1"}, "b": {"N": "2"}}})

    def update(mode: str) -> Any:
        return db.call(
            items.update_item,
            TableName="tab",
            Key=KEY,
            UpdateExpression="SET v = v + :one, m.a = :one REMOVE gone",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues=mode,
        ).get("Attributes")

    assert update("NONE") is None
    assert update("UPDATED_OLD") == {"v": {"N": "2"}, "m": {"M": {"a": {"N": "1"}}}}
    assert update("UPDATED_NEW") == {"v": {"N": "4"}, "m": {"M": {"a": {"N": "1"}}}}
    old, new = update("ALL_OLD"), update("ALL_NEW")
    assert (old["v"], new["v"]) == ({"N": "4"}, {"N": "6"})
    assert set(new) == {"pk", "sk", "v", "m"}
    gone = db.call(items.delete_item, TableName="tab", Key=KEY, ReturnValues="ALL_OLD")
    assert gone["Attributes"] == new
    assert db.call(items.delete_item, TableName="tab", Key=KEY, ReturnValues="ALL_OLD") == {}
    for operation, params in ((items.put_item, {"Item": KEY}), (items.delete_item, {"Key": KEY})):
        error = refused(db.call, operation, TableName="tab", ReturnValues="ALL_NEW", **params)
        assert error.message == (
            "1 validation error detected: ReturnValues can only be ALL_OLD or NONE"
        )


def test_update_creates_items(db: Bench) -> None:
    output = db.call(items.update_item, TableName="tab", Key=KEY, ReturnValues="ALL_NEW")
    assert output["Attributes"] == KEY
    assert get(db) == KEY


def test_update_leaves_keys_alone(db: Bench) -> None:
    for text in ("SET pk = :v", "ADD sk :v", "REMOVE pk"):
        given = {} if ":v" not in text else {"ExpressionAttributeValues": {":v": {"N": "1"}}}
        error = refused(
            db.call, items.update_item, TableName="tab", Key=KEY, UpdateExpression=text, **given
        )
        name = text.split()[1]
        assert error.message == (
            f"{_WRONG}Cannot update attribute {name}. This attribute is part of the key"
        )
    assert get(db) is None


def test_consumed_capacity(db: Bench) -> None:
    item = {**KEY, "v": {"S": "x" * 2000}, "g": {"S": "g"}, "h": {"S": "h"}}
    shown = db.call(items.put_item, TableName="tab", Item=item, ReturnConsumedCapacity="INDEXES")
    assert shown["ConsumedCapacity"] == {
        "TableName": "tab",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 2.0},
        "GlobalSecondaryIndexes": {"by_g": {"CapacityUnits": 2.0}},
        "LocalSecondaryIndexes": {"by_h": {"CapacityUnits": 1.0}},
    }
    read = db.call(items.get_item, TableName="tab", Key=KEY, ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"] == {"TableName": "tab", "CapacityUnits": 0.5}
    strong = {"ReturnConsumedCapacity": "TOTAL", "ConsistentRead": True}
    read = db.call(items.get_item, TableName="tab", Key=KEY, **strong)
    assert read["ConsumedCapacity"]["CapacityUnits"] == 1.0


def test_collection_metrics(db: Bench) -> None:
    asked = {"ReturnItemCollectionMetrics": "SIZE"}
    shown = db.call(items.put_item, TableName="tab", Item=KEY, **asked)
    assert shown["ItemCollectionMetrics"]["ItemCollectionKey"] == {"pk": {"S": "p"}}
    assert db.call(items.put_item, TableName="plain", Item={"id": {"S": "1"}}, **asked) == {}


@pytest.mark.parametrize(
    "expression",
    [
        "SET m.a = :v, m.b = m.a, n = m",
        "REMOVE m.a, m.c[0] SET m.c[1] = :v",
        "SET m.c = list_append(m.c, m.c), n = :v REMOVE l[0], l[2]",
        "REMOVE m.a SET l[9] = :v ADD k :v",
    ],
)
def test_an_updated_items_size_is_that_of_its_attributes(db: Bench, expression: str) -> None:
    elements = [{"N": "1"}, {"S": "zwölf"}, {"N": "123456"}]
    put(db, m={"M": {"a": {"S": "ä"}, "c": {"L": elements}}}, l={"L": elements}, k={"N": "99"})
    for _ in range(2):
        images = db.call(
            items.update_item,
            TableName="tab",
            Key=KEY,
            UpdateExpression=expression,
            ExpressionAttributeValues={":v": {"N": "1e30"}},
            ReturnValues="ALL_NEW",
        )
        (size_bytes,) = (
            row[0] for row in db.database.view().all("SELECT size FROM dynamodb_items_1")
        )
        assert values.canonical_item(images["Attributes"]) == (images["Attributes"], size_bytes)


def test_values_of_other_types_are_looked_at_anew(db: Bench) -> None:
    put(db, v={"N": "1"})
    asked = {"TableName": "tab", "Key": KEY, "UpdateExpression": "ADD v :v"}
    db.call(items.update_item, **asked, ExpressionAttributeValues={":v": {"N": "1"}})
    for value in ({"S": "1"}, {"L": []}):
        error = refused(
            db.call, items.update_item, **asked, ExpressionAttributeValues={":v": value}
        )
        assert "Incorrect operand type" in error.message
    db.call(items.update_item, **asked, ExpressionAttributeValues={":v": {"N": "2"}})
    assert get(db)["v"] == {"N": "4"}
