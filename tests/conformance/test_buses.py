"""EventBridge beyond functions and queues: archives and replays, web APIs, log groups, streams."""

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import allow, arn, eventually, make_queue, message, policy
from tests.server import Server

NO_RETRY = {"MaximumRetryAttempts": 0}


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


def make_role(server: Server, name: str, service: str, *statements: dict[str, Any]) -> str:
    iam = server.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
    return str(made)


def make_rule(server: Server, name: str, *targets: dict[str, Any], **rule: Any) -> str:
    """For events whose source is the rule's name."""
    events = server.client("events")
    pattern = json.dumps({"source": [name]})
    made = events.put_rule(Name=name, EventPattern=pattern, **rule)["RuleArn"]
    bus = {"EventBusName": rule["EventBusName"]} if "EventBusName" in rule else {}
    entries = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert events.put_targets(Rule=name, Targets=entries, **bus)["FailedEntryCount"] == 0
    return str(made)


def put(server: Server, source: str, *details: Any, **members: Any) -> list[str]:
    entries = [
        {"Source": source, "DetailType": "d", "Detail": json.dumps(detail), **members}
        for detail in details
    ]
    answer = server.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 0, answer
    return [each["EventId"] for each in answer["Entries"]]


def refusal(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**params)
    return str(refused.value.response["Error"]["Code"])


class Web:
    """A service outside that keeps what it is asked; `answers` are given first, then 200."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                status, more, text = web.answers.pop(0) if web.answers else (200, {}, b"{}")
                if self.path.startswith("/token"):
                    status, more, text = 200, {}, b'{"access_token": "t%d"}' % len(web.asked)
                web.asked.append((self.command, self.path, headers, body))
                self.send_response(status)
                for key, value in {**more, "Content-Length": str(len(text))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.server.shutdown()
    web.server.server_close()


def make_destination(server: Server, name: str, url: str, way: str, **auth: Any) -> str:
    events = server.client("events")
    connection = events.create_connection(Name=name, AuthorizationType=way, AuthParameters=auth)
    is_oauth = way == "OAUTH_CLIENT_CREDENTIALS"
    assert connection["ConnectionState"] == ("AUTHORIZING" if is_oauth else "AUTHORIZED")
    made = events.create_api_destination(
        Name=name,
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=url,
        HttpMethod="POST",
        InvocationRateLimitPerSecond=50,
    )
    return str(made["ApiDestinationArn"])


def target_of(server: Server, name: str, destination: str, **settings: Any) -> dict[str, Any]:
    invoke = allow("events:InvokeApiDestination")
    role = make_role(server, f"{name}-invoke", "events.amazonaws.com", invoke)
    return {"Arn": destination, "RoleArn": role, **settings}


def test_archives_and_replays(server: Server, name: str) -> None:
    events = server.client("events")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    pattern = json.dumps({"detail": {"n": [{"numeric": [">", 0]}]}})
    made = events.create_archive(
        ArchiveName=name, EventSourceArn=bus, EventPattern=pattern, RetentionDays=3
    )
    assert made["State"] == "ENABLED" and made["ArchiveArn"] == arn("events", f"archive/{name}")
    again = {"ArchiveName": name, "EventSourceArn": bus}
    assert refusal(events.create_archive, **again) == "ResourceAlreadyExistsException"
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for n in (3, 0, 1, 2, 4):  # in another order than that of their times
        put(server, name, {"n": n}, EventBusName=name, Time=base + timedelta(minutes=n))
    found = events.describe_archive(ArchiveName=name)
    assert (found["EventCount"], found["RetentionDays"]) == (4, 3) and found["SizeBytes"] > 400
    url, queue = make_queue(server, name, "events.amazonaws.com")
    rule = make_rule(server, name, {"Arn": queue}, EventBusName=name)
    _, elsewhere = make_queue(server, f"{name}-other", "events.amazonaws.com")
    other = make_rule(server, f"{name}-other", {"Arn": elsewhere}, EventBusName=name)
    times = {
        "EventStartTime": base + timedelta(minutes=1),
        "EventEndTime": base + timedelta(minutes=3),
    }
    archive = made["ArchiveArn"]
    wrong = {"Arn": arn("events", "event-bus/default")}
    replay = {"ReplayName": name, "EventSourceArn": archive, **times}
    assert refusal(events.start_replay, Destination=wrong, **replay) == "ValidationException"
    for number, rules in enumerate(([rule], [other])):
        replay = {**replay, "ReplayName": f"{name}-{number}"}
        events.start_replay(Destination={"Arn": bus, "FilterArns": rules}, **replay)
        told = eventually(partial(done, events, f"{name}-{number}"))
        assert told is not None and told["EventLastReplayedTime"] == times["EventEndTime"]
    heard = [json.loads(message(server, url)["Body"]) for _ in range(3)]
    assert sorted(each["detail"]["n"] for each in heard) == [1, 2, 3]
    assert {each["replay-name"] for each in heard} == {f"{name}-0"}
    assert "Messages" not in server.client("sqs").receive_message(QueueUrl=url)
    assert events.describe_archive(ArchiveName=name)["EventCount"] == 4  # none of them again
    assert len(events.list_replays(NamePrefix=name)["Replays"]) == 2
    assert refusal(events.cancel_replay, ReplayName=f"{name}-0") == "IllegalStatusException"
    events.update_archive(ArchiveName=name, RetentionDays=5)
    (listed,) = events.list_archives(EventSourceArn=bus)["Archives"]
    assert listed["RetentionDays"] == 5
    events.delete_archive(ArchiveName=name)
    assert refusal(events.describe_archive, ArchiveName=name) == "ResourceNotFoundException"


def done(events: Any, replay: str) -> dict[str, Any] | None:
    found: dict[str, Any] = events.describe_replay(ReplayName=replay)
    return found if found["State"] == "COMPLETED" else None


def test_an_api_with_a_key(server: Server, name: str, web: Web) -> None:
    key = {"ApiKeyName": "x-key", "ApiKeyValue": "secret-key"}
    extra = {
        "BodyParameters": [{"Key": "shop", "Value": "s1"}],
        "HeaderParameters": [{"Key": "x-hidden", "Value": "hush", "IsValueSecret": True}],
    }
    destination = make_destination(
        server, name, f"{web.url}/orders/*/items", "API_KEY",
        ApiKeyAuthParameters=key, InvocationHttpParameters=extra,
    )  # fmt: skip
    told = server.client("events").describe_connection(Name=name)
    assert told["AuthParameters"]["ApiKeyAuthParameters"] == {"ApiKeyName": "x-key"}
    assert "secret-key" not in str(told) and "hush" not in str(told)
    assert b"secret-key" not in (server.data / "cloudlet.db-wal").read_bytes()
    settings = {
        "PathParameterValues": ["$.detail.id"],
        "HeaderParameters": {"x-type": "$.detail-type"},
        "QueryStringParameters": {"n": "$.detail.n"},
    }
    paths = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"count": <n>}'}
    target = target_of(server, name, destination, HttpParameters=settings, InputTransformer=paths)
    make_rule(server, name, target)
    web.answers = [(503, {"Retry-After": "1"}, b""), (429, {}, b"")]
    put(server, name, {"id": "a b", "n": 3})
    eventually(lambda: len(web.asked) == 3)
    method, path, headers, body = web.asked[-1]
    assert (method, path) == ("POST", "/orders/a%20b/items?n=3")
    assert (headers["x-key"], headers["x-type"], headers["x-hidden"]) == ("secret-key", "d", "hush")
    assert json.loads(body) == {"count": 3, "shop": "s1"}
    assert headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"


def test_an_api_with_a_password_that_refuses(server: Server, name: str, web: Web) -> None:
    grave_url, grave = make_queue(server, f"{name}-grave", "events.amazonaws.com")
    basic = {"Username": "u", "Password": "p"}
    destination = make_destination(server, name, web.url, "BASIC", BasicAuthParameters=basic)
    target = target_of(server, name, destination, DeadLetterConfig={"Arn": grave})
    rule = make_rule(server, name, target)
    web.answers = [(404, {}, b"")]
    (event_id,) = put(server, name, {})
    dead = message(server, grave_url)
    assert json.loads(dead["Body"])["id"] == event_id
    said = {key: value["StringValue"] for key, value in dead["MessageAttributes"].items()}
    assert said.pop("ERROR_MESSAGE")
    assert said == {
        "RULE_ARN": rule,
        "TARGET_ARN": destination,
        "ERROR_CODE": "INVALID_PARAMETER",
        "RETRY_ATTEMPTS": "0",
    }
    ((_, _, headers, _),) = web.asked
    assert headers["authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"


def test_the_policy_of_a_queue_of_dead_letters_is_asked(server: Server, name: str) -> None:
    """messaging-040: it lets in one rule, and not the other."""
    rules = [f"{name}-refused", f"{name}-let"]
    grave, none = arn("sqs", f"{name}-grave"), arn("sqs", f"{name}-none")
    let = {
        **allow("sqs:SendMessage", grave),
        "Principal": {"Service": "events.amazonaws.com"},
        "Condition": {"ArnEquals": {"aws:SourceArn": arn("events", f"rule/{rules[1]}")}},
    }
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=f"{name}-grave", Attributes={"Policy": policy(let)})
    for rule in rules:
        make_rule(server, rule, {"Arn": none, "DeadLetterConfig": {"Arn": grave}})
        put(server, rule, {}, {})
    letters = [message(server, url["QueueUrl"]) for _ in range(2)]
    assert {json.loads(each["Body"])["source"] for each in letters} == {rules[1]}
    names = ["ApproximateNumberOfMessages"]
    left = sqs.get_queue_attributes(QueueUrl=url["QueueUrl"], AttributeNames=names)["Attributes"]
    assert left == {names[0]: "0"}


def test_an_api_with_oauth(server: Server, name: str, web: Web) -> None:
    client = {"ClientID": "me", "ClientSecret": "hush"}
    scope = {"BodyParameters": [{"Key": "scope", "Value": "all"}]}
    oauth = {
        "ClientParameters": client,
        "AuthorizationEndpoint": f"{web.url}/token",
        "HttpMethod": "post",
        "OAuthHttpParameters": scope,
    }
    destination = make_destination(
        server, name, f"{web.url}/api", "OAUTH_CLIENT_CREDENTIALS", OAuthParameters=oauth
    )
    events = server.client("events")
    eventually(lambda: events.describe_connection(Name=name)["ConnectionState"] == "AUTHORIZED")
    assert events.describe_api_destination(Name=name)["ApiDestinationState"] == "ACTIVE"
    make_rule(server, name, target_of(server, name, destination))
    put(server, name, {"n": 1})
    eventually(lambda: len(web.asked) == 2)
    assert parse_qs(web.asked[0][3].decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["all"],
        "client_id": ["me"],
        "client_secret": ["hush"],
    }
    assert web.asked[1][2]["authorization"] == "Bearer t0"
    web.answers = [(401, {}, b"")]  # the token is good no longer
    put(server, name, {"n": 2})
    eventually(lambda: len(web.asked) == 5)
    assert [path for _, path, _, _ in web.asked[2:]] == ["/api", "/token", "/api"]
    assert web.asked[4][2]["authorization"] == "Bearer t3"


def test_connections_and_destinations(server: Server, name: str) -> None:
    events = server.client("events")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}}
    wrong = {"Name": name, "AuthorizationType": "BASIC", "AuthParameters": key}
    assert refusal(events.create_connection, **wrong) == "ValidationException"
    with pytest.raises(ClientError, match=r"3 validation errors.* pattern: .*than or equal to 64"):
        events.create_connection(**wrong | {"Name": " " * 65, "AuthorizationType": "MAGIC"})
    destination = make_destination(server, name, "https://example.com/", "API_KEY", **key)
    (listed,) = events.list_api_destinations(NamePrefix=name)["ApiDestinations"]
    assert (listed["ApiDestinationArn"], listed["ApiDestinationState"]) == (destination, "ACTIVE")
    changed = events.update_api_destination(Name=name, HttpMethod="PUT")
    assert changed["ApiDestinationArn"] == destination
    assert events.describe_api_destination(Name=name)["HttpMethod"] == "PUT"
    renamed = {"ApiKeyAuthParameters": {"ApiKeyName": "other"}}
    events.update_connection(Name=name, AuthParameters=renamed)
    told = events.describe_connection(Name=name)
    assert told["AuthParameters"] == renamed and told["ConnectionState"] == "AUTHORIZED"
    state = events.deauthorize_connection(Name=name)["ConnectionState"]
    assert state == "DEAUTHORIZED"
    (found,) = events.list_connections(ConnectionState=state, NamePrefix=name)["Connections"]
    assert found["Name"] == name
    events.delete_connection(Name=name)
    assert events.describe_api_destination(Name=name)["ApiDestinationState"] == "INACTIVE"
    events.delete_api_destination(Name=name)
    assert refusal(events.describe_api_destination, Name=name) == "ResourceNotFoundException"


def test_log_groups(server: Server, name: str) -> None:
    logs = server.client("logs")
    group = f"/aws/events/{name}"
    logs.create_log_group(logGroupName=group)
    target = arn("logs", f"log-group:{group}:*")
    grave_url, grave = make_queue(server, f"{name}-grave", "events.amazonaws.com")
    make_rule(server, name, {"Arn": target, "DeadLetterConfig": {"Arn": grave}})
    put(server, name, {"n": 0})
    refused = message(server, grave_url)["MessageAttributes"]["ERROR_CODE"]["StringValue"]
    assert refused == "NO_PERMISSIONS"
    principal = {"Principal": {"Service": "events.amazonaws.com"}}
    may = policy({**allow(["logs:CreateLogStream", "logs:PutLogEvents"], target), **principal})
    logs.put_resource_policy(policyName=name, policyDocument=may)
    put(server, name, {"n": 1})

    def lines() -> list[Any]:
        return list(logs.filter_log_events(logGroupName=group)["events"])

    (line,) = eventually(lines)
    assert json.loads(line["message"])["detail"] == {"n": 1}
    (found,) = logs.describe_resource_policies()["resourcePolicies"]
    assert (found["policyName"], found["policyDocument"]) == (name, may)
    logs.delete_resource_policy(policyName=name)
    assert refusal(logs.delete_resource_policy, policyName=name) == "ResourceNotFoundException"
    wrong = {"policyName": name, "policyDocument": "{}"}
    assert refusal(logs.put_resource_policy, **wrong) == "InvalidParameterException"


def test_topics_and_streams(server: Server, name: str) -> None:
    """Of rules and of schedules; a topic's policy lets EventBridge in, a role lets the rest."""
    sns, kinesis = server.client("sns"), server.client("kinesis")
    topic = sns.create_topic(Name=name)["TopicArn"]
    grant = {**allow("sns:Publish", topic), "Principal": {"Service": "events.amazonaws.com"}}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy(grant))
    url, queue = make_queue(server, name, "sns.amazonaws.com")
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=raw)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    stream = arn("kinesis", f"stream/{name}")
    may = allow(["kinesis:PutRecord", "sns:Publish"])
    rules = make_role(server, f"{name}-rules", "events.amazonaws.com", may)
    turns = make_role(server, f"{name}-turns", "scheduler.amazonaws.com", may)
    paths = {"KinesisParameters": {"PartitionKeyPath": "$.detail.who"}}
    make_rule(
        server, name, {"Arn": topic, "InputPath": "$.detail"},
        {"Arn": stream, "InputPath": "$.detail", **paths}, RoleArn=rules,
    )  # fmt: skip
    assert server.client("events").describe_rule(Name=name)["RoleArn"] == rules
    put(server, name, {"who": "ann"})
    scheduler = server.client("scheduler")
    now = f"at({datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S})"
    of_turns: list[dict[str, Any]] = [
        {"Arn": topic, "Input": "turn"},
        {"Arn": stream, "Input": "turn", "KinesisParameters": {"PartitionKey": "k"}},
    ]
    for number, target in enumerate(of_turns):
        scheduler.create_schedule(
            Name=f"{name}-{number}", ScheduleExpression=now, FlexibleTimeWindow={"Mode": "OFF"},
            Target={**target, "RoleArn": turns},
        )  # fmt: skip
    bodies = {message(server, url)["Body"], message(server, url)["Body"]}
    assert bodies == {'{"who":"ann"}', "turn"}
    shard = kinesis.list_shards(StreamName=name)["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = eventually(lambda: two_of(kinesis, iterator))
    assert sorted((each["PartitionKey"], each["Data"]) for each in records) == [
        ("ann", b'{"who":"ann"}'),
        ("k", b"turn"),
    ]


def two_of(kinesis: Any, iterator: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kinesis.get_records(ShardIterator=iterator)["Records"]
    return found if len(found) == 2 else []


def test_a_rest_api_as_target(server: Server, name: str) -> None:
    """Signed in the role's name, which alone is let in."""
    api = server.client("apigateway")
    made = api.create_rest_api(name=name)["id"]
    root = api.get_resources(restApiId=made)["items"][0]["id"]
    api.put_method(restApiId=made, resourceId=root, httpMethod="POST", authorizationType="AWS_IAM")
    url, _ = make_queue(server, f"{name}-asked")
    sender = make_role(server, f"{name}-api", "apigateway.amazonaws.com", allow("sqs:*"))
    api.put_integration(
        restApiId=made, resourceId=root, httpMethod="POST", type="AWS", credentials=sender,
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:sqs:path/000000000000/{name}-asked",
        requestParameters={
            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
        },
        requestTemplates={"application/json": "Action=SendMessage&MessageBody=$input.path('$.n') "
                          "$input.params('X-Amz-Source-Arn')"},
    )  # fmt: skip
    api.put_method_response(restApiId=made, resourceId=root, httpMethod="POST", statusCode="200")
    api.put_integration_response(
        restApiId=made, resourceId=root, httpMethod="POST", statusCode="200"
    )
    api.create_deployment(restApiId=made, stageName="live")
    role = make_role(server, f"{name}-rule", "events.amazonaws.com", allow("execute-api:Invoke"))
    target = {"Arn": arn("execute-api", f"{made}/live/POST/"), "RoleArn": role}
    rule = make_rule(server, name, {**target, "InputPath": "$.detail"})
    put(server, name, {"n": 7})
    assert message(server, url)["Body"] == f"7 {rule}"


def test_other_targets_are_refused(server: Server, name: str) -> None:
    events = server.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))

    def code(target: dict[str, Any]) -> str:
        return refusal(events.put_targets, Rule=name, Targets=[{"Id": "1", **target}])

    assert code({"Arn": arn("states", "stateMachine:x")}) == "NotImplemented"
    assert code({"Arn": arn("kinesis", "stream/x")}) == "ValidationException"
    assert code({"Arn": "nonsense"}) == "ValidationException"
    template = {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '{"a": <b>}'}
    queue = arn("sqs", "x")
    assert code({"Arn": queue, "InputTransformer": template}) == "ValidationException"


def test_events_for_buses_that_are_not_there_are_taken(server: Server, name: str) -> None:
    """As AWS does: the entry has an id, and leads nowhere."""
    assert put(server, name, {}, EventBusName=f"{name}-missing")
    events = server.client("events")
    entries = [{"Source": "s", "DetailType": "d", "Detail": "{}"}] * 11
    assert refusal(events.put_events, Entries=entries) == "ValidationException"
    result = events.put_events(Entries=[{**entries[0], "Source": "aws.s3"}])
    assert result["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_rules_of_targets_and_patterns(server: Server, name: str) -> None:
    events = server.client("events")
    _, queue = make_queue(server, name, "events.amazonaws.com")
    make_rule(server, name, {"Arn": queue})
    assert events.list_rule_names_by_target(TargetArn=queue)["RuleNames"] == [name]
    event = {
        "id": "1", "account": "000000000000", "source": "s", "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1", "resources": [], "detail-type": "d", "detail": {"ip": "10.0.0.9"},
    }  # fmt: skip
    for cidr, expected in (("10.0.0.0/24", True), ("10.0.1.0/24", False)):
        pattern = json.dumps({"detail": {"ip": [{"cidr": cidr}]}})
        tested = events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        assert tested["Result"] is expected
    with pytest.raises(ClientError) as refused:
        events.put_rule(Name=name, EventPattern='{"a": [{"wildcard": "a**"}]}')
    assert refused.value.response["Error"] == {
        "Code": "InvalidEventPatternException",
        "Message": "Event pattern is not valid. Reason: Consecutive wildcard characters at pos 2",
    }


SAM = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters: {Days: {Type: Number, Default: 3}}
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "${AWS::StackName}-bus"}}
  Archive:
    Type: AWS::Events::Archive
    Properties:
      SourceArn: !GetAtt Bus.Arn
      RetentionDays: !Ref Days
      EventPattern: {source: [shop]}
  Connection:
    Type: AWS::Events::Connection
    Properties:
      AuthorizationType: API_KEY
      AuthParameters: {ApiKeyAuthParameters: {ApiKeyName: k, ApiKeyValue: v}}
  Destination:
    Type: AWS::Events::ApiDestination
    Properties:
      ConnectionArn: !GetAtt Connection.Arn
      HttpMethod: POST
      InvocationEndpoint: https://example.com/orders
  Caller:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: "sts:AssumeRole"}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {source: [shop]}
      Targets:
        - Id: api
          Arn: !GetAtt Destination.Arn
          RoleArn: !GetAtt Caller.Arn
          HttpParameters: {QueryStringParameters: {id: "$.detail.id"}}
  Queue: {Type: AWS::SQS::Queue}
  Policy:
    Type: AWS::SQS::QueueInlinePolicy
    Properties:
      Queue: !Ref Queue
      PolicyDocument: {Statement: [{Effect: Allow, Principal: "*", Action: "sqs:SendMessage"}]}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: "def handler(event, context): return event"
      Events:
        Orders:
          Type: EventBridgeRule
          Properties:
            EventBusName: !Ref Bus
            Pattern: {source: [shop]}
            DeadLetterConfig: {Type: SQS}
            RetryPolicy: {MaximumRetryAttempts: 2}
            InputTransformer:
              InputPathsMap: {id: $.detail.id}
              InputTemplate: '{"id": <id>}'
        Old: {Type: CloudWatchEvent, Properties: {Pattern: {source: [old]}, Input: '{"n": 1}'}}
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour), Input: '{"n": 2}'}}
        Nightly:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: cron(0 3 * * ? *)
            ScheduleExpressionTimezone: Europe/Berlin
            FlexibleTimeWindow: {Mode: FLEXIBLE, MaximumWindowInMinutes: 10}
            RetryPolicy: {MaximumRetryAttempts: 4}
            Input: '{"n": 3}'
Outputs:
  Archive: {Value: !Ref Archive}
  Connection: {Value: !Ref Connection}
  Queue: {Value: !Ref Queue}
  Worker: {Value: !GetAtt Worker.Arn}
"""


def test_all_of_it_from_a_template(server: Server, name: str) -> None:
    stacks, events = server.client("cloudformation"), server.client("events")
    settings = {"Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]}
    url, queue = make_queue(server, f"{name}-told", "events.amazonaws.com")
    status, of_stack = {"status": ["CREATE_COMPLETE"]}, [{"wildcard": f"*/{name}/*"}]
    pattern = {
        "source": ["aws.cloudformation"],
        "detail-type": ["CloudFormation Stack Status Change"],
        "detail": {"stack-id": of_stack, "status-details": status},
    }
    events.put_rule(Name=f"{name}-told", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{name}-told", Targets=[{"Id": "q", "Arn": queue}])
    stacks.create_stack(StackName=name, TemplateBody=SAM, **settings)

    def reached(status: str) -> dict[str, Any]:
        found = stacks.describe_stacks(StackName=name)["Stacks"][0]
        assert "ROLLBACK" not in found["StackStatus"], stacks.describe_stack_events(StackName=name)
        return dict(found) if found["StackStatus"] == status else {}

    listed = eventually(lambda: reached("CREATE_COMPLETE"), 60)["Outputs"]
    made = {each["OutputKey"]: each["OutputValue"] for each in listed}
    told = json.loads(message(server, url)["Body"])
    assert told["resources"] == [told["detail"]["stack-id"]]
    bus = f"{name}-bus"
    rules = [rule["Name"] for rule in events.list_rules(EventBusName=bus)["Rules"]]
    targets = [
        events.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"][0] for rule in rules
    ]
    (function,) = [target for target in targets if target["Arn"] == made["Worker"]]
    assert function["RetryPolicy"] == {"MaximumRetryAttempts": 2}
    assert function["InputTransformer"]["InputPathsMap"] == {"id": "$.detail.id"}
    assert ":sqs:" in function["DeadLetterConfig"]["Arn"]
    (api,) = [target for target in targets if target["Id"] == "api"]
    assert api["HttpParameters"] == {"QueryStringParameters": {"id": "$.detail.id"}}
    named = events.list_rule_names_by_target(TargetArn=made["Worker"])["RuleNames"]
    assert len(named) == 2  # of the default bus: Old and Hourly
    scheduler = server.client("scheduler")
    schedule = scheduler.get_schedule(Name="WorkerNightly")  # SAM's way to name it
    assert schedule["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10}
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 4}
    assert events.describe_connection(Name=made["Connection"])["ConnectionState"] == "AUTHORIZED"
    found = server.client("sqs").get_queue_attributes(
        QueueUrl=made["Queue"], AttributeNames=["Policy"]
    )
    assert json.loads(found["Attributes"]["Policy"])["Statement"][0]["Principal"] == "*"
    parameters = [{"ParameterKey": "Days", "ParameterValue": "9"}]
    stacks.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=parameters, **settings)
    eventually(lambda: reached("UPDATE_COMPLETE"))
    assert events.describe_archive(ArchiveName=made["Archive"])["RetentionDays"] == 9
    stacks.delete_stack(StackName=name)
    eventually(lambda: not events.list_archives(NamePrefix=made["Archive"])["Archives"])
