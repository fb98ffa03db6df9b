"""BatchExecuteStatement and ExecuteTransaction."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Call, Caller
from cloudlet.dynamodb import partiql, permissions, tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from tests.harness import Bench
from tests.unit.dynamodb.statements import PLACE, got, put, update, where


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    bench.call(tables.create_table, **PLACE)
    yield bench
    bench.close()


def transact(db: Bench, *statements: str, **more: Any) -> Any:
    return db.call(
        partiql.execute_transaction,
        TransactStatements=[{"Statement": statement} for statement in statements],
        **more,
    )


def batch(db: Bench, *statements: str, **more: Any) -> Any:
    given = [{"Statement": statement} for statement in statements]
    return db.call(partiql.batch_execute_statement, Statements=given, **more)["Responses"]


def test_batches_answer_each_for_itself(db: Bench) -> None:
    for name in "acd":
        put(db, name, n={"N": "1"})
    insert = "INSERT INTO \"my-tab\" VALUE {'pk': 'b', 'sk': '1'}"
    fails = update("SET n = 2", "AND n = 9").replace("'a'", "'d'")
    answers = batch(
        db, insert, insert.replace("'b'", "'c'"), fails, "gibberish",
        "DELETE FROM nowhere WHERE a = 1", update("SET n = 3", "RETURNING ALL NEW *"),
    )  # fmt: skip
    assert [answer.get("Error", {}).get("Code") for answer in answers] == [
        None, "DuplicateItem", "ConditionalCheckFailed", "ValidationError", "ResourceNotFound",
        None,
    ]  # fmt: skip
    assert answers[0] == {"TableName": "my-tab"}
    assert answers[5]["Item"]["n"] == {"N": "3"}


def test_batches_of_reads_go_by_key(db: Bench) -> None:
    put(db, "a", n={"N": "1"})
    keyed = "SELECT n FROM \"my-tab\" WHERE pk IN ['a'] AND sk = '1'"
    by_index = 'SELECT * FROM "my-tab"."by-g" WHERE g = \'x\''
    answers = batch(db, keyed, f"{keyed} AND n = 1", by_index, where("pk = 'a'"))
    assert answers[0] == {"TableName": "my-tab", "Item": {"n": {"N": "1"}}}
    for answer in answers[1:]:
        assert answer["Error"] == {
            "Code": "ValidationError",
            "Message": "Select statements within BatchExecuteStatement must specify the primary key"
            " in the where clause.",
        }
    with pytest.raises(AwsError, match="does not support both read and write"):
        batch(db, keyed, update("SET n = 1"))


def test_transactions_write_all_or_none(db: Bench) -> None:
    put(db, "a", n={"N": "1"})
    insert = "INSERT INTO \"my-tab\" VALUE {'pk': 'b', 'sk': '1'}"
    exists = "EXISTS(SELECT * FROM \"my-tab\" WHERE pk = 'c' AND sk = '1' AND n = 1)"
    with pytest.raises(AwsError) as refused:
        transact(db, insert, exists, update("SET n = 2", "AND n = 9"))
    assert refused.value.code == "TransactionCanceledException"
    reasons = refused.value.fields["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == [
        "None", "ConditionalCheckFailed", "ConditionalCheckFailed",
    ]  # fmt: skip
    assert got(db, "b") is None
    put(db, "c", n={"N": "1"})
    assert transact(db, insert, exists, update("SET n = 2")) == {"Responses": []}
    with pytest.raises(AwsError) as refused:
        transact(db, insert)
    assert refused.value.fields["CancellationReasons"][0]["Code"] == "DuplicateItem"


def test_transactions_repeated_by_token(db: Bench) -> None:
    put(db, "a", n={"N": "1"})
    for _ in range(2):
        transact(db, update("SET n = n + 1"), ClientRequestToken="t")
    assert got(db, "a")["n"] == {"N": "2"}
    with pytest.raises(AwsError) as refused:
        transact(db, update("SET n = n + 2"), ClientRequestToken="t")
    assert refused.value.code == "IdempotentParameterMismatchException"


def test_transactions_of_reads(db: Bench) -> None:
    put(db, "a", n={"N": "1"})
    by_key = "SELECT n FROM \"my-tab\" WHERE pk = 'a' AND sk = "
    assert transact(db, f"{by_key}'1'", f"{by_key}'2'") == {
        "Responses": [{"Item": {"n": {"N": "1"}}}, {}]
    }
    with pytest.raises(AwsError, match="multiple operations on one item"):
        transact(db, f"{by_key}'1'", f"{by_key}'1'")


def failure(db: Bench, *statements: str) -> AwsError:
    with pytest.raises(AwsError) as refused:
        transact(db, *statements)
    return refused.value


def test_transactions_that_are_refused(db: Bench) -> None:
    failed = "Validation failed in TransactStatements[{}]: "
    assert failure(db, where("pk = 'a'")).message == failed.format(0) + (
        "Select statements within ExecuteTransaction must specify the primary key in the where"
        " clause."
    )
    exists = "EXISTS(SELECT * FROM \"my-tab\" WHERE pk = 'c' AND sk = '1')"
    assert failure(db, update("SET n = 1"), exists).message == failed.format(1) + (
        "EXISTS() must contain a single item read with additional condition"
    )
    assert failure(db, update("SET n = 1", "RETURNING ALL NEW *")).message == failed.format(0) + (
        "RETURNING clause is not supported in ExecuteTransaction."
    )
    indexed = "SELECT * FROM \"my-tab\".\"by-g\" WHERE pk = 'x' AND sk = '1'"
    assert failure(db, indexed).message == failed.format(0) + (
        "Reads on indices are not supported within transactions."
    )
    assert failure(db, where("pk = 'a' AND sk = '1'"), update("SET n = 1")).message == (
        "ExecuteTransaction API does not support both read and write operations in the same"
        " request."
    )


def test_transactions_cancelled_for_keys_and_tables(db: Bench) -> None:
    """dynamodb-045: these are reasons, not refusals of the request."""
    put(db, "a")
    nowhere = "UPDATE nowhere SET a = 1 WHERE pk = 'x'"
    partial = "UPDATE \"my-tab\" SET a = 1 WHERE pk = 'a'"
    error = failure(db, nowhere, partial, update("SET a = 1"))
    assert error.fields["CancellationReasons"] == [
        {"Code": "ResourceNotFound", "Message": "Requested resource not found"},
        {
            "Code": "ValidationError",
            "Message": "The provided key element does not match the schema",
        },
        {"Code": "None"},
    ]


def needs(db: Bench, operation: str, **params: Any) -> list[tuple[str, str, Any]]:
    user = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000")
    request = Request("POST", "/", "", {}, Body.of(b""))
    call = Call(db.cloud, "dynamodb", operation, params, user, request)
    return [
        (need.action, need.resource.rsplit(":", 1)[-1], need.context)
        for need in permissions.requirements(call)
    ]


def test_permissions_of_statements(db: Bench) -> None:
    def of(statement: str) -> tuple[str, str, Any]:
        (need,) = needs(db, "ExecuteStatement", Statement=statement)
        return need

    action, resource, context = of(where("pk = 'a' AND n = 1"))
    assert (action, resource) == ("dynamodb:PartiQLSelect", "table/my-tab")
    assert context == {
        "dynamodb:Attributes": ["n", "pk", "sk"],
        "dynamodb:FullTableScan": False,
        "dynamodb:LeadingKeys": ["a"],
        "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
    }
    action, resource, context = of('SELECT * FROM "my-tab"."by-g" WHERE n = 1')
    assert resource == "table/my-tab/index/by-g"
    assert context["dynamodb:FullTableScan"] is True
    assert "dynamodb:LeadingKeys" not in context
    assert of(update("SET n = 1"))[0] == "dynamodb:PartiQLUpdate"
    action, _, context = of("INSERT INTO \"my-tab\" VALUE {'pk': 'z', 'sk': '1'}")
    assert (action, context["dynamodb:LeadingKeys"]) == ("dynamodb:PartiQLInsert", ["z"])
    assert of("DELETE FROM \"my-tab\" WHERE pk = 'd'")[0] == "dynamodb:PartiQLDelete"
    statements = [{"Statement": update("REMOVE n")}, {"Statement": "gibberish"}]
    assert len(needs(db, "BatchExecuteStatement", Statements=statements)) == 1
    assert len(needs(db, "ExecuteTransaction", TransactStatements=statements)) == 1


def test_a_batch_is_of_different_items(db: Bench) -> None:
    """dynamodb-080"""
    put(db, "a")
    one = "UPDATE \"my-tab\" SET z = 1 WHERE pk = 'a' AND sk = '1'"
    with pytest.raises(AwsError, match="Provided list of item keys contains duplicates"):
        db.call(partiql.batch_execute_statement, Statements=[{"Statement": one}] * 2)
    assert "z" not in got(db, "a")


def test_what_fails_in_a_batch_is_paid_for_beside_what_does_not(db: Bench) -> None:
    """dynamodb-081"""
    put(db, "a", big={"S": "x" * 2500})
    fails = {"Statement": "INSERT INTO \"my-tab\" VALUE {'pk': 'a', 'sk': '1'}"}
    works = {"Statement": "INSERT INTO \"my-tab\" VALUE {'pk': 'b', 'sk': '1'}"}
    wrong = {"Statement": "UPDATE \"my-tab\" SET z = 1 WHERE pk = 'a'"}

    def run_all(*statements: dict[str, str]) -> Any:
        return db.call(
            partiql.batch_execute_statement,
            Statements=list(statements),
            ReturnConsumedCapacity="INDEXES",
        )

    output = run_all(fails, works, wrong)
    assert ["TableName" in each for each in output["Responses"]] == [True, True, False]
    assert output["ConsumedCapacity"][0]["CapacityUnits"] == 4.0
    assert output["ConsumedCapacity"][0]["Table"] == {"CapacityUnits": 1.0}
    assert "ConsumedCapacity" not in run_all(fails)
