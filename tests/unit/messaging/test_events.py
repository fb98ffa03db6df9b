"""EventBridge rules and Scheduler: patterns, inputs, turns, delivery."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events import outbox
from cloudlet.events.delivery import DONE, Done, Later
from cloudlet.messaging import permissions
from cloudlet.messaging.eventbridge import (
    buses,
    expressions,
    firing,
    inputs,
    publishing,
    rules,
    scheduler,
)
from cloudlet.messaging.targets import Targets
from tests.harness import Bench

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"


def entry(**members: Any) -> dict[str, Any]:
    return {"Source": "shop", "DetailType": "order", "Detail": '{"n": 1}', **members}


def put_rule(bench: Bench, **target: Any) -> str:
    pattern = '{"source": ["shop"], "detail": {"n": [{"numeric": [">", 0]}]}}'
    arn = bench.call(rules.put_rule, Name="orders", EventPattern=pattern)["RuleArn"]
    targets = [{"Id": "1", "Arn": FUNCTION, **target}]
    assert bench.call(rules.put_targets, Rule="orders", Targets=targets)["FailedEntryCount"] == 0
    return str(arn)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_events_reach_matching_rules(bench: Bench) -> None:
    arn = put_rule(bench)
    output = bench.call(
        publishing.put_events,
        Entries=[entry(), entry(Source="other"), entry(Detail="["), entry(Source="aws.s3")],
    )
    assert output["FailedEntryCount"] == 2
    assert output["Entries"][2]["ErrorCode"] == "MalformedDetail"
    (fact,) = bench.facts()
    assert fact.target == arn
    assert fact.attributes["target"]["Arn"] == FUNCTION
    event = orjson.loads(fact.payload)
    assert event["detail"] == {"n": 1}
    assert event["detail-type"] == "order"
    assert event["time"] == "2026-11-18T11:06:40Z"


def test_an_event_bears_its_senders_account(bench: Bench) -> None:
    put_rule(bench)
    sender = Caller("role", "arn:aws:sts::111122223333:assumed-role/r/s", "111122223333")
    bench.call(publishing.put_events, caller=sender, Entries=[entry()])
    assert orjson.loads(bench.facts()[0].payload)["account"] == "111122223333"


def test_disabled_rules_are_silent(bench: Bench) -> None:
    put_rule(bench)
    bench.call(rules.disable_rule, Name="orders")
    bench.call(publishing.put_events, Entries=[entry()])
    assert bench.facts() == []


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        ({"Input": '{"fixed":1}'}, b'{"fixed":1}'),
        ({"InputPath": "$.detail"}, b'{"n":1,"list":["a"]}'),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"n": "$.detail.n", "first": "$.detail.list[0]"},
                    "InputTemplate": '{"text": "n is <n>, <first>", "value": <n>, "s": <first>}',
                }
            },
            b'{"text": "n is 1, a", "value": 1, "s": "a"}',
        ),
    ],
)
def test_inputs(target: dict[str, Any], payload: bytes) -> None:
    event = {"time": "t", "detail": {"n": 1, "list": ["a"]}}
    inputs.check({"Id": "1", **target})
    assert inputs.render({"Id": "1", **target}, event, "arn:rule/x", 0) == payload


def test_wrong_rules_and_targets(bench: Bench) -> None:
    with pytest.raises(AwsError) as pattern:
        bench.call(rules.put_rule, Name="x", EventPattern='{"a": 1}')
    assert pattern.value.code == "InvalidEventPatternException"
    with pytest.raises(AwsError) as schedule:
        bench.call(rules.put_rule, Name="x", ScheduleExpression="rate(1 minutes)")
    assert schedule.value.code == "ValidationException"
    put_rule(bench)
    with pytest.raises(NotImplementedByCloudlet):
        arn = "arn:aws:states:us-east-1:000000000000:stateMachine:x"
        bench.call(rules.put_targets, Rule="orders", Targets=[{"Id": "2", "Arn": arn}])
    with pytest.raises(AwsError) as used:
        bench.call(rules.delete_rule, Name="orders")
    assert used.value.code == "ValidationException"


def test_scheduled_rule_fires_once_per_turn(bench: Bench) -> None:
    bench.call(rules.put_rule, Name="tick", ScheduleExpression="rate(5 minutes)")
    bench.call(rules.put_targets, Rule="tick", Targets=[{"Id": "1", "Arn": FUNCTION}])
    start_ms = bench.clock.now_ms
    assert firing.next_due_ms(bench.database.view()) == start_ms + 300_000
    bench.clock.advance(299)
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert bench.facts() == []
    bench.clock.advance(1)
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert len(bench.facts()) == 1
    assert orjson.loads(bench.facts()[0].payload)["detail-type"] == "Scheduled Event"
    # after an hour without turns: one late one, and the rhythm is kept
    bench.clock.advance(3601)
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert len(bench.facts()) == 2
    due_ms = firing.next_due_ms(bench.database.view())
    assert due_ms is not None
    assert (due_ms - start_ms) % 300_000 == 0
    assert due_ms > bench.clock.now_ms


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("cron(0 3 * * ? *)", "UTC", "2026-01-01T04:00:00", "2026-01-02T03:00:00"),
        ("cron(0 9 ? * MON *)", "UTC", "2026-11-18T00:00:00", "2026-11-23T09:00:00"),
        ("cron(0 12 L * ? *)", "UTC", "2026-02-01T00:00:00", "2026-02-28T12:00:00"),
        ("cron(0 12 * * ? *)", "Europe/Berlin", "2026-01-01T00:00:00", "2026-01-01T11:00:00"),
        # 02:30 does not exist on the day the clocks go forward
        ("cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),
    ],
)
def test_cron(expression: str, zone: str, after: str, expected: str) -> None:
    after_ms = at(after)
    assert expressions.next_ms(expression, zone, after_ms, after_ms) == at(expected)


def create(bench: Bench, expression: str, **members: Any) -> None:
    bench.call(
        scheduler.create_schedule,
        Name="job",
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": FUNCTION, "RoleArn": "arn:aws:iam::000000000000:role/r", "Input": "{}"},
        **members,
    )


def test_one_time_schedule_is_deleted_afterwards(bench: Bench) -> None:
    create(bench, "at(2026-11-18T12:06:40)", ActionAfterCompletion="DELETE")
    assert bench.call(scheduler.get_schedule, Name="job")["State"] == "ENABLED"
    bench.clock.advance(3600)
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    (fact,) = bench.facts()
    assert fact.payload == b"{}"
    assert fact.attributes["target"]["RoleArn"] == "arn:aws:iam::000000000000:role/r"
    with pytest.raises(AwsError) as gone:
        bench.call(scheduler.get_schedule, Name="job")
    assert (gone.value.code, gone.value.status) == ("ResourceNotFoundException", 404)


def test_one_time_schedules_of_the_past(bench: Bench) -> None:
    """messaging-041"""
    now = datetime.fromtimestamp(bench.clock.now_ms // 1000, UTC)

    def past(seconds: int) -> str:
        return f"at({now - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S})"

    with pytest.raises(AwsError, match="in the past") as refused:
        create(bench, past(61))
    assert refused.value.code == "ValidationException"
    create(bench, past(61), State="DISABLED")
    bench.call(scheduler.delete_schedule, Name="job")
    create(bench, past(50), StartDate=now + timedelta(hours=1), EndDate=now + timedelta(hours=2))
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert len(bench.facts()) == 1 and firing.next_due_ms(bench.database.view()) is None


def test_schedules_end_and_conflict(bench: Bench) -> None:
    create(bench, "rate(1 hour)", EndDate=datetime.fromtimestamp(bench.clock.now_ms / 1000, UTC))
    with pytest.raises(AwsError) as conflict:
        create(bench, "rate(1 hour)")
    assert conflict.value.status == 409
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert len(bench.facts()) == 1
    assert firing.next_due_ms(bench.database.view()) is None
    with pytest.raises(AwsError):
        create(bench, "every now and then")


def test_delivery_calls_functions_as_eventbridge(bench: Bench) -> None:
    put_rule(bench)
    bench.call(publishing.put_events, Entries=[entry()])
    outcome = asyncio.run(Targets(bench.cloud).event(bench.facts()[0]))
    assert outcome is DONE
    service, operation, params = bench.invoked[0]
    assert (service, operation) == ("lambda", "Invoke")
    assert params["InvocationType"] == "Event"


def test_failed_delivery_is_retried_then_buried(bench: Bench) -> None:
    grave = "arn:aws:sqs:us-east-1:000000000000:grave"
    put_rule(bench, DeadLetterConfig={"Arn": grave}, RetryPolicy={"MaximumRetryAttempts": 2})
    bench.call(publishing.put_events, Entries=[entry()])
    errors = iter([("ServiceException", 500), ("AccessDeniedException", 403)])

    def refuse(params: Any) -> Any:
        code, status = next(errors)
        raise AwsError(code, "no", status)

    bench.answers["Invoke"] = refuse
    (fact,) = bench.facts()
    targets = Targets(bench.cloud)
    assert isinstance(asyncio.run(targets.event(fact)), Later)
    outcome = asyncio.run(targets.event(fact))
    assert isinstance(outcome, Done)
    change = outcome.change
    assert change is not None
    bench.database.write_now(change)
    buried = bench.facts()[-1]
    assert buried.target == grave
    assert buried.attributes["principal"] == "events.amazonaws.com"  # messaging-040
    code = buried.attributes["message_attributes"]["ERROR_CODE"]
    assert code["StringValue"] == "NO_PERMISSIONS"


def test_events_from_services_reach_the_bus(bench: Bench) -> None:
    put_rule(bench)
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    payload = orjson.dumps({"Source": "shop", "DetailType": "order", "Detail": {"n": 5}})
    bench.database.write_now(
        lambda tx: outbox.put(tx, bus, payload, source="s3", now_ms=bench.clock.now_ms)
    )
    outcome = asyncio.run(Targets(bench.cloud).event(bench.facts()[0]))
    assert isinstance(outcome, Done)
    change = outcome.change
    assert change is not None
    bench.database.write_now(change)
    assert orjson.loads(bench.facts()[-1].payload)["detail"] == {"n": 5}


def test_the_scheduler_takes_rates_that_rules_refuse(bench: Bench) -> None:
    """messaging-001: `rate(5 minute)` and `rate(1 minutes)` are in many templates."""
    create(bench, "rate(5 minute)")
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    assert firing.next_due_ms(bench.database.view()) == bench.clock.now_ms + 300_000
    for expression in ("rate(5 minute)", "rate(1 minutes)"):
        expressions.check(expression, is_scheduler=True)
        with pytest.raises(expressions.InvalidExpression):
            expressions.check(expression)


def test_a_target_may_name_a_group_and_a_role(bench: Bench) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:jobs.fifo"
    role = "arn:aws:iam::000000000000:role/r"
    put_rule(bench, Arn=queue, SqsParameters={"MessageGroupId": "g"}, RoleArn=role)
    bench.call(publishing.put_events, Entries=[entry()])
    bench.answers["AssumeRole"] = {"Credentials": {"AccessKeyId": "ASIAROLE"}}
    bench.cloud.caller_of = lambda key: Caller("role", f"{role}/session", "000000000000")
    assert asyncio.run(Targets(bench.cloud).event(bench.facts()[0])) is DONE
    (_, assumed, by), (_, sent, params) = bench.invoked
    assert (assumed, by["RoleArn"]) == ("AssumeRole", role)
    assert (sent, params["MessageGroupId"]) == ("SendMessage", "g")


def test_a_rules_role(bench: Bench) -> None:
    """It is that of targets which need one and have none."""
    role = "arn:aws:iam::000000000000:role/r"
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    needed = bench.call(lambda call, _: permissions.events(call), Name="orders", RoleArn=role)
    assert ("iam:PassRole", role) in [(each.action, each.resource) for each in needed]
    bench.call(rules.put_rule, Name="orders", EventPattern='{"source": ["shop"]}')
    targets = [{"Id": "1", "Arn": stream}, {"Id": "2", "Arn": FUNCTION}]
    with pytest.raises(AwsError, match="RoleArn is required"):
        bench.call(rules.put_targets, Rule="orders", Targets=targets)
    bench.call(rules.put_rule, Name="orders", EventPattern='{"source": ["shop"]}', RoleArn=role)
    bench.call(rules.put_targets, Rule="orders", Targets=targets)
    assert bench.call(rules.list_targets_by_rule, Rule="orders")["Targets"] == targets
    assert bench.call(rules.list_rules)["Rules"][0]["RoleArn"] == role
    bench.call(publishing.put_events, Entries=[entry()])
    roles = [fact.attributes["target"].get("RoleArn") for fact in bench.facts()]
    assert roles == [role, None]


def test_a_bus_as_target_gets_the_event_as_it_is(bench: Bench) -> None:
    bus = "arn:aws:events:us-east-1:111122223333:event-bus/other"
    put_rule(bench, Arn=bus)
    bench.answers["PutEvents"] = {"Entries": [{"EventId": "1"}]}
    sent = bench.call(publishing.put_events, Entries=[entry()])["Entries"][0]
    assert asyncio.run(Targets(bench.cloud).event(bench.facts()[0])) is DONE
    ((_, operation, params),) = bench.invoked
    assert operation == "PutEvents" and params["Entries"][0]["EventBusName"] == bus
    assert params["Entries"][0]["_event"]["id"] == sent["EventId"]


def test_bus_policies(bench: Bench) -> None:
    everyone: dict[str, Any] = {
        "Action": "events:PutEvents",
        "Principal": "*",
        "StatementId": "all",
    }
    bench.call(buses.create_event_bus, Name="orders")
    bench.call(buses.put_permission, EventBusName="orders", **everyone)
    whole = {"Version": "2012-10-17", "Statement": {"Sid": "one", "Effect": "Deny"}}
    policy = orjson.dumps(whole).decode()
    bench.call(buses.put_permission, EventBusName="default", Policy=policy)
    view = bench.database.view()
    assert buses.policy(view, "default")["Statement"] == [whole["Statement"]]
    assert buses.policy(view, "orders")["Statement"][0]["Principal"] == "*"
    with pytest.raises(AwsError, match="does not exist"):
        bench.call(buses.remove_permission, EventBusName="orders", StatementId="other")
    with pytest.raises(AwsError, match="Principal"):
        bench.call(buses.put_permission, StatementId="x", Action="events:PutEvents")
    bench.call(buses.remove_permission, EventBusName="orders", RemoveAllPermissions=True)
    assert buses.policy(bench.database.view(), "orders")["Statement"] == []
    names = [bus["Name"] for bus in bench.call(buses.list_event_buses)["EventBuses"]]
    assert names == ["default", "orders"]


class Counts:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, tuple[tuple[str, str], ...]]] = []

    def add(self, namespace: str, name: str, dimensions: Any, *_: Any) -> None:
        self.seen.append((namespace, name, dimensions))


def test_what_targets_answer_is_counted(bench: Bench) -> None:
    counts = Counts()
    bench.cloud.meter = counts
    put_rule(bench, DeadLetterConfig={"Arn": "arn:aws:sqs:us-east-1:000000000000:grave"})
    bench.call(publishing.put_events, Entries=[entry(), entry()])
    good, bad = bench.facts()
    targets = Targets(bench.cloud)
    asyncio.run(targets.event(good))
    bench.answers["Invoke"] = refuse
    assert isinstance(asyncio.run(targets.event(bad)), Done)
    names = [name for _, name, _ in counts.seen]
    expected = {
        "Invocations": 2, "MatchedEvents": 2, "TriggeredRules": 2, "InvocationAttempts": 2,
        "SuccessfulInvocationAttempts": 1, "FailedInvocations": 1, "InvocationsSentToDlq": 1,
    }  # fmt: skip
    assert {name: names.count(name) for name in names} == expected
    assert {each[0] for each in counts.seen} == {"AWS/Events"}
    assert {each[2] for each in counts.seen} == {(("RuleName", "orders"),)}


def refuse(params: Any) -> Any:
    raise AwsError("AccessDeniedException", "no", 403)


def test_lists_have_pages(bench: Bench) -> None:
    for name in "abc":
        bench.call(rules.put_rule, Name=name, EventPattern='{"a": [1]}')
    first = bench.call(rules.list_rules, Limit=2)
    assert [rule["Name"] for rule in first["Rules"]] == ["a", "b"]
    rest = bench.call(rules.list_rules, Limit=2, NextToken=first["NextToken"])
    assert [rule["Name"] for rule in rest["Rules"]] == ["c"] and "NextToken" not in rest
    with pytest.raises(AwsError, match="nextToken is not valid"):
        bench.call(rules.list_rules, NextToken="a")


def test_targets_are_listed_as_they_were_put(bench: Bench) -> None:
    put_rule(bench)
    more = [{"Id": name, "Arn": FUNCTION} for name in "cab"]
    bench.call(rules.put_targets, Rule="orders", Targets=more)
    changed = {**more[0], "Input": "1"}
    bench.call(rules.put_targets, Rule="orders", Targets=[changed])
    first = bench.call(rules.list_targets_by_rule, Rule="orders", Limit=2)
    assert first["Targets"] == [{"Id": "1", "Arn": FUNCTION}, changed]
    token = {"NextToken": first["NextToken"]}
    rest = bench.call(rules.list_targets_by_rule, Rule="orders", **token)
    assert rest["Targets"] == more[1:] and "NextToken" not in rest


def test_tags_of_what_does_not_exist(bench: Bench) -> None:
    of = "arn:aws:events:us-east-1:000000000000:"
    for resource, told in (("rule/a", "Rule a does not exist on EventBus default."),
                           ("event-bus/b", "Event bus b does not exist.")):  # fmt: skip
        with pytest.raises(AwsError, match=told):
            bench.call(rules.list_tags_for_resource, ResourceARN=of + resource)


@pytest.mark.parametrize("principal", ["events.amazonaws.com", "scheduler.amazonaws.com"])
def test_facts_of_an_older_cloudlet_are_delivered(bench: Bench, principal: str) -> None:
    told: dict[str, Any] = {"target": FUNCTION, "principal": principal, "role": None, "retry": {}}
    rule = "arn:aws:events:us-east-1:000000000000:rule/orders"
    bench.database.write_now(
        lambda tx: outbox.put(tx, rule, b'{"n":1}', source=rule, now_ms=0, attributes=told)
    )
    assert asyncio.run(Targets(bench.cloud).event(bench.facts()[0])) is DONE
    assert [params["Payload"] for _, _, params in bench.invoked] == [b'{"n":1}']


def test_quotas(bench: Bench) -> None:
    for n in range(100):
        bench.call(buses.create_event_bus, Name=f"b{n}")
    with pytest.raises(AwsError) as full:
        bench.call(buses.create_event_bus, Name="more")
    assert full.value.code == "LimitExceededException"
    for n in range(300):
        bench.call(rules.put_rule, Name=f"r{n}", EventPattern='{"a": [1]}')
    bench.call(rules.put_rule, Name="r0", EventPattern='{"a": [2]}')
    with pytest.raises(AwsError) as many:
        bench.call(rules.put_rule, Name="more", EventPattern='{"a": [1]}')
    assert many.value.code == "LimitExceededException"


@pytest.mark.parametrize("statement", [5, [5], "x", [None], [{"Principal": 5}, []]])
def test_policies_that_cannot_be_read_are_refused(bench: Bench, statement: Any) -> None:
    text = orjson.dumps({"Statement": statement}).decode()
    with pytest.raises(AwsError, match="Policy is not valid"):
        bench.call(buses.put_permission, Policy=text)


@pytest.mark.parametrize("event", ['"text"', "[1]", '{"source": "shop"}', "no JSON"])
def test_what_is_no_event(bench: Bench, event: str) -> None:
    with pytest.raises(AwsError, match="Parameter Event is not valid"):
        bench.call(rules.test_event_pattern, EventPattern='{"a": [1]}', Event=event)
