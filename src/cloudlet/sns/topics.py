"""Topics: create, find, change, delete, tag; their policies.

Encryption with keys of one's own, archives, data protection and active tracing are refused.
https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.policy import evaluation
from cloudlet.sns import retries
from cloudlet.sns.faults import invalid, missing
from cloudlet.store.database import Row, Transaction, View

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FIFO_NAME = re.compile(r"[A-Za-z0-9_-]{1,251}\.fifo")
_TOPICS_PAGE = 100
_TAGS_MAX = 50
_POLICY_BYTES_MAX = 30_720
_FEEDBACK = tuple(
    f"{service}{kind}"
    for service in ("HTTP", "SQS", "Lambda", "Application")
    for kind in ("SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn")
)
# attribute: what it may be; () = anything
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "DisplayName": (),
    "Policy": (),
    "DeliveryPolicy": (),
    "SignatureVersion": ("1", "2"),
    "TracingConfig": ("PassThrough",),
    "KmsMasterKeyId": ("", "alias/aws/sns"),
    **dict.fromkeys(_FEEDBACK, ()),
}
_FIFO_ATTRIBUTES = {
    "ContentBasedDeduplication": ("true", "false"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
}
_ABSENT = ("ArchivePolicy", "KmsMasterKeyId", "TracingConfig")
# what owners grant, and all that a topic's policy may speak of
ACTIONS = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    attributes: dict[str, str]
    tags: dict[str, str]
    sequence: int
    removed: int

    @classmethod
    def of(cls, row: Row) -> "Topic":
        attributes, tags = orjson.loads(row["attributes"]), orjson.loads(row["tags"])
        return cls(row["name"], attributes, tags, row["sequence"], row["removed"])

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")

    def policy(self, config: Config) -> dict[str, Any]:
        text = self.attributes.get("Policy")
        found: dict[str, Any] = orjson.loads(text) if text else default_policy(config, self.name)
        return found


def find(view: View, name: str) -> Topic | None:
    row = view.one("SELECT * FROM topics WHERE name = ?", (name,))
    return None if row is None else Topic.of(row)


def named(call: Call, view: View, member: str = "TopicArn") -> Topic:
    """The topic whose ARN a call gives."""
    arn = str(call.params.get(member) or "")
    parts = arn.split(":")
    if len(parts) < 6:
        raise invalid(f"{member} Reason: An ARN must have at least 6 elements, not {len(parts)}")
    if parts[:3] != ["arn", "aws", "sns"] or parts[3] != call.config.region:
        raise invalid(member)
    topic = find(view, parts[5]) if parts[3:5] == own(call.config) and len(parts) == 6 else None
    if topic is None:
        raise missing("Topic")
    return topic


def own(config: Config) -> list[str]:
    return [config.region, config.account]


def default_policy(config: Config, name: str) -> dict[str, Any]:
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in ACTIONS],
        "Resource": config.arn("sns", name),
        "Condition": {"StringEquals": {"AWS:SourceOwner": config.account}},
    }
    return {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}


def create_topic(call: Call, tx: Transaction) -> Output:
    """The same name with the same attributes answers the topic that is there."""
    name, params = call.params["Name"], call.params
    given = {k: str(v) for k, v in (params.get("Attributes") or {}).items()}
    is_fifo = given.pop("FifoTopic", "false") == "true"
    _check_name(name, is_fifo)
    if params.get("DataProtectionPolicy"):
        raise NotImplementedByCloudlet("A DataProtectionPolicy")
    for attribute, value in given.items():
        _check(call.config, attribute, value, name)
    tags = _tags(params.get("Tags"))
    arn = call.config.arn("sns", name)
    existing = find(tx, name)
    if existing is None:
        tx.run(
            "INSERT INTO topics (name, created_ms, attributes, tags) VALUES (?, ?, ?, ?)",
            (name, call.now_ms, _text(given), _text(tags)),
        )
        return {"TopicArn": arn}
    shown = described(call.config, tx, existing)
    if any(shown.get(attribute, "") != value for attribute, value in given.items()):
        raise invalid("Attributes Reason: Topic already exists with different attributes")
    if not tags.items() <= existing.tags.items():
        raise invalid("Tags Reason: Topic already exists with different tags")
    return {"TopicArn": arn}


def delete_topic(call: Call, tx: Transaction) -> None:
    """With all its subscriptions; deleting what is not there succeeds."""
    try:
        topic = named(call, tx)
    except AwsError as error:
        if error.code != "NotFound":
            raise
        return
    tx.run("DELETE FROM topics WHERE name = ?", (topic.name,))


def list_topics(call: Call, view: View) -> Output:
    rows, token = page(call, view, "SELECT name AS id FROM topics WHERE name > ? ORDER BY name")
    topics = [{"TopicArn": call.config.arn("sns", row["id"])} for row in rows]
    return {"Topics": topics, "NextToken": token}


def page(
    call: Call, view: View, sql: str, parameters: tuple[str, ...] = ()
) -> tuple[list[Row], str | None]:
    """Rows after the call's token, by `id`, and the token of the next page."""
    after = call.params.get("NextToken") or ""
    rows = view.all(f"{sql} LIMIT {_TOPICS_PAGE + 1}", (*parameters, after))
    more = len(rows) > _TOPICS_PAGE
    return rows[:_TOPICS_PAGE], rows[_TOPICS_PAGE - 1]["id"] if more else None


def get_topic_attributes(call: Call, view: View) -> Output:
    return {"Attributes": described(call.config, view, named(call, view))}


def described(config: Config, view: View, topic: Topic) -> dict[str, str]:
    rows = view.all(
        "SELECT state, count(*) AS n FROM topic_subscriptions WHERE topic = ? GROUP BY state",
        (topic.name,),
    )
    counts = {row["state"]: row["n"] for row in rows}
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
    return {
        "TopicArn": config.arn("sns", topic.name),
        "Owner": config.account,
        "DisplayName": "",
        "Policy": _text(topic.policy(config)),
        "SubscriptionsPending": str(counts.get("pending", 0)),
        "SubscriptionsConfirmed": str(counts.get("confirmed", 0)),
        "SubscriptionsDeleted": str(topic.removed),
        "EffectiveDeliveryPolicy": _text(retries.effective(topic.attributes)),
        **(fifo if topic.is_fifo else {}),
        **{name: value for name, value in topic.attributes.items() if value},
    }


def set_topic_attributes(call: Call, tx: Transaction) -> None:
    topic = named(call, tx)
    name, value = call.params["AttributeName"], str(call.params.get("AttributeValue") or "")
    _check(call.config, name, value, topic.name)
    _save(tx, topic.name, {**topic.attributes, name: value})


def add_permission(call: Call, tx: Transaction) -> None:
    topic, params = named(call, tx), call.params
    policy = topic.policy(call.config)
    statements = _statements(policy)
    if any(each.get("Sid") == params["Label"] for each in statements):
        raise invalid("Statement already exists")
    if not set(params["ActionName"]) <= set(ACTIONS):
        raise invalid("Policy statement action out of service scope!")
    accounts = [f"arn:aws:iam::{each}:root" for each in params["AWSAccountId"]]
    actions = [f"SNS:{action}" for action in params["ActionName"]]
    statement = {
        "Sid": params["Label"],
        "Effect": "Allow",
        "Principal": {"AWS": accounts if len(accounts) > 1 else accounts[0]},
        "Action": actions if len(actions) > 1 else actions[0],
        "Resource": call.config.arn("sns", topic.name),
    }
    _save_policy(call, tx, topic, [*statements, statement])


def remove_permission(call: Call, tx: Transaction) -> None:
    topic = named(call, tx)
    statements = _statements(topic.policy(call.config))
    left = [each for each in statements if each.get("Sid") != call.params["Label"]]
    _save_policy(call, tx, topic, left)


def _statements(policy: dict[str, Any]) -> list[Any]:
    """One need not be in a list."""
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]


def _save_policy(call: Call, tx: Transaction, topic: Topic, statements: list[Any]) -> None:
    policy = {**topic.policy(call.config), "Statement": statements}
    _save(tx, topic.name, {**topic.attributes, "Policy": _text(policy)})


def tag_resource(call: Call, tx: Transaction) -> None:
    _retag(call, tx, lambda tags: {**tags, **_tags(call.params["Tags"])})


def untag_resource(call: Call, tx: Transaction) -> None:
    gone = set(call.params["TagKeys"])
    _retag(call, tx, lambda tags: {k: v for k, v in tags.items() if k not in gone})


def list_tags_for_resource(call: Call, view: View) -> Output:
    tags = _tagged(call, view).tags
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _retag(call: Call, tx: Transaction, change: Any) -> None:
    topic = _tagged(call, tx)
    tags = change(topic.tags)
    if len(tags) > _TAGS_MAX:
        raise AwsError(
            "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded"
        )
    tx.run("UPDATE topics SET tags = ? WHERE name = ?", (_text(tags), topic.name))


def _tagged(call: Call, view: View) -> Topic:
    try:
        return named(call, view, "ResourceArn")
    except AwsError as error:
        if error.code != "NotFound":
            raise
        raise AwsError("ResourceNotFound", "Resource does not exist", 404) from None


def _tags(tags: list[dict[str, str]] | None) -> dict[str, str]:
    found = {tag["Key"]: tag["Value"] for tag in tags or []}
    if len(found) < len(tags or []):
        raise invalid("Duplicated keys are not allowed.")
    return found


def _check_name(name: str, is_fifo: bool) -> None:
    if not (_FIFO_NAME if is_fifo else _NAME).fullmatch(name):
        raise invalid("Topic Name")


def _check(config: Config, attribute: str, value: str, topic: str) -> None:
    is_fifo = topic.endswith(".fifo")
    known = _ATTRIBUTES | _FIFO_ATTRIBUTES
    allowed = known.get(attribute)
    if attribute == "ArchivePolicy" or (attribute in _ABSENT and value not in (allowed or ())):
        raise NotImplementedByCloudlet(f"A topic with {attribute} {value}")
    if allowed is None or (attribute in _FIFO_ATTRIBUTES and not is_fifo):
        raise invalid("AttributeName")
    if allowed and value and value not in allowed:
        raise invalid(f"Attributes Reason: {attribute}: value must be one of {', '.join(allowed)}")
    if attribute == "DisplayName" and len(value) > 100:
        raise invalid("DisplayName Reason: must be at most 100 characters long")
    if attribute == "Policy" and value:
        _check_policy(value)
    if attribute == "DeliveryPolicy" and value:
        retries.check_topic(value)


def _check_policy(text: str) -> None:
    try:
        document = orjson.loads(text)
        actions = [each["Action"] for each in _statements(document) if "NotAction" not in each]
        whole = [a for found in actions for a in (found if isinstance(found, list) else [found])]
        evaluation.statements(document)  # one that cannot be read would keep everybody out
    except (AttributeError, ValueError, KeyError, TypeError):
        raise invalid("Policy Error: null") from None
    if len(text.encode()) > _POLICY_BYTES_MAX:
        raise invalid("Policy Reason: Policy is too long")
    if not all(str(action).lower().startswith("sns:") for action in whole):
        raise invalid("Policy statement action out of service scope!")


def _save(tx: Transaction, name: str, attributes: dict[str, str]) -> None:
    tx.run("UPDATE topics SET attributes = ? WHERE name = ?", (_text(attributes), name))


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
