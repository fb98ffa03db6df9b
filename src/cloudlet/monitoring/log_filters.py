"""Metric filters and subscription filters of log groups.

A subscription's target is a function, which gets what passed as the "awslogs" event that AWS
sends, or a Kinesis data stream, which gets the same as gzip.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Caller, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.monitoring import ingestion
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.filter_patterns import compile_pattern
from cloudlet.monitoring.log_groups import group_arn, require_group
from cloudlet.monitoring.metric_filters import Transformation
from cloudlet.policy.roles import Roles
from cloudlet.store.database import Row, Transaction, View

_NAME = re.compile(r"[^:*]{1,512}")
_LIMITS = {"metric": 100, "subscription": 2}  # in one log group
_REGEX_MAX = 5
_OPTIONS = ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFieldDimensions",
            "emitSystemFields")  # fmt: skip


def put_metric_filter(call: Call, tx: Transaction) -> None:
    transformation = call.params["metricTransformations"][0]
    Transformation(transformation).check(call.params["filterPattern"])
    _put(call, tx, "metric", transformation)


def delete_metric_filter(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "metric")


def describe_metric_filters(call: Call, view: View) -> Output:
    params = call.params
    if bool(params.get("metricName")) != bool(params.get("metricNamespace")):
        raise invalid("metricName and metricNamespace go together.")
    output = _described(call, view, "metric")
    wanted = params.get("metricNamespace"), params.get("metricName")
    output["metricFilters"] = [
        {**each, "metricTransformations": [config]}
        for each, config in output.pop("filters")
        if wanted == (None, None) or wanted == (config["metricNamespace"], config["metricName"])
    ]
    return output


def test_metric_filter(call: Call, view: View) -> Output:
    pattern = compile_pattern(call.params["filterPattern"])
    matches = [
        {"eventNumber": number, "eventMessage": message, "extractedValues": found.extracted()}
        for number, message in enumerate(call.params["logEventMessages"], 1)
        if (found := pattern(message)) is not None
    ]
    return {"matches": matches}


async def put_subscription_filter(call: Call) -> None:
    params = call.params
    arn = params["destinationArn"]
    kind, role = arn.split(":")[2:3], params.get("roleArn")
    if kind not in (["lambda"], ["kinesis"]):
        raise NotImplementedByCloudlet(f"A subscription of {arn}")
    if (kind == ["lambda"]) == bool(role):
        how = "cannot be used with" if role else "must be used with"
        raise invalid(f"destinationArn for vendor {kind[0]} {how} roleArn")
    group = require_group(call, call.cloud.database.view())
    source = {
        "aws:SourceArn": f"{group_arn(call, group)}:*",
        "aws:SourceAccount": call.config.account,
    }
    logs = Caller("service", "logs.amazonaws.com", call.config.account, context=source)
    await (_try_stream(call, arn, role, logs) if role else _try_function(call, arn, logs))
    config = {"destinationArn": arn, "distribution": params.get("distribution", "ByLogStream")}
    config |= {"roleArn": role} if role else {}
    await call.cloud.database.write(lambda tx: _put(call, tx, "subscription", config))


async def _try_function(call: Call, arn: str, logs: Caller) -> None:
    trial = {"FunctionName": arn, "InvocationType": "DryRun", "Payload": b""}
    try:
        await call.cloud.invoke("lambda", "Invoke", trial, logs)
    except AwsError as error:
        message = "Could not execute the lambda function. Make sure you have given CloudWatch Logs"
        raise invalid(f"{message} permission to execute your function.") from error


async def _try_stream(call: Call, arn: str, role: str, logs: Caller) -> None:
    record = {"StreamARN": arn, "Data": ingestion.control_message(call.now_ms)}
    try:
        caller = await Roles(call.cloud, logs, "CloudWatchLogs").caller(role)
        await call.cloud.invoke("kinesis", "PutRecord", record | {"PartitionKey": "0"}, caller)
    except AwsError as error:
        message = "Could not deliver test message to specified Kinesis stream. Check if the given"
        raise invalid(f"{message} kinesis stream is in ACTIVE state.") from error


def delete_subscription_filter(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "subscription")


def describe_subscription_filters(call: Call, view: View) -> Output:
    output = _described(call, view, "subscription")
    output["subscriptionFilters"] = [{**each, **config} for each, config in output.pop("filters")]
    return output


def _put(call: Call, tx: Transaction, kind: str, config: dict[str, Any]) -> None:
    params = call.params
    group, name, pattern = require_group(call, tx), params["filterName"], params["filterPattern"]
    refuse(params, *_OPTIONS)
    if not _NAME.fullmatch(name):
        raise invalid("A filter's name contains no ':' and no '*'.")
    compile_pattern(pattern)
    others = tx.all("SELECT * FROM log_filters WHERE log_group = ? AND name <> ?", (group, name))
    if sum(row["kind"] == kind for row in others) >= _LIMITS[kind]:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    if "%" in pattern and sum("%" in row["pattern"] for row in others) >= _REGEX_MAX:
        message = f"At most {_REGEX_MAX} filters of a log group have regular expressions."
        raise AwsError("LimitExceededException", message)
    tx.run(
        "INSERT OR REPLACE INTO log_filters VALUES (?, ?, ?, ?, ?, ?)",
        (group, kind, name, pattern, call.now_ms, orjson.dumps(config).decode()),
    )


def _delete(call: Call, tx: Transaction, kind: str) -> None:
    known = (require_group(call, tx), kind, call.params["filterName"])
    where = "WHERE log_group = ? AND kind = ? AND name = ?"
    if not tx.run(f"DELETE FROM log_filters {where}", known).rowcount:
        message = f"The specified {kind} filter does not exist."
        raise AwsError("ResourceNotFoundException", message)


def _described(call: Call, view: View, kind: str) -> Output:
    """`filters`: what both kinds have in common, and what each has of its own."""
    params = call.params
    group = require_group(call, view) if params.get("logGroupName") else ""
    prefix, limit = params.get("filterNamePrefix") or "", int(params.get("limit") or 50)
    after = (params.get("nextToken") or "").partition(":")
    rows = view.all(
        "SELECT * FROM log_filters WHERE kind = ? AND (? = '' OR log_group = ?)"
        " AND substr(name, 1, ?) = ? AND (log_group, name) > (?, ?)"
        " ORDER BY log_group, name LIMIT ?",
        (kind, group, group, len(prefix), prefix, after[0], after[2], limit + 1),
    )
    output: Output = {"filters": [_row(row) for row in rows[:limit]]}
    if len(rows) > limit:
        output["nextToken"] = f"{rows[limit - 1]['log_group']}:{rows[limit - 1]['name']}"
    return output


def _row(row: Row) -> tuple[Output, dict[str, Any]]:
    shared = {
        "filterName": row["name"],
        "logGroupName": row["log_group"],
        "filterPattern": row["pattern"],
        "creationTime": row["created_ms"],
    }
    return shared, orjson.loads(row["config"])
