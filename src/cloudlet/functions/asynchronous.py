"""Asynchronous invocation: each event is a fact in the outbox until the function has taken it.

Two retries, after one and two minutes; throttles back off without counting. What still fails, or
grows too old, goes to the on-failure destination or the dead-letter target, as a new fact in the
same transaction: it is never lost and never in the way.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
"""

import logging
import uuid
from typing import Any, Protocol

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.functions import grants, limits, measurements, names
from cloudlet.functions.destinations import Ended, put_dead_letter, put_result, result_document
from cloudlet.functions.records import Found
from cloudlet.functions.worker_process import Answer, Invocation
from cloudlet.store.database import Transaction

_AGE_MAX_S = 21_600
_RETRIES_MAX = 2
_THROTTLE_MAX_S = 300
_log = logging.getLogger(__name__)
_THROTTLES = {"TooManyRequestsException", "ServiceException", "ServiceUnavailable"}


class Runner(Protocol):
    """`state.Functions`, as far as it is needed here."""

    cloud: Cloud

    @property
    def retry_s(self) -> tuple[float, ...]: ...

    def find(self, reference: str) -> Found: ...

    async def run(self, found: Found, invocation: Invocation) -> Answer: ...


async def deliver(functions: Runner, fact: Fact) -> Outcome:
    config, database = functions.cloud.config, functions.cloud.database
    reference = names.parse(fact.target)
    try:
        found = functions.find(fact.target)
    except AwsError as error:
        _log.error("an event for %s is dropped: %s", fact.target, error)
        return DONE
    if fact.attributes.get("principal") and not grants.is_allowed(
        database.view(), config, reference, fact.attributes
    ):
        _log.error("%(principal)s may not invoke %(target)s: an event of %(source)s is dropped",
                   {**fact.attributes, "target": fact.target, "source": fact.source})  # fmt: skip
        return DONE
    policy = limits.event_config(database.view(), found.name, found.qualifier) or {}
    failures = database.view().value(
        "SELECT failures FROM function_failures WHERE fact_id = ?", (fact.id,)
    )
    attempt = _Attempt(functions, fact, found, policy, failures or 0)
    return await attempt.make()


class _Attempt:
    """One attempt to have the function take one event."""

    def __init__(
        self, functions: Runner, fact: Fact, found: Found, policy: dict[str, Any], failures: int
    ) -> None:
        self.functions = functions
        self.config = functions.cloud.config
        self.fact = fact
        self.found = found
        self.policy = policy
        self.failures = failures
        request_id = fact.attributes.get("request_id") or _stable_id(fact)
        self.invocation = Invocation(
            request_id,
            names.function_arn(self.config, found.name, found.qualifier),
            fact.payload,
            trace_id=fact.attributes.get("trace_id", ""),
            client_context=fact.attributes.get("client_context", ""),
        )

    async def make(self) -> Outcome:
        age_ms = self.config.now_ms() - self.fact.created_ms
        self._measure("AsyncEventAge", float(age_ms))
        if self._is_too_old(0):
            return self._give_up("EventAgeExceeded", None)
        if self.found.reserved == 0:  # AWS doesn't retry where nothing may run
            return self._give_up("ZeroReservedConcurrency", None)
        try:
            answer = await self.functions.run(self.found, self.invocation)
        except AwsError as error:
            if error.code == "RecursiveInvocationException":
                document = Answer(_error_document(error), is_error=True)
                self._measure("RecursiveInvocationsDropped")
                return self._give_up("RecursiveInvocationDetected", document)
            if error.code not in _THROTTLES:
                answer = Answer(_error_document(error), is_error=True)
            else:
                wait_s = min(_THROTTLE_MAX_S, 2.0**self.fact.attempts)
                return Later(wait_s)
        if not answer.is_error:
            return Done(lambda tx: self._settle(tx, "OnSuccess", "Success", answer))
        return await self._fail(answer)

    async def _fail(self, answer: Answer) -> Outcome:
        self.failures += 1
        retries = self.policy.get("MaximumRetryAttempts", _RETRIES_MAX)
        if self.failures > retries:
            return self._give_up("RetriesExhausted", answer)
        delays = self.functions.retry_s
        wait_s = delays[min(self.failures, len(delays)) - 1]
        if self._is_too_old(wait_s):
            return self._give_up("EventAgeExceeded", answer)
        await self.functions.cloud.database.write(
            lambda tx: tx.run(
                "INSERT INTO function_failures (fact_id, failures) VALUES (?, ?)"
                " ON CONFLICT (fact_id) DO UPDATE SET failures = excluded.failures",
                (self.fact.id, self.failures),
            )
        )
        return Later(wait_s)

    def _measure(self, name: str, value: float = 1.0) -> None:
        measurements.add(self.functions.cloud.meter, self.found, {name: value})

    def _is_too_old(self, wait_s: float) -> bool:
        age_s = (self.config.now_ms() - self.fact.created_ms) / 1000 + wait_s
        return age_s > float(self.policy.get("MaximumEventAgeInSeconds", _AGE_MAX_S))

    def _give_up(self, condition: str, answer: Answer | None) -> Outcome:
        return Done(lambda tx: self._settle(tx, "OnFailure", condition, answer))

    def outcome(self, condition: str, answer: Answer | None) -> Ended:
        return Ended(self.found, self.invocation, condition, self.failures, answer)

    def _settle(self, tx: Transaction, when: str, condition: str, answer: Answer | None) -> None:
        tx.run("DELETE FROM function_failures WHERE fact_id = ?", (self.fact.id,))
        destinations = self.policy.get("DestinationConfig", {})
        target = (destinations.get(when) or {}).get("Destination")
        if target:
            document = result_document(self.config, self.outcome(condition, answer))
            put_result(tx, self.config.now_ms(), target, self.invocation.arn, document)
        dead_letter = self.found.config.get("DeadLetterConfig", {}).get("TargetArn")
        if when == "OnFailure" and dead_letter:
            put_dead_letter(tx, self.config, dead_letter, self.outcome(condition, answer))
        if when == "OnFailure":
            self._measure("AsyncEventsDropped")
        if when == "OnFailure" and not target and not dead_letter:
            _log.warning("%s gave up an event (%s)", self.invocation.arn, condition)


def _error_document(error: AwsError) -> bytes:
    return orjson.dumps({"errorType": error.code, "errorMessage": error.message})


def _stable_id(fact: Fact) -> str:
    """The same request id for every attempt of an event, as on AWS."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{fact.id} {fact.created_ms}"))
