"""Subscriptions: subscribe, confirm, change, list, unsubscribe.

Who could be told what they did not ask for must confirm: HTTP(S) endpoints, mailboxes, and queues
and functions of other accounts. Until then a subscription is pending, and gone after two days. One
that was ended by a link comes back by the link in the goodbye.
https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events import outbox
from cloudlet.policy.context import resource_account
from cloudlet.sns import envelopes, filters, retries, topics
from cloudlet.sns.faults import invalid, missing
from cloudlet.sns.publishing import OWN, timestamp
from cloudlet.sns.topics import Topic
from cloudlet.store.database import Row, Transaction, View

_TOKEN_MS = 2 * 86_400_000
_PENDING = "PendingConfirmation"
# protocol → what an endpoint looks like, and what is said of others
_ENDPOINTS = {
    "http": (r"http://[^\s/]+\S*", "Endpoint must match the specified protocol"),
    "https": (r"https://[^\s/]+\S*", "Endpoint must match the specified protocol"),
    "email": (r"[^@\s]+@[^@\s]+", "Email address"),
    "email-json": (r"[^@\s]+@[^@\s]+", "Email address"),
    "sms": (r"\+?\d(?:[ /.-]?\d){3,19}", ""),
    "sqs": (r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}(\.fifo)?", "SQS endpoint ARN"),
    "lambda": (
        r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?", "Lambda endpoint ARN",
    ),
    "application": (
        r"arn:aws:sns:[a-z0-9-]+:\d{12}:endpoint/\S+", "Application endpoint arn invalid: {}",
    ),
}  # fmt: skip
_ASKED = ("http", "https", "email", "email-json")  # whether they want it
_RAW = ("sqs", "http", "https")
_SETTABLE = (
    "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy",
)  # fmt: skip
_DEFAULTS = {"RawMessageDelivery": "false", "FilterPolicyScope": filters.ATTRIBUTES}
_ABSENT = ("ReplayPolicy", "SubscriptionRoleArn")


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    topic: str
    protocol: str
    endpoint: str
    owner: str
    principal: str
    attributes: dict[str, str]
    token: str
    token_ms: int
    state: str
    is_authenticated: bool
    is_locked: bool

    @classmethod
    def of(cls, row: Row) -> "Subscription":
        values = dict(row)
        values["attributes"] = orjson.loads(row["attributes"])
        values["is_locked"] = bool(values.pop("locks"))
        values["is_authenticated"] = bool(row["is_authenticated"])
        return cls(**values)

    @property
    def is_raw(self) -> bool:
        return self.attributes.get("RawMessageDelivery") == "true"

    def arn(self, config: Config) -> str:
        return config.arn("sns", f"{self.topic}:{self.id}")


def find(view: View, subscription_id: str) -> Subscription | None:
    row = view.one("SELECT * FROM topic_subscriptions WHERE id = ?", (subscription_id,))
    return None if row is None else Subscription.of(row)


def named(call: Call, view: View) -> Subscription:
    arn = str(call.params["SubscriptionArn"])
    parts = arn.split(":")
    if len(parts) < 6 or parts[:3] != ["arn", "aws", "sns"]:
        raise invalid(
            f"SubscriptionArn Reason: An ARN must have at least 6 elements, not {len(parts)}"
        )
    if len(parts) != 7:
        raise invalid("SubscriptionId")
    found = find(view, parts[6]) if parts[3:5] == topics.own(call.config) else None
    if found is None or found.topic != parts[5] or found.state == "deleted":
        raise missing("Subscription")
    return found


def subscribe(call: Call, tx: Transaction) -> Output:
    """The same endpoint with the same attributes answers the subscription that is there."""
    topic, params = topics.named(call, tx), call.params
    protocol, endpoint = params["Protocol"], str(params.get("Endpoint") or "")
    _check_endpoint(call, tx, topic, protocol, endpoint)
    endpoint = re.sub(r"[^\d+]", "", endpoint) if protocol == "sms" else endpoint
    given = {k: _plain(k, str(v)) for k, v in (params.get("Attributes") or {}).items() if v != ""}
    for name, value in given.items():
        try:
            _check(call.config, (protocol, endpoint), given, (name, value))
        except AwsError as error:
            if error.code != "InvalidParameter" or "scope" in error.message:
                raise
            raise invalid(f"Attributes Reason: {error.message.partition(': ')[2]}") from None
    row = tx.one(
        "SELECT * FROM topic_subscriptions WHERE topic = ? AND protocol = ? AND endpoint = ?",
        (topic.name, protocol, endpoint),
    )
    existing = Subscription.of(row) if row is not None else None
    if existing is not None and existing.state != "deleted":
        known = _DEFAULTS | existing.attributes
        if any(known.get(name) != value for name, value in given.items()):
            raise invalid(
                "Attributes Reason: Subscription already exists with different attributes"
            )
        if existing.state == "pending":
            _ask(call, tx, topic, existing, envelopes.CONFIRMATION)
        return _subscribed(call, existing)
    is_stranger = resource_account(endpoint, call.caller.account) != call.caller.account
    is_pending = protocol in _ASKED or is_stranger
    tx.run("DELETE FROM topic_subscriptions WHERE topic = ? AND protocol = ? AND endpoint = ?",
           (topic.name, protocol, endpoint))  # fmt: skip
    made = Subscription(
        call.config.new_id(), topic.name, protocol, endpoint, call.caller.account,
        call.caller.arn, given, "", call.now_ms, "pending" if is_pending else "confirmed",
        not is_pending, False,
    )  # fmt: skip
    tx.run(
        "INSERT INTO topic_subscriptions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            made.id, topic.name, protocol, endpoint, made.owner, made.principal, _text(given), "",
            call.now_ms, made.state, made.is_authenticated, False,
        ),
    )  # fmt: skip
    if is_pending:
        _ask(call, tx, topic, made, envelopes.CONFIRMATION)
    return _subscribed(call, made)


def _subscribed(call: Call, found: Subscription) -> Output:
    is_shown = found.state == "confirmed" or call.params.get("ReturnSubscriptionArn")
    return {"SubscriptionArn": found.arn(call.config) if is_shown else "pending confirmation"}


def _ask(call: Call, tx: Transaction, topic: Topic, found: Subscription, kind: str) -> None:
    """Sends a token to the endpoint, which whoever sits there may confirm with."""
    token = call.config.new_secret(144)
    tx.run("UPDATE topic_subscriptions SET token = ?, token_ms = ? WHERE id = ?",
           (token, call.now_ms, found.id))  # fmt: skip
    arn = found.arn(call.config)
    message = {
        "Type": kind,
        "MessageId": call.config.new_id(),
        "Token": token,
        "Message": envelopes.TEXTS[kind].format(
            topic=call.config.arn("sns", topic.name), subscription=arn
        ),
        "Timestamp": timestamp(call.now_ms),
        "SignatureVersion": topic.attributes.get("SignatureVersion", "1"),
    }
    source = call.config.arn("sns", topic.name)
    payload = orjson.dumps(message)
    outbox.put(tx, arn, payload, source=source, now_ms=call.now_ms, attributes=OWN)


def confirm_subscription(call: Call, tx: Transaction) -> Output:
    """Also by those who only know the token, without a signature."""
    token = str(call.params["Token"])
    if not re.fullmatch("[0-9a-f]{32,}", token):
        raise AwsError("InvalidParameter", "Invalid token")
    row = tx.one("SELECT * FROM topic_subscriptions WHERE token = ?", (token,))
    if row is None or call.now_ms - row["token_ms"] > _TOKEN_MS:
        raise invalid("Token")
    found = Subscription.of(row)
    if call.params["TopicArn"] != call.config.arn("sns", found.topic):
        raise invalid("Topic")
    is_signed = call.caller.kind != "anonymous"
    if found.state != "confirmed":
        locks = str(call.params.get("AuthenticateOnUnsubscribe")).lower() == "true"
        tx.run(
            "UPDATE topic_subscriptions SET state = 'confirmed', is_authenticated = ?, locks = ?"
            " WHERE id = ?",
            (is_signed, locks and is_signed, found.id),
        )
    return {"SubscriptionArn": found.arn(call.config)}


def unsubscribe(call: Call, tx: Transaction) -> None:
    """Without a signature it can be taken back, by the link in the goodbye. Once more is fine."""
    try:
        found = named(call, tx)
    except AwsError as error:
        if error.code != "NotFound":
            raise
        return
    is_signed = call.caller.kind != "anonymous"
    if found.is_locked and not is_signed:
        raise invalid("SubscriptionArn Reason: the subscription may only be ended with a signature")
    if found.state == "pending":
        raise invalid("SubscriptionArn Reason: a pending subscription cannot be deleted")
    tx.run("UPDATE topics SET removed = removed + 1 WHERE name = ?", (found.topic,))
    if found.protocol in _ASKED and (not is_signed or found.protocol.startswith("http")):
        topic = topics.find(tx, found.topic)
        assert topic is not None
        tx.run("UPDATE topic_subscriptions SET state = 'deleted' WHERE id = ?", (found.id,))
        _ask(call, tx, topic, found, envelopes.GOODBYE)
    else:
        tx.run("DELETE FROM topic_subscriptions WHERE id = ?", (found.id,))


def list_subscriptions(call: Call, view: View) -> Output:
    sql = "SELECT * FROM topic_subscriptions WHERE state <> 'deleted' AND id > ? ORDER BY id"
    return _listed(call, *topics.page(call, view, sql))


def list_subscriptions_by_topic(call: Call, view: View) -> Output:
    topic = topics.named(call, view)
    sql = (
        "SELECT * FROM topic_subscriptions WHERE state <> 'deleted' AND topic = ? AND id > ?"
        " ORDER BY id"
    )
    return _listed(call, *topics.page(call, view, sql, (topic.name,)))


def _listed(call: Call, rows: list[Row], token: str | None) -> Output:
    found = [Subscription.of(row) for row in rows]
    listed = [
        {
            "SubscriptionArn": each.arn(call.config) if each.state == "confirmed" else _PENDING,
            "Owner": each.owner,
            "Protocol": each.protocol,
            "Endpoint": each.endpoint,
            "TopicArn": call.config.arn("sns", each.topic),
        }
        for each in found
    ]
    return {"Subscriptions": listed, "NextToken": token}


def get_subscription_attributes(call: Call, view: View) -> Output:
    found = named(call, view)
    attributes = {
        "SubscriptionArn": found.arn(call.config),
        "TopicArn": call.config.arn("sns", found.topic),
        "Owner": found.owner,
        "Protocol": found.protocol,
        "Endpoint": found.endpoint,
        "PendingConfirmation": str(found.state == "pending").lower(),
        "ConfirmationWasAuthenticated": str(found.is_authenticated).lower(),
        "SubscriptionPrincipal": found.principal,
        **_DEFAULTS,
        **found.attributes,
    }
    if not found.attributes.get("FilterPolicy"):
        del attributes["FilterPolicyScope"]
    topic = topics.find(view, found.topic)
    if found.protocol.startswith("http") and topic is not None:
        policy = retries.effective(topic.attributes, found.attributes)
        attributes["EffectiveDeliveryPolicy"] = _text(policy)
    return {"Attributes": attributes}


def set_subscription_attributes(call: Call, tx: Transaction) -> None:
    """An empty value takes a policy away."""
    found = named(call, tx)
    name = call.params["AttributeName"]
    value = _plain(name, str(call.params.get("AttributeValue") or ""))
    attributes = {**found.attributes, name: value}
    if name == "FilterPolicyScope" and found.attributes.get("FilterPolicy"):
        filters.check(found.attributes["FilterPolicy"], value)
    if value or name not in _SETTABLE or name == "RawMessageDelivery":
        _check(call.config, (found.protocol, found.endpoint), attributes, (name, value))
    kept = {key: text for key, text in attributes.items() if text}
    tx.run("UPDATE topic_subscriptions SET attributes = ? WHERE id = ?", (_text(kept), found.id))


def sweep(tx: Transaction, now_ms: int) -> None:
    """What nobody confirmed, and goodbyes that nobody took back."""
    tx.run("DELETE FROM topic_subscriptions WHERE state <> 'confirmed' AND token_ms < ?",
           (now_ms - _TOKEN_MS,))  # fmt: skip


def _check_endpoint(call: Call, view: View, topic: Topic, protocol: str, endpoint: str) -> None:
    if protocol == "firehose":
        raise NotImplementedByCloudlet("The protocol firehose")
    if protocol not in _ENDPOINTS:
        raise invalid(f"Amazon SNS does not support this protocol string: {protocol}")
    pattern, complaint = _ENDPOINTS[protocol]
    if not re.fullmatch(pattern, endpoint):
        if protocol == "sms":
            raise AwsError("InvalidParameter", f"Invalid SMS endpoint: {endpoint}")
        raise invalid(complaint.format(endpoint))
    if topic.is_fifo and protocol != "sqs":
        raise invalid(f"Invalid protocol type: {protocol}")
    if protocol == "sqs" and endpoint.endswith(".fifo") and not topic.is_fifo:
        raise invalid(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard"
            " SNS topics"
        )
    if protocol == "application":
        endpoint_id = endpoint.partition(":endpoint/")[2]
        known = view.value("SELECT 1 FROM platform_endpoints WHERE id = ?", (endpoint_id,))
        if not known or endpoint.split(":")[3:5] != topics.own(call.config):
            raise invalid(f"Application endpoint arn invalid: {endpoint}")


def _check(
    config: Config, to: tuple[str, str], every: dict[str, str], one: tuple[str, str]
) -> None:
    """One attribute of a subscription with a protocol and an endpoint, given the others."""
    (protocol, endpoint), (name, value) = to, one
    if name in _ABSENT:
        raise NotImplementedByCloudlet(f"A subscription with {name}")
    if name not in _SETTABLE:
        raise invalid("AttributeName")
    scope = every.get("FilterPolicyScope") or filters.ATTRIBUTES
    if name == "FilterPolicy":
        filters.check(value, scope)
    elif name == "FilterPolicyScope" and value not in (filters.ATTRIBUTES, filters.BODY):
        raise invalid(f"FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody"
                      " or MessageAttributes")  # fmt: skip
    elif name == "RawMessageDelivery":
        if value not in ("true", "false"):
            raise invalid(f"RawMessageDelivery: Invalid value [{value}]. Must be true or false.")
        if protocol not in _RAW and value == "true":
            raise invalid(f"RawMessageDelivery: Delivery protocol [{protocol}] does not support"
                          " raw message delivery.")  # fmt: skip
    elif name == "DeliveryPolicy":
        if not protocol.startswith("http"):
            raise invalid(f"DeliveryPolicy: Delivery protocol [{protocol}] has no delivery policy")
        retries.check_subscription(value)
    elif name == "RedrivePolicy":
        _check_redrive(config, endpoint.endswith(".fifo"), value)


def _check_redrive(config: Config, is_fifo: bool, text: str) -> None:
    try:
        document: Any = orjson.loads(text)
        arn = document["deadLetterTargetArn"]
    except (ValueError, KeyError, TypeError):
        raise invalid("RedrivePolicy: failed to parse JSON.") from None
    if not re.fullmatch(_ENDPOINTS["sqs"][0], str(arn)):
        raise invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if arn.split(":")[3:5] != topics.own(config):
        raise invalid(
            "RedrivePolicy: the dead-letter queue must be in the topic's account and Region"
        )
    if is_fifo != arn.endswith(".fifo"):
        kind = "FIFO" if is_fifo else "standard"
        raise invalid(
            f"RedrivePolicy: must use a {kind} queue as DLQ for a {kind} Subscription to a {kind}"
            " Topic."
        )


def _plain(name: str, value: str) -> str:
    """As it is kept: "TrUe" is "true"."""
    is_truth = name == "RawMessageDelivery" and value.lower() in ("true", "false")
    return value.lower() if is_truth else value


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
