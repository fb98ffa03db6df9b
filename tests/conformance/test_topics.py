"""Topics by real clients: queues, functions, HTTP, other services' events, templates."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.conformance.building import (
    ACCOUNT,
    allow,
    arn,
    eventually,
    make_function,
    make_queue,
    message,
    policy,
)
from tests.server import Server

NOTES = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["URL"], MessageBody=json.dumps(event))
"""
FAILS = "def handler(event, context): raise ValueError('never')"
SNS = "sns.amazonaws.com"


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


@pytest.fixture(scope="module")
def sns(server: Server) -> Any:
    return server.client("sns")


@pytest.fixture
def topic(sns: Any, name: str) -> str:
    return str(sns.create_topic(Name=name)["TopicArn"])


class Endpoint:
    """What somebody runs to be told over HTTP. `answers` are the next statuses, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = endpoint.answers.pop(0) if endpoint.answers else 200
                endpoint.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        eventually(lambda: self.got)
        headers, body = self.got.pop(0)
        return headers, json.loads(body)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


def verify(server: Server, document: dict[str, Any]) -> None:
    """As AWS documents it for those who are told."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn"]
    text = "".join(f"{n}\n{document[n]}\n" for n in [*names, "Type"] if n in document)
    pem = server.http.request("GET", document["SigningCertURL"]).data
    key = x509.load_pem_x509_certificate(pem).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[document["SignatureVersion"]]
    signature = base64.b64decode(document["Signature"])
    key.verify(signature, text.encode(), padding.PKCS1v15(), digest)


def attribute(sns: Any, topic: str, name: str, value: str) -> None:
    sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)


def let_in(sns: Any, topic: str, service: str) -> None:
    statement = allow("sns:Publish", topic) | {"Principal": {"Service": service}}
    attribute(sns, topic, "Policy", policy(statement))


def subscribe(sns: Any, topic: str, protocol: str, endpoint: str, **attributes: str) -> str:
    made = sns.subscribe(
        TopicArn=topic,
        Protocol=protocol,
        Endpoint=endpoint,
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    return str(made["SubscriptionArn"])


def test_one_message_for_queues_of_all_kinds(server: Server, sns: Any, topic: str) -> None:
    name = topic.rpartition(":")[2]
    urls = {}
    for kind, settings in {
        "whole": {},
        "raw": {"RawMessageDelivery": "true"},
        "picky": {"FilterPolicy": '{"size": [{"numeric": [">", 3]}]}'},
    }.items():
        urls[kind], queue = make_queue(server, f"{name}-{kind}", SNS)
        subscribe(sns, topic, "sqs", queue, **settings)
    small, large = ({"size": {"DataType": "Number", "StringValue": size}} for size in "15")
    sns.publish(TopicArn=topic, Message="small", Subject="s", MessageAttributes=small)
    sent = sns.publish(TopicArn=topic, Message="large", MessageAttributes=large)
    raw = [message(server, urls["raw"])["MessageAttributes"]["size"] for _ in range(2)]
    assert {each["StringValue"] for each in raw} == {"1", "5"}
    found = json.loads(message(server, urls["picky"])["Body"])
    assert (found["Message"], found["MessageId"]) == ("large", sent["MessageId"])
    assert found["MessageAttributes"] == {"size": {"Type": "Number", "Value": "5"}}
    verify(server, found)
    verify(server, json.loads(message(server, urls["whole"])["Body"]))


def test_a_queue_must_let_the_topic_in_or_there_is_a_dead_letter(
    server: Server, sns: Any, topic: str
) -> None:
    name = topic.rpartition(":")[2]
    grave_url, grave = make_queue(server, f"{name}-dead", SNS)
    _, closed = make_queue(server, f"{name}-closed")
    redrive = json.dumps({"deadLetterTargetArn": grave})
    subscribe(sns, topic, "sqs", closed, RedrivePolicy=redrive)
    sns.publish(TopicArn=topic, Message="for nobody")
    assert json.loads(message(server, grave_url)["Body"])["Message"] == "for nobody"


def test_groups_keep_their_order(server: Server, sns: Any, name: str) -> None:
    given = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = sns.create_topic(Name=f"{name}.fifo", Attributes=given)["TopicArn"]
    sqs = server.client("sqs")
    queue = arn("sqs", f"{name}.fifo")
    statement = allow("sqs:SendMessage", queue) | {"Principal": {"Service": SNS}}
    attributes = {"FifoQueue": "true", "Policy": policy(statement)}
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
    subscribe(sns, topic, "sqs", queue, RawMessageDelivery="true")
    numbers = []
    for start in range(0, 20, 10):
        entries = [
            {"Id": str(n), "Message": str(start + n), "MessageGroupId": "ab"[n % 2]}
            for n in range(10)
        ]
        batch = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        numbers += [each["SequenceNumber"] for each in batch["Successful"]]
    assert numbers == sorted(numbers)
    again = sns.publish(TopicArn=topic, Message="0", MessageGroupId="a")
    assert again["SequenceNumber"] == numbers[0]
    seen = [int(message(server, url)["Body"]) for _ in range(20)]
    assert [n for n in seen if n % 2 == 0] == list(range(0, 20, 2))
    assert [n for n in seen if n % 2] == list(range(1, 20, 2))


def test_a_function_is_told(server: Server, sns: Any, topic: str) -> None:
    name = topic.rpartition(":")[2]
    url, _ = make_queue(server, name)
    settings = {"Environment": {"Variables": {"URL": url}}}
    function = make_function(server, name, NOTES, allow("sqs:SendMessage"), **settings)
    grave_url, grave = make_queue(server, f"{name}-dead", SNS)
    redrive = json.dumps({"deadLetterTargetArn": grave})
    subscription = subscribe(sns, topic, "lambda", function, RedrivePolicy=redrive)
    sns.publish(TopicArn=topic, Message="too early")
    assert json.loads(message(server, grave_url)["Body"])["Message"] == "too early"
    server.client("lambda").add_permission(
        FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction", Principal=SNS,
        SourceArn=topic,
    )  # fmt: skip
    attribute(sns, topic, "SignatureVersion", "2")
    sns.publish(TopicArn=topic, Message="hello", Subject="s")
    (record,) = json.loads(message(server, url)["Body"])["Records"]
    assert record["EventSubscriptionArn"] == subscription
    told = record["Sns"]
    assert (told["Message"], told["Subject"], told["TopicArn"]) == ("hello", "s", topic)
    verify(server, {**told, "SigningCertURL": told["SigningCertUrl"]})


def test_an_endpoint_confirms_is_told_and_says_goodbye(
    server: Server, sns: Any, topic: str, endpoint: Endpoint
) -> None:
    subscription = subscribe(sns, topic, "http", endpoint.url)
    headers, asked = endpoint.next()
    assert headers["x-amz-sns-message-type"] == asked["Type"] == "SubscriptionConfirmation"
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    verify(server, asked)
    sns.publish(TopicArn=topic, Message="too early")
    assert server.http.request("GET", asked["SubscribeURL"]).status == 200
    sns.publish(TopicArn=topic, Message="hello")
    headers, told = endpoint.next()
    assert (told["Type"], told["Message"]) == ("Notification", "hello")
    assert headers["x-amz-sns-subscription-arn"] == subscription
    assert headers["x-amz-sns-message-id"] == told["MessageId"]
    verify(server, told)
    assert server.http.request("GET", told["UnsubscribeURL"]).status == 200
    _, goodbye = endpoint.next()
    assert goodbye["Type"] == "UnsubscribeConfirmation"
    verify(server, goodbye)
    assert not sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert server.http.request("GET", f"{asked['SubscribeURL']}0").status == 400


def test_an_endpoint_that_fails_is_asked_again(
    server: Server, sns: Any, topic: str, endpoint: Endpoint
) -> None:
    grave_url, grave = make_queue(server, f"{topic.rpartition(':')[2]}-dead", SNS)
    retry = {
        "numRetries": 3, "numNoDelayRetries": 2, "numMinDelayRetries": 1, "minDelayTarget": 1,
    }  # fmt: skip
    request = {"headerContentType": "application/json"}
    subscribe(
        sns, topic, "http", endpoint.url, RawMessageDelivery="true",
        DeliveryPolicy=json.dumps({"healthyRetryPolicy": retry, "requestPolicy": request}),
        RedrivePolicy=json.dumps({"deadLetterTargetArn": grave}),
    )  # fmt: skip
    sns.confirm_subscription(TopicArn=topic, Token=endpoint.next()[1]["Token"])
    endpoint.answers = [500, 503]
    sns.publish(TopicArn=topic, Message='{"n": 1}')
    got = [endpoint.next() for _ in range(3)]
    assert {headers["x-amz-sns-rawdelivery"] for headers, _ in got} == {"true"}
    assert {headers["content-type"] for headers, _ in got} == {"application/json"}
    assert [body for _, body in got] == [{"n": 1}] * 3
    endpoint.answers = [403]
    sns.publish(TopicArn=topic, Message='{"n": 2}')
    assert message(server, grave_url)["Body"] == '{"n": 2}'
    assert len(endpoint.got) == 1  # what the client does wrong is not repeated


def test_what_is_missing_is_a_validation_error(server: Server) -> None:
    """The query protocol's name for it."""
    config = Config(parameter_validation=False)
    with pytest.raises(ClientError, match=r"ValidationError.*Value null at 'attributes'"):
        server.client("sns", config=config).create_platform_application(Name="a", Platform="GCM")


def test_users_need_a_permission(server: Server, sns: Any, topic: str, name: str) -> None:
    iam, own = server.client("iam"), policy(allow("sns:Publish", topic))
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=own)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = server.client(
        "sns",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    theirs.publish(TopicArn=topic, Message="x")
    with pytest.raises(ClientError) as caught:
        theirs.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15555550100")
    assert caught.value.response["Error"]["Code"] == "AuthorizationError"
    assert f"SNS:Subscribe on resource: {topic} because" in str(caught.value)
    with pytest.raises(ClientError, match="NotFound"):
        sns.publish(TopicArn=f"{topic}x", Message="x")
    unsigned = f"{server.endpoint}/?Action=Publish&TopicArn={topic}&Message=x"
    assert server.http.request("GET", unsigned).status == 403


def test_events_of_other_services(server: Server, sns: Any, topic: str, bucket: str) -> None:
    url, queue = make_queue(server, f"{bucket}-told", SNS)
    subscribe(sns, topic, "sqs", queue)
    s3 = server.client("s3")
    wanted = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    given = {"Bucket": bucket, "NotificationConfiguration": wanted}
    with pytest.raises(ClientError, match="Unable to validate"):
        s3.put_bucket_notification_configuration(**given)
    let_in(sns, topic, "s3.amazonaws.com")
    s3.put_bucket_notification_configuration(**given)
    assert "s3:TestEvent" in message(server, url)["Body"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    told = json.loads(message(server, url)["Body"])
    assert told["Subject"] == "Amazon S3 Notification"
    assert json.loads(told["Message"])["Records"][0]["s3"]["object"]["key"] == "a"
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]


def test_alarms_and_failed_functions_tell_topics(server: Server, sns: Any, topic: str) -> None:
    name = topic.rpartition(":")[2]
    url, queue = make_queue(server, name, SNS)
    subscribe(sns, topic, "sqs", queue)
    cloudwatch = server.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="N", MetricName="m", Period=60, Statistic="Sum", Threshold=1,
        EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", AlarmActions=[topic],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="drill")
    told = json.loads(message(server, url)["Body"])
    assert told["Subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
    assert json.loads(told["Message"])["NewStateReason"] == "drill"
    publishing = allow("sns:Publish", topic)
    make_function(server, name, FAILS, publishing, DeadLetterConfig={"TargetArn": topic})
    functions = server.client("lambda")
    functions.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": topic}},
    )  # fmt: skip
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}')
    both = [json.loads(message(server, url)["Body"]) for _ in range(2)]
    letter = next(each for each in both if "MessageAttributes" in each)
    record = next(each for each in both if "MessageAttributes" not in each)
    assert json.loads(letter["Message"]) == {"n": 1}
    assert letter["MessageAttributes"]["ErrorMessage"]["Value"] == "never"
    context = json.loads(record["Message"])["requestContext"]
    assert context["condition"] == "RetriesExhausted"


def test_what_would_be_sent_can_be_looked_at(server: Server, sns: Any, topic: str) -> None:
    logs = server.client("logs")

    def lines(group: str) -> list[Any]:
        named = {"logGroupName": f"sns/us-east-1/{ACCOUNT}/{group}"}
        try:
            found = logs.filter_log_events(**named)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(each["message"]) for each in found]

    ann = f"ann-{topic.rpartition(':')[2]}@example.org"
    subscribe(sns, topic, "email", ann)

    def mails() -> list[Any]:
        return [each for each in lines("email") if each["delivery"]["destination"] == ann]

    asked = eventually(mails)[0]
    assert server.http.request("GET", asked["link"]).status == 200
    app = sns.create_platform_application(
        Name="chat", Platform="GCM", Attributes={"PlatformCredential": "x"}
    )["PlatformApplicationArn"]
    device = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="t")["EndpointArn"]
    subscribe(sns, topic, "application", device)
    sns.publish(TopicArn=topic, Message="hello", Subject="hey")
    sns.publish(PhoneNumber="+15555550100", Message="beep")
    assert eventually(lambda: mails()[1:])[0]["payload"]["Subject"] == "hey"
    assert eventually(lambda: lines("app/GCM/chat"))[0]["payload"] == {"data": {"default": "hello"}}
    assert eventually(lambda: lines("DirectPublishToPhoneNumber"))[0]["payload"] == "beep"
    change = {"EndpointArn": device, "Attributes": {"Enabled": "false"}}
    sns.set_endpoint_attributes(**change)
    with pytest.raises(sns.exceptions.EndpointDisabledException):
        sns.publish(TargetArn=device, Message="x")


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Shown: {Type: String, Default: News}}
Resources:
  News:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: !Ref Shown
      Subscription: [{Protocol: email, Endpoint: ann@example.org}]
      Tags: [{Key: a, Value: b}]
  Orders:
    Type: AWS::SNS::Topic
    Properties: {FifoTopic: true, ContentBasedDeduplication: true}
  Letting:
    Type: AWS::SNS::TopicPolicy
    Properties:
      Topics: [!Ref News]
      PolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {Service: s3.amazonaws.com}
            Action: sns:Publish
            Resource: !Ref News
  Inline:
    Type: AWS::SNS::TopicInlinePolicy
    Properties:
      TopicArn: !Ref Orders
      PolicyDocument:
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: sns:Subscribe
            Resource: !Ref Orders
            Condition: {StringEquals: {sns:Protocol: http}}
  Seen: {Type: AWS::SQS::Queue}
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        import boto3, json, os
        def handler(event, context):
            url = os.environ["URL"]
            boto3.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
      Environment: {Variables: {URL: !Ref Seen}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Seen.QueueName}}]
      Events:
        Quick:
          Type: SNS
          Properties: {Topic: !Ref News, FilterPolicy: {kind: [quick]}}
        Slow:
          Type: SNS
          Properties:
            Topic: !Ref News
            SqsSubscription: true
            FilterPolicyScope: MessageBody
            FilterPolicy: {deep: {n: [{numeric: [">", 3]}]}}
Outputs:
  Topic: {Value: !Ref News}
  Name: {Value: !GetAtt News.TopicName}
  Orders: {Value: !GetAtt Orders.TopicArn}
  Told: {Value: !Join ["", !Ref AWS::NotificationARNs]}
  Seen: {Value: !Ref Seen}
"""


def test_topics_in_templates(server: Server, sns: Any, name: str) -> None:
    cloudformation = server.client("cloudformation")

    def done(what: str) -> dict[str, str]:
        cloudformation.get_waiter(what).wait(
            StackName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
        )
        outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {each["OutputKey"]: each["OutputValue"] for each in outputs}

    body = {
        "TemplateBody": TEMPLATE,
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    told_url, told = make_queue(server, f"{name}-told", SNS)
    telling = sns.create_topic(Name=f"{name}-telling")["TopicArn"]
    subscribe(sns, telling, "sqs", told)
    cloudformation.create_stack(StackName=name, NotificationARNs=[telling], **body)
    found = done("stack_create_complete")
    event = json.loads(message(server, told_url)["Body"])
    assert event["Subject"] == "AWS CloudFormation Notification"
    assert f"\nStackName='{name}'\n" in event["Message"]
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["NotificationARNs"] == [telling]
    topic = found["Topic"]
    assert (topic, found["Told"]) == (arn("sns", found["Name"]), telling)
    assert found["Orders"].endswith(".fifo")
    kind = {"kind": {"DataType": "String", "StringValue": "quick"}}
    sns.publish(TopicArn=topic, Message="1", MessageAttributes=kind)
    (record,) = json.loads(message(server, found["Seen"])["Body"])["Records"]
    assert record["Sns"]["Message"] == "1"
    sns.publish(TopicArn=topic, Message='{"deep": {"n": 4}}')
    (record,) = json.loads(message(server, found["Seen"])["Body"])["Records"]
    assert json.loads(record["body"])["Message"] == '{"deep": {"n": 4}}'
    body["TemplateBody"] = TEMPLATE.replace("ann@", "bob@")
    parameters = [{"ParameterKey": "Shown", "ParameterValue": "Olds"}]
    cloudformation.update_stack(StackName=name, Parameters=parameters, **body)
    done("stack_update_complete")
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (attributes["DisplayName"], attributes["SubscriptionsConfirmed"]) == ("Olds", "2")
    assert "s3.amazonaws.com" in attributes["Policy"]
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"][0] == {"Key": "a", "Value": "b"}
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    with pytest.raises(ClientError, match="NotFound"):
        sns.get_topic_attributes(TopicArn=topic)


def test_a_bus_tells_topics(server: Server, sns: Any, topic: str) -> None:
    name = topic.rpartition(":")[2]
    url, queue = make_queue(server, name, SNS)
    subscribe(sns, topic, "sqs", queue, RawMessageDelivery="true")
    events = server.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": topic, "InputPath": "$.detail"}])
    let_in(sns, topic, "events.amazonaws.com")
    entry = {"Source": name, "DetailType": "t", "Detail": '{"n": 1}'}
    events.put_events(Entries=[entry])
    assert json.loads(message(server, url)["Body"]) == {"n": 1}
