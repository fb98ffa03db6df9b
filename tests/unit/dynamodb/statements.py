"""What tests of PartiQL say, and the table that they say it to."""

from typing import Any

import pytest

from cloudlet.dynamodb import items, partiql
from cloudlet.errors import AwsError
from tests.harness import Bench
from tests.unit.dynamodb.conftest import keys, types

PLACE: dict[str, Any] = {
    "TableName": "my-tab",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": types(pk="S", sk="S", g="S", h="S"),
    "KeySchema": keys("pk", "sk"),
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": keys("g"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["seen"]},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-h",
            "KeySchema": keys("pk", "h"),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


def run(db: Bench, statement: str, *parameters: Any, **more: Any) -> list[dict[str, Any]]:
    if parameters:
        more["Parameters"] = list(parameters)
    output = db.call(partiql.execute_statement, Statement=statement, **more)
    found: list[dict[str, Any]] = output["Items"]
    return found


def refusal(db: Bench, statement: str, *parameters: Any, **more: Any) -> AwsError:
    with pytest.raises(AwsError) as refused:
        run(db, statement, *parameters, **more)
    return refused.value


def put(db: Bench, pk: str, sk: str = "1", **attributes: Any) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}, **attributes}
    db.call(items.put_item, TableName="my-tab", Item=item)


def got(db: Bench, pk: str, sk: str = "1") -> Any:
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    return db.call(items.get_item, TableName="my-tab", Key=key).get("Item")


def where(condition: str) -> str:
    return f'SELECT pk, sk FROM "my-tab" WHERE {condition}'


def update(action: str, rest: str = "") -> str:
    return f"UPDATE \"my-tab\" {action} WHERE pk = 'a' AND sk = '1' {rest}"
