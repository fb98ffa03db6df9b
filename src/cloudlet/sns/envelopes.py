"""The documents that subscribers get, and what of them is signed.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

import json
from typing import Any

from cloudlet.config import Config
from cloudlet.sns.signing import Signer

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"
GOODBYE = "UnsubscribeConfirmation"
TEXTS = {
    CONFIRMATION: "You have chosen to subscribe to the topic {topic}.\n"
    "To confirm the subscription, visit the SubscribeURL included in this message.",
    GOODBYE: "You have chosen to deactivate subscription {subscription}.\n"
    "To cancel this operation and restore the subscription, visit the SubscribeURL included in"
    " this message.",
}
_SIGNED = (
    "Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
)  # fmt: skip
Document = dict[str, Any]


def envelope(config: Config, signer: Signer, subscription_arn: str, message: Document) -> Document:
    """A message, as publishing stored it, in its envelope. What FIFO topics tell is not signed."""
    topic_arn = subscription_arn.rpartition(":")[0]
    document = {
        "Type": message["Type"],
        "MessageId": message["MessageId"],
        "SequenceNumber": message.get("SequenceNumber"),
        "Token": message.get("Token"),
        "TopicArn": topic_arn,
        "Subject": message.get("Subject"),
        "Message": message["Message"],
        "SubscribeURL": confirm_url(config, topic_arn, message.get("Token")),
        "Timestamp": message["Timestamp"],
    }
    document = {name: value for name, value in document.items() if value is not None}
    if not message.get("SequenceNumber"):  # sns-003: see above
        text = "".join(f"{name}\n{document[name]}\n" for name in _SIGNED if name in document)
        document["SignatureVersion"] = message["SignatureVersion"]
        document["Signature"] = signer.sign(text, message["SignatureVersion"])
        document["SigningCertURL"] = config.aws_endpoint + signer.certificate_path
    if message["Type"] == NOTIFICATION:
        document["UnsubscribeURL"] = unsubscribe_url(config, subscription_arn)
    if message.get("MessageAttributes"):
        document["MessageAttributes"] = message["MessageAttributes"]
    return document


def function_event(subscription_arn: str, document: Document) -> Document:
    """What a function is invoked with. Two members are spelled otherwise here, as on AWS."""
    told = {**document, "Subject": document.get("Subject")}
    told["MessageAttributes"] = document.get("MessageAttributes") or {}
    told["SigningCertUrl"] = told.pop("SigningCertURL")
    told["UnsubscribeUrl"] = told.pop("UnsubscribeURL")
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": told,
    }
    return {"Records": [record]}


def text(document: Document) -> str:
    """As AWS writes it."""
    return json.dumps(document, indent=2, separators=(",", " : "), ensure_ascii=False)


def confirm_url(config: Config, topic_arn: str, token: str | None) -> str | None:
    where = f"{config.aws_endpoint}/?Action=ConfirmSubscription&TopicArn={topic_arn}"
    return f"{where}&Token={token}" if token else None


def unsubscribe_url(config: Config, subscription_arn: str) -> str:
    return f"{config.aws_endpoint}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"
