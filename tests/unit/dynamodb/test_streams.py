"""Streams, expiry and permissions."""

import asyncio
from typing import Any

import pytest

from cloudlet.call import Call, Caller
from cloudlet.dynamodb import items, iterators, permissions, settings, streams, sweep, tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.dynamodb.source import Source
from cloudlet.exchange import Body, Request
from tests.harness import Bench
from tests.unit.dynamodb.conftest import PLAIN, refused, types

NUMBERED = {"AttributeDefinitions": types(id="N")}
KEY = {"pk": {"S": "p"}, "sk": {"N": "1"}}


def arn_of(db: Bench, name: str = "tab") -> str:
    arn: str = db.call(tables.describe_table, TableName=name)["Table"]["LatestStreamArn"]
    return arn


def shard_of(db: Bench, arn: str, number: int = -1) -> str:
    described = db.call(iterators.describe_stream, StreamArn=arn)["StreamDescription"]
    shard: str = described["Shards"][number]["ShardId"]
    return shard


def iterator(db: Bench, kind: str = "TRIM_HORIZON", shard: int = -1, **params: Any) -> str:
    arn = arn_of(db)
    output = db.call(
        iterators.get_shard_iterator,
        StreamArn=arn,
        ShardId=shard_of(db, arn, shard),
        ShardIteratorType=kind,
        **params,
    )
    found: str = output["ShardIterator"]
    return found


def read(db: Bench, at: str, **params: Any) -> tuple[list[Any], str | None]:
    output = db.call(iterators.get_records, ShardIterator=at, **params)
    return output["Records"], output.get("NextShardIterator")


def write_three(db: Bench) -> None:
    db.call(items.put_item, TableName="tab", Item=KEY)
    db.call(items.put_item, TableName="tab", Item=KEY)  # no change, no record
    db.call(items.put_item, TableName="tab", Item={**KEY, "v": {"N": "1"}})
    db.call(items.delete_item, TableName="tab", Key=KEY)
    db.call(items.delete_item, TableName="tab", Key=KEY)  # again none


def test_records(db: Bench) -> None:
    write_three(db)
    found, following = read(db, iterator(db))
    assert [record["eventName"] for record in found] == ["INSERT", "MODIFY", "REMOVE"]
    change = found[1]["dynamodb"]
    assert change["Keys"] == change["OldImage"] == KEY
    assert change["NewImage"] == {**KEY, "v": {"N": "1"}}
    assert change["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert change["SizeBytes"] == 7 + 7 + 10
    assert len(change["SequenceNumber"]) == 21
    assert len({record["eventID"] for record in found}) == 3
    assert following is not None
    assert read(db, following)[0] == []


def test_iterators(db: Bench) -> None:
    write_three(db)
    first, following = read(db, iterator(db), Limit=1)
    assert following is not None and len(first) == 1
    second = read(db, following)[0]
    number = second[0]["dynamodb"]["SequenceNumber"]
    assert read(db, iterator(db, "AT_SEQUENCE_NUMBER", SequenceNumber=number))[0] == second
    assert read(db, iterator(db, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number))[0] == second[1:]
    latest = iterator(db, "LATEST")
    assert read(db, latest)[0] == []
    db.call(items.put_item, TableName="tab", Item=KEY)
    assert len(read(db, latest)[0]) == 1
    db.clock.advance(16 * 60)
    assert refused(read, db, latest).code == "ExpiredIteratorException"
    assert refused(read, db, "garbage").code == "ValidationException"
    far = {"SequenceNumber": streams.sequence(99)}
    assert refused(iterator, db, "AT_SEQUENCE_NUMBER", **far).code == "ValidationException"


@pytest.mark.parametrize(
    ("view_type", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_view_types(db: Bench, view_type: str, images: set[str]) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": view_type}
    db.call(tables.create_table, **{**PLAIN, "TableName": "streamed"}, StreamSpecification=stream)
    for number in ("1", "2"):
        item = {"id": {"S": "i"}, "v": {"N": number}}
        db.call(items.put_item, TableName="streamed", Item=item)
    arn = arn_of(db, "streamed")
    view = db.database.view()
    records = Source().read(view, arn, shard_of(db, arn), "", 10)
    assert isinstance(records[0].document["dynamodb"]["ApproximateCreationDateTime"], float)
    change = records[1].document["dynamodb"]
    assert set(change) & {"NewImage", "OldImage"} == images


def test_source_gives_lambda_its_documents(db: Bench) -> None:
    write_three(db)
    arn, view = arn_of(db), db.database.view()
    (shard,) = Source().shards(view, arn)
    assert (shard.parents, shard.closed) == ((), False)
    found = Source().read(view, arn, shard.id, "", 2)
    document = found[0].document
    assert set(document) == {
        "eventID",
        "eventName",
        "eventVersion",
        "eventSource",
        "awsRegion",
        "dynamodb",
        "eventSourceARN",
    }
    assert (document["eventVersion"], document["eventSource"]) == ("1.1", "aws:dynamodb")
    assert document["eventSourceARN"] == arn
    assert len(Source().read(view, arn, shard.id, found[1].sequence_number, 10)) == 1
    assert Source().latest(view, arn, shard.id) == streams.sequence(3)
    assert [Source().at(view, arn, shard.id, found[0].created_ms + more) for more in (0, 1)] == [
        "",
        streams.sequence(3),
    ]
    assert found[0].key == '{"pk":{"S":"p"},"sk":{"N":"1"}}'
    assert Source().shards(view, arn + "x") == []


def test_a_write_wakes_the_streams_readers(db: Bench) -> None:
    woken: list[str] = []
    db.database.subscribe("stream:", woken.append)
    db.call(items.put_item, TableName="tab", Item=KEY)
    db.call(items.put_item, TableName="tab", Item=KEY)
    assert woken == [f"stream:{arn_of(db)}"]


def test_disabled_streams_close_and_new_ones_begin(db: Bench) -> None:
    write_three(db)
    old = arn_of(db)

    def switch(is_on: bool) -> Any:
        stream = {"StreamEnabled": is_on, **({"StreamViewType": "KEYS_ONLY"} if is_on else {})}
        return db.call(tables.update_table, TableName="tab", StreamSpecification=stream)

    switch(False)
    described = db.call(iterators.describe_stream, StreamArn=old)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert described["Shards"][0]["SequenceNumberRange"] == {
        "StartingSequenceNumber": streams.sequence(1),
        "EndingSequenceNumber": streams.sequence(3),
    }
    found, following = read(db, iterator(db))
    assert len(found) == 3 and following is None
    assert Source().shards(db.database.view(), old)[0].closed
    switch(True)
    assert arn_of(db) != old
    assert "already has an enabled stream" in refused(switch, True).message
    listed = db.call(iterators.list_streams, TableName="tab")["Streams"]
    assert {each["StreamArn"] for each in listed} == {old, arn_of(db)}
    page = db.call(iterators.list_streams, Limit=1)
    start = page["LastEvaluatedStreamArn"]
    assert len(db.call(iterators.list_streams, ExclusiveStartStreamArn=start)["Streams"]) == 1


def test_records_are_trimmed_after_a_day(db: Bench) -> None:
    write_three(db)
    old = iterator(db)
    db.clock.advance(24 * 3600 + 1)
    db.call(items.put_item, TableName="tab", Item=KEY)
    same_shard = iterator(db)
    assert asyncio.run(sweep.trim_streams(db.cloud)) == 3
    assert refused(read, db, same_shard).code == "TrimmedDataAccessException"
    found, _ = read(db, iterator(db, shard=0))
    assert [record["dynamodb"]["SequenceNumber"] for record in found] == [streams.sequence(4)]
    assert refused(read, db, old).code in ("TrimmedDataAccessException", "ExpiredIteratorException")
    first = {"SequenceNumber": streams.sequence(1)}
    error = refused(iterator, db, "AT_SEQUENCE_NUMBER", shard=0, **first)
    assert error.code == "TrimmedDataAccessException"
    db.clock.advance(24 * 3600 + 1)
    asyncio.run(sweep.trim_streams(db.cloud))
    db.call(items.delete_item, TableName="tab", Key=KEY)
    (gone,) = read(db, iterator(db))[0]  # the shard between had none, and used up number 5
    assert gone["dynamodb"]["SequenceNumber"] == streams.sequence(6)


def test_expiry(db: Bench) -> None:
    now_s = db.clock.now_ms // 1000
    times = {"past": now_s - 1, "ancient": now_s - 6 * 365 * 86400, "later": now_s + 60}
    for number, (name, when) in enumerate(times.items()):
        item = {"pk": {"S": name}, "sk": {"N": str(number)}, "until": {"N": str(when)}}
        db.call(items.put_item, TableName="tab", Item=item)
    for number, odd in enumerate(({"S": str(now_s - 1)}, {"N": "-1"}, {"N": "1e100"})):
        item = {"pk": {"S": "odd"}, "sk": {"N": str(number)}, "until": odd}
        db.call(items.put_item, TableName="tab", Item=item)
    wanted = {"AttributeName": "until", "Enabled": True}
    db.call(settings.update_time_to_live, TableName="tab", TimeToLiveSpecification=wanted)
    past = {"pk": {"S": "past"}, "sk": {"N": "0"}}
    assert "Item" in db.call(items.get_item, TableName="tab", Key=past)  # until it is deleted
    assert asyncio.run(sweep.sweep_ttl(db.cloud)) == 1
    assert "Item" not in db.call(items.get_item, TableName="tab", Key=past)
    last = read(db, iterator(db))[0][-1]
    assert last["dynamodb"]["Keys"]["pk"] == {"S": "past"}
    assert last["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    db.clock.advance(61)
    assert asyncio.run(sweep.sweep_ttl(db.cloud)) == 1
    assert db.call(tables.describe_table, TableName="tab")["Table"]["ItemCount"] == 4
    view = db.database.view()
    (shard,) = Source().shards(view, arn_of(db))
    document = Source().read(view, arn_of(db), shard.id, "", 100)[-1].document
    assert document["userIdentity"] == {
        "type": "Service",
        "principalId": "dynamodb.amazonaws.com",
    }


def needed(db: Bench, operation: str, kind: str = "role", **params: Any) -> list[Any]:
    caller = Caller(kind, "arn:aws:sts::000000000000:assumed-role/r/s", "000000000000")
    request = Request("POST", "/", "", {}, Body.of(b""))
    call = Call(db.cloud, "dynamodb", operation, params, caller, request)
    return [(each.action, each.resource, each.context) for each in permissions.requirements(call)]


def test_permissions(db: Bench) -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tab"
    assert needed(db, "GetItem", TableName="tab", Key=KEY) == [
        (
            "dynamodb:GetItem",
            arn,
            {"dynamodb:LeadingKeys": ["p"], "dynamodb:Attributes": ["pk", "sk"]},
        )
    ]
    assert needed(db, "GetItem", "root", TableName=arn, Key=KEY) == [("dynamodb:GetItem", arn, {})]
    ((action, resource, context),) = needed(
        db,
        "Query",
        TableName="tab",
        IndexName="by_g",
        Select="COUNT",
        KeyConditionExpression="#g = :g",
        ExpressionAttributeNames={"#g": "g"},
        ExpressionAttributeValues={":g": {"S": "mine"}},
    )
    assert (action, resource) == ("dynamodb:Query", f"{arn}/index/by_g")
    assert context["dynamodb:LeadingKeys"] == ["mine"]
    assert context["dynamodb:Select"] == "COUNT"


def test_permissions_see_through_other_spellings(db: Bench) -> None:
    old = {
        "AttributesToGet": ["secret"],
        "KeyConditions": {
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "mine"}]}
        },
        "QueryFilter": {"v": {"ComparisonOperator": "NULL"}},
    }
    ((_, _, context),) = needed(db, "Query", TableName="tab", **old)
    assert context["dynamodb:LeadingKeys"] == ["mine"]
    assert context["dynamodb:Attributes"] == ["pk", "secret", "v"]
    db.call(tables.create_table, **{**PLAIN, **NUMBERED, "TableName": "numbered"})
    ((_, _, context),) = needed(db, "GetItem", TableName="numbered", Key={"id": {"N": "1.0e1"}})
    assert context["dynamodb:LeadingKeys"] == ["10"]
    for broken in ({}, {"N": "x"}, 5):
        ((_, _, context),) = needed(db, "GetItem", TableName="numbered", Key={"id": broken})
        assert context == {}


def test_permissions_of_many(db: Bench) -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/"
    key = {"id": {"S": "i"}}
    batch = {"tab": [{"PutRequest": {"Item": KEY}}], "plain": [{"DeleteRequest": {"Key": key}}]}
    found = needed(db, "BatchWriteItem", RequestItems=batch)
    assert [each[:2] for each in found] == [
        ("dynamodb:BatchWriteItem", arn + "tab"),
        ("dynamodb:BatchWriteItem", arn + "plain"),
    ]
    assert found[1][2]["dynamodb:LeadingKeys"] == ["i"]
    actions = [
        {"Put": {"TableName": "tab", "Item": KEY}},
        {"ConditionCheck": {"TableName": "plain", "Key": key, "ConditionExpression": "bad ("}},
    ]
    found = needed(db, "TransactWriteItems", TransactItems=actions)
    assert found[0][2]["dynamodb:EnclosingOperation"] == "TransactWriteItems"
    assert [each[:2] for each in found] == [
        ("dynamodb:PutItem", arn + "tab"),
        ("dynamodb:ConditionCheckItem", arn + "plain"),
    ]
    stream = arn_of(db)
    assert needed(db, "GetRecords", ShardIterator=iterator(db)) == [
        ("dynamodb:GetRecords", stream, {})
    ]
    assert needed(db, "ListTables") == [("dynamodb:ListTables", "*", {})]


def hours(db: Bench, count: float) -> None:
    db.clock.advance(count * 3600)
    asyncio.run(sweep.trim_streams(db.cloud))


def put(db: Bench, name: str) -> None:
    db.call(items.put_item, TableName="tab", Item={"pk": {"S": name}, "sk": {"N": "1"}})


def described(db: Bench, **params: Any) -> dict[str, Any]:
    output = db.call(iterators.describe_stream, StreamArn=arn_of(db), **params)
    description: dict[str, Any] = output["StreamDescription"]
    return description


def test_a_shard_closes_after_four_hours_and_a_child_goes_on(db: Bench) -> None:
    put(db, "a")
    put(db, "b")
    behind = iterator(db, "LATEST")
    hours(db, 3.9)
    assert len(described(db)["Shards"]) == 1
    hours(db, 0.2)
    put(db, "c")
    parent, child = described(db)["Shards"]
    assert parent["SequenceNumberRange"] == {
        "StartingSequenceNumber": streams.sequence(1),
        "EndingSequenceNumber": streams.sequence(2),
    }
    assert child["SequenceNumberRange"] == {"StartingSequenceNumber": streams.sequence(3)}
    assert "ParentShardId" not in parent and child["ParentShardId"] == parent["ShardId"]
    assert refused(read, db, behind).code == "ExpiredIteratorException"
    names = [[each["dynamodb"]["Keys"]["pk"]["S"] for each in read(db, at)[0]] for at in both(db)]
    assert names == [["a", "b"], ["c"]]
    assert read(db, both(db)[0])[1] is None and read(db, both(db)[1])[1] is not None
    assert read(db, iterator(db, "LATEST", shard=0)) == ([], None)
    after = iterator(db, "AFTER_SEQUENCE_NUMBER", shard=0, SequenceNumber=streams.sequence(2))
    assert read(db, after) == ([], None)
    far = {"SequenceNumber": streams.sequence(3)}
    error = refused(iterator, db, "AT_SEQUENCE_NUMBER", shard=0, **far)
    assert error.code == "ValidationException"


def both(db: Bench) -> list[str]:
    return [iterator(db, shard=shard) for shard in (0, 1)]


def test_shards_come_in_pages_and_by_their_parent(db: Bench) -> None:
    hours(db, 4)
    hours(db, 4)
    ids = [shard["ShardId"] for shard in described(db)["Shards"]]
    assert ids == sorted(ids) and len(ids) == 3 and all(len(each) <= 65 for each in ids)
    page = described(db, Limit=2)
    assert page["LastEvaluatedShardId"] == ids[1]
    rest = described(db, ExclusiveStartShardId=ids[1])
    assert "LastEvaluatedShardId" not in rest
    assert [shard["ShardId"] for shard in page["Shards"] + rest["Shards"]] == ids
    children = [
        [
            shard["ShardId"]
            for shard in described(db, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": each})[
                "Shards"
            ]
        ]
        for each in ids
    ]
    assert children == [[ids[1]], [ids[2]], []]
    ranges = [shard["SequenceNumberRange"] for shard in described(db)["Shards"]]
    assert ranges[0]["EndingSequenceNumber"] < ranges[1]["StartingSequenceNumber"]


def test_shards_go_a_day_after_they_closed(db: Bench) -> None:
    put(db, "a")
    first = shard_of(db, arn_of(db))
    for _ in range(6):
        hours(db, 4)
    assert [shard["ShardId"] for shard in described(db)["Shards"]].index(first) == 0
    hours(db, 4)
    hours(db, 0.1)
    shards = described(db)["Shards"]
    assert len(shards) == 7 and shards[0]["ParentShardId"] == first
    known = {"StreamArn": arn_of(db), "ShardId": first, "ShardIteratorType": "LATEST"}
    assert refused(db.call, iterators.get_shard_iterator, **known).code == (
        "ResourceNotFoundException"
    )
    found = Source().shards(db.database.view(), arn_of(db))
    assert [each.parents for each in found[1:]] == [(each.id,) for each in found[:-1]]
    stream = {"StreamEnabled": False}
    old = arn_of(db)
    db.call(tables.update_table, TableName="tab", StreamSpecification=stream)
    hours(db, 25)
    assert refused(db.call, iterators.describe_stream, StreamArn=old).code == (
        "ResourceNotFoundException"
    )


def test_surprises_of_iterators(db: Bench) -> None:
    """dynamodb-050."""
    assert iterator(db).startswith(f"{arn_of(db)}|1|")
    error = refused(iterator, db, "LATEST", SequenceNumber=streams.sequence(1))
    assert error.code == "ValidationException"
    error = refused(db.call, iterators.list_streams, ExclusiveStartStreamArn="nonsense")
    assert error.message.startswith("Invalid StreamArn")


def test_streams_of_older_stores_get_their_shard(db: Bench) -> None:
    put(db, "a")
    before = described(db)["Shards"]
    db.database.write_now(lambda tx: tx.run("DELETE FROM dynamodb_shards"))
    db.database.prepare(SCHEMA)
    assert described(db)["Shards"] == before
