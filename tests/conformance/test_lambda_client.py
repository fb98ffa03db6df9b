"""Lambda through boto3: functions from zips, in real worker processes, under their own roles."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import (
    allow,
    arn,
    eventually,
    make_function,
    make_queue,
    make_role,
    message,
    zipped,
)
from tests.server import Server

ECHO = """
import os

def handler(event, context):
    print("said", event)
    return {
        "event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn,
        "env": os.environ.get("GREETING"), "version": context.function_version,
        "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
        "role": os.environ["AWS_ACCESS_KEY_ID"][:4], "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "client": context.client_context.custom if context.client_context else None,
    }
"""


@pytest.fixture(scope="module")
def echo(server: Server) -> str:
    name = "echo"
    make_function(server, name, ECHO, Environment={"Variables": {"GREETING": "Grüß Gott"}})
    return name


def answer(response: dict[str, Any]) -> Any:
    return json.loads(response["Payload"].read())


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_invoke(server: Server, echo: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    response = server.client("lambda").invoke(
        FunctionName=echo, Payload=b'{"a": [1, "\xc3\xbc"]}', LogType="Tail", ClientContext=context
    )
    assert response["StatusCode"] == 200 and response["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in response
    got = answer(response)
    assert got["event"] == {"a": [1, "ü"]} and got["env"] == "Grüß Gott"
    assert got["arn"] == arn("lambda", "function:echo") and got["name"] == echo
    assert got["role"] == "ASIA" and got["memory"] in (256, "256") and 0 < got["left"] <= 20_000
    assert got["client"] == {"k": "v"}
    tail = base64.b64decode(response["LogResult"]).decode()
    assert f"START RequestId: {got['id']} Version: $LATEST" in tail
    assert "said {'a'" in tail and f"REPORT RequestId: {got['id']}" in tail


def test_logs_are_in_cloudwatch(server: Server, echo: str) -> None:
    server.client("lambda").invoke(FunctionName=echo, Payload=b'"find me"')
    logs = server.client("logs")

    def lines() -> list[str]:
        with suppress(logs.exceptions.ResourceNotFoundException):  # lines come a moment later
            found = logs.filter_log_events(
                logGroupName=f"/aws/lambda/{echo}", filterPattern='"find me"'
            )
            return [event["message"] for event in found["events"]]
        return []

    assert eventually(lines)[0].strip() == "said find me"


def test_errors_of_the_function(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    make_function(server, name, "def handler(event, context):\n    raise KeyError('lost')\n")
    response = server.client("lambda").invoke(FunctionName=name)
    assert response["StatusCode"] == 200 and response["FunctionError"] == "Unhandled"
    got = answer(response)
    assert got["errorType"] == "KeyError" and got["errorMessage"] == "'lost'"
    assert any("app.py" in line for line in got["stackTrace"])


def test_errors_of_the_code(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    make_function(server, name, "import nothing_of_the_kind\n")
    response = server.client("lambda").invoke(FunctionName=name)
    assert response["FunctionError"] == "Unhandled"
    assert answer(response)["errorType"] == "Runtime.ImportModuleError"


def test_timeout(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    make_function(server, name, "import time\ndef handler(e, c):\n    time.sleep(60)\n", Timeout=1)
    response = server.client("lambda").invoke(FunctionName=name, LogType="Tail")
    assert response["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer(response)["errorMessage"]


def test_a_worker_that_exits(server: Server, names: Iterator[str]) -> None:
    name = next(names)
    make_function(server, name, "import os\ndef handler(e, c):\n    os._exit(3)\n")
    client = server.client("lambda")
    response = client.invoke(FunctionName=name)
    assert response["FunctionError"] == "Unhandled"
    assert answer(response)["errorType"] == "Runtime.ExitError"
    assert client.invoke(FunctionName=name)["FunctionError"] == "Unhandled"  # a new worker


def test_versions_and_aliases(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("lambda"), next(names)
    make_function(server, name, "def handler(e, c):\n    return 'one'\n", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.update_function_code(
        FunctionName=name, ZipFile=zipped("def handler(e, c):\n    return 'two'\n")
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert answer(client.invoke(FunctionName=name)) == "two"
    assert answer(client.invoke(FunctionName=name, Qualifier="1")) == "one"
    assert answer(client.invoke(FunctionName=f"{name}:live")) == "one"
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    response = client.invoke(FunctionName=name, Qualifier="live")
    assert answer(response) == "two" and response["ExecutedVersion"] == "2"
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]


def test_asynchronous_failure_ends_in_the_dead_letter_queue(
    server: Server, names: Iterator[str]
) -> None:
    client, name = server.client("lambda"), next(names)
    url, queue = make_queue(server, f"{name}-dead")
    make_function(
        server, name, "def handler(e, c):\n    raise RuntimeError('no luck')\n",
        allow("sqs:SendMessage", queue), DeadLetterConfig={"TargetArn": queue},
    )  # fmt: skip
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    response = client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}')
    assert response["StatusCode"] == 202 and response["Payload"].read() == b""
    got = message(server, url)
    assert json.loads(got["Body"]) == {"n": 1}
    attributes = {key: value["StringValue"] for key, value in got["MessageAttributes"].items()}
    assert attributes["ErrorMessage"] == "no luck" and attributes["ErrorCode"] == "200"
    assert attributes["RequestID"] == response["ResponseMetadata"]["RequestId"]


def test_asynchronous_destinations_and_retries(server: Server, names: Iterator[str]) -> None:
    """The server of these tests retries after 0.2 and 0.4 seconds."""
    client, name = server.client("lambda"), next(names)
    url, queue = make_queue(server, f"{name}-results")
    source = (
        "def handler(e, c):\n    if e['fail']:\n        raise RuntimeError('x')\n    return 7\n"
    )
    make_function(server, name, source, allow("sqs:SendMessage", queue))
    destination = {"Destination": queue}
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": destination, "OnFailure": destination}
    )
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"fail": false}')
    got = json.loads(message(server, url)["Body"])
    assert got["requestContext"]["condition"] == "Success" and got["responsePayload"] == 7
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"fail": true}')
    got = json.loads(message(server, url)["Body"])
    assert got["requestContext"]["condition"] == "RetriesExhausted"
    assert got["requestContext"]["approximateInvokeCount"] == 3
    assert got["requestPayload"] == {"fail": True}
    assert got["responsePayload"]["errorMessage"] == "x"


def test_a_function_may_do_what_its_role_may_and_no_more(
    server: Server, bucket: str, names: Iterator[str]
) -> None:
    name = next(names)
    source = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=event, Key="mine/k", Body=b"from inside")
    try:
        s3.put_object(Bucket=event, Key="other", Body=b"x")
    except ClientError as error:
        return error.response["Error"]
"""
    make_function(server, name, source, allow("s3:PutObject", f"arn:aws:s3:::{bucket}/mine/*"))
    got = answer(server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(bucket)))
    assert got["Code"] == "AccessDenied"
    assert (
        f"assumed-role/{name}-role/{name} is not authorized to perform: s3:PutObject"
        in (got["Message"])
    )
    stored = server.client("s3").get_object(Bucket=bucket, Key="mine/k")["Body"].read()
    assert stored == b"from inside"


def test_reserved_concurrency_of_zero_throttles(server: Server, names: Iterator[str]) -> None:
    client, name = server.client("lambda"), next(names)
    make_function(server, name, "def handler(e, c):\n    return 1\n")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=name)
    assert code_of(refused) == "TooManyRequestsException"
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    told = refused.value.response["ResponseMetadata"]
    assert told["HTTPStatusCode"] == 429 and told["HTTPHeaders"]["retry-after"] == "1"
    client.delete_function_concurrency(FunctionName=name)
    assert answer(client.invoke(FunctionName=name)) == 1


def test_refusals(server: Server, echo: str, names: Iterator[str]) -> None:
    client = server.client("lambda")
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="nobody")
    assert code_of(refused) == "ResourceNotFoundException"
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=echo, Payload=b"{not json")
    assert code_of(refused) == "InvalidRequestContentException"
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=echo, Payload=b'"' + b"x" * (6 << 20) + b'"')
    assert code_of(refused) == "RequestTooLargeException"
    role = make_role(server, next(names))
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role}
    with pytest.raises(ClientError) as refused:
        client.create_function(FunctionName=echo, Code={"ZipFile": zipped(ECHO)}, **settings)
    assert code_of(refused) == "ResourceConflictException"
    with pytest.raises(ClientError) as refused:
        client.create_function(FunctionName="new", Code={"ZipFile": b"no zip"}, **settings)
    assert code_of(refused) == "InvalidParameterValueException"


def test_payload_limits(server: Server, echo: str) -> None:
    client = server.client("lambda")
    for kind, size in (("RequestResponse", 6 << 20), ("Event", 1 << 20)):
        payload = b'"' + b"x" * (size - 2) + b'"'
        assert client.invoke(FunctionName=echo, InvocationType=kind, Payload=payload)["StatusCode"]
        with pytest.raises(ClientError) as refused:
            client.invoke(FunctionName=echo, InvocationType=kind, Payload=payload + b" ")
        assert code_of(refused) == "RequestTooLargeException"
        assert f"{size + 1} byte payload is too large for the {kind} invocation type (limit" in str(
            refused.value
        )


def test_a_trace_goes_in_and_out(server: Server, names: Iterator[str]) -> None:
    name, client = next(names), server.client("lambda")
    make_function(
        server, name, "import os\ndef handler(e, c):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
    )
    root = "Root=1-6b043e87-29bba75a0407aa725a51aa86"
    client.meta.events.register(
        "before-sign.lambda.Invoke",
        lambda request, **_: request.headers.add_header("X-Amzn-Trace-Id", f"{root};Sampled=1"),
    )
    response = client.invoke(FunctionName=name)
    assert answer(response).startswith(f"{root};Sampled=1;Lineage=")
    told = response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert told == f"{root};Sampled=1"


def test_messages_carry_the_trace_of_what_sent_them(
    server: Server, names: Iterator[str], bucket: str
) -> None:
    url, queue_arn = make_queue(server, next(names), "s3.amazonaws.com")
    header = "Root=1-6b043e87-29bba75a0407aa725a51aa86;Lineage=1a2b3c4d:3"
    clients = {name: server.client(name) for name in ("s3", "sqs")}
    events = [{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}]
    clients["s3"].put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": events}
    )
    for client in clients.values():
        client.meta.events.register(
            "before-call", lambda params, **_: params["headers"].update({"X-Amzn-Trace-Id": header})
        )
    clients["s3"].put_object(Bucket=bucket, Key="k", Body=b"")
    clients["sqs"].send_message(QueueUrl=url, MessageBody="direct")
    traced: list[str] = []

    def received() -> bool:
        got = clients["sqs"].receive_message(
            QueueUrl=url, MessageSystemAttributeNames=["AWSTraceHeader"], MaxNumberOfMessages=10
        )
        for each in got.get("Messages", []):
            if "s3:TestEvent" not in each["Body"]:
                traced.append(each["Attributes"]["AWSTraceHeader"])
        return len(traced) == 2

    eventually(received)
    assert traced == [header, header]


def test_measurements(server: Server, names: Iterator[str]) -> None:
    name, client = next(names), server.client("lambda")
    make_function(server, name, "def handler(e, c):\n    return 1 / e['by']\n")
    for by in (1, 0):
        client.invoke(FunctionName=name, Payload=json.dumps({"by": by}))
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with suppress(ClientError):
        client.invoke(FunctionName=name)
    now = datetime.now(UTC)
    cloudwatch = server.client("cloudwatch")

    def total(metric: str) -> float:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Statistics=["Sum"], Period=3600,
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1),
        )["Datapoints"]  # fmt: skip
        return float(sum(point["Sum"] for point in points))

    eventually(lambda: total("Throttles") >= 1)  # boto3 tries again
    assert (total("Invocations"), total("Errors")) == (2, 1) and total("Duration") > 0
