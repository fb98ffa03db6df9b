"""First-class integrations of HTTP APIs: a request becomes one call of another service.

The call is made in the name of the integration's role. A table says what each subtype calls, which
parameters it takes and how they are read; a value is static or mapped (`$request.body.message`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

from cloudlet.call import Cloud
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Response
from cloudlet.gateway import answers
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.gateway.http_apis import mapping
from cloudlet.gateway.http_apis.mapping import Resolve
from cloudlet.policy.roles import Roles


@dataclass(frozen=True, slots=True)
class Subtype:
    service: str
    operation: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def is_xml(self) -> bool:
        return self.service == "sqs"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_READ: Mapping[str, Callable[[str], Any]] = {  # parameters that are no text
    "AttributeNames": json.loads,
    "Data": partial(b64decode, validate=True),
    "DelaySeconds": int,
    "MaxNumberOfMessages": int,
    "MessageAttributeNames": json.loads,
    "MessageAttributes": json.loads,
    "MessageSystemAttributes": json.loads,
    "Resources": json.loads,
    "Time": _moment,
    "VisibilityTimeout": int,
    "WaitTimeSeconds": int,
}
_SUBTYPES = {
    "SQS-SendMessage": Subtype(
        "sqs", "SendMessage", ("QueueUrl", "MessageBody"),
        ("DelaySeconds", "MessageAttributes", "MessageDeduplicationId", "MessageGroupId",
         "MessageSystemAttributes"),
    ),
    "SQS-ReceiveMessage": Subtype(
        "sqs", "ReceiveMessage", ("QueueUrl",),
        ("AttributeNames", "MaxNumberOfMessages", "MessageAttributeNames",
         "ReceiveRequestAttemptId", "VisibilityTimeout", "WaitTimeSeconds"),
    ),
    "SQS-DeleteMessage": Subtype("sqs", "DeleteMessage", ("QueueUrl", "ReceiptHandle")),
    "SQS-PurgeQueue": Subtype("sqs", "PurgeQueue", ("QueueUrl",)),
    "Kinesis-PutRecord": Subtype(
        "kinesis", "PutRecord", ("StreamName", "Data", "PartitionKey"),
        ("ExplicitHashKey", "SequenceNumberForOrdering"),
    ),
    "EventBridge-PutEvents": Subtype(
        "events", "PutEvents", ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", "TraceHeader"),
    ),
}  # fmt: skip
_XMLNS = "http://queue.amazonaws.com/doc/2012-11-05/"


def check(document: Document) -> None:
    """Raises for subtypes that are not there, and for missing or unknown parameters."""
    name = document["IntegrationSubtype"]
    subtype = _SUBTYPES.get(name)
    if subtype is None:
        raise NotImplementedByCloudlet(f"IntegrationSubtype {name}")
    if not document.get("CredentialsArn"):
        raise bad_request("CredentialsArn is required for AWS service integrations")
    if document.get("PayloadFormatVersion") != "1.0":
        raise bad_request("PayloadFormatVersion must be 1.0 for AWS service integrations")
    given = (document.get("RequestParameters") or {}).keys()
    if missing := sorted(set(subtype.required) - given):
        raise bad_request(f"Parameters {', '.join(missing)} are required for {name}")
    if unknown := sorted(given - {*subtype.required, *subtype.optional}):
        raise bad_request(f"Parameters {', '.join(unknown)} are not supported for {name}")


async def call(
    cloud: Cloud, roles: Roles, integration: Document, resolve: Resolve
) -> tuple[Response, str]:
    """The service's answer, or its error, and the error's text for the log."""
    subtype = _SUBTYPES[integration["IntegrationSubtype"]]
    params: Document = {}
    try:
        for name, expression in integration["RequestParameters"].items():
            value = mapping.evaluated(expression, resolve)
            if value:
                params[name] = _READ.get(name, str)(value)
    except ValueError:
        return answers.json(400, {"message": "Bad Request"}), f"{name} cannot be read"
    if subtype.operation == "PutEvents":
        params = {"Entries": [params]}  # it takes the members of its one entry
    try:
        caller = await roles.caller(integration["CredentialsArn"])
        output = await cloud.invoke(subtype.service, subtype.operation, params, caller)
    except AwsError as error:
        return _error(subtype, error), error.message
    return _answer(subtype, output), ""


def _answer(subtype: Subtype, output: Document) -> Response:
    if not subtype.is_xml:
        return answers.json(200, output)
    name = subtype.operation
    result = f"<{name}Result>{_xml(output)}</{name}Result>" if output else ""
    text = f'<?xml version="1.0"?><{name}Response xmlns="{_XMLNS}">{result}</{name}Response>'
    return Response(200, [("content-type", "text/xml")], text.encode())


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(
            "".join(f"<{_singular(n)}>{_xml(each)}</{_singular(n)}>" for each in item)
            if isinstance(item, list)
            else f"<{n}>{_xml(item)}</{n}>"
            for n, item in value.items()
        )
    return escape(str(value))


def _singular(name: str) -> str:
    return name.removesuffix("s")


def _error(subtype: Subtype, error: AwsError) -> Response:
    if subtype.is_xml:
        text = (
            f'<?xml version="1.0"?><ErrorResponse xmlns="{_XMLNS}"><Error><Type>Sender</Type>'
            f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
            "</ErrorResponse>"
        )
        return Response(error.status, [("content-type", "text/xml")], text.encode())
    return answers.json(error.status, {"__type": error.code, "message": error.message})
