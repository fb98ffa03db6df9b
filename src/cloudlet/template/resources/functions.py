"""AWS::Lambda::*: functions, versions, aliases, layers, permissions, mappings.

Local code arrives as a place in `cloudlet-folder`; inline code is zipped here as Lambda does, with
the `cfnresponse` module (for Node.js `cfn-response`) beside it that AWS has for custom resources.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Lambda.html.
"""

import io
import zipfile
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.template import folders
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import function_urls, shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.resources.tags import Tagging, tag_list
from cloudlet.template.words import words

_TAGS = Tagging("lambda", arn="Resource")
_ELSEWHERE = words(
    "Architectures Code FunctionName PackageType RecursiveLoop ReservedConcurrentExecutions Tags"
)
_ONCE = words("Architectures PackageType")
_CFNRESPONSE = '''\
"""Answers CloudFormation from a custom resource's function."""

import json
import urllib.request

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False,
         reason=None):
    answer = {
        "Status": responseStatus,
        "Reason": reason or f"See CloudWatch log stream {context.log_stream_name}",
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), {"content-type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request) as response:
        print(f"Status code: {response.status}")
'''


_CFN_RESPONSE = """\
// Answers CloudFormation from a custom resource's function.
exports.SUCCESS = "SUCCESS";
exports.FAILED = "FAILED";
exports.send = (event, context, status, data, physicalId, noEcho) => {
  const body = JSON.stringify({
    Status: status,
    Reason: `See the details in CloudWatch Log Stream: ${context.logStreamName}`,
    PhysicalResourceId: physicalId || context.logStreamName,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
    NoEcho: noEcho || false,
    Data: data,
  });
  const headers = { "content-type": "", "content-length": Buffer.byteLength(body) };
  const url = new URL(event.ResponseURL);
  const request = require(url.protocol.slice(0, -1)).request(url, { method: "PUT", headers });
  request.on("response", (response) => { response.resume(); context.done(); });
  request.on("error", (error) => { console.log(error); context.done(); });
  request.end(body);
};
"""


def _inline(source: str, runtime: str) -> bytes:
    """CloudFormation's `ZipFile` is source text: Lambda gets a zip with one `index` file."""
    is_python = runtime.startswith("python")
    files = {f"index.{'py' if is_python else 'js'}": source}
    if is_python:
        files["cfnresponse.py"] = _CFNRESPONSE
    else:
        files["node_modules/cfn-response/index.js"] = _CFN_RESPONSE
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def _code(properties: Properties) -> dict[str, Any]:
    code = properties["Code"]
    if isinstance(code.get("ZipFile"), str):
        return {"ZipFile": _inline(code["ZipFile"], str(properties.get("Runtime", "")))}
    if "ImageUri" in code:
        raise TemplateError("Code.ImageUri: container images are not implemented by cloudlet.")
    return folders.location(code)


def _configuration(name: str, properties: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in properties.items() if key not in _ELSEWHERE}
    converted = shapes.parameters("lambda", "UpdateFunctionConfiguration", settings)
    return {"FunctionName": name, **converted}


async def _create_function(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("FunctionName"), 64)
    settings = _configuration(name, properties) | {"Code": _code(properties)}
    settings |= {key: properties[key] for key in _ONCE & properties.keys()}
    settings |= _TAGS.initial(properties)
    made = await ctx.call("lambda", "CreateFunction", **settings)
    await ctx.begin(name)
    await ctx.until(lambda: _settled(ctx, name), f"Function {name}")
    await _concurrency(ctx, name, properties, {})
    await _recursion(ctx, name, properties, {})
    return Known(name, {"Arn": made["FunctionArn"]})


async def _settled(ctx: Context, name: str) -> bool:
    found = await ctx.call("lambda", "GetFunctionConfiguration", FunctionName=name)
    if found.get("State") == "Failed":
        raise TemplateError(f"Function {name}: {found.get('StateReason', 'failed')}")
    is_pending = found.get("State") == "Pending"
    return not is_pending and found.get("LastUpdateStatus") != "InProgress"


async def _update_function(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id
    if not old or any(new.get(key) != old.get(key) for key in ("Code", "Architectures")):
        extra = {"Architectures": new["Architectures"]} if "Architectures" in new else {}
        await ctx.call("lambda", "UpdateFunctionCode", FunctionName=name, **_code(new), **extra)
        await ctx.until(lambda: _settled(ctx, name), f"Function {name}")
    settings = _configuration(name, new)
    before = _configuration(name, old)
    if settings != before:
        for key, nothing in _DEFAULTS.items():  # a setting that left the template
            if key in before and key not in settings:
                settings[key] = nothing
        await ctx.call("lambda", "UpdateFunctionConfiguration", **settings)
        await ctx.until(lambda: _settled(ctx, name), f"Function {name}")
    await _concurrency(ctx, name, new, old)
    await _recursion(ctx, name, new, old)
    await _TAGS.update(ctx, str(known.attributes["Arn"]), new, old)
    return known


_DEFAULTS: dict[str, Any] = {
    "Description": "",
    "Environment": {"Variables": {}},
    "Layers": [],
    "MemorySize": 128,
    "Timeout": 3,
    "DeadLetterConfig": {"TargetArn": ""},
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
}


async def _concurrency(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    wanted = new.get("ReservedConcurrentExecutions")
    if wanted is not None:
        settings = {"FunctionName": name, "ReservedConcurrentExecutions": int(wanted)}
        await ctx.call("lambda", "PutFunctionConcurrency", **settings)
    elif "ReservedConcurrentExecutions" in old:
        await ctx.call("lambda", "DeleteFunctionConcurrency", FunctionName=name)


async def _recursion(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    wanted = new.get("RecursiveLoop", "Terminate")
    if wanted != old.get("RecursiveLoop", "Terminate"):
        settings = {"FunctionName": name, "RecursiveLoop": wanted}
        await ctx.call("lambda", "PutFunctionRecursionConfig", **settings)


async def _create_version(ctx: Context, properties: Properties) -> Known:
    wanted = {k: v for k, v in properties.items() if k != "ProvisionedConcurrencyConfig"}
    settings = shapes.parameters("lambda", "PublishVersion", wanted)
    made = await ctx.call("lambda", "PublishVersion", **settings)
    await function_urls.provision(ctx, made["FunctionArn"], properties, {})
    return Known(made["FunctionArn"], {key: made[key] for key in ("Version", "FunctionArn")})


async def _delete_version(ctx: Context, arn: str, properties: Properties) -> None:
    name, _, version = arn.rpartition(":")
    await ctx.call("lambda", "DeleteFunction", FunctionName=name, Qualifier=version)


def _alias(properties: Properties) -> dict[str, Any]:
    settings = {k: v for k, v in properties.items() if k != "ProvisionedConcurrencyConfig"}
    weights = (settings.pop("RoutingConfig", None) or {}).get("AdditionalVersionWeights") or []
    routing = {each["FunctionVersion"]: float(each["FunctionWeight"]) for each in weights}
    converted = shapes.parameters("lambda", "CreateAlias", settings)
    return converted | {"RoutingConfig": {"AdditionalVersionWeights": routing}}


async def _create_alias(ctx: Context, properties: Properties) -> Known:
    made = await ctx.call("lambda", "CreateAlias", **_alias(properties))
    await function_urls.provision(ctx, made["AliasArn"], properties, {})
    return Known(made["AliasArn"], {"AliasArn": made["AliasArn"]})


async def _update_alias(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await ctx.call("lambda", "UpdateAlias", **_alias(new))
    await function_urls.provision(ctx, known.physical_id, new, old)
    return known


async def _create_permission(ctx: Context, properties: Properties) -> Known:
    statement = ctx.name(None, 100)
    settings = shapes.parameters("lambda", "AddPermission", properties)
    settings |= {"StatementId": statement, **function_urls.target(settings["FunctionName"])}
    await ctx.call("lambda", "AddPermission", **settings)
    return Known(statement, {"Id": statement})


async def _delete_permission(ctx: Context, statement: str, properties: Properties) -> None:
    target = function_urls.target(properties["FunctionName"])
    await ctx.call("lambda", "RemovePermission", StatementId=statement, **target)


async def _create_mapping(ctx: Context, properties: Properties) -> Known:
    settings = shapes.parameters("lambda", "CreateEventSourceMapping", _untagged(properties))
    made = await _adopt_mapping(ctx, settings)
    await ctx.begin(made["UUID"])
    arn = made.get("EventSourceMappingArn") or ctx.cloud.config.arn(
        "lambda", f"event-source-mapping:{made['UUID']}"
    )
    return Known(made["UUID"], {"Id": made["UUID"], "EventSourceMappingArn": arn})


async def _adopt_mapping(ctx: Context, settings: dict[str, Any]) -> dict[str, Any]:
    """The new mapping; after a crash between creation and record, the one that is there."""
    try:
        return await ctx.call("lambda", "CreateEventSourceMapping", **settings)
    except AwsError as error:
        if error.code != "ResourceConflictException":
            raise
        found = await ctx.call(
            "lambda",
            "ListEventSourceMappings",
            EventSourceArn=settings.get("EventSourceArn"),
            FunctionName=settings["FunctionName"],
        )
        taken = ctx.cloud.database.view().value(
            "SELECT group_concat(physical_id, ' ') FROM template_resources WHERE type = ?",
            ("AWS::Lambda::EventSourceMapping",),
        )
        for each in found.get("EventSourceMappings", []):
            if each["UUID"] not in (taken or "").split():
                return dict(each)
        raise


def _untagged(properties: Properties) -> Properties:
    tags = {"Tags": tag_list(properties["Tags"])} if "Tags" in properties else {}
    return properties | tags


_MAPPING_DEFAULTS: dict[str, Any] = {
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {},
    "FilterCriteria": {},
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "MetricsConfig": {},
    "ParallelizationFactor": 1,
    "ScalingConfig": {},
    "TumblingWindowInSeconds": 0,
}


async def _update_mapping(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    unchangeable = ("EventSourceArn", "StartingPosition", "StartingPositionTimestamp", "Tags")
    wanted = {key: value for key, value in new.items() if key not in unchangeable}
    wanted.setdefault("Enabled", True)
    for key in (old.keys() - new.keys()) & _MAPPING_DEFAULTS.keys():  # it left the template
        wanted[key] = _MAPPING_DEFAULTS[key]
    settings = shapes.parameters("lambda", "UpdateEventSourceMapping", wanted)
    await ctx.call("lambda", "UpdateEventSourceMapping", UUID=known.physical_id, **settings)
    await _TAGS.update(ctx, str(known.attributes["EventSourceMappingArn"]), new, old)
    return known


async def _create_layer(ctx: Context, properties: Properties) -> Known:
    settings = dict(properties)
    settings["LayerName"] = properties.get("LayerName") or ctx.logical_id
    settings["Content"] = folders.location(properties["Content"])
    converted = shapes.parameters("lambda", "PublishLayerVersion", settings)
    made = await ctx.call("lambda", "PublishLayerVersion", **converted)
    arn = made["LayerVersionArn"]
    return Known(arn, {"LayerVersionArn": arn, "Arn": arn})


async def _delete_layer(ctx: Context, arn: str, properties: Properties) -> None:
    layer, _, version = arn.rpartition(":")
    await ctx.call("lambda", "DeleteLayerVersion", LayerName=layer, VersionNumber=int(version))


KINDS = (
    Kind(
        "AWS::Lambda::Function",
        words(
            "Architectures Code DeadLetterConfig Description Environment EphemeralStorage"
            " FunctionName Handler Layers LoggingConfig MemorySize PackageType"
            " RecursiveLoop ReservedConcurrentExecutions Role Runtime Tags Timeout TracingConfig"
        ),
        _create_function,
        deletes("lambda", "DeleteFunction", "FunctionName"),
        _update_function,
        fixed=words("FunctionName PackageType"),
        name="FunctionName",
        required=words("Code Role"),
        check=lambda properties: _configuration("", properties),
    ),
    Kind(
        "AWS::Lambda::Version",
        words("FunctionName Description CodeSha256 ProvisionedConcurrencyConfig"),
        _create_version,
        _delete_version,
        required=words("FunctionName"),
    ),
    Kind(
        "AWS::Lambda::Alias",
        words(
            "FunctionName Name FunctionVersion Description ProvisionedConcurrencyConfig"
            " RoutingConfig"
        ),
        _create_alias,
        deletes("lambda", "DeleteAlias", of="FunctionName Name"),
        _update_alias,
        fixed=words("FunctionName Name"),
        required=words("FunctionName Name FunctionVersion"),
    ),
    Kind(
        "AWS::Lambda::Permission",
        words(
            "FunctionName Action Principal SourceArn SourceAccount EventSourceToken PrincipalOrgID"
            " FunctionUrlAuthType InvokedViaFunctionUrl"
        ),
        _create_permission,
        _delete_permission,
        required=words("FunctionName Action Principal"),
    ),
    Kind(
        "AWS::Lambda::EventSourceMapping",
        words(
            "BatchSize BisectBatchOnFunctionError DestinationConfig Enabled EventSourceArn"
            " FilterCriteria FunctionName FunctionResponseTypes MaximumBatchingWindowInSeconds"
            " MaximumRecordAgeInSeconds MaximumRetryAttempts MetricsConfig ParallelizationFactor"
            " ScalingConfig StartingPosition StartingPositionTimestamp Tags TumblingWindowInSeconds"
        ),
        _create_mapping,
        deletes("lambda", "DeleteEventSourceMapping", "UUID"),
        _update_mapping,
        fixed=words("EventSourceArn StartingPosition StartingPositionTimestamp"),
        required=words("FunctionName"),
    ),
    Row(
        "AWS::Lambda::EventInvokeConfig",
        "lambda",
        "PutFunctionEventInvokeConfig PutFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig",
        "FunctionName Qualifier DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts",
        of="FunctionName Qualifier",
        ref="{FunctionName}|{Qualifier}",
        fixed="FunctionName Qualifier",
        required="FunctionName Qualifier",
    ).kind(),
    Kind(
        "AWS::Lambda::LayerVersion",
        words(
            "CompatibleArchitectures CompatibleRuntimes Content Description LayerName LicenseInfo"
        ),
        _create_layer,
        _delete_layer,
        required=words("Content"),
    ),
    *function_urls.KINDS,
)
