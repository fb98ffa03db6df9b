"""SQS's query protocol, which botocore's model no longer describes: how forms and XML name what
the model has, and the codes of errors.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
"""

import copy
from collections.abc import Container, Mapping
from typing import Any

from botocore.model import ListShape, StructureShape

from cloudlet.errors import AwsError

_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
# list → the name of each item
_ITEMS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "TagKeyList": "TagKey",
    **{
        f"{operation}Batch{kind}EntryList": f"{operation}Batch{kind}Entry"
        for operation in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")
        for kind in ("Request", "Result")
    },
}
# map → the names of an entry, of its key and its value
_MAPS = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}
CODES: Mapping[str, str] = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
}

# what some codes are called in JSON
SHAPES: Mapping[str, str] = {
    "InvalidParameterValue": "InvalidParameterValueException",
    "MissingParameter": "MissingRequiredParameterException",
}


def described(model: Mapping[str, Any]) -> dict[str, Any]:
    """The model with what the query protocol needs."""
    changed: dict[str, Any] = copy.deepcopy(dict(model))
    changed["metadata"] = {**changed["metadata"], "xmlNamespace": _NAMESPACE}
    shapes = changed["shapes"]
    for name, item in _ITEMS.items():
        shapes[name]["member"]["locationName"] = item
    for name, (_, key, value) in _MAPS.items():
        shapes[name]["key"]["locationName"] = key
        shapes[name]["value"]["locationName"] = value
    for name, operation in changed["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    for shape in shapes.values():
        for member in shape.get("members", {}).values():
            if member["shape"] in _MAPS:
                member["locationName"] = _MAPS[member["shape"]][0]
    return changed


def check_action(name: str, known: Container[str], path: str) -> None:
    """Not all actions are a queue's."""
    if not name:
        raise AwsError("UnknownOperationException", "", 404)
    if name not in known or (path != "/" and name in ("CreateQueue", "ListQueues")):
        message = f"The action {name} is not valid for this endpoint."
        raise AwsError("InvalidAction", message, 400)


def complete(params: dict[str, Any], shape: StructureShape, path: str) -> None:
    """What forms say without words: their queue, by where they are sent to; and empty lists."""
    if "QueueUrl" in shape.members and path != "/":
        params.setdefault("QueueUrl", path)
    for name in shape.required_members:
        if isinstance(shape.members[name], ListShape):
            params.setdefault(name, [])
        if name not in params:
            message = f"The request must contain the parameter {name}."
            raise AwsError("MissingParameter", message, 400)


def refusal(error: AwsError) -> tuple[str, str]:
    """An error's code and message."""
    message = error.message
    if error.code == "QueueDoesNotExist":
        message = message.replace("exist.", "exist for this wsdl version.")
    return CODES.get(error.code, error.code), message
