"""SQS queues: create, find, change, delete, purge, tag. Of KMS keys only SQS's own is known.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
# attribute: (default, smallest, largest)
_NUMBERS = {
    "DelaySeconds": (0, 0, 900),
    "MaximumMessageSize": (1_048_576, 1024, 1_048_576),
    "MessageRetentionPeriod": (345_600, 60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 0, 20),
    "VisibilityTimeout": (30, 0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (300, 60, 86_400),
}
_OWN_KEY = "alias/aws/sqs"
# of FIFO queues alone: what they may be, the default first
_FIFO = {
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_BOOLEANS = ("FifoQueue", "ContentBasedDeduplication", "SqsManagedSseEnabled")
_DOCUMENTS = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
_COMPUTED = (
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    created_ms: int
    modified_ms: int
    attributes: dict[str, str]
    tags: dict[str, str]
    purged_ms: int

    def number(self, attribute: str) -> int:
        return int(self.attributes.get(attribute, _NUMBERS[attribute][0]))

    @property
    def is_fifo(self) -> bool:
        return "FifoQueue" in self.attributes

    @property
    def is_sealed(self) -> bool:
        return "KmsMasterKeyId" in self.attributes or (
            self.attributes.get("SqsManagedSseEnabled") != "false"
        )

    @property
    def redrive(self) -> tuple[str, int] | None:
        """The dead-letter queue's ARN and after how many receives."""
        text = self.attributes.get("RedrivePolicy")
        if not text:
            return None
        policy = orjson.loads(text)
        return policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])


def url(config: Config, name: str, account: str = "") -> str:
    return f"{config.aws_endpoint}/{account or config.account}/{name}"


def find(view: View, name: str) -> Queue | None:
    row = view.one("SELECT * FROM queues WHERE name = ?", (name,))
    if row is None:
        return None
    return Queue(
        row["name"],
        row["created_ms"],
        row["modified_ms"],
        orjson.loads(row["attributes"]),
        orjson.loads(row["tags"]),
        row["purged_ms"],
    )


def of_call(call: Call, view: View) -> Queue:
    """The queue that `QueueUrl` names: whatever its host, its last segment counts."""
    queue = find(view, call.params["QueueUrl"].rstrip("/").rsplit("/", 1)[-1])
    if queue is None:
        raise missing()
    return queue


def missing() -> AwsError:
    return AwsError("QueueDoesNotExist", "The specified queue does not exist.")


def create_queue(call: Call, tx: Transaction) -> Output:
    """Creates a queue; the same name with the same attributes answers the one that is there."""
    name = call.params["QueueName"]
    attributes = _given(call)
    _check_name(name, attributes.get("FifoQueue") == "true")
    _check(call, tx, attributes, name)
    existing = find(tx, name)
    if existing is not None:
        for key, value in attributes.items():
            if _effective(existing, key) != value:
                raise AwsError(
                    "QueueNameExists",
                    "A queue already exists with the same name and a different value for "
                    f"attribute {key}",
                )
        return {"QueueUrl": url(call.config, name)}
    _check_throughput(attributes)
    attributes = {k: v for k, v in (attributes | _encryption(attributes)).items() if v != ""}
    tags = call.params.get("tags") or {}
    tx.run(
        "INSERT INTO queues (name, created_ms, modified_ms, attributes, tags)"
        " VALUES (?, ?, ?, ?, ?)",
        (name, call.now_ms, call.now_ms, _text(attributes), _text(tags)),
    )
    return {"QueueUrl": url(call.config, name)}


def _check_name(name: str, is_fifo: bool) -> None:
    allowed = "alphanumeric characters, hyphens, or underscores"
    if is_fifo and not (_NAME.fullmatch(name) and name.endswith(".fifo") and len(name) <= 80):
        raise _invalid(
            f"The name of a FIFO queue can only include {allowed}, must end with .fifo suffix and"
            " be 1 to 80 in length"
        )
    if not is_fifo and (name.endswith(".fifo") or not _NAME.fullmatch(name)):
        raise _invalid(f"Can only include {allowed}. 1 to 80 in length")


def get_queue_url(call: Call, view: View) -> Output:
    owner = call.params.get("QueueOwnerAWSAccountId") or call.config.account
    if owner != call.config.account or find(view, call.params["QueueName"]) is None:
        raise missing()
    return {"QueueUrl": url(call.config, call.params["QueueName"])}


def list_queues(call: Call, view: View) -> Output:
    prefix = call.params.get("QueueNamePrefix") or ""
    size = call.params.get("MaxResults") or 1000
    if not 1 <= size <= 1000:
        raise AwsError(
            "InvalidParameterValue",
            "Value for parameter MaxResults is invalid. Reason: Must be an integer from 1 to 1000.",
        )
    rows = view.all(
        "SELECT name FROM queues WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
        (call.params.get("NextToken") or "", len(prefix), prefix, size + 1),
    )
    found = [url(call.config, row["name"]) for row in rows[:size]]
    output: Output = {"QueueUrls": found or None}
    if len(rows) > size and call.params.get("MaxResults"):
        output["NextToken"] = rows[size - 1]["name"]
    return output


def delete_queue(call: Call, tx: Transaction) -> None:
    queue = of_call(call, tx)
    tx.run("DELETE FROM queue_messages WHERE queue = ?", (queue.name,))
    tx.run("DELETE FROM queues WHERE name = ?", (queue.name,))
    tx.touch(f"queue:{queue.name}")


def purge_queue(call: Call, tx: Transaction) -> None:
    queue = of_call(call, tx)
    if call.now_ms - queue.purged_ms < 60_000:
        raise AwsError(
            "PurgeQueueInProgress",
            f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
            403,
        )
    for table in ("queue_messages", "queue_deduplications"):
        tx.run(f"DELETE FROM {table} WHERE queue = ?", (queue.name,))
    tx.run("UPDATE queues SET purged_ms = ? WHERE name = ?", (call.now_ms, queue.name))


def get_queue_attributes(call: Call, view: View) -> Output:
    queue = of_call(call, view)
    wanted = call.params.get("AttributeNames") or []
    values = _described(call, view, queue)
    if "All" in wanted:
        return {"Attributes": values}
    for name in wanted:
        if name not in values and not _is_known(name):
            raise _unknown(name)
    return {"Attributes": {name: values[name] for name in wanted if name in values} or None}


def set_queue_attributes(call: Call, tx: Transaction) -> None:
    queue = of_call(call, tx)
    attributes = _given(call)
    _check(call, tx, attributes, queue.name)
    change(call, tx, queue, attributes)


def _given(call: Call) -> dict[str, str]:
    given = {k: str(v) for k, v in (call.params.get("Attributes") or {}).items()}
    return {k: v.lower() if k in _BOOLEANS else v for k, v in given.items()}


def _check_throughput(attributes: dict[str, str]) -> None:
    is_by_group = attributes.get("FifoThroughputLimit") == "perMessageGroupId"
    if is_by_group and attributes.get("DeduplicationScope") != "messageGroup":
        raise _invalid(
            "The value perMessageGroupId for FifoThroughputLimit is allowed only when the value for"
            " DeduplicationScope is messageGroup."
        )


def change(call: Call, tx: Transaction, queue: Queue, attributes: dict[str, str]) -> None:
    """An empty value takes an attribute away."""
    merged = queue.attributes | attributes | _encryption(attributes)
    merged = {k: v for k, v in merged.items() if v != ""}
    _check_throughput(merged)
    tx.run(
        "UPDATE queues SET attributes = ?, modified_ms = ? WHERE name = ?",
        (_text(merged), call.now_ms, queue.name),
    )


def list_queue_tags(call: Call, view: View) -> Output:
    return {"Tags": of_call(call, view).tags or None}


def tag_queue(call: Call, tx: Transaction) -> None:
    queue = of_call(call, tx)
    _save_tags(tx, queue, queue.tags | call.params["Tags"])


def untag_queue(call: Call, tx: Transaction) -> None:
    queue = of_call(call, tx)
    gone = set(call.params["TagKeys"])
    _save_tags(tx, queue, {k: v for k, v in queue.tags.items() if k not in gone})


def list_dead_letter_source_queues(call: Call, view: View) -> Output:
    found = sources_of(call.config, view, of_call(call, view).name)
    return {"queueUrls": [url(call.config, name) for name in found]}


def sources_of(config: Config, view: View, grave: str) -> list[str]:
    """The queues whose dead letters go there."""
    arn = config.arn("sqs", grave)
    found = [find(view, row["name"]) for row in view.all("SELECT name FROM queues ORDER BY name")]
    return [q.name for q in found if q and q.redrive and q.redrive[0] == arn]


def _check(call: Call, view: View, attributes: dict[str, str], queue: str) -> None:
    is_fifo = queue.endswith(".fifo")
    for name, value in attributes.items():
        if name in _NUMBERS:
            _, low, high = _NUMBERS[name]
            if not value.isdigit() or not low <= int(value) <= high:
                raise _invalid(f"Invalid value for the parameter {name}.")
        elif name in _FIFO:
            _check_fifo(name, value, is_fifo)
        elif name == "KmsMasterKeyId" and value and value.rpartition(":")[2] != _OWN_KEY:
            raise NotImplementedByCloudlet(f"The key {value} (of queues: {_OWN_KEY} alone)")
        elif name in _DOCUMENTS and value:
            _check_document(call, view, name, value, queue)
        elif name == "SqsManagedSseEnabled" and value not in ("true", "false"):
            raise _invalid(f"Invalid value for the parameter {name}.")
        elif not _is_known(name) or name in _COMPUTED:
            raise _unknown(name)


def _check_fifo(name: str, value: str, is_fifo: bool) -> None:
    if not is_fifo and name in ("DeduplicationScope", "FifoThroughputLimit"):
        text = f"You can specify the {name} only when FifoQueue is set to true."
        raise AwsError("InvalidAttributeName", text)
    if not is_fifo:
        raise _unknown(name)
    if (name, value) == ("FifoQueue", "false"):
        text = f"Invalid value for the parameter {name}. Reason: Modifying queue type is not"
        raise AwsError("InvalidAttributeValue", f"{text} supported.")
    if value not in _FIFO[name]:
        raise _invalid(f"Invalid value for the parameter {name}.")


def _encryption(attributes: dict[str, str]) -> dict[str, str]:
    """One kind ends the other."""
    is_managed = attributes.get("SqsManagedSseEnabled") == "true"
    if attributes.get("KmsMasterKeyId"):
        if is_managed:
            raise AwsError(
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. You can either"
                " enable KMS SSE or SQS SSE.",
            )
        return {"SqsManagedSseEnabled": "false"}
    return {"KmsMasterKeyId": ""} if is_managed else {}


def _check_document(call: Call, view: View, name: str, value: str, queue: str) -> None:
    wrong = f"Value {value} for parameter {name} is invalid."
    try:
        document = orjson.loads(value)
        if name == "RedrivePolicy":
            count = int(document["maxReceiveCount"])
            target = str(document["deadLetterTargetArn"])
        elif name == "RedriveAllowPolicy":
            named = document.get("sourceQueueArns")
            is_listed = document["redrivePermission"] == "byQueue"
            if document["redrivePermission"] not in ("allowAll", "denyAll", "byQueue") or (
                bool(named) != is_listed or len(named or ()) > 10
            ):
                raise ValueError(value)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _invalid(wrong) from None
    if not isinstance(document, dict):
        raise _invalid(wrong)
    if name != "RedrivePolicy":
        return
    if not 1 <= count <= 1000:
        raise _invalid(
            f"{wrong} Reason: Invalid value for maxReceiveCount: {count}, valid values are from 1"
            " to 1000 both inclusive."
        )
    grave = find(view, target.rsplit(":", 1)[-1])
    if grave is None:
        raise _invalid(f"{wrong} Reason: Dead letter target does not exist.")
    if grave.is_fifo != queue.endswith(".fifo"):
        raise _invalid(
            f"{wrong} Reason: Dead-letter queue must be same type of queue as the source."
        )
    allowed = orjson.loads(grave.attributes.get("RedriveAllowPolicy") or "{}")
    permission, source = allowed.get("redrivePermission"), call.config.arn("sqs", queue)
    if permission == "denyAll" or (
        permission == "byQueue" and source not in allowed["sourceQueueArns"]
    ):
        raise _invalid(f"{wrong} Reason: Dead letter target does not allow {source} to redrive.")


def _described(call: Call, view: View, queue: Queue) -> dict[str, str]:
    now_ms = call.now_ms
    oldest_ms = now_ms - queue.number("MessageRetentionPeriod") * 1000
    counts = view.one(
        "SELECT sum(visible_ms <= :now) AS ready, sum(visible_ms > :now AND receives > 0) AS taken,"
        " sum(visible_ms > :now AND receives = 0) AS delayed"
        " FROM queue_messages WHERE queue = :queue AND sent_ms >= :oldest",
        {"now": now_ms, "queue": queue.name, "oldest": oldest_ms},
    )
    assert counts is not None
    values = {
        **{name: str(default) for name, (default, _, _) in _NUMBERS.items()},
        "SqsManagedSseEnabled": "true",
        **({name: each[0] for name, each in _FIFO.items()} if queue.is_fifo else {}),
        **queue.attributes,
        "QueueArn": call.config.arn("sqs", queue.name),
        "CreatedTimestamp": str(queue.created_ms // 1000),
        "LastModifiedTimestamp": str(queue.modified_ms // 1000),
        "ApproximateNumberOfMessages": str(counts["ready"] or 0),
        "ApproximateNumberOfMessagesNotVisible": str(counts["taken"] or 0),
        "ApproximateNumberOfMessagesDelayed": str(counts["delayed"] or 0),
    }
    if "KmsMasterKeyId" not in values:
        del values["KmsDataKeyReusePeriodSeconds"]
    return values


def _effective(queue: Queue, name: str) -> str | None:
    if name in queue.attributes:
        return queue.attributes[name]
    if name in _FIFO and queue.is_fifo:
        return _FIFO[name][0]
    if name == "SqsManagedSseEnabled":
        return "true"
    return str(_NUMBERS[name][0]) if name in _NUMBERS else None


def _is_known(name: str) -> bool:
    others = ("SqsManagedSseEnabled", "KmsMasterKeyId", *_DOCUMENTS, *_FIFO, *_COMPUTED)
    return name in _NUMBERS or name in others


def _save_tags(tx: Transaction, queue: Queue, tags: dict[str, Any]) -> None:
    tx.run("UPDATE queues SET tags = ? WHERE name = ?", (_text(tags), queue.name))


def _unknown(name: str) -> AwsError:
    return AwsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def _text(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
