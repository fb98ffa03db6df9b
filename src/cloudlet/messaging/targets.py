"""Delivery of facts: to the targets of rules and schedules, to buses, and into queues.

A target is called as AWS calls it: by EventBridge's service principal, which the target's resource
policy must allow, or by Scheduler in the schedule's role. What fails is tried again as the retry
policy says, and ends in the dead-letter queue, in one transaction with the fact's removal.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
"""

import logging

import orjson

from cloudlet.call import Caller, Cloud, Params, Requirement
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.messaging import messages, publishing, queues
from cloudlet.policy.evaluation import evaluate
from cloudlet.store.database import Transaction

_log = logging.getLogger(__name__)
_RETRIES_MAX = 185
_AGE_MAX_S = 86_400
_BACK_OFF_MAX_S = 600
_FINAL = {
    "AccessDenied", "AccessDeniedException", "ResourceNotFoundException", "QueueDoesNotExist",
    "MissingParameter", "InvalidParameterValue",
}  # fmt: skip


class Targets:
    """The handlers to register with delivery: `event` for "events" and "scheduler", `queue` for
    "sqs"."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def event(self, fact: Fact) -> Outcome:
        """A fact for a rule or a schedule goes to its target; one for a bus is published on it."""
        resource = fact.target.split(":", 5)[-1]
        if resource.startswith("event-bus/"):
            return self._to_bus(fact, resource.removeprefix("event-bus/"))
        try:
            await self._call(fact)
        except AwsError as error:
            return self._failed(fact, error)
        return DONE

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
            try:
                await self._send(fact.target, fact, caller)
            except AwsError as error:
                if error.code not in _FINAL:
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
        entry = {
            "MessageBody": fact.payload.decode(),
            "MessageAttributes": fact.attributes.get("message_attributes") or {},
        }
        config = self._cloud.config
        messages.insert(tx, queue, entry, config.now_ms(), config.new_id())

    def _to_bus(self, fact: Fact, bus: str) -> Outcome:
        """The payload is an event document, or the `Source`, `DetailType`, `Detail` of one."""
        document = orjson.loads(fact.payload)
        if "Source" in document:
            document = publishing.event_of(self._cloud.config, document)
        return Done(lambda tx: publishing.publish(tx, self._cloud.config, bus, document))

    async def _call(self, fact: Fact) -> None:
        target = fact.attributes["target"]
        caller = await self._caller(fact)
        service = target.split(":")[2]
        if service == "lambda":
            params: Params = {
                "FunctionName": target,
                "InvocationType": "Event",
                "Payload": fact.payload,
            }
            await self._cloud.invoke("lambda", "Invoke", params, caller)
        elif service == "sqs":
            await self._send(target, fact, caller)
        else:
            requirement = Requirement("events:PutEvents", target)
            if caller.kind == "role" and not evaluate(caller, requirement, {}).is_allowed:
                raise AwsError("AccessDeniedException", f"The role may not put events on {target}")
            await self._cloud.database.write(
                lambda tx: outbox.put(
                    tx,
                    target,
                    fact.payload,
                    source=fact.source,
                    now_ms=self._cloud.config.now_ms(),
                )
            )

    async def _send(self, arn: str, fact: Fact, caller: Caller) -> None:
        url = queues.url(self._cloud.config, _name(arn), arn.split(":")[4])
        params: Params = {"QueueUrl": url, "MessageBody": fact.payload.decode()}
        params |= fact.attributes.get("sqs") or {}  # the group in a FIFO queue
        if "trace_id" in fact.attributes:
            trace = {"DataType": "String", "StringValue": fact.attributes["trace_id"]}
            params["MessageSystemAttributes"] = {"AWSTraceHeader": trace}
        await self._cloud.invoke("sqs", "SendMessage", params, caller)

    async def _caller(self, fact: Fact) -> Caller:
        role = fact.attributes.get("role")
        account = self._cloud.config.account
        service = Caller(
            "service",
            fact.attributes["principal"],
            account,
            context={"aws:SourceArn": fact.source, "aws:SourceAccount": account},
        )
        return await assume(self._cloud, role, service) if role else service

    def _failed(self, fact: Fact, error: AwsError) -> Outcome:
        retry = fact.attributes.get("retry") or {}
        attempts_max = retry.get("MaximumRetryAttempts", _RETRIES_MAX)
        age_max_s = retry.get("MaximumEventAgeInSeconds", _AGE_MAX_S)
        age_s = (self._cloud.config.now_ms() - fact.created_ms) / 1000
        is_final = error.code in _FINAL or fact.attempts >= attempts_max or age_s >= age_max_s
        if not is_final:
            return Later(min(_BACK_OFF_MAX_S, 2**fact.attempts))
        _log.error("%s cannot reach %s: %s", fact.source, fact.attributes["target"], error)
        grave = fact.attributes.get("dead_letter")
        if not grave:
            return DONE
        attributes = {
            "RULE_ARN": fact.source,
            "TARGET_ARN": fact.attributes["target"],
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message,
            "RETRY_ATTEMPTS": str(fact.attempts),
        }
        described = {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()}
        return Done(
            lambda tx: outbox.put(
                tx,
                grave,
                fact.payload,
                source=fact.source,
                now_ms=self._cloud.config.now_ms(),
                attributes={"message_attributes": described},
            )
        )


async def assume(cloud: Cloud, role_arn: str, service: Caller) -> Caller:
    """The role as a caller, if its trust policy lets the service assume it."""
    params = {"RoleArn": role_arn, "RoleSessionName": "scheduler"}
    assumed = await cloud.invoke("sts", "AssumeRole", params, service)
    caller = cloud.caller_of(assumed["Credentials"]["AccessKeyId"])
    assert caller is not None, "credentials just issued are known"
    return caller


def _name(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
