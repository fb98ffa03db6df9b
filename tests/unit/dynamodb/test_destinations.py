"""Kinesis data streams that get a table's changes."""

from typing import Any

import orjson

from cloudlet.dynamodb import destinations, items
from tests.harness import Bench
from tests.unit.dynamodb.conftest import refused
from tests.unit.dynamodb.test_streams import KEY, write_three

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
enable = destinations.enable_kinesis_streaming_destination
disable = destinations.disable_kinesis_streaming_destination
update = destinations.update_kinesis_streaming_destination


def stream(name: str = "s") -> dict[str, str]:
    return {"TableName": "tab", "StreamArn": ARN + name}


def on(db: Bench) -> dict[str, str]:
    found = db.call(destinations.describe_kinesis_streaming_destination, TableName="tab")
    return {
        each["StreamArn"].removeprefix(ARN): each.get("ApproximateCreationDateTimePrecision")
        for each in found["KinesisDataStreamDestinations"]
    }


def precision(value: str) -> dict[str, Any]:
    return {"ApproximateCreationDateTimePrecision": value}


def test_each_change_is_told(db: Bench) -> None:
    db.call(enable, **stream())
    assert db.invoked[-1][1:] == ("DescribeStreamSummary", {"StreamARN": f"{ARN}s"})
    write_three(db)
    db.call(items.put_item, TableName="tab", Item={**KEY, "sk": {"N": "2"}})
    facts = db.facts()
    assert {fact.target for fact in facts} == {f"{ARN}s"}
    told = [orjson.loads(fact.payload) for fact in facts]
    assert [each["eventName"] for each in told] == ["INSERT", "MODIFY", "REMOVE", "INSERT"]
    assert (told[1]["tableName"], told[1]["recordFormat"]) == ("tab", "application/json")
    change = told[1]["dynamodb"]
    assert change["Keys"] == change["OldImage"] == KEY
    assert change["NewImage"] == {**KEY, "v": {"N": "1"}}
    assert change["ApproximateCreationDateTime"] == db.clock.now_ms
    keys = [fact.key for fact in facts]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert facts[0].attributes == {"partition_key": keys[0]}


def test_what_is_on(db: Bench) -> None:
    foreign = {"TableName": "tab", "StreamArn": f"{ARN}s".replace("0000:stream", "0001:stream")}
    assert refused(db.call, enable, **foreign).code == "ValidationException"
    db.call(enable, **stream(), EnableKinesisStreamingConfiguration=precision("MICROSECOND"))
    assert on(db) == {"s": "MICROSECOND"}
    assert refused(db.call, enable, **stream()).code == "ValidationException"
    assert "given parameters" in refused(db.call, update, **stream()).message
    error = refused(db.call, update, **stream("none"))  # dynamodb-058
    assert "to enable Kinesis" in error.message
    changed = {**stream(), "UpdateKinesisStreamingConfiguration": precision("MILLISECOND")}
    db.call(update, **changed)
    assert "already set" in refused(db.call, update, **changed).message
    db.call(enable, **stream("second"))
    assert on(db) == {"s": "MILLISECOND", "second": None}
    assert refused(db.call, enable, **stream("third")).code == "LimitExceededException"
    db.call(disable, **stream())
    assert refused(db.call, disable, **stream()).code == "ValidationException"
    assert on(db) == {"second": None}
    db.call(items.put_item, TableName="tab", Item=KEY)
    assert [fact.target for fact in db.facts()] == [f"{ARN}second"]
