"""Patterns of events: streams, queues, buckets, buses, schedules."""

import json

from tests.patterns.pattern import Deployed, pattern


def _put_event(stack: Deployed, entry: dict[str, str]) -> None:
    answer = stack.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer


def _url(stack: Deployed, logical_id: str) -> str:
    return stack.resources[logical_id]


@pattern("dynamodb-lambda")
def stream(stack: Deployed) -> None:
    """An item added to the table is logged by the function on its stream."""
    table = stack.resources["MyDynamoDBtable"]
    client = stack.client("dynamodb")
    schema = client.describe_table(TableName=table)["Table"]["KeySchema"]
    item = {each["AttributeName"]: {"S": "a new item"} for each in schema}
    client.put_item(TableName=table, Item=item)
    stack.logged("DynamoDBProcessStreamFunction", "a new item")


@pattern("dynamodb-eventbridge")
def stream_to_bus(stack: Deployed) -> None:
    """Stream → function → bus → the functions subscribed to insertions and removals."""
    client, table = stack.client("dynamodb"), stack.resources["MyDynamoStream"]
    schema = client.describe_table(TableName=table)["Table"]["KeySchema"]
    key = {each["AttributeName"]: {"S": "through the bus"} for each in schema}
    client.put_item(TableName=table, Item=key)
    stack.logged("SubscribeInsertFunction", "through the bus")
    client.delete_item(TableName=table, Key=key)
    stack.logged("SubscribeRemoveFunction", "through the bus")


@pattern("eventbridge-lambda")
def bus_to_function(stack: Deployed) -> None:
    """An event that matches the rule is logged by the function."""
    event = {"DetailType": "transaction", "Source": "custom.myApp", "Detail": '{"location":"EUR-"}'}
    _put_event(stack, event)
    stack.logged("ConsumerFunction", "EUR-")


@pattern("eventbridge-sqs")
def bus_to_queue(stack: Deployed) -> None:
    """An event that matches the rule is in the queue."""
    rules = stack.client("events").list_rules()["Rules"]
    wanted = json.loads(next(each["EventPattern"] for each in rules if "EventPattern" in each))
    detail = {key: value[0] for key, value in wanted.get("detail", {}).items()}
    entry = {
        "Source": wanted.get("source", ["demo"])[0],
        "DetailType": wanted.get("detail-type", ["demo"])[0],
        "Detail": json.dumps(detail),
    }
    _put_event(stack, entry)
    assert entry["Source"] in stack.received(stack.outputs["SQSqueueURL"])["Body"]


@pattern("sqs-lambda")
def queue(stack: Deployed) -> None:
    """A message is logged by the function."""
    url = stack.outputs["SQSqueueURL"]
    stack.client("sqs").send_message(QueueUrl=url, MessageBody="a message")
    stack.logged("QueueConsumerFunction", "a message")


@pattern("sqs-lambda-python-sam")
def queue_python(stack: Deployed) -> None:
    """A message is handled; the queue is empty afterwards."""
    sqs, url = stack.client("sqs"), stack.outputs["ProcessingQueueURL"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"id": "handled"}))
    stack.logged("ProcessorFunction", "handled")


@pattern("sqs-lambda-nodejs-sam")
def queue_node(stack: Deployed) -> None:
    """A message is handled; the queue is empty afterwards."""
    sqs, url = stack.client("sqs"), stack.outputs["ProcessingQueueURL"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"id": "handled"}))
    stack.logged("ProcessorFunction", "handled")


@pattern("fifo-sqs-redrive")
def redrive(stack: Deployed) -> None:
    """A message that fails lands in the dead-letter queue, and is moved on for another try."""
    sqs, url = stack.client("sqs"), stack.outputs["MyOriginalQueueUrl"]
    sqs.send_message(
        QueueUrl=url, MessageBody='{"id": 123}', MessageGroupId="group1",
        MessageDeduplicationId="one",
    )  # fmt: skip
    stack.logged("MyOriginalQueueFunction", "Failed to process message")
    source, target = (stack.outputs[f"My{each}QueueArn"] for each in ("DeadLetter", "ReProcess"))
    grave = sqs.get_queue_url(QueueName=source.rpartition(":")[2])["QueueUrl"]

    def buried() -> bool:
        counted = sqs.get_queue_attributes(QueueUrl=grave, AttributeNames=["All"])["Attributes"]
        return bool(counted["ApproximateNumberOfMessages"] == "1")

    stack.until(buried, "the dead letter")
    sqs.start_message_move_task(SourceArn=source, DestinationArn=target)
    stack.logged("ReProcessQueueFunction", "123")


@pattern("s3-sqs", SourceBucketName="to-the-queue")
def bucket_to_queue(stack: Deployed) -> None:
    """An uploaded object is told of in the queue."""
    stack.client("s3").put_object(Bucket="to-the-queue", Key="one.txt", Body=b"1")
    url = _url(stack, "StandardQueue")

    def told() -> bool:  # the first message is S3's test of the configuration
        return "one.txt" in str(stack.received(url)["Body"])

    stack.until(told, "the event")


@pattern("s3-eventbridge-wildcard-sam")
def bucket_to_bus(stack: Deployed) -> None:
    """An object under the wildcard's path reaches the queue through the bus."""
    bucket, url = stack.outputs["S3Bucket"], stack.outputs["SQSQueueURL"]
    key = "2024-01-17/1705479398/XYZ/xyz-data.csv"
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")
    assert "xyz-data.csv" in stack.received(url)["Body"]


@pattern("s3-eventbridge-direct")
def bucket_to_function(stack: Deployed) -> None:
    """An uploaded object reaches the function through the bus."""
    bucket = stack.outputs["SourceBucketName"]
    stack.client("s3").put_object(Bucket=bucket, Key="example.jpg", Body=b"picture")
    stack.logged("MyFunction", "example.jpg")


@pattern("eventbridge-schedule-to-sqs-sam")
def schedule_to_queue(stack: Deployed) -> None:
    """The schedule is there with its target; its first message comes within its rate."""
    schedules = stack.client("scheduler").list_schedules()["Schedules"]
    assert schedules[0]["State"] == "ENABLED"
    assert schedules[0]["Target"]["Arn"].startswith("arn:aws:sqs:")


@pattern("eventbridge-schedule-to-lambda")
def schedule_to_function(stack: Deployed) -> None:
    """The schedule is there with its target; invoked, the function answers."""
    schedules = stack.client("scheduler").list_schedules()["Schedules"]
    assert schedules[0]["Target"]["Arn"].startswith("arn:aws:lambda:")
    stack.invoke("ScheduledLambdaFunction")


@pattern("eventbridge-scheduled-lambda")
def rule_to_function(stack: Deployed) -> None:
    """The rule of every minute is there; invoked, the function says Hello World."""
    rules = stack.client("events").list_rules()["Rules"]
    assert rules[0]["ScheduleExpression"].startswith(("rate", "cron"))
    stack.invoke("ScheduledFunction")
    stack.logged("ScheduledFunction", "Hello World")


@pattern("serverless-message-processing")
def decisions(stack: Deployed) -> None:
    """A POST goes through the API into the queue and to the function."""
    message = {
        "messageId": "test-456", "messageType": "TYPE_A", "timestamp": "2023-11-22T12:00:00Z",
        "payload": {"email": "user@example.com", "data": "some data"},
    }  # fmt: skip
    answer = stack.http("POST", stack.outputs["ApiEndpoint"], json=message)
    assert answer.status == 200, answer.data
    stack.logged("ProcessMessages", "Successfully validated message: test-456")
