"""Queues before functions, FIFO queues and event buses, by real clients."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import (
    ACCOUNT,
    allow,
    arn,
    eventually,
    make_function,
    make_queue,
    make_role,
    message,
)
from tests.server import Server

POLLING = allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"])
FAILS = "def handler(event, context): raise ValueError('never')"
KEEPS_BAD = """
def handler(event, context):
    bad = [each["messageId"] for each in event["Records"] if each["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""
SENDS_AGAIN = """
import boto3, os
sqs = boto3.client("sqs")
def handler(event, context):
    for record in event["Records"]:
        sqs.send_message(QueueUrl=os.environ["URL"], MessageBody=str(int(record["body"]) + 1))
"""
ORDERED = """
import boto3, os
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
def handler(event, context):
    for record in event["Records"]:
        group = record["attributes"]["MessageGroupId"]
        table.update_item(Key={"k": group}, UpdateExpression="SET seen = list_append(seen, :one)",
                          ExpressionAttributeValues={":one": [record["body"]]})
"""


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


def with_grave(server: Server, name: str, tries: int) -> tuple[str, str, str]:
    """URL and ARN of a queue, and its dead-letter queue's URL."""
    grave, grave_arn = make_queue(server, f"{name}-dead")
    url, queue = make_queue(server, name)
    policy = json.dumps({"deadLetterTargetArn": grave_arn, "maxReceiveCount": tries})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "5"}
    server.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url, queue, grave


def warm(server: Server, name: str) -> None:
    """The first start may take longer than messages are hidden."""
    server.client("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')


def map_queue(server: Server, name: str, queue: str, **settings: Any) -> dict[str, Any]:
    made: dict[str, Any] = server.client("lambda").create_event_source_mapping(
        FunctionName=name, EventSourceArn=queue, **settings
    )
    return made


def refusal(server: Server, name: str, queue: str, **settings: Any) -> str:
    with pytest.raises(ClientError) as refused:
        map_queue(server, name, queue, **settings)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
    return str(refused.value.response["Error"]["Message"])


def test_what_a_mapping_asks_for(server: Server, name: str) -> None:
    url, queue = make_queue(server, name)
    reading = allow(["sqs:ReceiveMessage", "sqs:GetQueueAttributes"], queue)
    make_function(server, name, FAILS, reading, Timeout=20)
    server.client("sqs").send_message(QueueUrl=url, MessageBody="untouched")
    told = "The provided execution role does not have permissions to call DeleteMessage on SQS"
    assert refusal(server, name, queue) == told
    role = make_role(server, f"{name}-more", POLLING)
    server.client("lambda").update_function_configuration(FunctionName=name, Role=role)
    assert "NonExistentQueue" in refusal(server, name, f"{queue}-none")
    assert "batch window" in refusal(server, name, queue, BatchSize=11)
    assert "StartingPosition" in refusal(server, name, queue, StartingPosition="LATEST")
    short = {"VisibilityTimeout": "19"}
    server.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=short)
    assert refusal(server, name, queue) == (
        "Queue visibility timeout: 19 seconds is less than Function timeout: 20 seconds"
    )
    got = message(server, url)  # none of the trials received it
    assert got["Body"] == "untouched"


def test_what_fails_lands_in_the_dead_letter_queue(server: Server, name: str) -> None:
    url, queue, grave = with_grave(server, name, 2)
    make_function(server, name, KEEPS_BAD, POLLING, Timeout=5)
    warm(server, name)
    made = map_queue(server, name, queue, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert made["BatchSize"] == 10 and "StartingPosition" not in made
    sqs = server.client("sqs")
    for body in ("good", "bad", "fine"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert message(server, grave)["Body"] == "bad"

    def counts() -> list[str]:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return [found[f"ApproximateNumberOfMessages{each}"] for each in ("", "NotVisible")]

    eventually(lambda: counts() == ["0", "0"])
    client = server.client("lambda")
    client.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    sqs.send_message(QueueUrl=url, MessageBody="bad")
    assert message(server, url)["Body"] == "bad"  # nobody else took it
    client.delete_event_source_mapping(UUID=made["UUID"])


def test_a_loop_through_a_queue_is_stopped(server: Server, name: str) -> None:
    url, queue, grave = with_grave(server, name, 1)
    sending = allow("sqs:SendMessage", queue)
    variables = {"Environment": {"Variables": {"URL": url}}}
    make_function(server, name, SENDS_AGAIN, POLLING, sending, Timeout=5, **variables)
    warm(server, name)
    map_queue(server, name, queue)
    server.client("sqs").send_message(QueueUrl=url, MessageBody="0")
    assert message(server, grave)["Body"] == "16"


def test_groups_reach_a_function_in_order(server: Server, name: str) -> None:
    sqs, dynamodb = server.client("sqs"), server.client("dynamodb")
    dynamodb.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    )  # fmt: skip
    for group in "ab":
        dynamodb.put_item(TableName=name, Item={"k": {"S": group}, "seen": {"L": []}})
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
    variables = {"Environment": {"Variables": {"TABLE": name}}}
    make_function(server, name, ORDERED, POLLING, allow("dynamodb:UpdateItem"), **variables)
    wanted = [f"{group}{number}" for number in range(15) for group in "ab"]
    for body in wanted:
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])
    map_queue(server, name, arn("sqs", f"{name}.fifo"), BatchSize=3)

    def seen() -> list[list[str]]:
        items = [dynamodb.get_item(TableName=name, Key={"k": {"S": each}}) for each in "ab"]
        return [[each["S"] for each in item["Item"]["seen"]["L"]] for item in items]

    in_order = [[each for each in wanted if each[0] == group] for group in "ab"]
    eventually(lambda: sum(map(len, seen())) >= len(wanted))
    assert seen() == in_order


def test_dead_letters_are_moved_back(server: Server, name: str) -> None:
    url, _, grave = with_grave(server, name, 1)
    sqs = server.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="once")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    source = arn("sqs", f"{name}-dead")
    sqs.start_message_move_task(SourceArn=source)
    assert message(server, url)["Body"] == "once"

    def task() -> Any:
        return sqs.list_message_move_tasks(SourceArn=source)["Results"][0]

    eventually(lambda: task()["Status"] == "COMPLETED")
    assert task()["ApproximateNumberOfMessagesMoved"] == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=grave)


SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Most: {Type: Number, Default: 2}, Kind: {Type: String, Default: order}}
Resources:
  Jobs: {Type: AWS::SQS::Queue}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "${AWS::StackName}-bus"}}
  Others:
    Type: AWS::Events::EventBusPolicy
    Properties:
      EventBusName: !Ref Bus
      StatementId: others
      Statement:
        Effect: Allow
        Principal: {AWS: !Ref AWS::AccountId}
        Action: events:PutEvents
        Resource: !GetAtt Bus.Arn
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: "def handler(event, context): print(event)"
      Events:
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 100
            MaximumBatchingWindowInSeconds: 1
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: {Filters: [{Pattern: '{"body": {"n": [1]}}'}]}
            ScalingConfig: {MaximumConcurrency: !Ref Most}
        Order:
          Type: EventBridgeRule
          Properties: {EventBusName: !Ref Bus, Pattern: {detail-type: [!Ref Kind]}}
Outputs:
  Name: {Value: !Ref Worker}
"""


def test_all_of_it_from_a_template(server: Server, name: str) -> None:
    stacks, client = server.client("cloudformation"), server.client("lambda")
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    stacks.create_stack(StackName=name, TemplateBody=SAM, Capabilities=capabilities)

    def done(status: str) -> dict[str, Any]:
        found = stacks.describe_stacks(StackName=name)["Stacks"][0]
        return found if found["StackStatus"] == status else {}

    outputs = eventually(lambda: done("CREATE_COMPLETE"), 60)["Outputs"]
    function = outputs[0]["OutputValue"]
    (made,) = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert made["ScalingConfig"] == {"MaximumConcurrency": 2} and made["BatchSize"] == 100
    described = server.client("events").describe_event_bus(Name=f"{name}-bus")
    assert json.loads(described["Policy"])["Statement"][0]["Sid"] == "others"
    parameters = [{"ParameterKey": "Most", "ParameterValue": "7"}]
    stacks.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=parameters,
                        Capabilities=capabilities)  # fmt: skip
    eventually(lambda: done("UPDATE_COMPLETE"))
    (changed,) = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert changed["UUID"] == made["UUID"]
    assert changed["ScalingConfig"] == {"MaximumConcurrency": 7}
    stacks.delete_stack(StackName=name)
    buses = server.client("events").list_event_buses
    eventually(lambda: not buses(NamePrefix=name)["EventBuses"])


def test_a_bus_of_ones_own(server: Server, name: str) -> None:
    """Its events come to its rules alone; its policy lets others in."""
    client = server.client("events")
    made = client.create_event_bus(Name=name, Description="orders")["EventBusArn"]
    url, queue = make_queue(server, f"{name}.q".replace(".", "-"), "events.amazonaws.com")
    transformer = {
        "InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"order": <id>}',
    }  # fmt: skip
    for rule, bus in (("own", name), ("other", "default")):
        pattern = json.dumps({"source": [name]})
        client.put_rule(Name=f"{name}-{rule}", EventBusName=bus, EventPattern=pattern)
        target = {"Id": "q", "Arn": queue, "InputTransformer": transformer}
        client.put_targets(Rule=f"{name}-{rule}", EventBusName=bus, Targets=[target])
    entry = {"Source": name, "DetailType": "order", "Detail": '{"id": 7}', "EventBusName": made}
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert json.loads(message(server, url)["Body"]) == {"order": 7}
    assert "Messages" not in server.client("sqs").receive_message(QueueUrl=url)
    client.put_permission(
        EventBusName=name, StatementId="them", Action="events:PutEvents", Principal="111122223333"
    )
    described = client.describe_event_bus(Name=name)
    (statement,) = json.loads(described["Policy"])["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert statement["Resource"] == made == arn("events", f"event-bus/{name}")
    client.remove_permission(EventBusName=name, StatementId="them")
    assert "Policy" not in client.describe_event_bus(Name=name)
    assert client.update_event_bus(Name=name, Description="all")["Description"] == "all"
    assert name in [bus["Name"] for bus in client.list_event_buses()["EventBuses"]]
    client.delete_event_bus(Name=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_event_bus(Name=name)
    assert ACCOUNT in made
