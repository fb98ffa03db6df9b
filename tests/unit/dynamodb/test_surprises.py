"""Small rules of DynamoDB's that nobody would guess."""

from typing import Any

import pytest

from cloudlet.dynamodb import batches, items, search, tables, transactions
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, keys, refused, types

KEY = {"id": {"S": "i"}}


def _update(db: Bench, text: str, **values: Any) -> Any:
    given = {f":{name}": value for name, value in values.items()}
    return db.call(
        items.update_item,
        TableName="plain",
        Key=KEY,
        UpdateExpression=text,
        ExpressionAttributeValues=given or None,
    )


def _put_if(db: Bench, condition: str, **values: Any) -> Any:
    given = {f":{name}": value for name, value in values.items()}
    return db.call(
        items.put_item,
        TableName="plain",
        Item=KEY,
        ConditionExpression=condition,
        ExpressionAttributeValues=given or None,
    )


def test_neither_contains_nor_not(db: Bench) -> None:
    """dynamodb-033"""
    for operator in ("CONTAINS", "NOT_CONTAINS"):
        expected = {"q": {"ComparisonOperator": operator, "AttributeValueList": [{"S": "x"}]}}
        error = refused(db.call, items.put_item, TableName="plain", Item=KEY, Expected=expected)
        assert error.code == "ConditionalCheckFailedException"


def test_two_that_are_not_there_differ(db: Bench) -> None:
    """dynamodb-034"""
    _put_if(db, "q <> z")
    assert refused(_put_if, db, "q = z").code == "ConditionalCheckFailedException"


def test_the_first_item_that_does_not_fit_cancels(db: Bench) -> None:
    """dynamodb-035"""
    puts = [{"Put": {"TableName": "plain", "Item": {"id": {"N": "1"}}}} for _ in range(2)]
    error = refused(db.call, transactions.transact_write_items, TransactItems=puts)
    assert error.code == "TransactionCanceledException"
    first, second = error.fields["CancellationReasons"]
    assert (first["Code"], second) == ("ValidationError", {"Code": "None"})


def test_a_result_of_too_many_digits_is_an_overflow(db: Bench) -> None:
    """dynamodb-036"""
    error = refused(_update, db, "SET n = :a + :b", a={"N": "1e50"}, b={"N": "1"})
    assert error.message.startswith("Number overflow.")
    _update(db, "SET n = :a - :a", a={"N": "1e50"})
    assert db.call(items.get_item, TableName="plain", Key=KEY)["Item"]["n"] == {"N": "0"}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("size(size(a)) > :v", "operator or function: size, operand type: N"),
        ("attribute_type(a, b)", "requires an expression attribute value"),
        ("a[99999999999999] = :v", "not within the allowable range; index: [99999999999999]"),
        ("a" + ".b" * 32 + " = :v", "too many nesting levels; nesting levels: 33"),
    ],
)
def test_refused_conditions(db: Bench, condition: str, message: str) -> None:
    values = {"v": {"N": "1"}} if ":v" in condition else {}
    error = refused(_put_if, db, condition, **values)
    assert error.code == "ValidationException" and message in error.message


def test_the_type_of_a_value(db: Bench) -> None:
    _put_if(db, "attribute_type(:v, :t)", v={"N": "1"}, t={"S": "N"})


def test_list_append_is_not_nested(db: Bench) -> None:
    one = {"L": [{"S": "x"}]}
    error = refused(_update, db, "SET a = list_append(list_append(:a, :a), :a)", a=one)
    assert "not allowed to be used this way" in error.message
    _update(db, "SET a = list_append(if_not_exists(a, :a), :a)", a=one)


def test_empty_names(db: Bench) -> None:
    item = {**KEY, "": {"S": "x"}}
    error = refused(db.call, items.put_item, TableName="plain", Item=item)
    assert error.message.endswith("Empty attribute name")


@pytest.mark.parametrize("name", ["xx", "no!such!name", "n" * 256])
def test_names_that_no_table_can_have(db: Bench, name: str) -> None:
    error = refused(db.call, items.put_item, TableName=name, Item=KEY)
    assert error.message.startswith(f"1 validation error detected: Value '{name}' at 'tableName'")
    error = refused(db.call, tables.create_table, **{**PLAIN, "TableName": name})
    assert error.code == "ValidationException"


def test_old_items_with_keys_too_long_for_a_new_index(db: Bench) -> None:
    long = {"id": {"S": "long"}, "x": {"S": "x" * 2049}}
    db.call(items.put_item, TableName="plain", Item=long)
    index = {"IndexName": "by_x", "KeySchema": keys("x"), "Projection": {"ProjectionType": "ALL"}}
    update = {"GlobalSecondaryIndexUpdates": [{"Create": index}]}
    shown = db.call(
        tables.update_table, TableName="plain", AttributeDefinitions=types(x="S"), **update
    )
    assert shown["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexName"] == "by_x"
    found = db.call(tables.describe_table, TableName="plain")["Table"]["GlobalSecondaryIndexes"]
    assert found[0]["ItemCount"] == 0
    other = {"IndexName": "by_n", "KeySchema": keys("x"), "Projection": {"ProjectionType": "ALL"}}
    error = refused(
        db.call,
        tables.update_table,
        TableName="plain",
        AttributeDefinitions=types(x="N"),
        GlobalSecondaryIndexUpdates=[{"Create": other}],
    )
    assert "Existing schema: Schema:[SchemaElement: key{x:S:HASH}]" in error.message


def test_a_batch_speaks_of_keys_where_items_do_not_fit(db: Bench) -> None:
    """dynamodb-051"""
    put = {"plain": [{"PutRequest": {"Item": {"other": {"S": "x"}}}}]}
    error = refused(db.call, batches.batch_write_item, RequestItems=put)
    assert error.message == "The provided key element does not match the schema"


def test_nothing_comes_behind_the_only_item(db: Bench) -> None:
    """dynamodb-052"""
    db.call(items.put_item, TableName="plain", Item=KEY)
    question = {
        "TableName": "plain",
        "KeyConditionExpression": "id = :id",
        "ExpressionAttributeValues": {":id": {"S": "i"}},
    }
    assert "LastEvaluatedKey" not in db.call(search.query, Limit=1, **question)
    error = refused(db.call, search.query, ExclusiveStartKey=KEY, **question)
    assert error.message == (
        "The provided exclusive start key is invalid: ExclusiveStartKey: {id=AttributeValue: {S:i}}"
    )


def test_a_writes_complaints_are_counted(db: Bench) -> None:
    """dynamodb-065: those about its parameters, not those about the table."""
    counted = "1 validation error detected: "
    assert refused(_update, db, "").message == (
        f"{counted}Invalid UpdateExpression: The expression can not be empty;"
    )
    assert refused(_update, db, "SET a = :v", v={"NS": []}).message == (
        f"{counted}One or more parameter values were invalid: An number set  may not be empty"
    )
    assert refused(_put_if, db, "a =").message.startswith(f"{counted}Invalid ConditionExpression: ")
    error = refused(db.call, items.delete_item, TableName="plain", Key={})
    assert error.message == "The provided key element does not match the schema"
    action = {"Update": {"TableName": "plain", "Key": KEY, "UpdateExpression": ""}}
    error = refused(db.call, transactions.transact_write_items, TransactItems=[action])
    assert error.message == "Invalid UpdateExpression: The expression can not be empty;"


def test_operations_word_malformed_values_in_two_ways(db: Bench) -> None:
    """dynamodb-069"""
    wrong = {"NS": ["1", "1"]}
    counted, plain = "1 validation error detected: ", "One or more parameter values were invalid: "
    now, old = f"{plain}Input collection contains duplicates.", "Input collection contains dup"
    key = {"id": wrong}
    for operation in (items.update_item, items.delete_item):
        assert refused(db.call, operation, TableName="plain", Key=key).message == counted + now
    assert refused(db.call, items.get_item, TableName="plain", Key=key).message == now
    gets = {"plain": {"Keys": [key]}}
    assert refused(db.call, batches.batch_get_item, RequestItems=gets).message == now
    asked = {
        "TableName": "plain",
        "FilterExpression": "a = :v",
        "ExpressionAttributeValues": {":v": wrong},
    }
    keyed = {"KeyConditionExpression": "id = :v", "ExpressionAttributeValues": {":v": wrong}}
    assert refused(db.call, search.query, TableName="plain", **keyed).message == now
    assert refused(db.call, search.scan, **asked).message.startswith(
        f"ExpressionAttributeValues contains invalid value: {old}"
    )
    puts = {"plain": [{"PutRequest": {"Item": {**KEY, "s": wrong}}}]}
    assert refused(db.call, batches.batch_write_item, RequestItems=puts).message.startswith(old)


def test_projections_of_two_kinds_in_one_batch(db: Bench) -> None:
    """dynamodb-082"""
    gets = {
        "plain": {"Keys": [KEY], "ProjectionExpression": "id"},
        "tab": {"Keys": [{"pk": {"S": "p"}, "sk": {"N": "1"}}], "AttributesToGet": ["pk"]},
    }
    error = refused(db.call, batches.batch_get_item, RequestItems=gets)
    assert error.message.startswith("Can not use both expression and non-expression parameters")


def test_parameters_of_all_actions_come_before_tables(db: Bench) -> None:
    """dynamodb-074"""
    missing = {"Delete": {"TableName": "absent", "Key": KEY}}
    wrong = {"Delete": {"TableName": "plain", "Key": KEY, "ConditionExpression": "a ="}}
    deep: dict[str, Any] = {"S": "leaf"}
    for _ in range(40):
        deep = {"M": {"n": deep}}
    nested = {"Delete": {"TableName": "absent", "Key": {"id": deep}}}

    def message(*actions: dict[str, Any]) -> str:
        return refused(
            db.call, transactions.transact_write_items, TransactItems=list(actions)
        ).message

    assert message(missing, wrong).startswith("Invalid ConditionExpression: Syntax error")
    assert message(nested, wrong).startswith("Nesting Levels")
    assert message(missing, {}).startswith("Requested resource")
    assert message({}).endswith("should contain Delete or Put or Update request")
    assert message(missing) == "Requested resource not found"


def test_key_conditions_are_read_from_the_left(db: Bench) -> None:
    """dynamodb-075: operands of the wrong type and undefined values, in the order of the text."""

    def message(text: str, **given: Any) -> str:
        values = {f":{name}": value for name, value in given.items()}
        return refused(
            db.call,
            search.query,
            TableName="tab",
            KeyConditionExpression=text,
            ExpressionAttributeValues=values,
        ).message

    number = {"N": "1"}
    assert message("pk = :m AND begins_with(sk, :n)", n=number).endswith("value: :m")
    assert message("begins_with(sk, :n) AND pk = :m", n=number).endswith("operand type: N")
    assert message("pk = :n AND sk > :n AND x = :n", n=number).startswith("One or more")
    three = message("pk = :s AND sk > :n AND x = :n", s={"S": "p"}, n=number)
    assert three == (
        "The number of query conditions (3) exceeds the number of key attributes defined in the"
        " schema (2)"
    )


def test_each_write_of_an_index_is_rounded_and_none_is_doubled(db: Bench) -> None:
    """dynamodb-078"""
    key = {"pk": {"S": "p"}, "sk": {"N": "1"}}
    db.call(items.put_item, TableName="tab", Item={**key, "g": {"S": "a"}, "v": {"S": "x" * 1500}})

    def moved(to: str, *, in_transaction: bool) -> Any:
        action = {
            "TableName": "tab",
            "Key": key,
            "UpdateExpression": "SET g = :g",
            "ExpressionAttributeValues": {":g": {"S": to}},
        }
        shown = {"ReturnConsumedCapacity": "INDEXES"}
        if not in_transaction:
            return db.call(items.update_item, **action, **shown)["ConsumedCapacity"]
        actions = [{"Update": action}]
        output = db.call(transactions.transact_write_items, TransactItems=actions, **shown)
        return output["ConsumedCapacity"][0]

    for in_transaction, table in ((False, 2.0), (True, 4.0)):
        consumed = moved("b" if in_transaction else "c", in_transaction=in_transaction)
        assert consumed["Table"]["CapacityUnits"] == table
        assert consumed["GlobalSecondaryIndexes"]["by_g"]["CapacityUnits"] == 4.0


def test_query_counts_what_scan_does_not(db: Bench) -> None:
    """dynamodb-066"""
    wrong = {"TableName": "plain", "Select": "SPECIFIC_ATTRIBUTES"}
    message = "Must specify the AttributesToGet or ProjectionExpression"
    assert refused(db.call, search.scan, **wrong).message.startswith(message)
    assert refused(db.call, search.query, **wrong).message.startswith(
        f"1 validation error detected: {message}"
    )


def test_keys_that_do_not_fit_cancel_a_reading_transaction(db: Bench) -> None:
    """dynamodb-068"""
    gets = [{"Get": {"TableName": "plain", "Key": key}} for key in (KEY, {})]
    error = refused(db.call, transactions.transact_get_items, TransactItems=gets)
    assert error.code == "TransactionCanceledException"
    codes = [each["Code"] for each in error.fields["CancellationReasons"]]
    assert codes == ["None", "ValidationError"]


def test_provisioned_as_it_is(db: Bench) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    given = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
    db.call(tables.create_table, **{**PLAIN, "TableName": "units"})
    db.call(tables.update_table, TableName="units", **given)
    error = refused(db.call, tables.update_table, TableName="units", **given)
    assert "will not change" in error.message
