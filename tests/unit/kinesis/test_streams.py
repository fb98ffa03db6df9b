"""Streams, their settings and what names them."""

import asyncio
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.kinesis import consumers, encryption, permissions, resources, streams, writing
from tests.harness import ROOT, Bench
from tests.unit.kinesis.conftest import Streams


def summary(bench: Bench, **params: Any) -> dict[str, Any]:
    found = bench.call(streams.describe_stream_summary, **params or {"StreamName": "s"})
    return dict(found["StreamDescriptionSummary"])


def test_a_new_stream_and_its_three_names(kinesis: Streams, bench: Bench) -> None:
    arn = kinesis.make(2, Tags={"a": "b"})
    found = summary(bench)
    assert found["StreamARN"] == arn == "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    assert (found["StreamStatus"], found["OpenShardCount"]) == ("ACTIVE", 2)
    assert found["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert summary(bench, StreamARN=arn) == summary(bench, StreamId=found["StreamId"]) == found
    with pytest.raises(AwsError) as refused:
        kinesis.make()
    assert refused.value.code == "ResourceInUseException"
    for wrong, code in (
        ({}, "InvalidArgumentException"),
        ({"StreamName": "other"}, "ResourceNotFoundException"),
        ({"StreamName": "other", "StreamARN": arn}, "ResourceNotFoundException"),
    ):
        with pytest.raises(AwsError) as refused:
            bench.call(streams.describe_stream, **wrong)
        assert refused.value.code == code


def test_describe_stream_in_pages(kinesis: Streams, bench: Bench) -> None:
    kinesis.make(3)
    found = bench.call(streams.describe_stream, StreamName="s", Limit=2)["StreamDescription"]
    assert found["HasMoreShards"] and [s["ShardId"][-1] for s in found["Shards"]] == ["0", "1"]
    start = found["Shards"][-1]["ShardId"]
    rest = bench.call(streams.describe_stream, StreamName="s", ExclusiveStartShardId=start)
    assert [s["ShardId"][-1] for s in rest["StreamDescription"]["Shards"]] == ["2"]
    keys = [int(s["HashKeyRange"]["StartingHashKey"]) for s in found["Shards"]]
    assert keys == [0, 113427455640312821154458202477256070485]  # as AWS divides


def test_list_streams_in_pages(kinesis: Streams, bench: Bench) -> None:
    for name in "abc":
        kinesis.make(name=name)
    first = bench.call(streams.list_streams, Limit=2)
    assert first["StreamNames"] == ["a", "b"] and first["HasMoreStreams"]
    rest = bench.call(streams.list_streams, NextToken=first["NextToken"])
    assert rest["StreamNames"] == ["c"] and not rest["HasMoreStreams"]


def test_retention(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    more, less = (
        streams.increase_stream_retention_period,
        streams.decrease_stream_retention_period,
    )
    bench.call(more, StreamName="s", RetentionPeriodHours=48)
    assert summary(bench)["RetentionPeriodHours"] == 48
    for operation, hours in ((more, 24), (less, 72), (less, 23), (more, 8761)):
        with pytest.raises(AwsError) as refused:
            bench.call(operation, StreamName="s", RetentionPeriodHours=hours)
        assert refused.value.code == "InvalidArgumentException"
    bench.call(less, StreamName="s", RetentionPeriodHours=24)
    assert summary(bench)["RetentionPeriodHours"] == 24


def test_modes(kinesis: Streams, bench: Bench) -> None:
    arn = bench.config.arn("kinesis", "stream/s")
    mode = {"StreamMode": "ON_DEMAND"}
    bench.call(streams.create_stream, StreamName="s", StreamModeDetails=mode)
    assert summary(bench)["OpenShardCount"] == 4
    with pytest.raises(AwsError) as refused:
        kinesis.make(2, "t", StreamModeDetails=mode)
    assert refused.value.code == "ValidationException"
    assert bench.call(streams.describe_limits)["OnDemandStreamCount"] == 1
    provisioned = {"StreamMode": "PROVISIONED"}
    bench.call(streams.update_stream_mode, StreamARN=arn, StreamModeDetails=provisioned)
    assert summary(bench)["StreamModeDetails"] == provisioned
    assert bench.call(streams.describe_limits)["OpenShardCount"] == 4


def test_what_is_not_there_is_refused(kinesis: Streams, bench: Bench) -> None:
    for option in ({"WarmThroughputMiBps": 5}, {"RecordDistributionStrategy": "AUTO"}):
        with pytest.raises(NotImplementedByCloudlet):
            bench.call(streams.create_stream, StreamName="s", **option)


def test_too_many_shards(kinesis: Streams) -> None:
    with pytest.raises(AwsError, match="for the account: 0"):
        kinesis.make(20_001)


def test_monitoring_of_shards(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    on, off = streams.enable_enhanced_monitoring, streams.disable_enhanced_monitoring
    made = bench.call(on, StreamName="s", ShardLevelMetrics=["IncomingBytes"])
    assert made["CurrentShardLevelMetrics"] == []
    assert made["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    assert len(bench.call(on, StreamName="s", ShardLevelMetrics=["ALL"])
               ["DesiredShardLevelMetrics"]) == 7  # fmt: skip
    left = bench.call(off, StreamName="s", ShardLevelMetrics=["ALL"])
    assert left["DesiredShardLevelMetrics"] == []


def test_tags(kinesis: Streams, bench: Bench) -> None:
    arn = kinesis.make(Tags={"a": "1"})
    bench.call(resources.add_tags_to_stream, StreamName="s", Tags={"b": "2"})
    bench.call(resources.tag_resource, ResourceARN=arn, Tags={"c": "3"})
    page = bench.call(resources.list_tags_for_stream, StreamName="s", Limit=2)
    assert page == {
        "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
        "HasMoreTags": True,
    }
    rest = bench.call(resources.list_tags_for_stream, StreamName="s", ExclusiveStartTagKey="b")
    assert rest["Tags"] == [{"Key": "c", "Value": "3"}]
    bench.call(resources.remove_tags_from_stream, StreamName="s", TagKeys=["a"])
    bench.call(resources.untag_resource, ResourceARN=arn, TagKeys=["b"])
    left = bench.call(resources.list_tags_for_resource, ResourceARN=arn)
    assert left["Tags"] == rest["Tags"]
    with pytest.raises(AwsError, match="more than 50 tags"):
        bench.call(resources.tag_resource, ResourceARN=arn, Tags={str(n): "" for n in range(50)})


def test_consumers(kinesis: Streams, bench: Bench) -> None:
    arn = kinesis.make()
    register = consumers.register_stream_consumer
    made = bench.call(register, StreamARN=arn, ConsumerName="c", Tags={"a": "b"})["Consumer"]
    assert made["ConsumerARN"] == f"{arn}/consumer/c:{bench.clock.now_ms // 1000}"
    tags = bench.call(resources.list_tags_for_resource, ResourceARN=made["ConsumerARN"])
    assert tags["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(AwsError) as refused:
        bench.call(register, StreamARN=arn, ConsumerName="c")
    assert refused.value.code == "ResourceInUseException"
    for number in range(19):
        bench.call(register, StreamARN=arn, ConsumerName=f"n{number:02}")
    with pytest.raises(AwsError) as refused:
        bench.call(register, StreamARN=arn, ConsumerName="too many")
    assert refused.value.code == "LimitExceededException"
    listing = consumers.list_stream_consumers
    page = bench.call(listing, StreamARN=arn, MaxResults=15)
    rest = bench.call(listing, StreamARN=arn, NextToken=page["NextToken"])
    assert [c["ConsumerName"] for c in page["Consumers"] + rest["Consumers"]] == [
        "c", *(f"n{number:02}" for number in range(19)),
    ]  # fmt: skip
    bench.clock.advance(301)
    with pytest.raises(AwsError) as refused:
        bench.call(listing, StreamARN=arn, NextToken=page["NextToken"])
    assert refused.value.code == "ExpiredNextTokenException"
    describe = consumers.describe_stream_consumer
    found = bench.call(describe, StreamARN=arn, ConsumerName="c")["ConsumerDescription"]
    assert found == {**made, "StreamARN": arn}
    with pytest.raises(AwsError) as refused:
        bench.call(streams.delete_stream, StreamName="s")
    assert refused.value.code == "ResourceInUseException"
    bench.call(consumers.deregister_stream_consumer, ConsumerARN=made["ConsumerARN"])
    with pytest.raises(AwsError) as refused:
        bench.call(describe, ConsumerARN=made["ConsumerARN"])
    assert refused.value.code == "ResourceNotFoundException"
    with pytest.raises(AwsError) as refused:
        bench.call(describe, StreamARN=arn)
    assert refused.value.code == "InvalidArgumentException"
    bench.call(streams.delete_stream, StreamName="s", EnforceConsumerDeletion=True)


def test_policies(kinesis: Streams, bench: Bench) -> None:
    arn = kinesis.make()
    text = '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}]}'
    with pytest.raises(AwsError, match="not a valid policy"):
        bench.call(resources.put_resource_policy, ResourceARN=arn, Policy="[]")
    bench.call(resources.put_resource_policy, ResourceARN=arn, Policy=text)
    assert bench.call(resources.get_resource_policy, ResourceARN=arn) == {"Policy": text}
    bench.call(resources.delete_resource_policy, ResourceARN=arn)
    with pytest.raises(AwsError) as refused:
        bench.call(resources.get_resource_policy, ResourceARN=arn)
    assert refused.value.code == "ResourceNotFoundException"


def test_encryption_seals_what_is_stored(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    kinesis.put(b"plain text")
    start = {"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    bench.call(encryption.start_stream_encryption, **start)
    assert kinesis.put(b"secret text")["EncryptionType"] == "KMS"
    found = kinesis.get(kinesis.iterator())["Records"]
    assert [r["Data"] for r in found] == [b"plain text", b"secret text"]
    assert [r.get("EncryptionType") for r in found] == [None, "KMS"]
    stored = bench.database.view().all("SELECT data FROM kinesis_records ORDER BY id")
    assert [row["data"] == b"plain text" for row in stored] == [True, False]
    assert b"secret" not in stored[1]["data"]
    assert summary(bench)["KeyId"] == "alias/aws/kinesis"
    with pytest.raises(NotImplementedByCloudlet):
        bench.call(encryption.start_stream_encryption, **{**start, "KeyId": "alias/mine"})
    bench.call(encryption.stop_stream_encryption, **start)
    kinesis.put(b"plain again")
    assert kinesis.read() == [b"plain text", b"secret text", b"plain again"]


def test_a_deleted_stream_leaves_nothing(kinesis: Streams, bench: Bench) -> None:
    kinesis.make(2)
    for number in range(5):
        kinesis.put(b"x", str(number))
    iterator = kinesis.iterator()
    bench.call(streams.delete_stream, StreamName="s")
    kinesis.make()
    assert kinesis.read() == []
    with pytest.raises(AwsError):
        kinesis.get(iterator)
    asyncio.run(kinesis.state.sweep())
    counts = [
        bench.database.view().value(f"SELECT count(*) FROM kinesis_{table}")
        for table in ("records", "shards", "streams")
    ]
    assert counts == [0, 1, 1]


@pytest.mark.parametrize(
    ("operation", "params", "resource"),
    [
        ("PutRecord", {"StreamName": "s"}, "stream/s"),
        ("PutRecord", {"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}, "stream/s"),
        ("ListStreams", {"NextToken": "a"}, ""),
        ("DescribeLimits", {}, ""),
        ("SubscribeToShard", {"ConsumerARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s/"
                              "consumer/c:1"}, "stream/s/consumer/c:1"),
    ],
)  # fmt: skip
def test_permissions(
    kinesis: Streams, bench: Bench, operation: str, params: dict[str, Any], resource: str
) -> None:
    request = Request("POST", "/", "", {}, Body.of(b""))
    call = Call(bench.cloud, "kinesis", operation, params, ROOT, request)
    (needed,) = permissions.requirements(call)
    expected = bench.config.arn("kinesis", resource) if resource else "*"
    assert (needed.action, needed.resource) == (f"kinesis:{operation}", expected)


def test_dry_runs_change_nothing(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    with pytest.raises(AwsError) as refused:
        kinesis.put(b"x", DryRun=True)
    assert refused.value.code == "DryRunOperationException"
    with pytest.raises(AwsError) as refused:
        bench.call(writing.put_record, StreamName="t", Data=b"", PartitionKey="k", DryRun=True)
    assert refused.value.code == "ResourceNotFoundException"
    assert kinesis.read() == []
