"""What would leave this machine by mail, SMS or mobile push: recorded, to be looked at.

There is no mail server and no phone. Each message becomes a line in CloudWatch Logs, the document
that AWS's delivery status logs have plus the payload, in groups named as AWS names them. Deliveries
to other endpoints are logged where the topic's feedback roles ask for it. All of it is written with
the removal of the fact: acknowledged is recorded, and once.
https://docs.aws.amazon.com/sns/latest/dg/sns-msg-status-sdk.html
"""

import random
from typing import Any

import orjson

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.sns import envelopes
from cloudlet.sns.endpoints import Endpoint, find
from cloudlet.sns.sms import default_type
from cloudlet.sns.subscriptions import Subscription
from cloudlet.sns.topics import Topic

_FEEDBACK = {"http": "HTTP", "https": "HTTP", "sqs": "SQS", "lambda": "Lambda"}
_MAIL_LINKS = {
    envelopes.NOTIFICATION: "UnsubscribeURL",
    envelopes.CONFIRMATION: "SubscribeURL",
    envelopes.GOODBYE: "SubscribeURL",
}
Message = dict[str, Any]
Outcome = tuple[bool, str]  # delivered, and what the provider said
Line = tuple[str, str, str]  # log group, stream, text


def direct(cloud: Cloud, resource: str, message: Message) -> list[Line]:
    """`resource`: what a message was published to, without a topic."""
    kind, _, rest = resource.partition("/")
    texts = message["Texts"]
    if kind == "sms":
        text = texts.get("sms", texts["default"])
        return [_sms(cloud, rest, "", {**message, "Message": text})]
    endpoint = find(cloud.database.view(), rest)
    if endpoint is None:
        return []
    text = texts.get(endpoint.platform, texts["default"])
    return [_push(cloud, endpoint, "", {**message, "Message": text})[1]]


def subscribed(
    cloud: Cloud, to: Subscription, message: Message, document: Message
) -> tuple[bool, list[Line]]:
    """For a subscription: whether it counts as delivered, and what is recorded."""
    topic_arn = cloud.config.arn("sns", to.topic)
    if to.protocol == "sms":
        return True, [_sms(cloud, to.endpoint, topic_arn, message)]
    if to.protocol != "application":
        return True, [_mail(cloud, to, topic_arn, document)]
    endpoint = find(cloud.database.view(), to.endpoint.partition(":endpoint/")[2])
    if endpoint is None:
        return False, []
    is_delivered, line = _push(cloud, endpoint, topic_arn, message)
    return is_delivered, [line]


def feedback(
    cloud: Cloud, topic: Topic, to: Subscription, message: Message, how: Outcome
) -> list[Line]:
    """Of queues, functions and HTTP(S) endpoints, if the topic has a role for it."""
    kind = _FEEDBACK.get(to.protocol)
    is_delivered, _ = how
    word = "Success" if is_delivered else "Failure"
    if kind is None or not topic.attributes.get(f"{kind}{word}FeedbackRoleArn"):
        return []
    rate = topic.attributes.get(f"{kind}SuccessFeedbackSampleRate") or 100
    if is_delivered and random.random() * 100 >= float(rate):
        return []
    topic_arn = cloud.config.arn("sns", topic.name)
    told = _status(message, topic_arn, {"destination": to.endpoint}, how)
    return [_line(cloud, topic.name if is_delivered else f"{topic.name}/Failure", told)]


def _sms(cloud: Cloud, number: str, topic_arn: str, message: Message) -> Line:
    asked = message["MessageAttributes"].get("AWS.SNS.SMS.SMSType") or {}
    kind = asked.get("Value") or default_type(cloud.database.view())
    told = {"destination": number, "smsType": kind}
    how = (True, "Message has been accepted by phone carrier")
    payload = {"payload": message["Message"]}
    line = _status(message, topic_arn, told, how) | payload
    return _line(cloud, "DirectPublishToPhoneNumber", line)


def _push(cloud: Cloud, endpoint: Endpoint, topic_arn: str, message: Message) -> tuple[bool, Line]:
    is_enabled = endpoint.attributes.get("Enabled") != "false"
    arn = cloud.config.arn("sns", f"endpoint/{endpoint.id}")
    told = {"destination": arn, "token": endpoint.token, "statusCode": 200 if is_enabled else 400}
    response = '{"success":1}' if is_enabled else "EndpointDisabled"
    line = _status(message, topic_arn, told, (is_enabled, response))
    line["payload"] = endpoint.payload(message["Message"])
    group = f"app/{endpoint.application}"
    return is_enabled, _line(cloud, group if is_enabled else f"{group}/Failure", line)


def _mail(cloud: Cloud, to: Subscription, topic_arn: str, document: Message) -> Line:
    told = {"destination": to.endpoint}
    line = _status(document, topic_arn, told, (True, "recorded"))
    link = document[_MAIL_LINKS[document["Type"]]]
    text = f"{document['Message']}\n\n--\n{link}"
    payload: Any = document
    if to.protocol == "email":
        payload = {"Subject": _subject(document), "Body": text}
    return _line(cloud, "email", line | {"payload": payload, "link": link})


def _subject(document: Message) -> str:
    standard = "AWS Notification Message"
    if document["Type"] == envelopes.CONFIRMATION:
        standard = "AWS Notification - Subscription Confirmation"
    elif document["Type"] == envelopes.GOODBYE:
        standard = "AWS Notification - Unsubscribe Confirmation"
    return document.get("Subject") or standard


def _status(message: Message, topic_arn: str, told: Message, how: Outcome) -> Message:
    stamp = message["Timestamp"].replace("T", " ").rstrip("Z")
    notification = {"messageId": message["MessageId"], "timestamp": stamp}
    return {
        "notification": notification | ({"topicArn": topic_arn} if topic_arn else {}),
        "delivery": {**told, "providerResponse": how[1]},
        "status": "SUCCESS" if how[0] else "FAILURE",
    }


def _line(cloud: Cloud, name: str, document: Message) -> Line:
    config: Config = cloud.config
    stream = document["notification"]["timestamp"][:10].replace("-", "/")
    group = f"sns/{config.region}/{config.account}/{name}"
    return group, stream, orjson.dumps(document).decode()
