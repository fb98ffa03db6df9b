"""CloudWatch Logs and metrics through boto3."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from click.testing import CliRunner

from cloudlet import cli
from tests.server import Server, free_port
from tests.unit.functions.cloud import zipped


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("cloudwatch") / "data")
    try:
        yield server.start()
    finally:
        server.stop()


def until(condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)
    return found


def test_a_live_tail_shows_what_comes_in(server: Server, tmp_path: Path) -> None:
    logs = server.client("logs", config=Config(inject_host_prefix=False))
    logs.create_log_group(logGroupName="/tail")
    logs.create_log_stream(logGroupName="/tail", logStreamName="s")
    arn = logs.describe_log_groups(logGroupNamePrefix="/tail")["logGroups"][0]["logGroupArn"]
    stream = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="ERROR")[
        "responseStream"
    ]
    seen: list[str] = []

    def write() -> None:
        for text in ("ERROR one", "fine", "ERROR two"):
            logs.put_log_events(
                logGroupName="/tail", logStreamName="s",
                logEvents=[{"timestamp": int(time.time() * 1000), "message": text}],
            )  # fmt: skip

    for event in stream:
        if "sessionStart" in event:
            assert event["sessionStart"]["logEventFilterPattern"] == "ERROR"
            threading.Thread(target=write).start()
        else:
            seen += [each["message"] for each in event["sessionUpdate"]["sessionResults"]]
        if len(seen) == 2:
            break
    stream.close()
    assert seen == ["ERROR one", "ERROR two"]


def function(server: Server, name: str, source: str) -> str:
    """Creates a function with a role of its own; its name."""
    role = server.client("iam").create_role(
        RoleName=f"{name}-role", AssumeRolePolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                          "Principal": {"Service": "lambda.amazonaws.com"}},
        }),
    )["Role"]["Arn"]  # fmt: skip
    server.client("lambda").create_function(
        FunctionName=name, Runtime="python3.12", Handler="handler.handler", Role=role,
        Code={"ZipFile": zipped(handler=source)},
    )  # fmt: skip
    return name


def command(server: Server, *arguments: str, data: str = "") -> Any:
    return CliRunner().invoke(cli.cli, [*arguments, "--data", data or str(server.data)])


def test_commands_ask_the_running_cloudlet(server: Server, tmp_path: Path) -> None:
    function(server, "echo", """
def handler(event, context):
    print("saw", event["n"])
    return {"n": event["n"] / event["d"]}
""")  # fmt: skip
    (tmp_path / "event.json").write_text('{"n": 6, "d": 2}')
    result = command(server, "invoke", "echo", "--payload", f"@{tmp_path / 'event.json'}")
    assert (result.exit_code, result.stdout) == (0, '{"n": 3.0}\n')
    result = command(server, "invoke", "echo", "-p", '{"n": 7, "d": 0}')
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errorType"] == "ZeroDivisionError"
    assert "saw 7" in result.stderr
    until(lambda: "error: echo: ZeroDivisionError" in server.log.read_text())
    result = command(server, "invoke", "echo", "--async", "-p", '{"n": 8, "d": 1}')
    assert (result.exit_code, result.stdout) == (0, "")
    assert command(server, "invoke", "echo", "-p", "{").exit_code == 2
    until(lambda: "saw 8" in command(server, "logs", "echo", "--since", "1h").stdout)
    shown = command(server, "logs", "echo", "--filter", "saw").stdout
    line = r"\d{4}-\d\d-\d\dT[\d:.]{12}Z [0-9a-f]{8} "  # when, and by which worker
    assert re.sub(line, "", shown) == "saw 6\nsaw 7\nsaw 8\n"
    assert "[echo] saw 6\n" in re.sub(line, "", command(server, "logs").stdout)
    assert command(server, "logs", "echo", "--since", "soon").exit_code == 2
    result = command(server, "logs", "absent")
    assert result.exit_code == 1 and "no function 'absent' here; there are: echo" in result.stderr
    (tmp_path / "root-key.json").write_bytes((server.data / "root-key.json").read_bytes())
    (tmp_path / "endpoint.json").write_text(f'{{"aws_port": {free_port()}}}')
    result = command(server, "logs", data=str(tmp_path))
    assert result.exit_code == 1 and "is not running" in result.stderr


def test_metrics_through_boto3(server: Server) -> None:
    client = server.client("cloudwatch")
    client.put_metric_data(
        Namespace="Shop",
        MetricData=[{"MetricName": "Orders", "Values": [1, 2, 7], "Unit": "Count",
                     "Dimensions": [{"Name": "Region", "Value": "eu"}]}],
    )  # fmt: skip
    (metric,) = client.list_metrics(Namespace="Shop")["Metrics"]
    assert metric["Dimensions"] == [{"Name": "Region", "Value": "eu"}]
    span = {"StartTime": time.time() - 600, "EndTime": time.time() + 60}
    stat = {"Metric": metric, "Period": 60, "Stat": "p50"}
    (found,) = client.get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": stat, "ReturnData": False},
                           {"Id": "e", "Expression": "m * 2", "Label": "twice"}],
        **span,
    )["MetricDataResults"]  # fmt: skip
    assert (found["Label"], found["Values"]) == ("twice", [4.0])
    assert abs(found["Timestamps"][0].timestamp() - time.time()) < 180
    (point,) = client.get_metric_statistics(
        **metric, Period=300, Statistics=["Sum", "Maximum"], **span
    )["Datapoints"]
    assert (point["Sum"], point["Maximum"], point["Unit"]) == (10, 7, "Count")
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        client.put_metric_data(Namespace="AWS/x", MetricData=[{"MetricName": "a", "Value": 1}])
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.put_metric_data(Namespace="x" * 300, MetricData=[])
    assert refused.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize("dialect", ["smithy-rpc-v2-cbor", "json", "query"])
def test_metrics_over_each_protocol(server: Server, dialect: str) -> None:
    """Which one a client speaks is a matter of its language and its year."""

    def call(name: str, **params: Any) -> Any:
        operation = client.meta.service_model.operation_model(name)
        serialized = create_serializer(dialect).serialize_to_request(params, operation)
        body = serialized["body"]
        data = urlencode(body) if isinstance(body, dict) else body
        headers = {k: v for k, v in serialized["headers"].items()}
        request = AWSRequest(
            "POST", server.endpoint + serialized["url_path"], headers=headers, data=data
        )
        key = server.root_key
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        SigV4Auth(credentials, "monitoring", "us-east-1").add_auth(request)
        answer = server.http.request(
            "POST", request.url, body=data, headers=dict(request.headers.items())
        )
        response = {"status_code": answer.status, "headers": dict(answer.headers.items()),
                    "body": answer.data}  # fmt: skip
        return create_parser(dialect).parse(response, operation.output_shape)

    client = server.client("cloudwatch")
    namespace = f"Old/{dialect}"
    data = [{"MetricName": "m", "Value": 2.5, "Dimensions": [{"Name": "a", "Value": "b"}]}]
    call("PutMetricData", Namespace=namespace, MetricData=data)
    (metric,) = call("ListMetrics", Namespace=namespace)["Metrics"]
    assert metric["Dimensions"] == [{"Name": "a", "Value": "b"}]
    now = datetime.now(UTC)
    (point,) = call(
        "GetMetricStatistics", **metric, Period=60, Statistics=["Average"],
        StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=1),
    )["Datapoints"]  # fmt: skip
    assert point["Average"] == 2.5 and (now - point["Timestamp"]).total_seconds() < 180
    error = call("GetDashboard", DashboardName="absent")["Error"]
    assert error["Code"] == "ResourceNotFound"


def test_logs_become_metrics_become_alarms_become_calls(server: Server) -> None:
    """A line with an embedded metric; an alarm on it; its action, a function, which logs; a
    subscription to that log, a second function."""
    logs, cloudwatch = server.client("logs"), server.client("cloudwatch")
    function(server, "alarmed", """
def handler(event, context):
    print("ALARMED", event["alarmData"]["alarmName"], event["alarmData"]["state"]["value"])
""")  # fmt: skip
    function(server, "reader", """
import base64, gzip, json
def handler(event, context):
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    print("READ", data["logGroup"], data["logEvents"][0]["message"])
""")  # fmt: skip
    function(server, "measures", """
import json, time
def handler(event, context):
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000) - 60_000, "CloudWatchMetrics": [
        {"Namespace": "Embedded", "Dimensions": [["Stage"]], "Metrics": [{"Name": "Broken"}]}
    ]}, "Stage": "test", "Broken": 1}))
""")  # fmt: skip
    functions = server.client("lambda")
    arns = {}
    logs.create_log_group(logGroupName="/aws/lambda/alarmed")
    subscription = {
        "logGroupName": "/aws/lambda/alarmed", "filterName": "all", "filterPattern": "ALARMED",
        "destinationArn": functions.get_function(FunctionName="reader")["Configuration"][
            "FunctionArn"],
    }  # fmt: skip
    with pytest.raises(logs.exceptions.InvalidParameterException, match="permission"):
        logs.put_subscription_filter(**subscription)
    for name, principal in (
        ("alarmed", "lambda.alarms.cloudwatch.amazonaws.com"), ("reader", "logs.amazonaws.com")
    ):  # fmt: skip
        functions.add_permission(FunctionName=name, StatementId="s", Principal=principal,
                                 Action="lambda:InvokeFunction")  # fmt: skip
        arns[name] = functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    logs.put_subscription_filter(**subscription)
    functions.invoke(FunctionName="measures")
    until(lambda: cloudwatch.list_metrics(Namespace="Embedded")["Metrics"])
    cloudwatch.put_metric_alarm(
        AlarmName="broken", Namespace="Embedded", MetricName="Broken", Statistic="Sum", Period=60,
        Dimensions=[{"Name": "Stage", "Value": "test"}], EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold", AlarmActions=[arns["alarmed"]],
    )  # fmt: skip

    def lines(name: str) -> str:
        with suppress(logs.exceptions.ResourceNotFoundException):
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            return "".join(event["message"] for event in found)
        return ""

    until(lambda: "READ /aws/lambda/alarmed ALARMED broken ALARM" in lines("reader"), 90)
    assert "ALARMED broken ALARM" in lines("alarmed")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["broken"])["MetricAlarms"]
    assert alarm["StateValue"] == "ALARM" and alarm["Threshold"] == 1.0


TEMPLATE = """
Parameters: {Limit: {Type: Number, Default: 3}}
Resources:
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /stack, RetentionInDays: 7,
    Tags: [{Key: team, Value: web}]}}
  Stream: {Type: AWS::Logs::LogStream, Properties: {LogGroupName: !Ref Group}}
  Writers:
    Type: AWS::Logs::ResourcePolicy
    Properties:
      PolicyName: writers
      PolicyDocument: '{"Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents",
        "Principal": {"Service": "events.amazonaws.com"}, "Resource": "*"}]}'
  Filter:
    Type: AWS::Logs::MetricFilter
    Properties:
      LogGroupName: !Ref Group
      FilterPattern: '{ $.level = "ERROR" }'
      MetricTransformations:
        - {MetricName: Errors, MetricNamespace: Stack, MetricValue: 1,
           Dimensions: [{Key: Path, Value: $.path}]}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      {Namespace: Stack, MetricName: Errors, Statistic: Sum, Period: "60", EvaluationPeriods: "1",
       Threshold: !Ref Limit, ComparisonOperator: GreaterThanThreshold,
       Dimensions: [{Name: Path, Value: /a}], Tags: [{Key: team, Value: web}]}
  Top:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties: {AlarmRule: !Sub 'ALARM("${Alarm}")'}
  Board:
    Type: AWS::CloudWatch::Dashboard
    Properties: {DashboardName: board, DashboardBody: '{"widgets": []}'}
Outputs: {Alarm: {Value: !GetAtt Alarm.Arn}, Top: {Value: !Ref Top}}
"""


def test_a_stack_of_filters_alarms_and_dashboards(server: Server) -> None:
    stacks, cloudwatch = server.client("cloudformation"), server.client("cloudwatch")
    logs = server.client("logs")

    def settled() -> Any:
        (stack,) = stacks.describe_stacks(StackName="watch")["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stacks.create_stack(StackName="watch", TemplateBody=TEMPLATE)
    stack = until(settled)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    name = outputs["Alarm"].rsplit(":", 1)[1]
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["Period"]) == (3, 60)
    assert {"Key": "team", "Value": "web"} in cloudwatch.list_tags_for_resource(
        ResourceARN=alarm["AlarmArn"]
    )["Tags"]
    (writers,) = logs.describe_resource_policies()["resourcePolicies"]
    assert writers["policyName"] == "writers"
    (found,) = logs.describe_metric_filters(logGroupName="/stack")["metricFilters"]
    assert found["metricTransformations"][0]["dimensions"] == {"Path": "$.path"}
    stacks.update_stack(
        StackName="watch", UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "Limit", "ParameterValue": "5"}],
    )  # fmt: skip
    assert until(settled)["StackStatus"] == "UPDATE_COMPLETE"
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["Threshold"] == 5
    stacks.delete_stack(StackName="watch")

    def gone() -> bool:
        return not logs.describe_log_groups(logGroupNamePrefix="/stack")["logGroups"]

    until(gone)
    assert not cloudwatch.list_dashboards(DashboardNamePrefix="board")["DashboardEntries"]


def test_many_metrics_at_once_and_an_open_tail_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """A large request comes compressed; what was measured last is there after a restart."""
    server = Server(tmp_path / "data").start()
    try:
        logs = server.client("logs", config=Config(inject_host_prefix=False))
        logs.create_log_group(logGroupName="/t")
        tail = logs.start_live_tail(
            logGroupIdentifiers=[logs.describe_log_groups()["logGroups"][0]["logGroupArn"]]
        )["responseStream"]
        next(iter(tail))
        dimensions = [{"Name": "n", "Value": "v" * 50}]
        server.client("cloudwatch").put_metric_data(Namespace="Big", MetricData=[
            {"MetricName": f"m{n}", "Value": n, "Dimensions": dimensions} for n in range(300)
        ])  # fmt: skip
        assert server.stop() == 0
        assert all("sessionUpdate" in event for event in tail)  # an end, nothing was cut off
        server.start()
        assert len(server.client("cloudwatch").list_metrics(Namespace="Big")["Metrics"]) == 300
    finally:
        server.stop()


def test_permissions_are_asked(server: Server) -> None:
    """A user who may measure in one namespace and read one log group."""
    iam, arn = server.client("iam"), "arn:aws:logs:us-east-1:000000000000:log-group"
    iam.create_user(UserName="agent")
    iam.put_user_policy(UserName="agent", PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*",
             "Condition": {"StringEquals": {"cloudwatch:namespace": "Agent"}}},
            {"Effect": "Allow", "Action": ["logs:FilterLogEvents", "logs:StartQuery"],
             "Resource": f"{arn}:/mine:*"},
        ],
    }))  # fmt: skip
    key = iam.create_access_key(UserName="agent")["AccessKey"]
    agent = {"aws_access_key_id": key["AccessKeyId"],
             "aws_secret_access_key": key["SecretAccessKey"]}  # fmt: skip
    cloudwatch, logs = server.client("cloudwatch", **agent), server.client("logs", **agent)
    for group in ("/mine", "/yours"):
        server.client("logs").create_log_group(logGroupName=group)
    data = [{"MetricName": "m", "Value": 1}]
    cloudwatch.put_metric_data(Namespace="Agent", MetricData=data)
    assert logs.filter_log_events(logGroupName="/mine")["events"] == []
    query = {"startTime": 0, "endTime": 1, "queryString": "fields a"}
    logs.start_query(logGroupName="/mine", **query)
    for refused, params in (
        (cloudwatch.put_metric_data, {"Namespace": "Other", "MetricData": data}),
        (cloudwatch.list_metrics, {}),
        (cloudwatch.delete_alarms, {"AlarmNames": ["a"]}),
        (logs.filter_log_events, {"logGroupName": "/yours"}),
        (logs.start_query, {"logGroupNames": ["/mine", "/yours"], **query}),
        (logs.describe_log_groups, {}),
    ):
        with pytest.raises(ClientError) as caught:
            refused(**params)
        assert caught.value.response["Error"]["Code"].startswith("AccessDenied")
