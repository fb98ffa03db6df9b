"""Kinesis data streams as boto3 sees them, and what reaches a stream from other services."""

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cloudlet.wire import cbor_codec
from tests.conformance.building import REGION, allow, arn, eventually, policy
from tests.conformance.test_accounts import Account
from tests.server import Server

FIRST = "shardId-000000000000"


@pytest.fixture
def stream(server: Server, names: Iterator[str]) -> str:
    name = next(names)
    server.client("kinesis").create_stream(StreamName=name, ShardCount=1)
    return name


def records(server: Server, stream: str, shard: str = FIRST) -> list[dict[str, Any]]:
    client = server.client("kinesis")
    place = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(**place)["ShardIterator"]
    found: list[dict[str, Any]] = client.get_records(ShardIterator=iterator)["Records"]
    return found


def soon(server: Server, stream: str, count: int) -> list[dict[str, Any]]:
    """The records, once there are so many; not more than five looks a second."""

    def probe() -> list[dict[str, Any]]:
        found = records(server, stream)
        if len(found) < count:
            time.sleep(0.25)
        return found if len(found) >= count else []

    return eventually(probe)


def test_a_stream_from_its_creation_to_its_end(server: Server, stream: str) -> None:
    client = server.client("kinesis")
    client.get_waiter("stream_exists").wait(StreamName=stream)
    put = client.put_record(StreamName=stream, Data=b"\x00one", PartitionKey="k")
    batch = [{"Data": b"%d" % number, "PartitionKey": "k"} for number in range(3)]
    answer = client.put_records(StreamName=stream, Records=batch)
    assert answer["FailedRecordCount"] == 0
    found = records(server, stream)
    assert [each["Data"] for each in found] == [b"\x00one", b"0", b"1", b"2"]
    assert found[0]["SequenceNumber"] == put["SequenceNumber"]
    assert abs(found[0]["ApproximateArrivalTimestamp"].timestamp() - time.time()) < 60
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.create_stream(StreamName=stream)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_record(StreamName="absent", Data=b"", PartitionKey="k")
    with pytest.raises(ClientError) as refused:
        client.put_record(StreamName=stream, Data=b"", PartitionKey="k" * 257)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.get_records(ShardIterator="x" * 20)
    client.delete_stream(StreamName=stream)
    assert stream not in client.list_streams()["StreamNames"]


def test_reads_are_limited(server: Server, stream: str) -> None:
    client = server.client("kinesis", config=Config(retries={"total_max_attempts": 1}))
    place = {"StreamName": stream, "ShardId": FIRST, "ShardIteratorType": "LATEST"}
    iterator = client.get_shard_iterator(**place)["ShardIterator"]
    with pytest.raises(client.exceptions.ProvisionedThroughputExceededException):
        for _ in range(1000):
            client.get_records(ShardIterator=iterator)


def consumer(server: Server, stream: str) -> str:
    made = server.client("kinesis").register_stream_consumer(
        StreamARN=arn("kinesis", f"stream/{stream}"), ConsumerName="c"
    )
    return str(made["Consumer"]["ConsumerARN"])


def subscribe(server: Server, consumer_arn: str, kind: str = "LATEST") -> Iterator[dict[str, Any]]:
    answer = server.client("kinesis").subscribe_to_shard(
        ConsumerARN=consumer_arn, ShardId=FIRST, StartingPosition={"Type": kind}
    )
    return (event["SubscribeToShardEvent"] for event in answer["EventStream"])


def test_enhanced_fan_out(server: Server, stream: str) -> None:
    """Records are pushed as they come, and at the end of the shard its children are told."""
    client = server.client("kinesis")
    events = subscribe(server, consumer(server, stream))
    first = next(events)
    assert first["Records"] == [] and first["MillisBehindLatest"] == 0
    for number in range(5):
        put = client.put_record(StreamName=stream, Data=b"%d" % number, PartitionKey="k")
        event = next(each for each in events if each["Records"])
        assert [each["Data"] for each in event["Records"]] == [b"%d" % number]
        assert event["ContinuationSequenceNumber"] == put["SequenceNumber"]
    client.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey="1000")
    last = next(each for each in events if each.get("ChildShards"))
    assert [child["ParentShards"] for child in last["ChildShards"]] == [[FIRST]] * 2
    assert next(events, None) is None


def test_one_subscription_of_a_consumer_and_shard(server: Server, stream: str) -> None:
    client, consumer_arn = server.client("kinesis"), consumer(server, stream)
    client.put_record(StreamName=stream, Data=b"1", PartitionKey="k")
    events = subscribe(server, consumer_arn, "TRIM_HORIZON")
    assert [each["Data"] for each in next(events)["Records"]] == [b"1"]
    with pytest.raises(client.exceptions.ResourceInUseException):
        subscribe(server, consumer_arn)
    client.deregister_stream_consumer(ConsumerARN=consumer_arn)
    client.put_record(StreamName=stream, Data=b"2", PartitionKey="k")
    with pytest.raises(ClientError) as ended:
        list(events)
    assert "ResourceNotFoundException" in str(ended.value)


def test_cbor(server: Server, stream: str) -> None:
    """As Java clients speak: blobs as they are, dates in milliseconds."""

    def call(name: str, **params: Any) -> Any:
        headers = {
            "Content-Type": "application/x-amz-cbor-1.1",
            "X-Amz-Target": f"Kinesis_20131202.{name}",
        }
        body = cbor_codec.dumps(params)
        request = AWSRequest("POST", server.endpoint + "/", headers=headers, data=body)
        key = server.root_key
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        SigV4Auth(credentials, "kinesis", REGION).add_auth(request)
        answer = server.http.request(
            "POST", request.url, body=body, headers=dict(request.headers.items())
        )
        assert answer.headers["content-type"] == headers["Content-Type"]
        return cbor_codec.loads(answer.data, 1000)

    put = call("PutRecord", StreamName=stream, Data=b"\xff\x00", PartitionKey="k")
    then = cbor_codec.Millis((time.time() - 60) * 1000)
    place = {"StreamName": stream, "ShardId": FIRST, "ShardIteratorType": "AT_TIMESTAMP"}
    iterator = call("GetShardIterator", Timestamp=then, **place)["ShardIterator"]
    (record,) = call("GetRecords", ShardIterator=iterator)["Records"]
    assert record["Data"] == b"\xff\x00"
    assert record["SequenceNumber"] == put["SequenceNumber"]
    assert abs(record["ApproximateArrivalTimestamp"] - time.time()) < 60
    error = call("DescribeStream", StreamName="absent")
    assert error["__type"] == "ResourceNotFoundException" and "absent" in error["message"]


def test_permissions_here_and_from_elsewhere(server: Server, stream: str) -> None:
    """Another account needs the stream's policy and its own user's; a service, the former."""
    key = server.root_key
    own = Account(server, "000000000000", key["AccessKeyId"], key["SecretAccessKey"])
    stream_arn = arn("kinesis", f"stream/{stream}")
    reader = own.user(f"{stream}-reader", allow("kinesis:Get*", stream_arn)).client("kinesis")
    with pytest.raises(ClientError) as refused:
        reader.put_record(StreamName=stream, Data=b"", PartitionKey="k")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    place = {"StreamName": stream, "ShardId": FIRST, "ShardIteratorType": "LATEST"}
    reader.get_records(ShardIterator=reader.get_shard_iterator(**place)["ShardIterator"])

    other = Account.made(server, stream)
    user = other.user("u", allow("kinesis:*", stream_arn)).client("kinesis")
    put = {"StreamARN": stream_arn, "Data": b"from elsewhere", "PartitionKey": "k"}
    with pytest.raises(ClientError) as refused:
        user.put_record(**put)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    statement = {**allow("kinesis:PutRecord", stream_arn), "Principal": {"AWS": other.id}}
    server.client("kinesis").put_resource_policy(ResourceARN=stream_arn, Policy=policy(statement))
    user.put_record(**put)
    assert [each["Data"] for each in records(server, stream)] == [b"from elsewhere"]
    with pytest.raises(ClientError):
        user.describe_stream(StreamARN=stream_arn)


def make_writer(server: Server, name: str, service: str) -> str:
    """A role that the service writes into streams with."""
    iam = server.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
    allowed = policy(allow("kinesis:PutRecord"))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=allowed)
    return str(made["Role"]["Arn"])


def test_log_lines_go_into_a_stream(server: Server, stream: str) -> None:
    """After a message with which Logs tries the stream."""
    logs, group = server.client("logs"), f"/{stream}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    subscription = {
        "logGroupName": group, "filterName": "f", "filterPattern": "ERROR",
        "destinationArn": arn("kinesis", f"stream/{stream}"),
    }  # fmt: skip
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_subscription_filter(**subscription)
    role = make_writer(server, f"{stream}-logs", "events.amazonaws.com")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="test message"):
        logs.put_subscription_filter(roleArn=role, **subscription)
    role = make_writer(server, f"{stream}-logs2", "logs.amazonaws.com")
    logs.put_subscription_filter(roleArn=role, **subscription)
    now_ms = int(time.time() * 1000)
    lines = [{"timestamp": now_ms, "message": text} for text in ("fine", "ERROR 1", "ERROR 2")]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=lines)
    control, data = (json.loads(gzip.decompress(each["Data"])) for each in soon(server, stream, 2))
    assert control["messageType"] == "CONTROL_MESSAGE"
    assert (data["messageType"], data["logGroup"], data["logStream"]) == (
        "DATA_MESSAGE", group, "s",
    )  # fmt: skip
    assert [event["message"] for event in data["logEvents"]] == ["ERROR 1", "ERROR 2"]


def test_a_rest_api_in_front_of_a_stream(server: Server, stream: str) -> None:
    apis = server.client("apigateway")
    api = apis.create_rest_api(name=stream)["id"]
    root = apis.get_resources(restApiId=api)["items"][0]["id"]
    method = {"restApiId": api, "resourceId": root, "httpMethod": "POST"}
    apis.put_method(**method, authorizationType="NONE")
    template = {
        "StreamName": stream,
        "Data": "$util.base64Encode($input.json('$.reading'))",
        "PartitionKey": "$input.path('$.machine')",
    }
    apis.put_integration(
        **method, type="AWS", integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:kinesis:action/PutRecord",
        credentials=make_writer(server, f"{stream}-api", "apigateway.amazonaws.com"),
        requestTemplates={"application/json": json.dumps(template)},
    )  # fmt: skip
    apis.put_method_response(**method, statusCode="200")
    apis.put_integration_response(**method, statusCode="200")
    apis.create_deployment(restApiId=api, stageName="dev")
    answer = server.http.request(
        "POST", f"{server.endpoint}/_aws/execute-api/{api}/dev/",
        body=json.dumps({"machine": "m1", "reading": {"t": 5}}),
        headers={"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status == 200 and answer.json()["ShardId"] == FIRST
    (record,) = records(server, stream)
    assert json.loads(record["Data"]) == {"t": 5} and record["PartitionKey"] == "m1"


def test_metrics(server: Server, stream: str) -> None:
    client, cloudwatch = server.client("kinesis"), server.client("cloudwatch")
    client.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    client.put_record(StreamName=stream, Data=b"12345", PartitionKey="k")
    records(server, stream)
    own = {"Namespace": "AWS/Kinesis", "Dimensions": [{"Name": "StreamName", "Value": stream}]}

    def measured() -> set[str]:
        found = cloudwatch.list_metrics(**own)["Metrics"]
        return {
            " ".join([each["MetricName"], *(d["Value"] for d in each["Dimensions"][:-1])])
            for each in found
        }

    wanted = {
        "IncomingBytes", "IncomingRecords", "PutRecord.Success", "GetRecords.Bytes",
        "GetRecords.IteratorAgeMilliseconds",
    }  # fmt: skip
    wanted.add(f"IncomingBytes {FIRST}")
    eventually(lambda: wanted <= measured())


def test_writers_side_by_side(server: Server, stream: str) -> None:
    """Each writer's records keep their order, and all are there."""
    client = server.client("kinesis")

    def write(writer: int) -> None:
        for number in range(25):
            data = b"%d" % number
            client.put_record(StreamName=stream, Data=data, PartitionKey=str(writer))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    by_writer: dict[str, list[int]] = {}
    for record in records(server, stream):
        by_writer.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
    assert by_writer == {str(writer): list(range(25)) for writer in range(8)}


TEMPLATE = """
Parameters: {Shards: {Type: Number, Default: 2}}
Resources:
  Stream:
    Type: AWS::Kinesis::Stream
    Properties:
      ShardCount: !Ref Shards
      RetentionPeriodHours: 48
      StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}
      DesiredShardLevelMetrics: [IncomingBytes]
      Tags: [{Key: team, Value: web}]
  Consumer:
    Type: AWS::Kinesis::StreamConsumer
    Properties: {StreamARN: !GetAtt Stream.Arn, ConsumerName: c}
  Policy:
    Type: AWS::Kinesis::ResourcePolicy
    Properties:
      ResourceArn: !GetAtt Stream.Arn
      ResourcePolicy:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: "*", Action: "kinesis:PutRecord", Resource: "*"}
Outputs:
  Stream: {Value: !Ref Stream}
  Arn: {Value: !GetAtt Stream.Arn}
  Consumer: {Value: !Ref Consumer}
  Name: {Value: !GetAtt Consumer.ConsumerName}
"""


TABLE = """
Resources:
  Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{AttributeName: k, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: k, AttributeType: S}]
      BillingMode: PAY_PER_REQUEST
      KinesisStreamSpecification: {StreamArn: !GetAtt Stream.Arn}
Outputs:
  Stream: {Value: !Ref Stream}
  Table: {Value: !Ref Table}
"""


def test_a_tables_changes_go_into_a_stream(server: Server, names: Iterator[str]) -> None:
    stacks, table, name = server.client("cloudformation"), server.client("dynamodb"), next(names)
    stacks.create_stack(StackName=name, TemplateBody=TABLE)
    waits = {"Delay": 0.2, "MaxAttempts": 450}
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=waits)
    (described,) = stacks.describe_stacks(StackName=name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    for number in range(3):
        item = {"k": {"S": "one"}, "n": {"N": str(number)}}
        table.put_item(TableName=outputs["Table"], Item=item)
    told = [json.loads(each["Data"]) for each in soon(server, outputs["Stream"], 3)]
    assert [each["eventName"] for each in told] == ["INSERT", "MODIFY", "MODIFY"]
    assert [each["dynamodb"]["NewImage"]["n"]["N"] for each in told] == ["0", "1", "2"]
    without = TABLE.replace("KinesisStreamSpecification: {StreamArn: !GetAtt Stream.Arn}", "")
    stacks.update_stack(StackName=name, TemplateBody=without)
    stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=waits)
    found = table.describe_kinesis_streaming_destination(TableName=outputs["Table"])
    assert found["KinesisDataStreamDestinations"] == []
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=waits)


def test_a_stream_from_a_template(server: Server, names: Iterator[str]) -> None:
    stacks, kinesis, name = server.client("cloudformation"), server.client("kinesis"), next(names)
    waits = {"Delay": 0.2, "MaxAttempts": 450}
    stacks.create_stack(StackName=name, TemplateBody=TEMPLATE)
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=waits)
    (described,) = stacks.describe_stacks(StackName=name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    stream = outputs["Stream"]
    assert outputs["Arn"] == arn("kinesis", f"stream/{stream}")
    assert outputs["Consumer"].startswith(f"{outputs['Arn']}/consumer/c:")
    assert outputs["Name"] == "c"

    def summary() -> tuple[Any, ...]:
        found = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        members = ("OpenShardCount", "RetentionPeriodHours", "EncryptionType", "ConsumerCount")
        return tuple(found[member] for member in members)

    assert summary() == (2, 48, "KMS", 1)
    assert "PutRecord" in kinesis.get_resource_policy(ResourceARN=outputs["Arn"])["Policy"]
    tags = kinesis.list_tags_for_stream(StreamName=stream)["Tags"]
    assert {"Key": "team", "Value": "web"} in tags
    changed = TEMPLATE.replace("48", "24")
    changed = changed.replace(
        "StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}", ""
    )
    shards = [{"ParameterKey": "Shards", "ParameterValue": "3"}]
    stacks.update_stack(StackName=name, TemplateBody=changed, Parameters=shards)
    stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=waits)
    assert summary() == (3, 24, "NONE", 1)
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=waits)
    assert stream not in kinesis.list_streams()["StreamNames"]
