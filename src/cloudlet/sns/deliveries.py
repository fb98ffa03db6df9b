"""Facts on their way to subscribers, and facts of others that are to be published.

Queues and functions are called as SNS, which their policies must allow. What fails is tried again
as the delivery policy says; what fails for good goes to the dead-letter queue, in one transaction
with the fact's removal. Mail, SMS and mobile push leave no machine: `recording` shows them.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

import asyncio
import base64
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import urllib3

from cloudlet.call import Caller, Cloud, Params, Requirement
from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.policy.evaluation import evaluate
from cloudlet.sns import envelopes, metrics, publishing, recording, retries, subscriptions, topics
from cloudlet.sns.recording import Line
from cloudlet.sns.signing import signer
from cloudlet.sns.subscriptions import Subscription
from cloudlet.sns.topics import Topic
from cloudlet.store.database import Transaction
from cloudlet.wire import outbound

PRINCIPAL = "sns.amazonaws.com"
_ALARMS = "cloudwatch.amazonaws.com"
_TIMEOUT_S = 15.0
_ROOM = 8  # messages that a subscription takes at once
_ASKED_AT_ONCE = 4 * _ROOM
_AGENT = "Amazon Simple Notification Service Agent"
_FINAL = {
    "AccessDenied", "AccessDeniedException", "ResourceNotFoundException", "QueueDoesNotExist",
    "MissingParameter", "InvalidParameterValue", "InvalidMessageContents",
    "RequestTooLargeException",
}  # fmt: skip
_log = logging.getLogger(__name__)
Message = dict[str, Any]


class Undelivered(Exception):
    """An attempt failed; `is_final` says that others would, too."""

    def __init__(self, code: str, message: str, is_final: bool, lines: Sequence[Line] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.is_final, self.lines = code, message, is_final, lines


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message for a subscription."""

    topic: Topic
    subscription: Subscription
    arn: str
    message: Message

    @property
    def source(self) -> str:
        return self.arn.rpartition(":")[0]


class Deliveries:
    """The handler to register with delivery for "sns"."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        # of their own: endpoints that hang keep neither gateways nor queues waiting
        self._asking = ThreadPoolExecutor(_ASKED_AT_ONCE, "sns-http")
        self._turns: dict[str, float] = {}  # when subscriptions may be told again
        self._signing = ThreadPoolExecutor(2, "sns-signing")

    def room(self, target: str) -> int:
        return _ROOM

    async def deliver(self, fact: Fact) -> Outcome:
        """A fact for a subscription or an endpoint is delivered; one for a topic published."""
        resource = fact.target.split(":", 5)[5]
        if not fact.attributes.get("is_delivery"):
            return self._to_topic(fact, resource)
        if resource.startswith(("endpoint/", "sms/")):
            message = orjson.loads(fact.payload)
            return self._done(recording.direct(self._cloud, resource, message))
        return await self._to_subscriber(fact, resource.partition(":")[2])

    def _to_topic(self, fact: Fact, name: str) -> Outcome:
        """The payload is the message; a principal must be allowed by the topic."""
        topic = topics.find(self._cloud.database.view(), name)
        if topic is None or not self._may_publish(fact, topic):
            _log.error("an event of %s for %s is dropped: it may not be published there",
                       fact.source, fact.target)  # fmt: skip
            return DONE
        attributes = fact.attributes
        entry: Params = {
            "Message": fact.payload.decode(),
            "Subject": attributes.get("subject"),
            "MessageAttributes": attributes.get("message_attributes"),
            **(attributes.get("sns") or {}),  # the group in a FIFO topic
        }
        try:
            publishing.check(entry, topic)
        except AwsError as error:
            _log.error("an event of %s for %s is dropped: %s", fact.source, fact.target, error)
            return DONE
        trace = str(attributes.get("trace_id") or "")
        return Done(lambda tx: publishing.put(self._cloud, tx, topic, entry, trace))

    def _may_publish(self, fact: Fact, topic: Topic) -> bool:
        principal, config = fact.attributes.get("principal"), self._cloud.config
        if not principal:
            return True
        account = fact.attributes.get("source_account", config.account)
        context = {
            "aws:sourcearn": fact.attributes.get("source_arn", fact.source),
            "aws:sourceaccount": account,
        }
        if principal == _ALARMS:  # sns-002: alarms need no policy of the topic but the default one
            context["aws:sourceowner"] = account
        caller = Caller("service", principal, account)
        needed = Requirement("sns:Publish", fact.target)
        return evaluate(caller, needed, context, [topic.policy(config)]).is_allowed

    async def _to_subscriber(self, fact: Fact, subscription_id: str) -> Outcome:
        view = self._cloud.database.view()
        found = subscriptions.find(view, subscription_id)
        topic = topics.find(view, found.topic) if found is not None else None
        if found is None or topic is None:
            return DONE
        parcel = Parcel(topic, found, fact.target, orjson.loads(fact.payload))
        try:
            lines = await self._send(parcel)
        except Undelivered as failure:
            return await self._failed(fact, parcel, failure)
        return self._done(lines + self._note(parcel, "NotificationsDelivered", (True, "OK")))

    def _done(self, lines: list[Line]) -> Outcome:
        def record(tx: Transaction) -> None:
            for line in lines:
                self._cloud.journal.write(tx, *line)

        return Done(record) if lines else DONE

    def _note(self, parcel: Parcel, metric: str, how: recording.Outcome) -> list[Line]:
        metrics.count(self._cloud, parcel.topic.name, metric)
        told = (parcel.topic, parcel.subscription, parcel.message)
        return recording.feedback(self._cloud, *told, how)

    async def _send(self, parcel: Parcel) -> list[Line]:
        """Returns what is to be recorded."""
        protocol = parcel.subscription.protocol
        if protocol in ("sqs", "lambda"):
            try:
                if protocol == "sqs":
                    await self._send_message(parcel, parcel.subscription.endpoint)
                else:
                    await self._to_function(parcel)
            except AwsError as error:
                is_final = error.code in _FINAL
                raise Undelivered(error.code, error.message, is_final) from error
        elif protocol in ("http", "https"):
            await self._to_url(parcel)
        else:
            return await self._record(parcel)
        return []

    async def _enveloped(self, parcel: Parcel) -> Message:
        config, loop = self._cloud.config, asyncio.get_running_loop()
        arguments = (config, signer(config.whole_data), parcel.arn, parcel.message)
        return await loop.run_in_executor(self._signing, envelopes.envelope, *arguments)

    async def _send_message(self, parcel: Parcel, arn: str) -> None:
        message = parcel.message
        account, name = arn.split(":")[4:6]
        params: Params = {"QueueUrl": f"{self._cloud.config.aws_endpoint}/{account}/{name}"}
        params |= await self._entry(parcel, name.endswith(".fifo"))
        if message.get("TraceHeader"):
            trace = {"DataType": "String", "StringValue": message["TraceHeader"]}
            params["MessageSystemAttributes"] = {"AWSTraceHeader": trace}
        await self._cloud.invoke("sqs", "SendMessage", params, self._caller(parcel))

    async def _entry(self, parcel: Parcel, is_fifo: bool) -> Params:
        """The members of SendMessage."""
        message = parcel.message
        group = message.get("MessageGroupId")
        # a standard queue has the groups of standard topics alone
        has_group = group and not parcel.topic.is_fifo
        entry: Params = {"MessageGroupId": group} if has_group else {}
        if is_fifo:  # a confirmation's own id is as good
            names = ("MessageGroupId", "MessageDeduplicationId")
            entry = {name: message.get(name) or message["MessageId"] for name in names}
        if parcel.subscription.is_raw and message["Type"] == envelopes.NOTIFICATION:
            told = message["MessageAttributes"]
            attributes = {name: _attribute(each) for name, each in told.items()}
            return entry | {"MessageBody": message["Message"], "MessageAttributes": attributes}
        return entry | {"MessageBody": envelopes.text(await self._enveloped(parcel))}

    async def _to_function(self, parcel: Parcel) -> None:
        document = await self._enveloped(parcel)
        if parcel.message["Type"] == envelopes.NOTIFICATION:
            document = envelopes.function_event(parcel.arn, document)
        params: Params = {
            "FunctionName": parcel.subscription.endpoint,
            "InvocationType": "Event",
            "Payload": orjson.dumps(document),
            "TraceHeader": parcel.message.get("TraceHeader"),
        }
        await self._cloud.invoke("lambda", "Invoke", params, self._caller(parcel))

    async def _to_url(self, parcel: Parcel) -> None:
        message, is_raw = parcel.message, parcel.subscription.is_raw
        is_raw = is_raw and message["Type"] == envelopes.NOTIFICATION
        policy = retries.effective(parcel.topic.attributes, parcel.subscription.attributes)
        headers = {
            "x-amz-sns-message-type": message["Type"],
            "x-amz-sns-message-id": message["MessageId"],
            "x-amz-sns-topic-arn": parcel.source,
            "Content-Type": policy["requestPolicy"]["headerContentType"],
            "User-Agent": _AGENT,
        }
        if message["Type"] != envelopes.CONFIRMATION:
            headers["x-amz-sns-subscription-arn"] = parcel.arn
        if is_raw:
            headers["x-amz-sns-rawdelivery"] = "true"
        text = message["Message"] if is_raw else envelopes.text(await self._enveloped(parcel))
        await self._turn(parcel.arn, retries.interval_s(policy))
        try:
            url, authorization = _address(parcel.subscription.endpoint)
            given = ("POST", url), headers | authorization, text.encode(), _TIMEOUT_S
            ask = partial(outbound.whole, *given)
            answer = await asyncio.get_running_loop().run_in_executor(self._asking, ask)
        except (urllib3.exceptions.HTTPError, TimeoutError, ValueError) as error:
            raise Undelivered("EndpointUnreachable", str(error), False) from error
        if not 200 <= answer.status < 300:
            is_final = 300 <= answer.status < 500 and answer.status != 429
            raise Undelivered("HttpError", f"The endpoint answered {answer.status}", is_final)

    async def _turn(self, arn: str, interval_s: float) -> None:
        """Waits as long as the endpoint wants to have between messages."""
        now = time.monotonic()
        self._turns = {each: turn for each, turn in self._turns.items() if turn > now}
        turn = self._turns.get(arn, now)
        if interval_s:
            self._turns[arn] = turn + interval_s
            await asyncio.sleep(turn - now)

    async def _record(self, parcel: Parcel) -> list[Line]:
        document = await self._enveloped(parcel)
        told = (parcel.subscription, parcel.message, document)
        is_delivered, lines = recording.subscribed(self._cloud, *told)
        if not is_delivered:
            raise Undelivered("EndpointDisabled", "Endpoint is disabled", True, lines)
        return lines

    def _caller(self, parcel: Parcel) -> Caller:
        account = self._cloud.config.account
        source = {"aws:SourceArn": parcel.source, "aws:SourceAccount": account}
        return Caller("service", PRINCIPAL, account, context=source)

    async def _failed(self, fact: Fact, parcel: Parcel, failure: Undelivered) -> Outcome:
        policy = retries.MANAGED
        if parcel.subscription.protocol.startswith("http"):
            found = retries.effective(parcel.topic.attributes, parcel.subscription.attributes)
            policy = found["healthyRetryPolicy"]
        wait_s = None if failure.is_final else retries.delay_s(policy, fact.attempts + 1)
        if wait_s is not None:
            return Later(wait_s)
        _log.warning("%s cannot be reached: %s", parcel.arn, failure.message)
        lines = self._note(parcel, "NotificationsFailed", (False, failure.message))
        redrive = orjson.loads(parcel.subscription.attributes.get("RedrivePolicy") or "{}")
        grave = redrive.get("deadLetterTargetArn")
        if grave and parcel.message["Type"] == envelopes.NOTIFICATION:
            await self._bury(parcel, grave)
        return self._done([*failure.lines, *lines])

    async def _bury(self, parcel: Parcel, grave: str) -> None:
        """What the queue cannot take now, delivery brings here again."""
        outcome = "NotificationsRedrivenToDlq"
        try:
            await self._send_message(parcel, grave)
        except AwsError as error:
            if error.code not in _FINAL:
                raise
            _log.error("%s cannot take a dead letter: %s", grave, error)
            outcome = "NotificationsFailedToRedriveToDlq"
        metrics.count(self._cloud, parcel.topic.name, outcome)


def _attribute(told: dict[str, str]) -> dict[str, Any]:
    if told["Type"].startswith("Binary"):
        return {"DataType": told["Type"], "BinaryValue": base64.b64decode(told["Value"])}
    return {"DataType": told["Type"], "StringValue": told["Value"]}


def _address(endpoint: str) -> tuple[str, dict[str, str]]:
    """The URL without what names a user, and the header that does."""
    parts = urlsplit(endpoint)
    if not parts.username:
        return endpoint, {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url, urllib3.util.make_headers(basic_auth=secret)
