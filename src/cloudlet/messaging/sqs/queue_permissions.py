"""SQS's AddPermission and RemovePermission: statements of a queue's policy, one by one.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.messaging.sqs import queues
from cloudlet.messaging.sqs.queues import Queue
from cloudlet.store.database import Transaction

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACTIONS = {
    each.lower(): each
    for each in ("*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility",
                 "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue")
}  # fmt: skip
_ACTIONS_MAX = 7
_STATEMENTS_MAX = 20


def add_permission(call: Call, tx: Transaction) -> None:
    queue, params = queues.of_call(call, tx), call.params
    label, policy = params["Label"], _policy(call, queue)
    if not _LABEL.fullmatch(label):
        raise _invalid(f"Value {label} for parameter Label is invalid.")
    if any(each.get("Sid") == label for each in policy["Statement"]):
        raise _invalid(f"Value {label} for parameter Label is invalid. Reason: Already exists.")
    actions = [_ACTIONS.get(each.lower(), "") for each in params["Actions"]]
    for given, known in zip(params["Actions"], actions, strict=True):
        if not known:
            raise _invalid(
                f"Value SQS:{given} for parameter ActionName is invalid. Reason: Please refer to"
                " the appropriate WSDL for a list of valid actions."
            )
    if len(actions) > _ACTIONS_MAX:
        raise AwsError("OverLimit", f"{len(actions)} Actions were found, maximum allowed is"
                       f" {_ACTIONS_MAX}.", 403)  # fmt: skip
    if len(policy["Statement"]) >= _STATEMENTS_MAX:
        text = f"{_STATEMENTS_MAX + 1} statements were found, maximum allowed is {_STATEMENTS_MAX}."
        raise AwsError("OverLimit", text, 403)
    policy["Statement"].append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _one([f"arn:aws:iam::{n}:root" for n in params["AWSAccountIds"]])},
            "Action": _one([f"SQS:{each}" for each in actions]),
            "Resource": call.config.arn("sqs", queue.name),
        }
    )
    _save(call, tx, queue, policy)


def remove_permission(call: Call, tx: Transaction) -> None:
    queue, label = queues.of_call(call, tx), call.params["Label"]
    policy = _policy(call, queue)
    left = [each for each in policy["Statement"] if each.get("Sid") != label]
    if len(left) == len(policy["Statement"]):
        raise _invalid(f"Value {label} for parameter Label is invalid. Reason: can't find label.")
    _save(call, tx, queue, policy | {"Statement": left})


def _one(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else values


def _policy(call: Call, queue: Queue) -> dict[str, Any]:
    text = queue.attributes.get("Policy")
    arn = call.config.arn("sqs", queue.name)
    new = {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy", "Statement": []}
    policy: dict[str, Any] = orjson.loads(text) if text else new
    if isinstance(policy["Statement"], dict):
        policy["Statement"] = [policy["Statement"]]
    return policy


def _save(call: Call, tx: Transaction, queue: Queue, policy: dict[str, Any]) -> None:
    text = orjson.dumps(policy).decode() if policy["Statement"] else ""
    queues.change(call, tx, queue, {"Policy": text})


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
