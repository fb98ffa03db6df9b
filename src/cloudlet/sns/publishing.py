"""Publishing: one transaction puts a fact for each subscription that wants the message.

A fact's target is the subscription; `deliveries` takes it from there. The facts of a FIFO topic
carry the message group as their key, which keeps its order; what it was told in the last five
minutes under the same deduplication id is answered, but not delivered, again.
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Call, Cloud, Output
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.sns import filters, metrics, topics
from cloudlet.sns.faults import invalid
from cloudlet.sns.topics import Topic
from cloudlet.store.database import Row, Transaction

_BYTES_MAX = 262_144
_MEMORY_MS = 300_000
_NAME_BYTES = 256
_FIRST_SEQUENCE = 10**19
_ID = re.compile(r"[!-~]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]+")
_ENTRY_ID_MAX = 80
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KIND = re.compile(r"(String|Number|Binary)(\..+)?")
_FORBIDDEN = re.compile(r"[^\w.-]", re.ASCII)
_BATCH_FAULTS = {
    "EmptyBatchRequest": "The batch request doesn't contain any entries.",
    "TooManyEntriesInBatchRequest": "The batch request contains more entries than permissible.",
    "BatchEntryIdsNotDistinct": "Two or more batch entries in the request have the same Id.",
    "BatchRequestTooLong": "The length of all the messages put together is more than the limit.",
}
OWN = {"is_delivery": True}  # no other service's facts go to a subscription past its topic
Entry = dict[str, Any]


def publish(call: Call, tx: Transaction) -> Output:
    """To a topic, a mobile endpoint or a phone."""
    params = call.params
    names = ("TopicArn", "TargetArn", "PhoneNumber")
    present = [name for name in names if params.get(name) is not None]
    given = [name for name in present if params[name]] or present[:1]
    if len(given) != 1:
        kind = "no value" if not given else "more than one value"
        raise invalid(f"TopicArn or TargetArn Reason: {kind} for required parameter")
    target = given[0]
    if target != "PhoneNumber" and ":endpoint/" not in params[target]:
        topic = topics.named(call, tx, target)
        check(params, topic)
        return put(call.cloud, tx, topic, params, _trace(call))
    check(params, None)
    if target == "PhoneNumber":
        return _direct(call, tx, call.config.arn("sns", f"sms/{_dialled(tx, params[target])}"))
    arn = params[target]
    endpoint = tx.one("SELECT * FROM platform_endpoints WHERE id = ?",
                      (arn.partition(":endpoint/")[2],))  # fmt: skip
    if endpoint is None or arn.split(":")[3:5] != topics.own(call.config):
        raise invalid("TargetArn Reason: No endpoint found for the target arn specified")
    if orjson.loads(endpoint["attributes"]).get("Enabled") == "false":
        raise AwsError("EndpointDisabled", "Endpoint is disabled")
    return _direct(call, tx, arn)


def publish_batch(call: Call, tx: Transaction) -> Output:
    """One entry that cannot be published stops the others."""
    topic = topics.named(call, tx)
    entries: list[Entry] = call.params["PublishBatchRequestEntries"]
    _check_batch(entries)
    for entry in entries:
        check(entry, topic)
    successful = [
        {"Id": entry["Id"], **put(call.cloud, tx, topic, entry, _trace(call))} for entry in entries
    ]
    return {"Successful": successful, "Failed": []}


def put(cloud: Cloud, tx: Transaction, topic: Topic, entry: Entry, trace: str) -> Output:
    """Publishes what `check` found well."""
    message = _message(cloud, topic, entry, trace)
    output: Output = {"MessageId": message["MessageId"]}
    if topic.is_fifo:
        known = _earlier(tx, topic, message, cloud.config.now_ms())
        if known is not None:
            return known
        output["SequenceNumber"] = _next(tx, topic, message, cloud.config.now_ms())
    texts, arn = _texts(entry), cloud.config.arn("sns", topic.name)
    rows = tx.all(
        "SELECT id, protocol, endpoint, attributes FROM topic_subscriptions WHERE topic = ?"
        " AND state = 'confirmed' ORDER BY rowid",
        (topic.name,),
    )
    wanted = []
    for row in rows:
        text = texts.get(_dialect(row), texts["default"])
        if refused := _refused(row, text, message["MessageAttributes"]):
            metrics.filtered_out(cloud, tx, topic.name, refused)
            continue
        wanted.append((row["id"], text))
    for subscription, text in wanted:
        outbox.put(
            tx,
            f"{arn}:{subscription}",
            orjson.dumps({**message, "Message": text}),
            source=arn,
            now_ms=cloud.config.now_ms(),
            key=message["MessageGroupId"] if topic.is_fifo else "",
            attributes=OWN,
        )
    metrics.published(cloud, tx, topic.name, _size(entry))
    return output


def check(entry: Entry, topic: Topic | None) -> None:
    """Raises AWS's error for what cannot be published."""
    if not entry.get("Message"):
        raise invalid("Empty message")
    subject = entry.get("Subject")
    if subject is not None and (not 0 < len(subject) <= 100 or _CONTROL.search(subject)):
        raise invalid("Subject")
    if entry.get("MessageStructure") not in (None, "", "json"):
        raise invalid("MessageStructure")
    for name, attribute in (entry.get("MessageAttributes") or {}).items():
        _check_attribute(name, attribute)
    _texts(entry)
    if _size(entry) > _BYTES_MAX:
        raise invalid("Message too long")
    _check_places(entry, topic)


def timestamp(now_ms: int) -> str:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now_ms % 1000:03}Z"


def _check_places(entry: Entry, topic: Topic | None) -> None:
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        value = entry.get(name)
        if value is not None and not _ID.fullmatch(value):
            raise invalid(f"{name} Reason: {name} can only include alphanumeric and punctuation"
                          " characters. 1 to 128 in length.")  # fmt: skip
    if topic is None or not topic.is_fifo:
        if entry.get("MessageDeduplicationId"):
            raise invalid(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId"
                " parameter that is not valid for this topic type"
            )
        return
    if not entry.get("MessageGroupId"):
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    by_content = topic.attributes.get("ContentBasedDeduplication") == "true"
    if not entry.get("MessageDeduplicationId") and not by_content:
        raise invalid("The topic should either have ContentBasedDeduplication enabled or"
                      " MessageDeduplicationId provided explicitly")  # fmt: skip


def _check_attribute(name: str, attribute: dict[str, Any]) -> None:
    kind = attribute.get("DataType") or ""
    _check_attribute_name(name)
    if not kind:
        raise _value(
            f"The message attribute '{name}' must contain non-empty message attribute type."
        )
    if not _KIND.fullmatch(kind):
        raise _value(
            f"The message attribute '{name}' has an invalid message attribute type, the set of"
            " supported type prefixes is Binary, Number, and String."
        )
    own, other = ("Binary", "String") if kind.startswith("Binary") else ("String", "Binary")
    value = attribute.get(f"{own}Value")
    if not value and attribute.get(f"{other}Value"):
        raise _value(f"The message attribute '{name}' with type '{kind}' must use field '{own}'.")
    if not value:
        raise _value(
            f"The message attribute '{name}' must contain non-empty message attribute value for"
            f" message attribute type '{kind}'."
        )
    if kind.startswith("Number") and not _NUMBER.fullmatch(value):
        raise _value(f"Could not cast message attribute '{name}' value to number.")
    if kind == "String.Array" and not _is_array(value):
        raise _value(f"The message attribute '{name}' of type String.Array must be a JSON array of"
                     " strings, numbers, booleans and nulls.")  # fmt: skip


def _check_attribute_name(name: str) -> None:
    found = _FORBIDDEN.search(name)
    if len(name.encode()) >= _NAME_BYTES:
        raise _value("Length of message attribute name must be less than 256 bytes.")
    if found:
        raise _value(
            f"Invalid non-alphanumeric character '#x{ord(found.group()):X}' was found in the"
            " message attribute name. Can only include alphanumeric characters, hyphens,"
            " underscores, or dots."
        )
    for how, is_so in (("starting", name.startswith(".")), ("ending", name.endswith("."))):
        if is_so:
            raise _value(f"Invalid message attribute name {how} with character '.' was found.")
    if ".." in name:
        raise _value("Message attribute name can not have successive '.' character.")


def _is_array(text: str) -> bool:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, list) and not any(isinstance(each, list | dict) for each in found)


def _value(message: str) -> AwsError:
    return AwsError("ParameterValueInvalid", message)


def _texts(entry: Entry) -> dict[str, str]:
    """What each protocol is told; "default" is for the others."""
    if entry.get("MessageStructure") != "json":
        return {"default": entry["Message"]}
    try:
        found = orjson.loads(entry["Message"])
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise invalid("Message Structure - JSON message body failed to parse")
    if not isinstance(found.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return {name: text for name, text in found.items() if isinstance(text, str)}


def _size(entry: Entry) -> int:
    size = len(entry["Message"].encode())
    for name, attribute in (entry.get("MessageAttributes") or {}).items():
        value = attribute.get("BinaryValue") or (attribute.get("StringValue") or "").encode()
        size += len(name.encode()) + len(attribute.get("DataType") or "") + len(value)
    return size


def _message(cloud: Cloud, topic: Topic | None, entry: Entry, trace: str) -> Entry:
    """What facts carry, but for the text."""
    attributes = topic.attributes if topic else {}
    message = {
        "Type": "Notification",
        "MessageId": cloud.config.new_id(),
        "Subject": entry.get("Subject"),
        "Timestamp": timestamp(cloud.config.now_ms()),
        "SignatureVersion": attributes.get("SignatureVersion", "1"),
        "MessageAttributes": {
            name: _told(attribute)
            for name, attribute in (entry.get("MessageAttributes") or {}).items()
        },
        "MessageGroupId": entry.get("MessageGroupId"),
        "TraceHeader": trace,
    }
    if topic is not None and topic.is_fifo:
        digest = hashlib.sha256(entry["Message"].encode()).hexdigest()
        message["MessageDeduplicationId"] = entry.get("MessageDeduplicationId") or digest
    return message


def _told(attribute: dict[str, Any]) -> dict[str, str]:
    value = attribute.get("StringValue") or ""
    if attribute["DataType"].startswith("Binary"):
        value = base64.b64encode(attribute["BinaryValue"]).decode()
    return {"Type": attribute["DataType"], "Value": value}


def _dialect(row: Row) -> str:
    """Which of several texts is for a subscription: its protocol's, or its device's platform's."""
    is_device = row["protocol"] == "application"
    return str(row["endpoint"].split("/")[1] if is_device else row["protocol"])


def _refused(row: Row, text: str, attributes: filters.Attributes) -> str:
    """By which scope's filter policy a subscription does not want it; "" if it does."""
    settings = orjson.loads(row["attributes"])
    policy, scope = settings.get("FilterPolicy"), settings.get("FilterPolicyScope")
    scope = scope or filters.ATTRIBUTES
    wants = not policy or filters.passes(policy, scope, text, attributes)
    return "" if wants else scope


def _key(topic: Topic, message: Entry) -> tuple[str, str, str]:
    is_alone = topic.attributes.get("FifoThroughputScope") == "MessageGroup"
    scope = message["MessageGroupId"] if is_alone else ""
    return topic.name, scope, message["MessageDeduplicationId"]


def _earlier(tx: Transaction, topic: Topic, message: Entry, now_ms: int) -> Output | None:
    row = tx.one(
        "SELECT * FROM topic_deduplications WHERE topic = ? AND scope = ? AND id = ?"
        " AND sent_ms > ?",
        (*_key(topic, message), now_ms - _MEMORY_MS),
    )
    if row is None:
        return None
    return {
        "MessageId": row["message_id"],
        "SequenceNumber": str(_FIRST_SEQUENCE + row["sequence"]),
    }


def _next(tx: Transaction, topic: Topic, message: Entry, now_ms: int) -> str:
    """The next sequence number, under which the message is remembered."""
    tx.run("UPDATE topics SET sequence = sequence + 1 WHERE name = ?", (topic.name,))
    sequence = tx.value("SELECT sequence FROM topics WHERE name = ?", (topic.name,))
    tx.run("DELETE FROM topic_deduplications WHERE topic = ? AND sent_ms <= ?",
           (topic.name, now_ms - _MEMORY_MS))  # fmt: skip
    tx.run(
        "INSERT INTO topic_deduplications (topic, scope, id, message_id, sequence, sent_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*_key(topic, message), message["MessageId"], sequence, now_ms),
    )
    message["SequenceNumber"] = str(_FIRST_SEQUENCE + sequence)
    return str(message["SequenceNumber"])


def _direct(call: Call, tx: Transaction, target: str) -> Output:
    """To one endpoint, without a topic."""
    message = _message(call.cloud, None, call.params, "")
    texts = _texts(call.params)
    payload = orjson.dumps({**message, "Message": texts["default"], "Texts": texts})
    outbox.put(tx, target, payload, source=target, now_ms=call.now_ms, attributes=OWN)
    return {"MessageId": message["MessageId"]}


def _dialled(tx: Transaction, number: str) -> str:
    digits = re.sub(r"[\s().-]", "", number)
    if not re.fullmatch(r"\+?\d{4,15}", digits):
        raise invalid(f"PhoneNumber Reason: {number} is not valid to publish to")
    if tx.value("SELECT 1 FROM sms_opt_outs WHERE number = ?", (digits,)):
        raise invalid(f"PhoneNumber Reason: {number} is opted out")
    return digits


def _check_batch(entries: list[Entry]) -> None:
    ids = [str(entry["Id"]) for entry in entries]
    size = sum(_size(entry) for entry in entries)
    broken = {
        "EmptyBatchRequest": not entries,
        "TooManyEntriesInBatchRequest": len(entries) > 10,
        "BatchEntryIdsNotDistinct": len(set(ids)) < len(ids),
        "BatchRequestTooLong": size > _BYTES_MAX,
    }
    for code, is_broken in broken.items():
        if is_broken:
            raise AwsError(code, _BATCH_FAULTS[code])
    for id_ in ids:
        wrong = "is too long" if len(id_) > _ENTRY_ID_MAX else ""
        wrong = wrong or ("" if _ENTRY_ID.fullmatch(id_) else "contains an impermissible character")
        if wrong:
            message = f"The Id of a batch entry in the batch request {wrong}: {id_}"
            raise AwsError("InvalidBatchEntryId", message)


def _trace(call: Call) -> str:
    return call.request.headers.get("x-amzn-trace-id", "")
