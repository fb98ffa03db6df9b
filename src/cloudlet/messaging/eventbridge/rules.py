"""EventBridge: rules and their targets. Their buses are in `buses`.

Global endpoints and partners' event sources are absent.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/
"""

import base64
import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.events.patterns import InvalidPattern, compile_pattern
from cloudlet.messaging.eventbridge import expressions, inputs
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

TOPIC = "schedules"
_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_NEEDED_IN_EVENTS = {"id", "account", "source", "time", "region", "detail-type"}
_TARGETS_MAX = 5
_RULES_MAX = 300  # of a bus
_TARGET_SERVICES = (
    *("lambda", "sqs", "events", "sns", "kinesis", "logs", "api-destination", "execute-api"),
)
_WITH_ROLE = ("kinesis", "api-destination")  # which know no policies that would name EventBridge
_ABSENT_IN_TARGETS = (
    "AppSyncParameters",
    "BatchParameters",
    "EcsParameters",
    "RedshiftDataParameters",
    "RunCommandParameters",
    "SageMakerPipelineParameters",
)
Document = dict[str, Any]


def bus_name(call: Call) -> str:
    """A bus is named, or given by its ARN."""
    return str(call.params.get("EventBusName") or "default").rsplit("/", 1)[-1]


def rule_arn(config: Config, bus: str, name: str) -> str:
    return config.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")


def has_bus(view: View, bus: str) -> bool:
    return bus == "default" or bool(view.value("SELECT 1 FROM event_buses WHERE name = ?", (bus,)))


def check_bus(view: View, bus: str) -> None:
    if not has_bus(view, bus):
        raise missing(f"Event bus {bus} does not exist.")


def service_of(arn: str) -> str:
    """The part of an ARN that says what kind of target it is; "" of what is not one."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return ""
    if parts[2] == "events":
        return "api-destination" if parts[5].startswith("api-destination/") else "events"
    return "aws-sdk" if parts[5].startswith("aws-sdk:") else parts[2]


def put_rule(call: Call, tx: Transaction) -> Output:
    """Makes or replaces a rule; targets stay."""
    bus, name = bus_name(call), call.params["Name"]
    check_bus(tx, bus)
    schedule, pattern = call.params.get("ScheduleExpression"), call.params.get("EventPattern")
    if not _NAME.fullmatch(name):
        raise invalid("Parameter Name is not valid.")
    if not schedule and not pattern:
        raise invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule:
        if bus != "default":
            raise invalid("ScheduleExpression is supported only on the default event bus.")
        try:
            expressions.check(schedule)
        except expressions.InvalidExpression:
            raise invalid("Parameter ScheduleExpression is not valid.") from None
    if pattern:
        check_pattern(pattern)
    others = tx.value("SELECT count(*) FROM event_rules WHERE bus = ? AND name <> ?", (bus, name))
    check_quota(others, _RULES_MAX)
    state = call.params.get("State") or "ENABLED"
    document: Document = {
        "Name": name,
        "Arn": rule_arn(call.config, bus, name),
        "EventBusName": bus,
        "State": state,
        "CreatedBy": call.config.account,
        "ScheduleExpression": schedule,
        "EventPattern": pattern,
        "Description": call.params.get("Description"),
        "RoleArn": call.params.get("RoleArn"),
    }
    _save(call, tx, document, tags_text(call.params.get("Tags")))
    return {"RuleArn": document["Arn"]}


def check_quota(others: int, most: int) -> None:
    """Whether there is room for one more."""
    if others >= most:
        text = "The requested resource exceeds the maximum number allowed."
        raise AwsError("LimitExceededException", text)


def describe_rule(call: Call, view: View) -> Output:
    return rule(view, bus_name(call), call.params["Name"])


def list_rules(call: Call, view: View) -> Output:
    bus, prefix = bus_name(call), call.params.get("NamePrefix") or ""
    check_bus(view, bus)
    sql = "SELECT document FROM event_rules WHERE bus = ? AND substr(name, 1, ?) = ? ORDER BY name"
    return page(call, "Rules", stored.every(view, sql, (bus, len(prefix), prefix)))


def list_rule_names_by_target(call: Call, view: View) -> Output:
    rows = view.all(
        "SELECT DISTINCT rule FROM event_targets WHERE bus = ? AND document ->> '$.Arn' = ?"
        " ORDER BY rule",
        (bus_name(call), call.params["TargetArn"]),
    )
    return page(call, "RuleNames", [row["rule"] for row in rows])


def enable_rule(call: Call, tx: Transaction) -> None:
    document = rule(tx, bus_name(call), call.params["Name"])
    _save(call, tx, document | {"State": "ENABLED"}, None)


def disable_rule(call: Call, tx: Transaction) -> None:
    document = rule(tx, bus_name(call), call.params["Name"])
    _save(call, tx, document | {"State": "DISABLED"}, None)


def delete_rule(call: Call, tx: Transaction) -> None:
    bus, name = bus_name(call), call.params["Name"]
    check_bus(tx, bus)
    if tx.value("SELECT 1 FROM event_targets WHERE bus = ? AND rule = ?", (bus, name)):
        raise invalid("Rule can't be deleted since it has targets.")
    tx.run("DELETE FROM event_rules WHERE bus = ? AND name = ?", (bus, name))


def put_targets(call: Call, tx: Transaction) -> Output:
    bus, name = bus_name(call), call.params["Rule"]
    found = rule(tx, bus, name)
    targets = call.params["Targets"]
    for target in targets:
        _check_target(with_role(found, target))
    known = {t["Id"] for t in targets_of(tx, bus, name)}
    check_quota(len(known | {t["Id"] for t in targets}) - 1, _TARGETS_MAX)
    tx.run_many(
        "INSERT INTO event_targets (bus, rule, id, document, place) VALUES (?1, ?2, ?3, ?4,"
        " (SELECT coalesce(max(place), 0) + 1 FROM event_targets WHERE bus = ?1 AND rule = ?2))"
        " ON CONFLICT DO UPDATE SET document = excluded.document",
        [(bus, name, target["Id"], _text(target)) for target in targets],
    )
    return {"FailedEntryCount": 0, "FailedEntries": []}


def remove_targets(call: Call, tx: Transaction) -> Output:
    bus, name = bus_name(call), call.params["Rule"]
    rule(tx, bus, name)
    tx.run_many(
        "DELETE FROM event_targets WHERE bus = ? AND rule = ? AND id = ?",
        [(bus, name, identifier) for identifier in call.params["Ids"]],
    )
    return {"FailedEntryCount": 0, "FailedEntries": []}


def list_targets_by_rule(call: Call, view: View) -> Output:
    bus, name = bus_name(call), call.params["Rule"]
    rule(view, bus, name)
    found = targets_of(view, bus, name)
    output = page(call, "Targets", [f"{number:03}" for number in range(len(found))])
    return output | {"Targets": [found[int(number)] for number in output["Targets"]]}


def test_event_pattern(call: Call, view: View) -> Output:
    """Whether an event would match a pattern."""
    predicate = check_pattern(call.params["EventPattern"])
    try:
        event = orjson.loads(call.params["Event"])
    except ValueError:
        event = None
    if not isinstance(event, dict) or not event.keys() >= _NEEDED_IN_EVENTS:
        raise invalid("Parameter Event is not valid.")
    return {"Result": predicate(event)}


def list_tags_for_resource(call: Call, view: View) -> Output:
    table, key = _tagged(call.params["ResourceARN"])
    text = view.value(f"SELECT tags FROM {table} WHERE {_where(table)}", key)
    if text is None:
        raise _untagged(key)
    return {"Tags": [{"Key": k, "Value": v} for k, v in orjson.loads(text).items()]}


def tag_resource(call: Call, tx: Transaction) -> None:
    added = {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
    _retag(call, tx, lambda tags: tags | added)


def untag_resource(call: Call, tx: Transaction) -> None:
    gone = set(call.params["TagKeys"])
    _retag(call, tx, lambda tags: {k: v for k, v in tags.items() if k not in gone})


def rule(view: View, bus: str, name: str) -> Document:
    sql = "SELECT document FROM event_rules WHERE bus = ? AND name = ?"
    found = stored.find(view, sql, (bus, name))
    if found is None:
        raise missing(f"Rule {name} does not exist on EventBus {bus}.")
    return found


def targets_of(view: View, bus: str, name: str) -> list[Document]:
    sql = "SELECT document FROM event_targets WHERE bus = ? AND rule = ? ORDER BY place, id"
    return stored.every(view, sql, (bus, name))


def with_role(rule: Document, target: Document) -> Document:
    """A target that needs a role and has none has its rule's."""
    if rule.get("RoleArn") and service_of(target["Arn"]) in _WITH_ROLE:
        return {"RoleArn": rule["RoleArn"], **target}
    return target


def missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)


def page(call: Call, member: str, found: list[Any], key: str = "Name") -> Output:
    """Those after `NextToken`, which holds the last name that was told."""
    size = call.params.get("Limit") or 100
    try:
        after = base64.urlsafe_b64decode(call.params.get("NextToken") or "").decode()
    except ValueError:
        raise invalid("Parameter nextToken is not valid.") from None
    left = [each for each in found if _name_of(each, key) > after]
    output: Output = {member: left[:size]}
    if len(left) > size:
        last = _name_of(left[size - 1], key).encode()
        output["NextToken"] = base64.urlsafe_b64encode(last).decode()
    return output


def _name_of(found: Any, key: str) -> str:
    return str(found if isinstance(found, str) else found[key])


def _save(call: Call, tx: Transaction, document: Document, tags: str | None) -> None:
    expression, due_ms = document.get("ScheduleExpression"), None
    if expression and document["State"] != "DISABLED":
        due_ms = expressions.next_ms(expression, "UTC", call.now_ms, call.now_ms)
    tx.run(
        "INSERT INTO event_rules (bus, name, document, tags, due_ms)"
        " VALUES (:bus, :name, :document, coalesce(:tags, '{}'), :due)"
        " ON CONFLICT (bus, name) DO UPDATE SET document = excluded.document,"
        " tags = coalesce(:tags, tags), due_ms = excluded.due_ms",
        {
            "bus": document["EventBusName"],
            "name": document["Name"],
            "document": _text(document),
            "tags": tags,
            "due": due_ms,
        },
    )
    tx.touch(TOPIC)


def check_pattern(pattern: str) -> Any:
    try:
        return compile_pattern(pattern)
    except InvalidPattern as error:
        raise AwsError(
            "InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}"
        ) from None


def _check_target(target: Document) -> None:
    arn, service = target["Arn"], service_of(target["Arn"])
    if not service:
        raise invalid(
            f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
        )
    if service not in _TARGET_SERVICES:
        raise NotImplementedByCloudlet(f"A rule's target of the service {service}")
    refuse(target, *_ABSENT_IN_TARGETS, what="{} of a rule's target")
    if service in _WITH_ROLE and not target.get("RoleArn"):
        raise invalid(f"RoleArn is required for target {arn}.")
    if arn.endswith(".fifo") and service == "sqs" and not target.get("SqsParameters"):
        raise invalid(f"Parameter(s) SqsParameters must be specified for target: {target['Id']}.")
    given = [m for m in ("Input", "InputPath", "InputTransformer") if target.get(m)]
    if len(given) > 1:
        raise invalid(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target "
            f"{target['Id']}."
        )
    if given and service == "events":
        raise NotImplementedByCloudlet(f"{given[0]} of a target that is an event bus")
    try:
        inputs.check(target)
    except ValueError as error:
        raise invalid(f"{error}") from None


def _retag(call: Call, tx: Transaction, change: Any) -> None:
    table, key = _tagged(call.params["ResourceARN"])
    text = tx.value(f"SELECT tags FROM {table} WHERE {_where(table)}", key)
    if text is None:
        raise _untagged(key)
    tags = _text(change(orjson.loads(text)))
    tx.run(f"UPDATE {table} SET tags = ? WHERE {_where(table)}", (tags, *key))


def _where(table: str) -> str:
    return "name = ?" if table == "event_buses" else "bus = ? AND name = ?"


def _tagged(arn: str) -> tuple[str, tuple[str, ...]]:
    """Table and key of `…:rule/[BUS/]NAME` or `…:event-bus/NAME`."""
    resource = arn.split(":", 5)[-1].split("/")
    if resource[0] == "event-bus":
        return "event_buses", (resource[-1],)
    return "event_rules", (resource[1] if len(resource) == 3 else "default", resource[-1])


def _untagged(key: tuple[str, ...]) -> AwsError:
    if len(key) == 1:
        return missing(f"Event bus {key[0]} does not exist.")
    return missing(f"Rule {key[1]} does not exist on EventBus {key[0]}.")


def tags_text(tags: list[dict[str, str]] | None) -> str | None:
    return None if tags is None else _text({tag["Key"]: tag["Value"] for tag in tags})


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _text(document: Document) -> str:
    return orjson.dumps({k: v for k, v in document.items() if v is not None}).decode()
