"""Custom resources: a function of the template's own makes them and answers over S3.

The function is invoked asynchronously with `RequestType` Create, Update or Delete and a presigned
`ResponseURL`; it PUTs its answer there, into a bucket that belongs to cloudlet. FAILED, a late
answer and a function that cannot be invoked are failures of the resource. An update that answers
with another physical id replaces the resource: the executor then deletes the old one.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html.
"""

import asyncio
import json
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.exchange import Streamed
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.shapes import text
from cloudlet.template.words import words

TYPE = "AWS::CloudFormation::CustomResource"
PREFIX = "Custom::"
_ANSWER_MAXIMUM_BYTES = 4096
_TIMEOUT_S = 3600
_POLL_S = 0.1


async def _create(ctx: Context, properties: Properties) -> Known:
    answer = await _ask(ctx, "Create", properties, {})
    return _known(answer, "")


async def _update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    extra = {
        "PhysicalResourceId": known.physical_id,
        "OldResourceProperties": _strings(_public(old)),
    }
    return _known(await _ask(ctx, "Update", new, extra), known.physical_id)


async def _delete(ctx: Context, physical_id: str, properties: Properties) -> None:
    await _ask(ctx, "Delete", properties, {"PhysicalResourceId": physical_id})


def _known(answer: dict[str, Any], physical_id: str) -> Known:
    given = answer.get("PhysicalResourceId") or physical_id
    if not given:
        raise TemplateError("Invalid PhysicalResourceId")
    return Known(given, dict(answer.get("Data") or {}))


def _public(properties: Properties) -> Properties:
    return {key: value for key, value in properties.items() if key != "ServiceTimeout"}


def _strings(value: Any) -> Any:
    """CloudFormation hands over numbers and booleans as text."""
    if isinstance(value, dict):
        return {key: _strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strings(item) for item in value]
    return text(value)


async def _ask(
    ctx: Context, request_type: str, properties: Properties, extra: dict[str, Any]
) -> dict[str, Any]:
    """Invokes the function and waits for its answer."""
    bucket = await _bucket(ctx)
    request_id = ctx.cloud.config.new_id()
    key = f"{ctx.stack.name}/{ctx.logical_id}/{request_id}"
    token = str(properties["ServiceToken"])
    if ":lambda:" not in token:
        raise TemplateError("ServiceToken: only the ARN of a Lambda function is implemented.")
    event = {
        "RequestType": request_type,
        "ResponseURL": ctx.presign("PUT", bucket, key),
        "StackId": ctx.stack.id,
        "RequestId": request_id,
        "ResourceType": ctx.resource_type,
        "LogicalResourceId": ctx.logical_id,
        "ServiceToken": token,
        "ResourceProperties": _strings(_public(properties)),
        **extra,
    }
    await ctx.call(
        "lambda",
        "Invoke",
        FunctionName=token,
        InvocationType="Event",
        Payload=json.dumps(event).encode(),
    )
    answer = await _answer(ctx, bucket, key, float(properties.get("ServiceTimeout", _TIMEOUT_S)))
    _check(answer, request_id)
    return answer


def _check(answer: dict[str, Any], request_id: str) -> None:
    if answer.get("Status") not in ("SUCCESS", "FAILED"):
        raise TemplateError("Invalid response: Status must be SUCCESS or FAILED.")
    if answer["Status"] == "FAILED":
        reason = answer.get("Reason") or "no reason given"
        raise TemplateError(
            f"Received response status [FAILED] from custom resource. Message returned: {reason}"
            f" (RequestId: {request_id})"
        )


async def _answer(ctx: Context, bucket: str, key: str, timeout_s: float) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        if ctx.is_halted():
            raise TemplateError("Resource creation cancelled")
        try:
            found = await ctx.own_call("s3", "GetObject", Bucket=bucket, Key=key)
        except AwsError as error:
            if error.code not in ("NoSuchKey", "NotFound"):
                raise
            await asyncio.sleep(_POLL_S)
            continue
        document = await _read(found["Body"])
        await ctx.own_call("s3", "DeleteObject", Bucket=bucket, Key=key)
        return _parsed(document)
    raise TemplateError(
        "CloudFormation did not receive a response from your Custom Resource."
        f" Please check your logs for requestId [{key.rpartition('/')[2]}]."
    )


async def _read(body: bytes | Streamed) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return b"".join([chunk async for chunk in body])
    finally:
        await body.aclose()


def _parsed(document: bytes) -> dict[str, Any]:
    if len(document) > _ANSWER_MAXIMUM_BYTES:
        raise TemplateError("Response is too long; it must be less than 4096 bytes.")
    try:
        answer = json.loads(document)
    except ValueError:
        raise TemplateError("Invalid response: it is not JSON.") from None
    if not isinstance(answer, dict):
        raise TemplateError("Invalid response: it is not a JSON object.")
    return answer


async def _bucket(ctx: Context) -> str:
    bucket = f"cloudformation-custom-resource-response-{ctx.cloud.config.region}"
    try:
        await ctx.own_call("s3", "HeadBucket", Bucket=bucket)
    except AwsError as error:
        if error.status != 404 and error.code not in ("NoSuchBucket", "NotFound", "404"):
            raise
        await ctx.own_call("s3", "CreateBucket", Bucket=bucket)
    return bucket


KINDS = (
    Kind(
        TYPE,
        words("ServiceToken"),
        _create,
        _delete,
        _update,
        fixed=words("ServiceToken"),
        required=words("ServiceToken"),
        is_open=True,
        settles=True,
    ),
)
