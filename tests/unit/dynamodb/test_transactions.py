"""Batches and transactions."""

from typing import Any

from cloudlet.dynamodb import batches, items, search, transactions
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused


def put(name: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "plain", "Item": {"id": {"S": name}, **more}}}


def add(name: str, amount: int, floor: int = 0) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "plain",
            "Key": {"id": {"S": name}},
            "UpdateExpression": "ADD n :a",
            "ConditionExpression": "n >= :f",
            "ExpressionAttributeValues": {":a": {"N": str(amount)}, ":f": {"N": str(floor)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def transact(db: Bench, *actions: Any, **params: Any) -> Any:
    return db.call(transactions.transact_write_items, TransactItems=list(actions), **params)


def all_items(db: Bench) -> dict[str, Any]:
    found = db.call(search.scan, TableName="plain")["Items"]
    return {item["id"]["S"]: item.get("n", {}).get("N") for item in found}


def test_all_or_none(db: Bench) -> None:
    transact(db, put("a", n={"N": "10"}), put("b", n={"N": "0"}))
    transact(db, add("a", -4, 4), add("b", 4))
    assert all_items(db) == {"a": "6", "b": "4"}
    error = refused(transact, db, add("b", 7), add("a", -7, 7), put("c"))
    assert error.code == "TransactionCanceledException"
    assert error.message == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons"
        " [None, ConditionalCheckFailed, None]"
    )
    assert error.fields["CancellationReasons"] == [
        {"Code": "None"},
        {
            "Code": "ConditionalCheckFailed",
            "Message": "The conditional request failed",
            "Item": {"id": {"S": "a"}, "n": {"N": "6"}},
        },
        {"Code": "None"},
    ]
    assert all_items(db) == {"a": "6", "b": "4"}


def test_checks_and_deletes(db: Bench) -> None:
    transact(db, put("a"), put("b"))
    check = {
        "TableName": "plain",
        "Key": {"id": {"S": "a"}},
        "ConditionExpression": "attribute_exists(id)",
    }
    delete = {"Delete": {"TableName": "plain", "Key": {"id": {"S": "b"}}}}
    transact(db, {"ConditionCheck": check}, delete)
    assert all_items(db) == {"a": None}


def test_wrong_operands_cancel(db: Bench) -> None:
    transact(db, put("a", n={"S": "no number"}))
    action = add("a", 1)
    del action["Update"]["ConditionExpression"], action["Update"]["ExpressionAttributeValues"][":f"]
    reasons = refused(transact, db, action).fields["CancellationReasons"]
    assert reasons[0]["Code"] == "ValidationError"
    assert "incorrect data type" in reasons[0]["Message"]


def test_tokens_last_ten_minutes(db: Bench) -> None:
    transact(db, put("a", n={"N": "0"}))
    for _ in range(3):
        transact(db, add("a", 1), ClientRequestToken="once")
    assert all_items(db) == {"a": "1"}
    error = refused(transact, db, add("a", 2), ClientRequestToken="once")
    assert error.code == "IdempotentParameterMismatchException"
    db.clock.advance(601)
    transact(db, add("a", 1), ClientRequestToken="once")
    assert all_items(db) == {"a": "2"}


def test_a_cancelled_request_may_be_tried_again_with_its_token(db: Bench) -> None:
    refused(transact, db, add("a", 1), ClientRequestToken="retry")
    transact(db, put("a", n={"N": "0"}))
    transact(db, add("a", 1), ClientRequestToken="retry")
    assert all_items(db) == {"a": "1"}


def test_transaction_refusals(db: Bench) -> None:
    assert refused(transact, db, put("a"), put("a")).message == (
        "Transaction request cannot include multiple operations on one item"
    )
    assert refused(transact, db, {**put("a"), **add("b", 1)}).message == (
        "TransactItems can only contain one of Check, Put, Update or Delete"
    )
    assert all_items(db) == {}


def test_transact_get(db: Bench) -> None:
    transact(db, put("a", n={"N": "1"}))
    gets = [{"Get": {"TableName": "plain", "Key": {"id": {"S": name}}}} for name in ("a", "b")]
    gets[0]["Get"]["ProjectionExpression"] = "n"
    output = db.call(
        transactions.transact_get_items, TransactItems=gets, ReturnConsumedCapacity="TOTAL"
    )
    assert output["Responses"] == [{"Item": {"n": {"N": "1"}}}, {}]
    assert output["ConsumedCapacity"] == [
        {"TableName": "plain", "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}
    ]


def test_batches(db: Bench) -> None:
    puts = [{"PutRequest": {"Item": {"id": {"S": f"i{n}"}}}} for n in range(25)]
    output = db.call(
        batches.batch_write_item, RequestItems={"plain": puts}, ReturnConsumedCapacity="TOTAL"
    )
    assert output["UnprocessedItems"] == {}
    assert output["ConsumedCapacity"] == [{"TableName": "plain", "CapacityUnits": 25.0}]
    keys = [{"id": {"S": f"i{n}"}} for n in range(24, 27)]
    got = db.call(batches.batch_get_item, RequestItems={"plain": {"Keys": keys}})
    assert got == {"Responses": {"plain": [keys[0]]}, "UnprocessedKeys": {}}
    gone = [{"DeleteRequest": {"Key": {"id": {"S": f"i{n}"}}}} for n in range(25)]
    db.call(batches.batch_write_item, RequestItems={"plain": gone})
    assert all_items(db) == {}


def test_batch_refusals(db: Bench) -> None:
    def write(*requests: Any) -> Any:
        return db.call(batches.batch_write_item, RequestItems={"plain": list(requests)})

    request = {"PutRequest": {"Item": {"id": {"S": "i"}}}}
    same = {"DeleteRequest": {"Key": {"id": {"S": "i"}}}}
    assert refused(write, request, same).message == (
        "Provided list of item keys contains duplicates"
    )
    assert "Too many items" in refused(write, *[request] * 26).message
    assert refused(write, {}).code == "ValidationException"
    twice = {"plain": {"Keys": [{"id": {"S": "i"}}] * 2}}
    error = refused(db.call, batches.batch_get_item, RequestItems=twice)
    assert error.message == "Provided list of item keys contains duplicates"
    assert all_items(db) == {}


def test_big_batches_come_in_parts(db: Bench) -> None:
    big = {"S": "x" * 400_000}
    for number in range(45):
        db.call(items.put_item, TableName="plain", Item={"id": {"S": f"i{number}"}, "v": big})
    wanted = {"plain": {"Keys": [{"id": {"S": f"i{number}"}} for number in range(45)]}}
    output = db.call(batches.batch_get_item, RequestItems=wanted)
    left = output["UnprocessedKeys"]["plain"]["Keys"]
    assert len(output["Responses"]["plain"]) + len(left) == 45
    assert 0 < len(left) < 10


def test_transactions_tell_kinds_of_capacity(db: Bench) -> None:
    """dynamodb-055, dynamodb-056"""
    item = {"pk": {"S": "p"}, "sk": {"N": "1"}, "g": {"S": "g"}}
    check = {"TableName": "plain", "Key": {"id": {"S": "a"}}}
    actions = [
        {"Put": {"TableName": "tab", "Item": item}},
        {"ConditionCheck": {**check, "ConditionExpression": "attribute_not_exists(id)"}},
    ]

    def ask() -> list[Any]:
        output = db.call(
            transactions.transact_write_items,
            TransactItems=actions,
            ClientRequestToken="once",
            ReturnConsumedCapacity="INDEXES",
        )
        shown: list[Any] = output["ConsumedCapacity"]
        return shown

    def units(kind: str, count: float) -> dict[str, float]:
        return {"CapacityUnits": count, f"{kind}CapacityUnits": count}

    assert ask() == [
        {
            "TableName": "tab",
            **units("Write", 3.0),
            "Table": units("Write", 2.0),
            "GlobalSecondaryIndexes": {"by_g": units("Write", 1.0)},
        },
        {"TableName": "plain", **units("Write", 2.0), "Table": units("Write", 2.0)},
    ]
    db.call(items.put_item, TableName="plain", Item={"id": {"S": "a"}})
    assert ask() == [
        {"TableName": name, **units("Read", 2.0), "Table": units("Read", 2.0)}
        for name in ("tab", "plain")
    ]
