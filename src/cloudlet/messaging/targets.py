"""Delivery of facts: to the targets of rules and schedules, to buses, and into queues.

A target is called as AWS calls it: by EventBridge's service principal, which the target's resource
policy must allow, or by Scheduler in the schedule's role. What fails is tried again as the retry
policy says, and ends in the dead-letter queue, in one transaction with the fact's removal.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
"""

import logging
from dataclasses import replace

import orjson

from cloudlet.call import Caller, Cloud, Params
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.messaging import calls, metrics
from cloudlet.messaging.eventbridge import firing, inputs, publishing
from cloudlet.messaging.eventbridge.event_connections import settle
from cloudlet.messaging.eventbridge.rules import service_of
from cloudlet.messaging.eventbridge.web_calls import Web
from cloudlet.messaging.sqs import bodies, messages, queues
from cloudlet.policy.roles import Roles
from cloudlet.store.database import Transaction

_log = logging.getLogger(__name__)
_RETRIES_MAX = 185
_AGE_MAX_S = 86_400
_AUTHORIZATIONS_MAX = 8  # within minutes
_BACK_OFF_MAX_S = 600
_RETRIED = {  # of those that are the caller's fault by their status
    "ThrottlingException", "Throttling", "KMSThrottlingException", "RequestThrottled",
    "ProvisionedThroughputExceededException", "LimitExceededException", "OverLimit",
    "ERROR_FROM_TARGET", "ConcurrentModificationException",
}  # fmt: skip
# EventBridge's own words for what targets' services say
_CODES = {
    "AccessDenied": "NO_PERMISSIONS",
    "AccessDeniedException": "NO_PERMISSIONS",
    "AuthorizationError": "NO_PERMISSIONS",
    "ResourceNotFoundException": "NO_RESOURCE",
    "NotFound": "NO_RESOURCE",
    "QueueDoesNotExist": "NO_RESOURCE",
    "InvalidRequestContentException": "INVALID_JSON",
    "ThrottlingException": "THROTTLING",
    "TooManyRequestsException": "THROTTLING",
    "ProvisionedThroughputExceededException": "THROTTLING",
}


class Targets:
    """The handlers to register with delivery: `event` for "events" and "scheduler", `queue` for
    "sqs"."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._web = Web(cloud)
        events = Caller("service", "events.amazonaws.com", cloud.config.account)
        self._roles = Roles(cloud, events, "events")

    async def event(self, fact: Fact) -> Outcome:
        """A fact for a rule or a schedule goes to its target; one for a bus is published on it."""
        resource = fact.target.split(":", 5)[-1]
        if resource.startswith("event-bus/"):
            return self._to_bus(fact, resource.removeprefix("event-bus/"))
        if resource.startswith("connection/"):
            return await self._authorize(fact)
        if isinstance(fact.attributes["target"], str):
            fact = _renewed(fact)
        try:
            await self._call(fact)
        except AwsError as error:
            return self._failed(fact, error)
        metrics.invoked(self._cloud.meter, fact, None)
        return DONE

    async def _authorize(self, fact: Fact) -> Outcome:
        """A connection waits for its first token."""
        state = "AUTHORIZED"
        try:
            await self._web.authorize(fact.target)
        except AwsError as error:
            if not _is_final(error) and fact.attempts < _AUTHORIZATIONS_MAX:
                return Later(_pause_s(fact, error))
            state = "DEAUTHORIZED"
        return Done(lambda tx: settle(tx, fact.target, state, fact.created_ms))

    async def queue(self, fact: Fact) -> Outcome:
        """The payload becomes a message's body; a principal must be allowed by the queue."""
        principal = fact.attributes.get("principal")
        if principal:
            source = {
                "aws:SourceArn": fact.attributes.get("source_arn", fact.source),
                "aws:SourceAccount": fact.attributes.get(
                    "source_account", self._cloud.config.account
                ),
            }
            caller = Caller("service", principal, self._cloud.config.account, context=source)
            params: Params = {"MessageBody": fact.payload.decode()}
            if described := fact.attributes.get("message_attributes"):
                params["MessageAttributes"] = described
            try:
                if role := fact.attributes.get("role"):
                    caller = await self._roles.caller(role, caller)
                await calls.send(self._cloud, fact.target, params, fact, caller)
            except AwsError as error:
                if not _is_final(error):
                    raise
                _log.error("an event of %s for %s is dropped: %s", fact.source, fact.target, error)
            return DONE
        found = queues.find(self._cloud.database.view(), _name(fact.target))
        if found is None or found.is_fifo:  # dead letters and records know no groups
            _log.error("an event for %s is dropped: there is no such standard queue", fact.target)
            return DONE
        return Done(lambda tx: self._insert(tx, fact))

    def _insert(self, tx: Transaction, fact: Fact) -> None:
        queue = queues.find(tx, _name(fact.target))
        if queue is None:
            return
        config, master = self._cloud.config, self._cloud.blobs.master
        entry = {
            "MessageBody": bodies.sealed(master, queue, fact.payload.decode(), config.now_ms()),
            "MessageAttributes": fact.attributes.get("message_attributes") or {},
        }
        messages.insert(tx, queue, entry, config.now_ms(), config.new_id())

    def _to_bus(self, fact: Fact, bus: str) -> Outcome:
        """The payload is an event document, or the `Source`, `DetailType`, `Detail` of one."""
        document = orjson.loads(fact.payload)
        if "Source" in document:
            document = publishing.event_of(self._cloud.config, document)
        return Done(lambda tx: publishing.publish(tx, self._cloud.config, bus, document))

    async def _call(self, fact: Fact) -> None:
        target = fact.attributes["target"]
        is_rules = fact.attributes["principal"] == "events.amazonaws.com"
        event = orjson.loads(fact.payload) if is_rules else None
        payload = fact.payload
        if event is not None:
            payload = inputs.render(target, event, fact.source, fact.attributes["received_ms"])
        elif target.get("Input"):
            payload = firing.filled(fact.payload.decode(), fact)
        call = calls.Invocation(
            self._cloud, fact, target, payload, await self._caller(fact), event, self._web
        )
        await calls.KINDS[service_of(call.arn)](call)

    async def _caller(self, fact: Fact) -> Caller:
        role = fact.attributes["target"].get("RoleArn")
        account = self._cloud.config.account
        service = Caller(
            "service",
            fact.attributes["principal"],
            account,
            context={"aws:SourceArn": fact.source, "aws:SourceAccount": account},
        )
        return await self._roles.caller(role, service) if role else service

    def _failed(self, fact: Fact, error: AwsError) -> Outcome:
        target = fact.attributes["target"]
        retry = target.get("RetryPolicy") or {}
        age_s = (self._cloud.config.now_ms() - fact.created_ms) / 1000
        exhausted = ""
        if fact.attempts >= retry.get("MaximumRetryAttempts", _RETRIES_MAX):
            exhausted = "MaximumRetryAttempts"
        elif age_s >= retry.get("MaximumEventAgeInSeconds", _AGE_MAX_S):
            exhausted = "MaximumEventAgeInSeconds"
        metrics.invoked(self._cloud.meter, fact, error)
        if not exhausted and not _is_final(error):
            return Later(_pause_s(fact, error))
        metrics.failed(self._cloud.meter, fact)
        _log.error("%s cannot reach %s: %s", fact.source, target["Arn"], error)
        grave = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not grave:
            return DONE
        attributes = _dead(fact, error, exhausted)
        described = {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()}
        # messaging-040: the queue's policy must let EventBridge in, or the schedule's role may send
        principal = fact.attributes["principal"]
        asked = {"principal": principal, "source_arn": fact.source}
        if principal != "events.amazonaws.com":
            asked["role"] = target.get("RoleArn")
        return Done(
            lambda tx: outbox.put(
                tx,
                grave,
                fact.payload,
                source=fact.source,
                now_ms=self._cloud.config.now_ms(),
                attributes=asked | {"message_attributes": described},
            )
        )


def _renewed(fact: Fact) -> Fact:
    """A fact of an older cloudlet, which filled a target's input before it wrote the fact."""
    told = fact.attributes
    target = {
        "Arn": told["target"],
        "RoleArn": told.get("role"),
        "Input": fact.payload.decode(),
        "SqsParameters": told.get("sqs"),
        "RetryPolicy": told.get("retry"),
        "DeadLetterConfig": {"Arn": told.get("dead_letter")},
    }
    moments = {"received_ms": fact.created_ms, "turn_ms": fact.created_ms}
    return replace(fact, attributes={**told, **moments, "target": target, "execution_id": "-"})


def _is_final(error: AwsError) -> bool:
    """What another attempt would not change."""
    if error.code == "NotImplemented":
        return True
    return error.status < 500 and error.status not in (409, 429) and error.code not in _RETRIED


def _pause_s(fact: Fact, error: AwsError) -> float:
    asked = str(error.fields.get("retry_after") or "")
    pause_s = float(asked) if asked.isdigit() else 0.0
    return min(_BACK_OFF_MAX_S, max(pause_s, 2.0 ** min(fact.attempts, 10)))


def _dead(fact: Fact, error: AwsError, exhausted: str) -> dict[str, str]:
    """What a dead letter says of itself: of a rule and of a schedule not quite the same."""
    attributes = {
        "TARGET_ARN": fact.attributes["target"]["Arn"],
        "ERROR_MESSAGE": error.message or "-",
        "RETRY_ATTEMPTS": str(fact.attempts),
    }
    if exhausted:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
    if fact.attributes["principal"] == "events.amazonaws.com":
        code = _CODES.get(error.code, error.code if error.code.isupper() else "SDK_CLIENT_ERROR")
        return attributes | {"RULE_ARN": fact.source, "ERROR_CODE": code}
    return attributes | {
        "SCHEDULE_ARN": fact.source,
        "SCHEDULED_TIME": publishing.timestamp(fact.attributes["turn_ms"] / 1000),
        "EXECUTION_ID": fact.attributes["execution_id"],
        "ERROR_CODE": error.code,
        "IS_PAYLOAD_TRUNCATED": "false",
    }


def _name(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
