"""SQS in both of its protocols: JSON, which SDKs speak, and forms with XML, which they spoke."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.conformance.building import ACCOUNT, arn
from tests.server import Server

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


class Form:
    """A client of the query protocol: answers are lists of (path of names, text)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        key = server.root_key
        self._signer = SigV4Auth(
            Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "sqs", "us-east-1"
        )

    def send(self, action: str, path: str = "/", **fields: Any) -> urllib3.BaseHTTPResponse:
        form = {"Action": action, "Version": "2012-11-05"}
        body = urlencode(form | {k.replace("__", "."): v for k, v in fields.items()})
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest("POST", self._server.endpoint + path, headers=kind, data=body)
        self._signer.add_auth(request)
        return self._server.http.request(
            "POST", str(request.url), body=body, headers=dict(request.headers)
        )

    def __call__(self, action: str, path: str = "/", **fields: Any) -> list[tuple[str, str]]:
        answer = self.send(action, path, **fields)
        root = ElementTree.fromstring(answer.data)
        assert answer.status == 200, answer.data
        assert root.tag == f"{NAMESPACE}{action}Response"
        return list(_leaves(root, ""))

    def refusal(self, action: str, **fields: Any) -> tuple[int, str]:
        answer = self.send(action, **fields)
        (code,) = ElementTree.fromstring(answer.data).iter(f"{NAMESPACE}Code")
        return answer.status, str(code.text)


def _leaves(element: ElementTree.Element, path: str) -> Iterator[tuple[str, str]]:
    for child in element:
        name = f"{path}/{child.tag.removeprefix(NAMESPACE)}".lstrip("/")
        if len(child):
            yield from _leaves(child, name)
        elif not name.startswith("ResponseMetadata"):
            yield name, child.text or ""


@pytest.fixture
def form(server: Server) -> Form:
    return Form(server)


def test_messages_by_forms(server: Server, form: Form, name: str) -> None:
    made = form("CreateQueue", QueueName=name, Attribute__1__Name="VisibilityTimeout",
                Attribute__1__Value="7", Tag__1__Key="a", Tag__1__Value="1")  # fmt: skip
    ((where, url),) = made
    assert where == "CreateQueueResult/QueueUrl" and url.endswith(f"/{ACCOUNT}/{name}")
    assert form("GetQueueUrl", QueueName=name) == [("GetQueueUrlResult/QueueUrl", url)]
    assert ("ListQueuesResult/QueueUrl", url) in form("ListQueues", QueueNamePrefix=name)
    tags = dict(form("ListQueueTags", QueueUrl=url))
    assert tags == {"ListQueueTagsResult/Tag/Key": "a", "ListQueueTagsResult/Tag/Value": "1"}
    attribute = form("GetQueueAttributes", QueueUrl=url, AttributeName__1="VisibilityTimeout")
    assert [text for _, text in attribute] == ["VisibilityTimeout", "7"]
    sent = dict(
        form(
            "SendMessage",
            f"/{ACCOUNT}/{name}",  # as clients of old did: the queue is where it is sent to
            MessageBody="<a & b>",
            MessageAttribute__1__Name="kind",
            MessageAttribute__1__Value__DataType="String",
            MessageAttribute__1__Value__StringValue="x",
        )
    )
    assert sent["SendMessageResult/MD5OfMessageAttributes"]
    got = form("ReceiveMessage", QueueUrl=url, MessageAttributeName__1="All",
               AttributeName__1="ApproximateReceiveCount")  # fmt: skip
    message = {path.removeprefix("ReceiveMessageResult/Message/"): text for path, text in got}
    assert message["MessageId"] == sent["SendMessageResult/MessageId"]
    assert message["Body"] == "<a & b>"
    assert (message["Attribute/Name"], message["Attribute/Value"]) == (
        "ApproximateReceiveCount",
        "1",
    )
    assert message["MessageAttribute/Value/StringValue"] == "x"
    handle = message["ReceiptHandle"]
    assert form("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle,
                VisibilityTimeout="30") == []  # fmt: skip
    assert form("DeleteMessage", QueueUrl=url, ReceiptHandle=handle) == []
    assert form("ReceiveMessage", QueueUrl=url) == [("ReceiveMessageResult", "")]
    form("SendMessage", QueueUrl=url, MessageBody="a\r\nb")
    assert ("ReceiveMessageResult/Message/Body", "a\r\nb") in form("ReceiveMessage", QueueUrl=url)
    form("DeleteQueue", QueueUrl=url)


def test_batches_by_forms(form: Form, name: str) -> None:
    ((_, url),) = form("CreateQueue", QueueName=name)
    prefix = "SendMessageBatchRequestEntry"
    fields = {f"{prefix}__{n}__{member}": text for n, member, text in (
        (1, "Id", "a"), (1, "MessageBody", "one"), (2, "Id", "b"), (2, "MessageBody", "two"),
        (2, "DelaySeconds", "901"),
    )}  # fmt: skip
    answer = form("SendMessageBatch", QueueUrl=url, **fields)
    told = dict(answer)
    assert told["SendMessageBatchResult/SendMessageBatchResultEntry/Id"] == "a"
    failed = "SendMessageBatchResult/BatchResultErrorEntry"
    assert (told[f"{failed}/Id"], told[f"{failed}/Code"]) == ("b", "InvalidParameterValue")
    assert told[f"{failed}/SenderFault"] == "true"
    code = "AWS.SimpleQueueService.EmptyBatchRequest"
    assert form.refusal("SendMessageBatch", QueueUrl=url) == (400, code)


def test_errors_of_both_protocols(server: Server, form: Form, name: str) -> None:
    code = "AWS.SimpleQueueService.NonExistentQueue"
    assert form.refusal("GetQueueUrl", QueueName=name) == (400, code)
    assert form.refusal("MakeCoffee") == (400, "InvalidAction")
    with pytest.raises(ClientError) as refused:
        server.client("sqs").get_queue_url(QueueName=name)
    error, told = refused.value.response["Error"], refused.value.response["ResponseMetadata"]
    assert error["Code"] == code and error["Message"] == "The specified queue does not exist."
    assert told["HTTPHeaders"]["x-amzn-query-error"] == f"{code};Sender"
    assert (
        b"for this wsdl version.</Message><Detail/>"
        in form.send("GetQueueUrl", QueueName=name).data
    )
    url = server.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    with pytest.raises(ClientError) as wrong:
        server.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=21)
    assert wrong.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert wrong.value.response["Error"]["QueryErrorCode"] == "InvalidParameterValueException"


def test_what_a_queues_address_takes(form: Form, name: str) -> None:
    """messaging-007: actions that are not a queue's are none there."""
    form("CreateQueue", QueueName=name)
    path = f"/{ACCOUNT}/{name}"
    for action, code in (
        ("ListQueues", "InvalidAction"),
        ("CreateQueue", "InvalidAction"),
        ("SendMessage", "MissingParameter"),
    ):
        answer = form.send(action, path)
        assert answer.status == 400 and f"<Code>{code}</Code>".encode() in answer.data
    nothing = form.send("", path)
    assert (nothing.status, nothing.data) == (404, b"<UnknownOperationException/>")


def test_permissions(server: Server, name: str) -> None:
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    other = "111122223333"
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=[other], Actions=["SendMessage"])

    def policy() -> Any:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return json.loads(found.get("Attributes", {}).get("Policy", "null"))

    (statement,) = policy()["Statement"]
    assert statement == {
        "Sid": "l", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{other}:root"},
        "Action": "SQS:SendMessage", "Resource": arn("sqs", name),
    }  # fmt: skip
    for wrong in ({"Label": "l"}, {"Actions": ["Nonsense"]}):
        with pytest.raises(ClientError) as refused:
            given = {"Label": "m", "AWSAccountIds": [other], "Actions": ["*"], **wrong}
            sqs.add_permission(QueueUrl=url, **given)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    sqs.remove_permission(QueueUrl=url, Label="l")
    assert policy() is None
    with pytest.raises(ClientError):
        sqs.remove_permission(QueueUrl=url, Label="l")


def test_a_mebibyte_is_a_message(server: Server, name: str) -> None:
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)
    (got,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert len(got["Body"]) == 1_048_576
    with pytest.raises(ClientError, match="shorter than 1048576 bytes"):
        sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_577)
    sqs.purge_queue(QueueUrl=url)
    with pytest.raises(ClientError) as again:
        sqs.purge_queue(QueueUrl=url)
    assert again.value.response["Error"]["Code"] == "AWS.SimpleQueueService.PurgeQueueInProgress"
