"""Inputs of targets, patterns that are refused, and schedules within their windows."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.events.delivery import Done, Later
from cloudlet.events.patterns import InvalidPattern, compile_pattern, lenient
from cloudlet.messaging.eventbridge import event_connections, firing, inputs, scheduler, sdk_targets
from cloudlet.messaging.targets import Targets
from tests.harness import Bench

EVENT: dict[str, Any] = {
    "id": "1",
    "detail-type": "d",
    "time": "2026-01-01T00:00:00Z",
    "detail": {"n": 1, "s": 'say "hi"', "o": {"a": "b"}, "l": [{"x": 1}, {"x": 2}], "z": None},
}
RULE = "arn:aws:events:us-east-1:000000000000:rule/r"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"v": <n>}', '{"v": 1}'),
        ('{"v": <o>}', '{"v": {"a":"b"}}'),
        ('{"v": <all>}', '{"v": [1,2]}'),
        ('"is <o>"', '"is {a:b}"'),  # messaging-002
        ('"is <s>"', '"is say "hi""'),  # messaging-002
        ('"gone: <none>."', '"gone: ."'),
        ('{"v": <none>}', '{"v": ""}'),
        ('{"v": <z>}', '{"v": null}'),
        ('"<aws.events.rule-name>"\n"two"', '"r"\n"two"'),
        ("<aws.events.event.ingestion-time>", '"2026-11-18T11:06:40Z"'),
        (
            '{"e": <aws.events.event>}',
            '{"e": {"id":"1","detailType":"d","time":"2026-01-01T00:00:00Z"}}',
        ),
    ],
)
def test_templates(template: str, expected: str) -> None:
    names = {name: f"$.detail.{name}" for name in ("n", "s", "o", "none", "z")}
    paths = {**names, "all": "$.detail.l[*].x"}
    target = {"Id": "1", "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    inputs.check(target)
    assert inputs.render(target, EVENT, RULE, 1_795_000_000_000).decode() == expected


@pytest.mark.parametrize("template", ['{"v": "<o>"}', '{"v": "all: <all>", "n": <o>}'])
def test_what_is_no_text_in_quotes_within_an_object(template: str) -> None:
    paths = {"o": "$.detail.o", "all": "$.detail.l[*].x"}
    target = {"Id": "1", "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    inputs.check(target)
    with pytest.raises(AwsError) as refused:
        inputs.render(target, EVENT, RULE, 0)
    assert refused.value.code == "INVALID_JSON"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Input": "{"},
        {"InputPath": "detail"},
        {"InputTransformer": {"InputTemplate": "plain text"}},
        {"InputTransformer": {"InputTemplate": '"<x>"'}},
        {"InputTransformer": {"InputPathsMap": {"AWSx": "$.id"}, "InputTemplate": '"a"'}},
        {"InputTransformer": {"InputPathsMap": {"x": "$..id"}, "InputTemplate": '"<x>"'}},
    ],
)
def test_wrong_inputs(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        inputs.check({"Id": "1", **wrong})


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{}", "Empty objects"),
        ('{"a": []}', "Empty arrays"),
        ('{"a": "b"}', "must be an object or an array"),
        ('{"a": [["b"]]}', "Match value must be"),
        ('{"a": [{"like": "b"}]}', "Unrecognized match type like"),
        ('{"a": [{"prefix": "b", "suffix": "c"}]}', "Only one key"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"exists": 1}]}', "must be either true or false"),
        ('{"a": [{"numeric": [">"]}]}', "Value of > must be numeric"),
        ('{"a": [{"numeric": ["=", 5000000001]}]}', "between -5.0E9 and 5.0E9"),
        ('{"a": [{"numeric": [">", 1, ">", 2]}]}', "Bad numeric range operator"),
        ('{"a": [{"numeric": [">", 2, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"numeric": ["<", 2, ">", 1]}]}', "Too many elements"),
        ('{"a": [{"numeric": [">", 1, 2]}]}', "Bad value in numeric range: 2"),
        ('{"a": [{"numeric": [">", 1, "<", 2, "<", 3]}]}', "Too many terms"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "one '/' required"),
        ('{"a": [{"cidr": "10.0.0/8"}]}', "Nonstandard IP address: 10.0.0"),
        ('{"a": [{"cidr": "10.0.0.0/x"}]}', "mask bits must be an integer"),
        ('{"a": [{"cidr": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"wildcard": "a**"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "Invalid escape character"),
        ('{"a": [{"anything-but": ["x", 1]}]}', "mixed type"),
        ('{"a": [{"anything-but": [null]}]}', "not supported"),
        ('{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix"),
        ('{"a": [{"anything-but": {"numeric": ["=", 1]}}]}', "Unsupported anything-but"),
        ('{"$or": [{"a": [1]}]}', "at least 2"),
    ],
)
def test_wrong_patterns(pattern: str, told: str) -> None:
    with pytest.raises(InvalidPattern, match=told):
        compile_pattern(pattern)


def test_or_has_its_limit() -> None:
    pattern = {"$or": [{"a": {"$or": [{"x": [n]}, {"y": [n]}]}} for n in range(501)]}
    with pytest.raises(InvalidPattern, match="too complex"):
        compile_pattern(pattern)
    # where it has operators, it is a field like others
    assert compile_pattern({"$or": [{"prefix": "a"}, {"prefix": "b"}]})({"$or": "bc"})


def test_all_that_is_said_of_an_array_is_of_one_object() -> None:
    matches = compile_pattern({"people": {"name": ["Ann"], "ids": [{"prefix": "2"}]}})
    people = [{"name": "Ann", "ids": ["1", "23"]}, {"name": "Bob", "ids": ["2"]}]
    assert matches({"people": people})
    assert not matches({"people": [{**people[0], "ids": ["1"]}, people[1]]})
    absent = compile_pattern({"people": {"age": [{"exists": False}]}})
    assert absent({"people": people}) and absent({"people": []}) and absent({})
    assert not absent({"people": [*people, {"age": 3}]})


def test_wildcards_take_no_time() -> None:
    pattern = compile_pattern({"a": [{"wildcard": "*a" * 4 + "b"}]})
    assert not pattern({"a": "a" * 100_000})
    for text in ("*a" * 40 + "b", "*:*:*:*:*:event-bus/*"):
        with pytest.raises(InvalidPattern, match="Rule is too complex - try"):
            compile_pattern({"a": [{"wildcard": text}]})


def test_events_of_too_many_values_are_refused() -> None:
    """Where trying them all would take long; one of many literals is one look."""
    huge = {"a": list(range(200_000)), "b": [[{"c": 0}] * 100] * 100}
    assert compile_pattern({"a": list(range(199_999, 201_000))})(huge)
    assert not compile_pattern({"a": [True, None, "1", 0.5]})(huge)
    for asked in ({"prefix": "x"}, {"numeric": ["<", 0]}, {"anything-but": {"prefix": "x"}}):
        pattern = {"a": [asked] * 20}
        with pytest.raises(AwsError, match="too many values"):
            compile_pattern(pattern)(huge)
        assert lenient(pattern)(huge)


def test_a_dot_joins_fields() -> None:
    below, joined = {"a": {"b": {"c": [1]}}}, {"a.b": {"c": [1]}}
    for event in ({"a": {"b": {"c": 1}}}, {"a.b": {"c": 1}, "a": 2}, {"a": [{"b.c": 1}]}):
        assert compile_pattern(below)(event) and compile_pattern(joined)(event)
    assert not compile_pattern(below)({"a.b": {"b": {"c": 1}}})


def test_what_is_absent_is_absent_from_the_chosen_object() -> None:
    """From all of them if its field comes before what chooses."""
    items = [{"name": "a"}, {"name": "b", "gift": 1, "price": 2}]
    assert compile_pattern({"items": {"name": ["a"], "price": [{"exists": False}]}})(
        {"items": items}
    )
    assert not compile_pattern({"items": {"name": ["a"], "gift": [{"exists": False}]}})(
        {"items": items}
    )


def create(bench: Bench, minutes: int, **members: Any) -> None:
    bench.call(
        scheduler.create_schedule,
        Name="job",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes},
        Target={"Arn": "arn:aws:sqs:us-east-1:000000000000:q", "RoleArn": "r", "Input": "x"},
        **members,
    )


def test_turns_within_windows(bench: Bench) -> None:
    """Each within its window, none left out though windows overlap, the rhythm kept."""
    create(bench, 5)
    start_ms, turns = bench.clock.now_ms, []
    for _ in range(20):
        due_ms = firing.next_due_ms(bench.database.view())
        assert due_ms is not None
        bench.clock.now_ms = max(bench.clock.now_ms, due_ms)
        bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
        turns.append(bench.facts()[-1].attributes["turn_ms"])
        assert 0 <= bench.clock.now_ms - turns[-1] < 300_000 + 60_000
    assert turns == [start_ms + 60_000 * n for n in range(20)]


def test_missed_turns_count_once(bench: Bench) -> None:
    create(bench, 1)
    bench.clock.advance(3600)
    bench.database.write_now(lambda tx: firing.fire_due(tx, bench.config))
    due_ms = firing.next_due_ms(bench.database.view())
    assert due_ms is not None and due_ms >= bench.clock.now_ms - 60_000
    assert len(bench.facts()) == 1


def test_a_connection_that_gets_no_token(bench: Bench) -> None:
    """Attempts go on for minutes; what was changed meanwhile is not told by an older attempt."""
    oauth = {
        "AuthorizationEndpoint": "http://127.0.0.1:1/",  # nobody listens
        "ClientParameters": {"ClientID": "i", "ClientSecret": "s"},
        "HttpMethod": "put",
    }
    auth = {"OAuthParameters": oauth, "InvocationHttpParameters": {}}
    settings = {"Name": "c", "AuthParameters": auth}
    way = "OAUTH_CLIENT_CREDENTIALS"
    bench.clock.pace_ms = 1
    bench.call(event_connections.create_connection, AuthorizationType=way, **settings)
    bench.clock.advance(1)
    bench.call(event_connections.update_connection, **settings)
    targets, states = Targets(bench.cloud), []
    for fact in bench.facts():
        assert isinstance(asyncio.run(targets.event(fact)), Later)
        outcome = asyncio.run(targets.event(replace(fact, attempts=8)))
        assert isinstance(outcome, Done) and outcome.change is not None
        bench.database.write_now(outcome.change)
        told = bench.call(event_connections.describe_connection, Name="c")
        assert told["AuthParameters"]["InvocationHttpParameters"] == {}
        states.append(told["ConnectionState"])
    assert states == ["AUTHORIZING", "DEAUTHORIZED"]


def test_universal_targets() -> None:
    arn = "arn:aws:scheduler:::aws-sdk:{}"
    assert sdk_targets.parse(arn.format("lambda:invoke")) == ("lambda", "Invoke")
    assert sdk_targets.parse(arn.format("eventbridge:putEvents")) == ("events", "PutEvents")
    for wrong in ("lambda:getFunction", "lambda:nothing", "nothing:put", "lambda"):
        with pytest.raises(AwsError):
            sdk_targets.parse(arn.format(wrong))
    params = sdk_targets.parameters("lambda", "Invoke", b'{"functionName": "f", "Payload": "{}"}')
    assert params == {"FunctionName": "f", "Payload": b"{}"}
    with pytest.raises(AwsError, match="must not be null"):
        sdk_targets.parameters("lambda", "Invoke", b"{}")
