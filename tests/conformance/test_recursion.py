"""Functions that come back to themselves are stopped after about sixteen rounds, as on AWS."""

import json
from collections.abc import Iterator
from typing import Any

from tests.conformance.building import allow, arn, eventually, make_function, make_queue, message
from tests.server import Server

CALLS_ITSELF = """
import boto3, json
def handler(event, context):
    count = event.get("count", 1)
    if count > 40: return count
    answer = boto3.client("lambda").invoke(
        FunctionName=context.function_name, Payload=json.dumps({"count": count + 1}))
    return json.loads(answer["Payload"].read())
"""
WRITES_AGAIN = """
import boto3
def handler(event, context):
    record = event["Records"][0]["s3"]
    number = int(record["object"]["key"]) + 1
    boto3.client("s3").put_object(Bucket=record["bucket"]["name"], Key=str(number), Body=b"")
"""
PUBLISHES_AGAIN = """
import boto3
def handler(event, context):
    told = event["Records"][0]["Sns"]
    boto3.client("sns").publish(TopicArn=told["TopicArn"], Message=str(int(told["Message"]) + 1))
"""


def test_a_function_that_invokes_itself(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    make_function(server, name, CALLS_ITSELF, allow("lambda:InvokeFunction"), Timeout=60)
    client = server.client("lambda")
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    document = json.loads(answer["Payload"].read())
    assert document["errorType"] == "RecursiveInvocationException"
    assert name in document["errorMessage"]


def keys(server: Server, bucket: str) -> set[str]:
    listed = server.client("s3").list_objects_v2(Bucket=bucket)
    return {item["Key"] for item in listed.get("Contents", [])}


def notifying(server: Server, name: str, bucket: str) -> None:
    """A function that writes into the bucket that it is told of."""
    function = make_function(server, name, WRITES_AGAIN, allow(["s3:*", "sqs:*"]))
    server.client("lambda").add_permission(
        FunctionName=name, StatementId="s3", Principal="s3.amazonaws.com",
        Action="lambda:InvokeFunction", SourceArn=f"arn:aws:s3:::{bucket}",
    )  # fmt: skip
    events = [{"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}]
    server.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": events}
    )


def test_a_chain_through_s3_ends_in_the_dead_letter_queue_and_at_the_destination(
    server: Server, names: Iterator[str], bucket: str
) -> None:
    name, queue = next(names), next(names)
    url, queue_arn = make_queue(server, queue)
    dead, dead_arn = make_queue(server, next(names))
    notifying(server, name, bucket)
    server.client("lambda").update_function_configuration(
        FunctionName=name, DeadLetterConfig={"TargetArn": dead_arn}
    )
    server.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue_arn}}
    )
    server.client("s3").put_object(Bucket=bucket, Key="0", Body=b"")
    record: dict[str, Any] = json.loads(message(server, url)["Body"])
    assert record["requestContext"]["condition"] == "RecursiveInvocationDetected"
    assert record["requestContext"]["functionArn"] == arn("lambda", f"function:{name}:$LATEST")
    assert keys(server, bucket) == {str(number) for number in range(17)}
    event = json.loads(message(server, dead)["Body"])
    assert event["Records"][0]["s3"]["object"]["key"] == "16"


def test_a_function_may_be_allowed_to_recurse(
    server: Server, names: Iterator[str], bucket: str
) -> None:
    name, client = next(names), server.client("lambda")
    notifying(server, name, bucket)
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    server.client("s3").put_object(Bucket=bucket, Key="0", Body=b"")
    eventually(lambda: "20" in keys(server, bucket))
    server.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={}
    )


def test_a_chain_through_a_topic_ends(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    url, queue = make_queue(server, f"{name}-failed")
    sns, client = server.client("sns"), server.client("lambda")
    topic = sns.create_topic(Name=name)["TopicArn"]
    function = make_function(server, name, PUBLISHES_AGAIN, allow(["sns:Publish", "sqs:*"]))
    client.add_permission(
        FunctionName=name, StatementId="sns", Principal="sns.amazonaws.com",
        Action="lambda:InvokeFunction", SourceArn=topic,
    )  # fmt: skip
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    sns.publish(TopicArn=topic, Message="0")
    record = json.loads(message(server, url)["Body"])
    assert record["requestContext"]["condition"] == "RecursiveInvocationDetected"
    assert record["requestPayload"]["Records"][0]["Sns"]["Message"] == "16"
