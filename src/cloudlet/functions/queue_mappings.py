"""What event source mappings of SQS queues are asked for when they are made or changed.

`queue_reader` runs them. Lambda polls in the name of the function's role, which must be able to.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from cloudlet.call import ANONYMOUS, Caller, Cloud, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.functions import names
from cloudlet.functions.credentials import assume
from cloudlet.functions.records import Document, Found

SETTINGS: Document = {
    "BatchSize": 10,
    "MaximumBatchingWindowInSeconds": 0,
    "FunctionResponseTypes": [],
}
_STREAMS_ALONE = (
    "StartingPosition", "ParallelizationFactor", "MaximumRecordAgeInSeconds", "DestinationConfig",
    "MaximumRetryAttempts", "BisectBatchOnFunctionError",
)  # fmt: skip
# calls that show whether they are allowed and do nothing: out of range, no receipt
_TRIALS: tuple[tuple[str, Params], ...] = (
    ("ReceiveMessage", {"MaxNumberOfMessages": 11}),
    ("DeleteMessage", {"ReceiptHandle": "-"}),
    ("GetQueueAttributes", {"AttributeNames": ["VisibilityTimeout"]}),
)
_TRIED = ("InvalidParameterValue", "ReceiptHandleIsInvalid")


def queue_url(config: Config, arn: str) -> str:
    account, name = arn.split(":")[4:6]
    return f"{config.aws_endpoint}/{account}/{name}"


async def role_of(cloud: Cloud, found: Found) -> Caller:
    """The function's role, assumed."""
    assumed = await assume(cloud, found.config["Role"], found.name)
    return cloud.caller_of(assumed["Credentials"]["AccessKeyId"]) or ANONYMOUS


async def check_access(cloud: Cloud, found: Found, arn: str) -> None:
    role = await role_of(cloud, found)
    url = {"QueueUrl": queue_url(cloud.config, arn)}
    attributes: Document = {}
    for operation, params in _TRIALS:
        try:
            output = await cloud.invoke("sqs", operation, url | params, role)
            attributes = output.get("Attributes") or {}
        except AwsError as error:
            if error.code.startswith("AccessDenied"):
                raise names.invalid(
                    "The provided execution role does not have permissions to call"
                    f" {operation} on SQS"
                ) from error
            if error.code == "QueueDoesNotExist":
                raise names.invalid(
                    f"Error occurred while {operation}. SQS Error Code:"
                    f" AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: {error.message}"
                ) from error
            if error.code not in _TRIED:
                raise
    visible_s, timeout_s = int(attributes["VisibilityTimeout"]), found.config["Timeout"]
    if visible_s < timeout_s:
        raise names.invalid(
            f"Queue visibility timeout: {visible_s} seconds is less than Function timeout:"
            f" {timeout_s} seconds"
        )


def change(params: Params, document: Document) -> None:
    """Checks what goes together with a queue; `document` has the common settings already."""
    for key in _STREAMS_ALONE:
        if params.get(key):
            raise names.invalid(f"{key} is not valid for SQS event sources.")
    window_s = document["MaximumBatchingWindowInSeconds"]
    if document["EventSourceArn"].endswith(".fifo"):
        if window_s:
            raise names.invalid("Batching window is not supported for FIFO queues.")
        if document["BatchSize"] > 10:
            raise names.invalid("Batch size must be 10 or less for FIFO queues.")
    elif document["BatchSize"] > 10 and not window_s:
        raise names.invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is"
            " greater than 10"
        )
    scaling = params.get("ScalingConfig")
    if scaling is not None:
        most = scaling.get("MaximumConcurrency")
        if most is not None and not 2 <= most <= 1000:
            raise names.invalid("MaximumConcurrency must be between 2 and 1000.")
        document["ScalingConfig"] = scaling
