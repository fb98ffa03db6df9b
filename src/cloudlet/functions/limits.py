"""A function's further settings: reserved concurrency, asynchronous invocation, tags.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.functions import destinations, names, records
from cloudlet.functions.records import Document, page
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

ACCOUNT_CONCURRENCY = 1000
UNRESERVED_MIN = 100
_TARGETS = ("sqs", "sns", "lambda", "events")


def put_function_concurrency(call: Call, tx: Transaction) -> Output:
    name = records.named(call, tx)
    wanted = int(call.params["ReservedConcurrentExecutions"])
    others = tx.value("SELECT coalesce(sum(reserved), 0) FROM functions WHERE name <> ?", (name,))
    if wanted < 0 or others + wanted > ACCOUNT_CONCURRENCY - UNRESERVED_MIN:
        raise names.invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's"
            f" UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )
    tx.run("UPDATE functions SET reserved = ? WHERE name = ?", (wanted, name))
    return {"ReservedConcurrentExecutions": wanted}


def get_function_concurrency(call: Call, view: View) -> Output:
    found = records.find(view, call.config, names.parse(call.params["FunctionName"]).name)
    return {} if found.reserved is None else {"ReservedConcurrentExecutions": found.reserved}


def delete_function_concurrency(call: Call, tx: Transaction) -> None:
    tx.run("UPDATE functions SET reserved = NULL WHERE name = ?", (records.named(call, tx),))


async def put_function_event_invoke_config(call: Call) -> Output:
    await _check_destinations(call)
    return await call.cloud.database.write(lambda tx: _save_event_config(call, tx, {}))


async def update_function_event_invoke_config(call: Call) -> Output:
    await _check_destinations(call)
    return await call.cloud.database.write(
        lambda tx: _save_event_config(call, tx, get_function_event_invoke_config(call, tx))
    )


async def _check_destinations(call: Call) -> None:
    found = records.find(call.cloud.database.view(), call.config, *_target(call))
    for each in (call.params.get("DestinationConfig") or {}).values():
        if each and each.get("Destination"):
            check_target(each["Destination"])
            await destinations.check_access(call.cloud, found, each["Destination"])


def _save_event_config(call: Call, tx: Transaction, document: Document) -> Output:
    params = call.params
    name, qualifier = _target(call)
    records.require(tx, call.config, name, qualifier)
    document["FunctionArn"] = names.function_arn(call.config, name, qualifier or names.LATEST)
    document["LastModified"] = call.now_ms / 1000
    for key, low, high in (("MaximumRetryAttempts", 0, 2), ("MaximumEventAgeInSeconds", 60, 21600)):
        if params.get(key) is not None:
            if not low <= int(params[key]) <= high:
                raise names.invalid(f"{key} must be between {low} and {high}.")
            document[key] = int(params[key])
    if params.get("DestinationConfig") is not None:
        document["DestinationConfig"] = params["DestinationConfig"]
    tx.run(
        "INSERT INTO function_event_configs (name, qualifier, config) VALUES (?, ?, ?)"
        " ON CONFLICT (name, qualifier) DO UPDATE SET config = excluded.config",
        (name, qualifier, orjson.dumps(document).decode()),
    )
    return document


def check_target(arn: str | None) -> None:
    """A destination or dead-letter target must be of a kind that can be delivered to."""
    if not arn:
        return
    parts = arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        raise names.invalid(f"The provided destination config DestinationArn {arn} is invalid.")
    if parts[2] not in _TARGETS:
        raise NotImplementedByCloudlet(f"A destination of {parts[2]}")


def delete_function_event_invoke_config(call: Call, tx: Transaction) -> None:
    get_function_event_invoke_config(call, tx)
    tx.run("DELETE FROM function_event_configs WHERE name = ? AND qualifier = ?", _target(call))


def list_function_event_invoke_configs(call: Call, view: View) -> Output:
    sql = "SELECT config FROM function_event_configs WHERE name = ?"
    items = stored.every(view, sql, (records.named(call, view),))
    return page(items, call.params, "FunctionEventInvokeConfigs")


def event_config(view: View, name: str, qualifier: str) -> Document | None:
    sql = "SELECT config FROM function_event_configs WHERE name = ? AND qualifier = ?"
    return stored.find(view, sql, (name, "" if qualifier == names.LATEST else qualifier))


def _target(call: Call) -> tuple[str, str]:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    return name, "" if qualifier == names.LATEST else qualifier


def get_function_event_invoke_config(call: Call, view: View) -> Document:
    name, qualifier = _target(call)
    document = event_config(view, name, qualifier)
    if document is None:
        arn = names.function_arn(call.config, name, qualifier or names.LATEST)
        raise names.missing(f"The function {arn} doesn't have an EventInvokeConfig")
    return document


def tag_resource(call: Call, tx: Transaction) -> None:
    tags = {**_tags(call, tx), **call.params["Tags"]}
    if len(tags) > 50:
        raise names.invalid("A resource has 50 tags at most.")
    _put_tags(call, tx, tags)


def untag_resource(call: Call, tx: Transaction) -> None:
    gone = set(call.params["TagKeys"])
    _put_tags(call, tx, {key: value for key, value in _tags(call, tx).items() if key not in gone})


def list_tags(call: Call, view: View) -> Output:
    return {"Tags": _tags(call, view)}


_MAPPING = ":event-source-mapping:"


def _tags(call: Call, view: View) -> dict[str, str]:
    resource = call.params["Resource"]
    if _MAPPING in resource:
        sql = "SELECT coalesce(config ->> 'Tags', '{}') FROM event_source_mappings WHERE uuid = ?"
        text = view.value(sql, (resource.partition(_MAPPING)[2],))
        if text is None:
            raise names.missing("The resource you requested does not exist.")
    elif ":function:" in resource:
        name = names.parse(resource).name
        records.require(view, call.config, name)
        text = view.value("SELECT tags FROM functions WHERE name = ?", (name,))
    else:
        raise NotImplementedByCloudlet("Tagging anything but functions and their mappings")
    tags: dict[str, str] = orjson.loads(text)
    return tags


def _put_tags(call: Call, tx: Transaction, tags: dict[str, str]) -> None:
    resource, text = call.params["Resource"], orjson.dumps(tags).decode()
    if _MAPPING in resource:
        sql = "UPDATE event_source_mappings SET config = json_set(config, '$.Tags', json(?))"
        tx.run(f"{sql} WHERE uuid = ?", (text, resource.partition(_MAPPING)[2]))
    else:
        sql = "UPDATE functions SET tags = ? WHERE name = ?"
        tx.run(sql, (text, names.parse(resource).name))


def check_concurrency(view: View, found: records.Found, running: int, total: int) -> None:
    """Refuses an invocation over the reserved or the account's limit."""
    if found.reserved is not None:
        if running >= found.reserved:
            raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        return
    if total < UNRESERVED_MIN:
        return
    if total >= unreserved(view):
        raise throttled("ConcurrentInvocationLimitExceeded")


def unreserved(view: View) -> int:
    """The account's concurrency that is left for functions without one of their own."""
    reserved: int = view.value("SELECT coalesce(sum(reserved), 0) FROM functions")
    return ACCOUNT_CONCURRENCY - reserved


def check_recursion(view: View, name: str) -> None:
    """Refuses what a chain of events has led back to the function too often."""
    if _recursion(view, name) == "Terminate":
        raise AwsError(
            "RecursiveInvocationException",
            f"Lambda has detected your function {name} being invoked in a recursive loop with"
            " other AWS resources and stopped it.",
            400,
            Type="User",
        )


def _recursion(view: View, name: str) -> str:
    found = view.value("SELECT loop FROM function_recursion WHERE name = ?", (name,))
    return found or "Terminate"


def put_function_recursion_config(call: Call, tx: Transaction) -> Output:
    wanted = (records.named(call, tx), call.params["RecursiveLoop"])
    tx.run("INSERT OR REPLACE INTO function_recursion (name, loop) VALUES (?, ?)", wanted)
    return {"RecursiveLoop": call.params["RecursiveLoop"]}


def get_function_recursion_config(call: Call, view: View) -> Output:
    return {"RecursiveLoop": _recursion(view, records.named(call, view))}


def throttled(reason: str) -> AwsError:
    return AwsError(
        "TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason, Type="User",
        retryAfterSeconds="1",
    )  # fmt: skip
