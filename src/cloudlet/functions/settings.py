"""A function's configuration: which settings there are, their limits and defaults.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Params
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.functions import interpreters, layers, names
from cloudlet.functions.code import Code
from cloudlet.functions.records import Document, timestamp
from cloudlet.store.database import View

ENVIRONMENT_BYTES_MAX = 4096
_ROLE = re.compile(r"arn:aws[a-zA-Z-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
_RESERVED = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
_DEFAULTS: Document = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
    "Architectures": ["x86_64"],
    "PackageType": "Zip",
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}
_CHANGEABLE = (
    "Role", "Handler", "Runtime", "Description", "Timeout", "MemorySize", "DeadLetterConfig",
    "TracingConfig", "EphemeralStorage", "LoggingConfig",
)  # fmt: skip
_RANGES = {"Timeout": (1, 900), "MemorySize": (128, 10240)}
_REFUSED = ("VpcConfig", "KMSKeyArn", "FileSystemConfigs", "ImageConfig", "CodeSigningConfigArn",
            "CapacityProviderConfig", "DurableConfig", "TenancyConfig")  # fmt: skip


def create(call: Call, view: View, name: str) -> Document:
    params = call.params
    if not params.get("Runtime") or not params.get("Handler"):
        raise names.invalid("Runtime and Handler are mandatory parameters for functions created"
                            " with deployment packages.")  # fmt: skip
    document: Document = {
        "FunctionName": name,
        "FunctionArn": names.function_arn(call.config, name),
        **_DEFAULTS,
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "Version": names.LATEST,
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    if params.get("PackageType", "Zip") != "Zip":
        raise NotImplementedByCloudlet("PackageType Image")
    if params.get("Architectures"):
        document["Architectures"] = params["Architectures"]
    change(call, view, document)
    return document


def change(call: Call, view: View, document: Document) -> None:
    """Applies the call's settings to the configuration, in place, after checking them all."""
    params = call.params
    _refuse(params)
    for key in _CHANGEABLE:
        if params.get(key) is not None:
            document[key] = params[key]
    _check(document)
    if params.get("Environment") is not None:
        variables = params["Environment"].get("Variables") or {}
        check_environment(variables)
        document.pop("Environment", None)
        if variables:
            document["Environment"] = {"Variables": variables}
    if params.get("LoggingConfig") is not None:
        document["LoggingConfig"] = _logging(params["LoggingConfig"], document["FunctionName"])
    if params.get("Layers") is not None:
        if len(params["Layers"]) > layers.LAYERS_MAX:
            raise names.invalid(f"Maximum number of layers allowed is {layers.LAYERS_MAX}.")
        document["Layers"] = [layers.reference(call.config, view, arn) for arn in params["Layers"]]
    if not (document.get("DeadLetterConfig") or {}).get("TargetArn"):
        document.pop("DeadLetterConfig", None)
    stamp(call, document)


def set_code(document: Document, code: Code) -> None:
    document["CodeSha256"] = code.digest
    document["CodeSize"] = code.size_bytes


def stamp(call: Call, document: Document) -> None:
    document["LastModified"] = timestamp(call.now_ms)
    document["RevisionId"] = call.config.new_id()


def check_environment(variables: dict[str, str]) -> None:
    taken = sorted(_RESERVED & set(variables))
    if taken:
        raise names.invalid(
            "Lambda was unable to configure your environment variables because the environment"
            " variables you have provided contains reserved keys that are currently not supported"
            f" for modification. Reserved keys used in this request: {', '.join(taken)}"
        )
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise names.invalid(f"Environment variable name {name!r} is not valid.")
    if len(orjson.dumps(variables)) > ENVIRONMENT_BYTES_MAX:
        raise names.invalid(
            "Lambda was unable to configure your environment variables because the environment"
            f" variables you have provided exceeded the {ENVIRONMENT_BYTES_MAX // 1024}KB limit."
        )


def _refuse(params: Params) -> None:
    for key in _REFUSED:
        value = params.get(key)
        if value and (not isinstance(value, dict) or any(value.values())):
            raise NotImplementedByCloudlet(key)
    if (params.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        raise NotImplementedByCloudlet("SnapStart")


def _check(document: Document) -> None:
    for key, (low, high) in _RANGES.items():
        if not low <= int(document[key]) <= high:
            raise names.invalid(f"{key} value must be between {low} and {high}.")
    if not 512 <= int(document["EphemeralStorage"]["Size"]) <= 10240:
        raise names.invalid("EphemeralStorage size must be between 512 and 10240.")
    if not _ROLE.fullmatch(str(document.get("Role", ""))):
        raise names.invalid(f"The role {document.get('Role', '')!r} is not the ARN of a role.")
    interpreters.check(document["Runtime"])
    dead_letter = (document.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letter and not dead_letter.startswith(("arn:aws:sqs:", "arn:aws:sns:")):
        raise names.invalid(
            "The provided target ARN of DeadLetterConfig must be an SQS or SNS ARN."
        )


def _logging(wanted: dict[str, Any], name: str) -> Document:
    format_ = wanted.get("LogFormat", "Text")
    logging: Document = {
        "LogFormat": format_,
        "LogGroup": wanted.get("LogGroup") or f"/aws/lambda/{name}",
    }
    if format_ == "JSON":
        logging["ApplicationLogLevel"] = wanted.get("ApplicationLogLevel", "INFO")
        logging["SystemLogLevel"] = wanted.get("SystemLogLevel", "INFO")
        if logging["SystemLogLevel"] != "INFO":
            raise NotImplementedByCloudlet("SystemLogLevel other than INFO")
    elif wanted.get("ApplicationLogLevel") or wanted.get("SystemLogLevel"):
        raise names.invalid("Log levels can be set only if the log format is JSON.")
    return logging
