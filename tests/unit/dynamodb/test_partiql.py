"""PartiQL: statements in, items and AWS's refusals out. Messages are those of AWS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.dynamodb import partiql, tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.errors import AwsError
from tests.harness import Bench
from tests.unit.dynamodb.statements import PLACE, got, put, refusal, run, update, where

MALFORMED = "Statement wasn't well formed, can't be processed: "


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    bench.call(tables.create_table, **PLACE)
    yield bench
    bench.close()


def found(db: Bench, condition: str) -> list[str]:
    return [f"{item['pk']['S']}/{item['sk']['S']}" for item in run(db, where(condition))]


def test_insert_takes_literals_of_all_kinds(db: Bench) -> None:
    statement = """
        INSERT INTO "my-tab" VALUE {
            'pk': 'it''s', 'sk': '1', 'n': -1.50, 'e': 1E3, 'yes': TRUE, 'no': false, 'nil': NULL,
            'list': [1, 'a', [ ]], 'map': {'x': {'y': - - 2}}, 'words': <<'b', 'a'>>,
            'numbers': <<2, 10>>, 'given': ?
        };"""
    assert run(db, statement, {"B": b"1"}) == []
    assert got(db, "it's") == {
        "pk": {"S": "it's"}, "sk": {"S": "1"}, "n": {"N": "-1.5"}, "e": {"N": "1000"},
        "yes": {"BOOL": True}, "no": {"BOOL": False}, "nil": {"NULL": True},
        "list": {"L": [{"N": "1"}, {"S": "a"}, {"L": []}]},
        "map": {"M": {"x": {"M": {"y": {"N": "2"}}}}}, "words": {"SS": ["a", "b"]},
        "numbers": {"NS": ["2", "10"]}, "given": {"B": "MQ=="},
    }  # fmt: skip


def test_insert_of_an_item_that_is_there(db: Bench) -> None:
    put(db, "a")
    error = refusal(db, "INSERT INTO \"my-tab\" VALUE {'pk': 'a', 'sk': '1', 'n': 1}")
    assert error.code == "DuplicateItemException"
    assert error.message == "Duplicate primary key exists in table"
    assert "n" not in got(db, "a")
    missing = refusal(db, "INSERT INTO \"my-tab\" VALUE {'pk': 'a'}")
    assert missing.message.endswith("Missing the key sk in the item")


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        ("<<>>", "Empty bags are not supported"),
        (
            "<<1, 'a'>>",
            "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in"
            " bags",
        ),
        (
            "<<'a', 'a'>>",
            "One or more parameter values were invalid: Input collection [a, a] contains"
            " duplicates.",
        ),
        ("[[?]]", "Unsupported data type: Parameter under key root[0][0] at 1:58:1"),
        ("{'k': ?}", "Unsupported data type: Parameter under key root.k at 1:62:1"),
        ("set_add(<<1>>, <<2>>)", "Unsupported data type: set_add under key root at 1:56:7"),
        ("[" * 32 + "]" * 32, None),
        (
            "{'a':" * 32 + "1" + "}" * 32,
            "Nesting Levels have exceeded supported limits under root" + ".a" * 32,
        ),
    ],
)
def test_literals_that_are_refused(db: Bench, literal: str, message: str | None) -> None:
    statement = f"INSERT INTO \"my-tab\" VALUE {{'pk': 'l', 'sk': '1', 'x': {literal}}}"
    if message is None:
        run(db, statement)
        return
    assert refusal(db, statement, {"S": "v"}).message == message


@pytest.fixture
def filled(db: Bench) -> Bench:
    for pk in ("o", "p"):
        for sk in ("1", "2", "3"):
            put(db, pk, sk, n={"N": sk}, g={"S": pk}, h={"S": sk}, tags={"SS": ["x", sk]})
    put(db, "q", "1", m={"M": {"k": {"L": [{"S": "deep"}]}}}, nil={"NULL": True}, s={"S": "abc"})
    return db


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("pk = 'o'", "o/1 o/2 o/3"),
        ("pk = 'o' AND sk > '1'", "o/2 o/3"),
        ("'o' = pk AND '2' >= sk", "o/1 o/2"),
        ("pk = 'o' AND sk BETWEEN '2' AND '3'", "o/2 o/3"),
        ("pk = 'o' AND begins_with(sk, '2')", "o/2"),
        ("pk = 'o' AND NOT sk = '1'", "o/2 o/3"),
        ("pk = 'o' AND sk > '1' AND sk <> '2'", "o/3"),
        ("pk = 'o' AND (sk = '3' OR sk = '1')", "o/3 o/1"),
        ("pk IN ['p', 'o'] AND sk IN ('2')", "p/2 o/2"),
        ("(pk = 'p' AND n = 1) OR (pk = 'o' AND n != 1)", "p/1 o/2 o/3"),
        ("pk = 'p' AND pk = 'o'", ""),
        ("n < 2 AND contains(tags, '1')", "o/1 p/1"),
        ("size(tags) = 2 AND n >= 3", "o/3 p/3"),
        ("m.k[0] = 'deep'", "q/1"),
        ("m['k'] IS NOT MISSING", "q/1"),
        ("tags IS MISSING", "q/1"),
        ("nil IS NULL", "q/1"),
        ("nil IS NOT NULL AND n = 1", "o/1 p/1"),
        ("n IS NULL", ""),
        ("s IS STRING", "q/1"),
        ("attribute_type(s, 'S') AND ATTRIBUTE_EXISTS(m.k) AND attribute_not_exists(x)", "q/1"),
        ("attribute_exists(s) AND s NOT IN ['x'] AND s NOT BETWEEN 'x' AND 'z'", "q/1"),
        ("pk = 'q' AND (contains(x, 'z') = false)", "q/1"),
        ("pk = 'q' AND (s = 'x' OR s = 'y') = false", "q/1"),
        ("pk = 'q' AND true = attribute_exists(s)", "q/1"),
        ("pk = 'o' AND n > - - 2 -- more /*\n", "o/3"),
        ("/* which */ pk/**/='q'", "q/1"),
    ],
)
def test_conditions(filled: Bench, condition: str, expected: str) -> None:
    answer = found(filled, condition)
    assert (answer if "pk" in condition else sorted(answer)) == expected.split()


def test_columns_and_their_names(filled: Bench) -> None:
    """dynamodb-040: the last name, with the indexes behind it."""
    key = "FROM \"my-tab\" WHERE pk = 'q' AND sk = '1'"
    assert run(filled, f"SELECT m.k, s, nope {key}") == [
        {"k": {"L": [{"S": "deep"}]}, "s": {"S": "abc"}}
    ]
    assert run(filled, f"SELECT \"m\".k[0], m['k'][-0] {key}") == [{"k[0]": {"S": "deep"}}]
    assert run(filled, f"SELECT * {key}")[0].keys() == {"pk", "sk", "m", "nil", "s"}
    assert refusal(filled, f"SELECT m.k[-1] {key}").message == (
        "List index is not within the allowable range; index: [-1] at 1:13:1"
    )
    assert refusal(filled, f"SELECT size(m) {key}").message == (
        "Unexpected path component at 1:8:4"
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("pk = 'o' ORDER BY sk DESC", "o/3 o/2 o/1"),
        ("pk = 'o' ORDER BY sk", "o/1 o/2 o/3"),
        ("pk = 'o' ORDER BY pk ASC", "o/3 o/2 o/1"),
        ("pk IN ['o', 'p'] ORDER BY pk DESC, sk ASC", "p/1 p/2 p/3 o/1 o/2 o/3"),
        ("pk = 'o' AND sk IN ['1', '3'] ORDER BY sk DESC", "o/3 o/1"),
    ],
)
def test_order(filled: Bench, order: str, expected: str) -> None:
    """dynamodb-041: ordered by the partition key alone, sort keys descend."""
    assert found(filled, order) == expected.split()


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("ORDER BY sk", "Must have WHERE clause in the statement when using ORDER BY clause."),
        (
            "WHERE pk = 'o' ORDER BY n DESC",
            "Attribute n in ORDER BY clause must be part of the primary key",
        ),
        (
            "WHERE pk > 'a' ORDER BY sk",
            "Must have at least one non-optional hash key condition in WHERE clause when using"
            " ORDER BY clause.",
        ),
        (
            "WHERE pk IN ['o', 'p'] ORDER BY sk",
            "Must have hash key in ORDER BY clause when more than one hash key condition specified"
            " in WHERE clause.",
        ),
        ("WHERE pk = 'o' garbage", f"{MALFORMED}Unexpected token after expression"),
        ("WHERE m.inner = 1", f"{MALFORMED}Invalid path dot component"),
        ("WHERE exists(m)", "Unrecognized function: exists at 1:31:6"),
        (
            "WHERE attribute_exists(a, b)",
            "Incorrect number of operands for operator or function; operator or function:"
            " attribute_exists, number of operands: 2",
        ),
        (
            "WHERE attribute_exists('m')",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "WHERE attribute_exists(n) > false",
            "Incorrect operand type for operator or function; operator or function: >, operand"
            " type: BOOL",
        ),
        (
            "WHERE pk = 1",
            "Key attribute's data type should match its data type in table's schema: Key pk",
        ),
    ],
)
def test_selects_that_are_refused(filled: Bench, tail: str, message: str) -> None:
    assert refusal(filled, f'SELECT sk FROM "my-tab" {tail}').message == message


@pytest.mark.parametrize(
    "condition",
    [
        "pk IN ['o', 'o']",
        "pk = 'o' OR pk = 'o'",
        "pk = 'o' AND (sk > '0' OR sk < '5')",
        "pk = 'o' AND (sk = '1' OR n = 2)",
    ],
)
def test_overlapping_reads(filled: Bench, condition: str) -> None:
    """dynamodb-044: what a WHERE is taken apart into must not overlap."""
    assert refusal(filled, where(condition)).message == (
        "Overlapping conditions with range keys are not supported in where clause"
    )


def test_reads_side_by_side_are_fine(filled: Bench) -> None:
    """dynamodb-044"""
    assert found(filled, "pk = 'o' AND (sk < '2' OR sk > '2' OR sk = '2')") == [
        "o/1", "o/3", "o/2",
    ]  # fmt: skip


def test_limits_of_in(db: Bench) -> None:
    def listed(count: int) -> str:
        return ", ".join(f"'v{number}'" for number in range(count))

    too_many = "Too many decomposed read operations for a given query."
    assert refusal(db, where(f"pk IN [{listed(51)}]")).message == too_many
    both = f"pk IN [{listed(26)}] AND sk IN ['1', '2']"
    assert refusal(db, where(both)).message == too_many
    assert found(db, f"pk IN [{listed(51)}] OR n = 1") == []
    assert refusal(db, where(f"n IN [{listed(101)}]")).message == (
        "The IN operator is provided with too many operands; number of operands: 101"
    )


def test_pages(filled: Bench) -> None:
    statement = where("pk IN ['o', 'p'] ORDER BY pk DESC")
    first = filled.call(partiql.execute_statement, Statement=statement, Limit=2)
    assert [item["sk"]["S"] for item in first["Items"]] == ["3", "2"]
    assert first["LastEvaluatedKey"] == {"pk": {"S": "p"}, "sk": {"S": "2"}}
    token = first["NextToken"]
    second = run(filled, statement, Limit=2, NextToken=token)
    assert [(item["pk"]["S"], item["sk"]["S"]) for item in second] == [("p", "1"), ("o", "3")]
    assert refusal(filled, where("pk = 'o'"), NextToken=token).message == (
        "NextToken does not match request"
    )
    assert refusal(filled, statement, NextToken="?").message == "NextToken does not match request"


@pytest.mark.parametrize("statement", ['SELECT * FROM "my-tab"', where("n > 0 OR s = 'abc'")])
def test_scans_page_through_everything(filled: Bench, statement: str) -> None:
    seen, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        output = filled.call(partiql.execute_statement, Statement=statement, Limit=2, **more)
        seen += [(item["pk"]["S"], item["sk"]["S"]) for item in output["Items"]]
        token = output.get("NextToken")
        if token is None:
            break
    assert len(seen) == len(set(seen)) == 7


def test_many_partitions_come_in_pages_of_ten_reads(db: Bench) -> None:
    for number in range(12):
        put(db, f"v{number}")
    statement = where(f"pk IN [{', '.join(repr(f'v{n}') for n in range(12))}]")
    output = db.call(partiql.execute_statement, Statement=statement)
    assert len(output["Items"]) == 10
    assert len(run(db, statement, NextToken=output["NextToken"])) == 2


def test_indexes(filled: Bench) -> None:
    gsi, lsi = 'FROM "my-tab"."by-g"', 'FROM "my-tab"."by-h"'
    assert len(run(filled, f"SELECT * {gsi} WHERE g = 'o'")) == 3
    assert run(filled, f"SELECT * {gsi} WHERE g = 'o'")[0].keys() == {"pk", "sk", "g"}
    assert len(run(filled, f"SELECT sk {gsi} WHERE pk = 'o'")) == 3  # a scan
    assert run(filled, f"SELECT n {lsi} WHERE pk = 'o' AND h = '2'") == [{"n": {"N": "2"}}]
    assert run(filled, f"SELECT pk {lsi} WHERE n = 2") == []  # a scan sees the index only
    assert len(run(filled, f"SELECT * {lsi} WHERE pk = 'o'", ConsistentRead=True)) == 3
    wrong = "One or more parameter values were invalid: "
    assert refusal(filled, f"SELECT n, s {gsi}").message == (
        f"{wrong}Global secondary index by-g does not project [n, s]"
    )
    assert refusal(filled, f"SELECT pk {gsi} WHERE g = 'o' AND (n = 1 OR seen = 1)").message == (
        f"{wrong}Secondary index by-g does not project one or more filter attributes: [n]"
    )


def test_parameters(filled: Bench) -> None:
    statement = where("pk = ? AND n IN [?, ?]")
    given = [{"S": "o"}, {"N": "1"}, {"N": "3.0"}]
    assert [item["sk"]["S"] for item in run(filled, statement, *given)] == ["1", "3"]
    assert refusal(filled, statement, {"S": "o"}).message == (
        "Number of parameters in request and statement don't match."
    )
    assert refusal(filled, "UPDATE t SET WHERE", {"SS": ["a", "a"]}).message.endswith(
        "Input collection [a, a] contains duplicates."
    )


def test_update_changes_parts(db: Bench) -> None:
    put(db, "a", n={"N": "5"}, list={"L": [{"N": "1"}, {"N": "2"}]}, ss={"SS": ["a", "b"]})
    run(db, update("SET n = n-1, m = {'x': 1} SET list = LIST_APPEND(list, [3])"))
    run(db, update("REMOVE list[0]"))
    run(db, update("SET ss = set_add(ss, <<'c'>>)"))
    run(db, update("SET ss = SET_DELETE(ss, <<'a'>>) SET m.y = n SET new = set_add(new, ?)"),
        {"NS": ["1"]})  # fmt: skip
    assert got(db, "a") == {
        "pk": {"S": "a"}, "sk": {"S": "1"}, "n": {"N": "4"}, "ss": {"SS": ["b", "c"]},
        "list": {"L": [{"N": "2"}, {"N": "3"}]}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "4"}}},
        "new": {"NS": ["1"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("returning", "expected"),
    [
        ("ALL OLD", {"pk": {"S": "a"}, "sk": {"S": "1"}, "t": {"S": "old"}, "keep": {"N": "1"}}),
        ("ALL NEW", {"pk": {"S": "a"}, "sk": {"S": "1"}, "t": {"S": "new"}, "keep": {"N": "1"}}),
        ("MODIFIED OLD", {"t": {"S": "old"}}),
        ("MODIFIED NEW", {"t": {"S": "new"}}),
    ],
)
def test_update_returns(db: Bench, returning: str, expected: Any) -> None:
    put(db, "a", t={"S": "old"}, keep={"N": "1"})
    assert run(db, update("SET t = 'new'", f"RETURNING {returning} *")) == [expected]
    assert run(db, update("REMOVE t", "RETURNING MODIFIED NEW *")) == []


def test_conditions_of_writes(db: Bench) -> None:
    """dynamodb-042, dynamodb-043: DELETE of nothing is fine, UPDATE of nothing is not."""
    delete = "DELETE FROM \"my-tab\" WHERE pk = 'a' AND sk = '1'"
    assert run(db, f"{delete} AND n = 1 RETURNING ALL OLD *") == []
    assert refusal(db, update("SET n = 1")).code == "ConditionalCheckFailedException"
    put(db, "a", n={"N": "2"})
    assert refusal(db, f"{delete} AND n = 1").code == "ConditionalCheckFailedException"
    failed = refusal(
        db, update("SET n = 3", "AND n = 1"), ReturnValuesOnConditionCheckFailure="ALL_OLD"
    )
    assert failed.fields["Item"]["n"] == {"N": "2"}
    run(db, "UPDATE \"my-tab\" SET n = 4 WHERE (sk = '1' AND pk = 'a') AND n = 2 AND pk = 'a'")
    assert run(db, f"{delete} AND n > 3 RETURNING ALL OLD *")[0]["n"] == {"N": "4"}
    assert got(db, "a") is None


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECTT * FROM t", f"{MALFORMED}Expected data manipulation"),
        ("'text'", f"{MALFORMED}Expected data manipulation"),
        (
            "DELETE FROM \"my-tab\" WHERE n = 'x'",
            "Where clause does not contain a mandatory equality on all key attributes",
        ),
        (
            "DELETE FROM \"my-tab\" WHERE pk = 'a' AND sk = '1' AND pk = 'b'",
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are"
            " supported",
        ),
        (
            "DELETE FROM \"my-tab\" WHERE pk = 'a' AND sk = '1' RETURNING MODIFIED OLD *",
            "Only RETURNING ALL OLD * is allowed in DELETE statements",
        ),
        (
            update("SET t = set_add(ss, <<'x'>>)"),
            "The first argument to SET_ADD must equal the assignment value at 1:25:7",
        ),
        (
            update("SET ss = set_delete(ss, ['x'])"),
            "The second argument to SET_DELETE must be a value with type SET at 1:37:2",
        ),
        (
            update("SET ss = set_add(ss)"),
            "SET_ADD must have exactly two arguments at 1:26:7",
        ),
        (
            update("SET n = n + 'a'"),
            "Incorrect operand type for operator or function; operator or function: +, operand"
            " type: S",
        ),
        (
            update("SET pk = 'b'"),
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute"
            " is part of the key",
        ),
        (
            "EXISTS(SELECT * FROM \"my-tab\" WHERE pk = 'a' AND sk = '1' AND n IS MISSING)",
            "EXISTS can only be used in ExecuteTransaction write requests.",
        ),
    ],
)
def test_statements_that_are_refused(db: Bench, statement: str, message: str) -> None:
    assert refusal(db, statement).message == message


def test_a_table_that_is_not_there(db: Bench) -> None:
    error = refusal(db, "SELECT * FROM nowhere")
    assert (error.code, error.message) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


def test_capacity_is_told(filled: Bench) -> None:
    def units(statement: str) -> Any:
        output = filled.call(
            partiql.execute_statement, Statement=statement, ReturnConsumedCapacity="TOTAL"
        )
        return output["ConsumedCapacity"]

    assert units(where("pk = 'o'")) == {"TableName": "my-tab", "CapacityUnits": 0.5}
    assert units(where("pk IN ['o', 'p']"))["CapacityUnits"] == 1.0
    assert units("UPDATE \"my-tab\" SET z = 1 WHERE pk = 'o' AND sk = '1'")["CapacityUnits"] >= 1.0


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("NOT sk = '1'", ["o/2", "o/3"]),
        ("sk <> '1'", ["o/2", "o/3"]),
        ("NOT sk IN ['1', '3']", ["o/2"]),
        ("NOT sk > '5'", ["o/1", "o/2", "o/3"]),
    ],
)
def test_what_a_sort_key_must_not_be_may_overlap(
    db: Bench, condition: str, expected: list[str]
) -> None:
    """dynamodb-044"""
    for sort in "123":
        run(db, f"INSERT INTO \"my-tab\" VALUE {{'pk': 'o', 'sk': '{sort}'}}")
    assert sorted(found(db, f"pk = 'o' AND {condition} OR pk = 'o' AND sk = '2'")) == expected


def test_an_update_may_begin_with_from(db: Bench) -> None:
    """dynamodb-076"""
    put(db, "a")
    place = "FROM \"my-tab\" WHERE pk = 'a' AND sk = '1'"
    assert run(db, f"{place} SET c = 1 SET d = 2 REMOVE b") == []
    assert got(db, "a")["d"] == {"N": "2"} and got(db, "a")["c"] == {"N": "1"}
    assert refusal(db, f"{place} AND d = 3 SET d = 4").code == "ConditionalCheckFailedException"
    assert refusal(db, f"{place} SET d = 3 WHERE pk = 'a'").message == (
        f"{MALFORMED}Unexpected token after expression"
    )
    assert refusal(db, 'FROM "my-tab" SET d = 3').message.startswith("Where clause does not")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than"
         " supported range under root.x[1]"),
        ("1e2147483648", MALFORMED),
        ("1.5e-2147483647", MALFORMED),
    ],
)  # fmt: skip
def test_numbers_that_are_no_literals(db: Bench, number: str, message: str) -> None:
    """dynamodb-077"""
    statement = (
        f"INSERT INTO \"my-tab\" VALUE {{'pk': 'a', 'sk': '1', 'n': {{'x': [1, {number}]}}}}"
    )
    assert refusal(db, statement).message == message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('SELECT * FROM "my-tab" t WHERE pk = 1', "Aliasing is not supported"),
        ('SELECT * FROM "my-tab" AS t WHERE pk = 1', "Aliasing is not supported"),
        ('UPDATE "my-tab" t SET a = 1', "Aliasing is not supported"),
        ('DELETE FROM "my-tab" t', "Aliasing is not supported"),
        ("INSERT INTO \"my-tab\" t VALUE {'pk': 'x'}", f"{MALFORMED}Unexpected token after"
         " expression"),
        ('SELECT * FROM "my-tab" ORDER BY pk WHERE pk = 1', f"{MALFORMED}Unexpected token after"
         " expression"),
        ('SELECT * FROM "my-tab" WHERE', f"{MALFORMED}Unexpected term"),
        ('SELECT * FROM "my-tab" WHERE NOT', f"{MALFORMED}Unexpected term"),
        ('SELECT * FROM "my-tab" WHERE (', f"{MALFORMED}Unexpected term"),
        ('SELECT * FROM "my-tab" WHERE pk = 1 AND', f"{MALFORMED}Missing right-hand side expression"
         " of infix operator"),
        ('SELECT * FROM "my-tab" WHERE IS NULL', f"{MALFORMED}Unexpected operator"),
        ('SELECT * FROM "my-tab" WHERE pk = 1 # x', MALFORMED),
        ("SELECT * FROM", f"{MALFORMED}Unexpected term"),
        ("DELETE FROM;", f"{MALFORMED}Expected identifier for simple path"),
        ("DELETE FROM WHERE pk = 1", f"{MALFORMED}Expected identifier for simple path"),
    ],
)  # fmt: skip
def test_statements_that_break_off(db: Bench, statement: str, message: str) -> None:
    assert refusal(db, statement).message == message


def test_indexes_that_partiql_does_not_read(db: Bench) -> None:
    several = [{"AttributeName": name, "KeyType": "HASH"} for name in ("h1", "h2")]
    table: dict[str, Any] = {
        "TableName": "several",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "h1", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in ("h1", "h2")
        ],
        "GlobalSecondaryIndexes": [
            {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
            for name, schema in (("pair", several), ("one", several[1:]))
        ],
    }
    table["GlobalSecondaryIndexes"][1]["KeySchema"] = [{"AttributeName": "h2", "KeyType": "HASH"}]
    db.call(tables.create_table, **table)
    assert refusal(db, 'SELECT * FROM "several"."pair"').message.startswith(
        "PartiQL statements cannot be executed on tables with multi-attribute HASH keys"
    )
    consistent = {"Statement": 'SELECT * FROM "several"."one"', "ConsistentRead": True}
    with pytest.raises(AwsError, match="Strongly consistent read is not supported on Global"):
        db.call(partiql.execute_statement, **consistent)
