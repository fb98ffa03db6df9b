"""Query and Scan."""

from typing import Any

import pytest

from cloudlet.dynamodb import items, search, values
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused

_WRONG = "One or more parameter values were invalid: "


def fill(db: Bench, count: int = 10, size: int = 1) -> None:
    for number in range(count):
        item = {
            "pk": {"S": "p"},
            "sk": {"N": str(number)},
            "g": {"S": f"g{number % 2}"},
            "v": {"S": "x" * size},
        }
        db.call(items.put_item, TableName="tab", Item=item)


def query(db: Bench, text: str = "pk = :p", given: Any = None, **params: Any) -> Any:
    return db.call(
        search.query,
        TableName="tab",
        KeyConditionExpression=text,
        ExpressionAttributeValues={":p": {"S": "p"}, **(given or {})},
        **params,
    )


def numbers(page: Any) -> list[int]:
    return [int(item["sk"]["N"]) for item in page["Items"]]


def test_order_and_limit(db: Bench) -> None:
    fill(db, 12)
    assert numbers(query(db)) == list(range(12))
    page = query(db, Limit=5, ScanIndexForward=False)
    assert numbers(page) == [11, 10, 9, 8, 7]
    assert page["LastEvaluatedKey"] == {"pk": {"S": "p"}, "sk": {"N": "7"}}
    rest = query(db, ScanIndexForward=False, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert numbers(rest) == [6, 5, 4, 3, 2, 1, 0] and "LastEvaluatedKey" not in rest


def test_filter_counts_what_it_scans(db: Bench) -> None:
    fill(db)
    page = query(db, given={":g": {"S": "g1"}}, FilterExpression="g = :g", Limit=4)
    assert (page["Count"], page["ScannedCount"]) == (2, 4)
    assert page["LastEvaluatedKey"]["sk"] == {"N": "3"}
    shown = query(db, Select="COUNT")
    assert shown == {"Count": 10, "ScannedCount": 10}


def test_pages_of_a_megabyte(db: Bench) -> None:
    """dynamodb-053: the item that passes the limit is on the page."""
    fill(db, 6, 300_000)
    page = query(db, ReturnConsumedCapacity="TOTAL")
    assert numbers(page) == [0, 1, 2, 3]
    size = sum(values.canonical_item(item)[1] for item in page["Items"])
    assert page["ConsumedCapacity"]["CapacityUnits"] == -(-size // 4096) / 2
    rest = query(db, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert numbers(rest) == [4, 5] and "LastEvaluatedKey" not in rest


def test_a_page_that_ends_just_past_its_limit_names_its_last_item(db: Bench) -> None:
    fill(db, 4, 300_000)
    page = query(db)
    assert numbers(page) == [0, 1, 2, 3] and page["LastEvaluatedKey"]["sk"] == {"N": "3"}
    assert query(db, ExclusiveStartKey=page["LastEvaluatedKey"])["Items"] == []


def consumed(output: Any) -> Any:
    shown = output["ConsumedCapacity"]
    shown.pop("TableName")
    return shown


def test_what_a_local_index_has_to_fetch_is_read_item_by_item(db: Bench) -> None:
    for number in range(3):
        item = {"pk": {"S": "p"}, "sk": {"N": str(number)}, "h": {"S": "h"}, "v": {"S": "x" * 5000}}
        db.call(items.put_item, TableName="tab", Item=item)
    asked = {"IndexName": "by_h", "ReturnConsumedCapacity": "INDEXES"}

    def of(table: float, index: float) -> dict[str, Any]:
        return {
            "CapacityUnits": table + index,
            "Table": {"CapacityUnits": table},
            "LocalSecondaryIndexes": {"by_h": {"CapacityUnits": index}},
        }

    assert consumed(query(db, **asked)) == of(0, 0.5)
    assert consumed(query(db, Select="COUNT", **asked)) == of(0, 0.5)
    assert consumed(query(db, ProjectionExpression="h, sk", **asked)) == of(0, 0.5)
    whole = query(db, Select="ALL_ATTRIBUTES", **asked)
    assert len(whole["Items"][0]["v"]["S"]) == 5000
    assert consumed(whole) == of(3.0, 0.5)
    assert consumed(query(db, ProjectionExpression="v", ConsistentRead=True, **asked)) == of(6, 1)


def scan_units(db: Bench, **params: Any) -> float:
    output = db.call(search.scan, TableName="tab", ReturnConsumedCapacity="TOTAL", **params)
    units: float = consumed(output)["CapacityUnits"]
    return units


def test_scans_go_through_four_partitions(db: Bench) -> None:
    """dynamodb-054: of tables on demand."""
    assert scan_units(db) == 2.0 and scan_units(db, ConsistentRead=True) == 4.0
    assert scan_units(db, TotalSegments=4, Segment=3) == 0.5
    fill(db, 3, 3000)  # all in one partition: 9 KB
    assert scan_units(db) == 3.0
    whole, start = [], None
    while True:
        page = db.call(
            search.scan,
            TableName="tab",
            Limit=1,
            ExclusiveStartKey=start,
            ReturnConsumedCapacity="TOTAL",
        )
        whole.append(page["ConsumedCapacity"]["CapacityUnits"])
        start = page.get("LastEvaluatedKey")
        if start is None:
            break
    assert len(whole) == 4 and sum(whole) >= 2.0


def test_prefixes(db: Bench) -> None:
    for number, word in enumerate(("a", "ab", "b", "a\U0010ffff")):
        item = {"pk": {"S": "p"}, "sk": {"N": str(number)}, "h": {"S": word}}
        db.call(items.put_item, TableName="tab", Item=item)
    page = query(db, "pk = :p AND begins_with(h, :a)", {":a": {"S": "a"}}, IndexName="by_h")
    assert [item["h"]["S"] for item in page["Items"]] == ["a", "ab", "a\U0010ffff"]
    assert set(page["Items"][0]) == {"pk", "sk", "h"}
    whole = query(db, IndexName="by_h", Select="ALL_ATTRIBUTES")
    assert whole["Count"] == 4


def test_global_index_pages(db: Bench) -> None:
    fill(db)
    seen: list[int] = []
    start = None
    while True:
        page = db.call(
            search.query,
            TableName="tab",
            IndexName="by_g",
            KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": {"S": "g0"}},
            ExclusiveStartKey=start,
            Limit=2,
        )
        seen += numbers(page)
        start = page.get("LastEvaluatedKey")
        if start is None:
            break
        assert set(start) == {"pk", "sk", "g"}
    assert sorted(seen) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("sk = :v", {":v": {"N": "1"}}, "Query condition missed key schema element: pk"),
        ("pk > :v", {":v": {"S": "1"}}, "Query key condition not supported"),
        ("pk = :v", {":v": {"N": "1"}}, _WRONG + "Condition parameter type does not match schema"
         " type"),
        ("pk = :v AND x = :v", {":v": {"S": "1"}}, "Query condition missed key schema element: sk"),
        ("pk = :v OR sk = :v", {":v": {"S": "1"}}, "Invalid operator used in"
         " KeyConditionExpression: OR"),
        ("pk <> :v", {":v": {"S": "1"}}, "Invalid operator used in KeyConditionExpression: <>"),
        ("pk = :v AND pk = :v", {":v": {"S": "1"}}, "Invalid KeyConditionExpression:"
         " KeyConditionExpressions must only contain one condition per key"),
        ("pk.x = :v", {":v": {"S": "1"}}, "KeyConditionExpressions cannot have conditions on nested"
         " attributes"),
        ("pk = :v AND contains(sk, :v)", {":v": {"S": "1"}}, "Invalid operator used in"
         " KeyConditionExpression: contains"),
    ],
)  # fmt: skip
def test_key_condition_refusals(db: Bench, text: str, given: Any, message: str) -> None:
    error = refused(
        db.call,
        search.query,
        TableName="tab",
        KeyConditionExpression=text,
        ExpressionAttributeValues=given,
    )
    assert error.message == message


def test_query_refusals(db: Bench) -> None:
    fill(db, 2)
    assert "must be specified" in refused(db.call, search.query, TableName="tab").message
    error = refused(query, db, given={":z": {"N": "1"}}, FilterExpression="sk = :z")
    assert error.message == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"
    )
    start = {"pk": {"S": "other"}, "sk": {"N": "1"}}
    assert "outside query boundaries" in refused(query, db, ExclusiveStartKey=start).message
    start = {"pk": {"S": "p"}}
    assert refused(query, db, ExclusiveStartKey=start).message == (
        "The provided starting key is invalid: The provided key element does not match the schema"
    )
    start = {"pk": {"S": "p"}, "sk": {"N": "0"}}
    ranged = {"text": "pk = :p AND sk > :z", "given": {":z": {"N": "1"}}}
    assert refused(query, db, ExclusiveStartKey=start, **ranged).message == (
        "The provided starting key does not match the range key predicate"
    )
    assert refused(query, db, IndexName="no").message == (
        "The table does not have the specified index: no"
    )
    strong = {"IndexName": "by_g", "ConsistentRead": True}
    assert refused(query, db, **strong).message == (
        "Consistent reads are not supported on global secondary indexes"
    )
    assert "SPECIFIC_ATTRIBUTES" in refused(query, db, Select="SPECIFIC_ATTRIBUTES").message
    counted = {"Select": "COUNT", "ProjectionExpression": "v"}
    assert "only the Count" in refused(query, db, **counted).message


def test_scan_segments(db: Bench) -> None:
    for number in range(40):
        db.call(items.put_item, TableName="plain", Item={"id": {"S": f"i{number}"}})

    def scan(**params: Any) -> Any:
        return db.call(search.scan, TableName="plain", **params)

    parts = [scan(TotalSegments=4, Segment=n) for n in range(4)]
    assert sum(part["Count"] for part in parts) == 40
    assert all(part["Count"] for part in parts)
    many = [scan(TotalSegments=1_000_000, Segment=n)["Count"] for n in (0, 999_999)]
    assert sum(many) <= 40
    first = scan(TotalSegments=4, Segment=0, Limit=1)["LastEvaluatedKey"]
    assert (
        "correct Segment"
        in refused(scan, TotalSegments=4, Segment=2, ExclusiveStartKey=first).message
    )
    assert "zero-based" in refused(scan, TotalSegments=4, Segment=4).message
    assert "TotalSegments parameter is required" in refused(scan, Segment=0).message
    assert "Segment parameter is required" in refused(scan, TotalSegments=2).message


def test_scan_filters_and_projects(db: Bench) -> None:
    fill(db)
    page = db.call(
        search.scan,
        TableName="tab",
        FilterExpression="sk > :v",
        ProjectionExpression="sk",
        ExpressionAttributeValues={":v": {"N": "7"}},
    )
    assert page["Items"] == [{"sk": {"N": "8"}}, {"sk": {"N": "9"}}]
    assert page["ScannedCount"] == 10


def test_key_conditions_may_be_turned_around(db: Bench) -> None:
    for number in ("1", "2", "3"):
        item = {"pk": {"S": "p"}, "sk": {"N": number}}
        db.call(items.put_item, TableName="tab", Item=item)
    found = db.call(
        search.query,
        TableName="tab",
        KeyConditionExpression=":p = pk AND :two < sk",
        ExpressionAttributeValues={":p": {"S": "p"}, ":two": {"N": "2"}},
    )
    assert [item["sk"]["N"] for item in found["Items"]] == ["3"]
