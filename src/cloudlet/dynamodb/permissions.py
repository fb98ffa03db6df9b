"""What each operation needs: actions on table, index and stream ARNs, with DynamoDB's keys.

See https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cloudlet.call import Call, Params, Requirement
from cloudlet.dynamodb import (
    definitions,
    expressions,
    iterators,
    partiql_reads,
    resource_policies,
    values,
)
from cloudlet.dynamodb.grammar import Comparison, Logic, Path, Placeholder
from cloudlet.errors import AwsError
from cloudlet.store.database import View

_ON_EVERYTHING = (
    "ListTables",
    "ListStreams",
    "ListExports",
    "ListImports",
    "DescribeLimits",
    "DescribeEndpoints",
)
_BY_ARN = {
    "DescribeExport": "ExportArn",
    "DescribeImport": "ImportArn",
    "ExportTableToPointInTime": "TableArn",
}
_POLICIES = ("PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy")
_BY_RESOURCE = ("TagResource", "UntagResource", "ListTagsOfResource", *_POLICIES)
_TRANSACT = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


_PARTIQL = {  # operation → the member with its statements, where it takes several
    "ExecuteStatement": "",
    "BatchExecuteStatement": "Statements",
    "ExecuteTransaction": "TransactStatements",
}
_EXPRESSIONS = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
# What a policy never lets other accounts do
_AT_HOME = frozenset(
    ("UpdateTimeToLive", "DisableKinesisStreamingDestination", *_PARTIQL, *_POLICIES)
)
# Callers whose policies are not asked need no condition keys.
_TRUSTED = ("root", "service")


def requirements(call: Call) -> list[Requirement]:
    operation, params = call.operation, call.params
    if operation in _ON_EVERYTHING:
        return [_require(operation, "*")]
    if operation in _BY_RESOURCE:
        return [_require(operation, params.get("ResourceArn", "*"))]
    if operation in ("GetShardIterator", "DescribeStream"):
        return [_require(operation, params.get("StreamArn", "*"))]
    if operation == "GetRecords":
        return [_require(operation, iterators.stream_of(params["ShardIterator"]))]
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return list(_of_batch(call))
    if operation in ("TransactWriteItems", "TransactGetItems"):
        return list(_of_transaction(call))
    if operation in _BY_ARN:
        return [_require(operation, params.get(_BY_ARN[operation], "*"))]
    if operation == "ImportTable":
        return [_require(operation, _resource(call, params["TableCreationParameters"]))]
    if operation in _PARTIQL:
        return list(_of_statements(call))
    needed = [_require(operation, _resource(call, params), _context(call, params))]
    if params.get("ResourcePolicy") is not None:
        needed.append(_require("PutResourcePolicy", _resource(call, params)))
    return needed


def policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    """Of the tables and streams that a call touches."""
    if not resource_policies.there_are(view):
        return []
    is_stranger = call.caller.account not in ("", call.config.account)
    if is_stranger and call.operation in _AT_HOME:
        return []
    named = {each.resource.partition("/index/")[0] for each in requirements(call)}
    return resource_policies.policies(view, named)


def _of_batch(call: Call) -> Iterator[Requirement]:
    for name, request in (call.params.get("RequestItems") or {}).items():
        if isinstance(request, dict):
            params = {**request, "TableName": name}
        else:
            puts = [each["PutRequest"]["Item"] for each in request if each.get("PutRequest")]
            gone = [each["DeleteRequest"]["Key"] for each in request if each.get("DeleteRequest")]
            params = {"TableName": name, "Keys": puts + gone}
        yield _require(call.operation, _resource(call, params), _context(call, params))


def _of_transaction(call: Call) -> Iterator[Requirement]:
    for action in call.params.get("TransactItems") or ():
        for kind, params in action.items():
            if kind in _TRANSACT and params is not None:
                context = _context(call, params)
                if call.caller.kind not in _TRUSTED:
                    context["dynamodb:EnclosingOperation"] = call.operation
                yield _require(_TRANSACT[kind], _resource(call, params), context)


def _of_statements(call: Call) -> Iterator[Requirement]:
    for params in call.params.get(_PARTIQL[call.operation]) or [call.params]:
        try:
            each = partiql_reads.bound(params)
        except AwsError:
            continue  # the operation refuses it
        statement = each.statement
        verb = "Select" if statement.verb == "EXISTS" else statement.verb.capitalize()
        names = {"TableName": statement.table, "IndexName": statement.index_name}
        context = {} if call.caller.kind in _TRUSTED else _of_statement(call, each)
        yield _require(f"PartiQL{verb}", _resource(call, names), context)


def _of_statement(call: Call, each: partiql_reads.Bound) -> dict[str, Any]:
    statement = each.statement
    named = [*statement.names.values(), *statement.item]
    context: dict[str, Any] = {"dynamodb:Attributes": sorted(set(named))} if named else {}
    if statement.verb == "UPDATE" and statement.returning != "NONE":
        context["dynamodb:ReturnValues"] = statement.returning
    if statement.verb == "SELECT":
        chosen = "SPECIFIC_ATTRIBUTES" if statement.columns else "ALL_ATTRIBUTES"
        context["dynamodb:Select"] = chosen
    try:
        table, index = partiql_reads.source(call.cloud.database.view(), call, statement)
        if statement.verb == "SELECT":
            context["dynamodb:FullTableScan"] = partiql_reads.queries(each, table, index) is None
        leading = partiql_reads.leading(each, table, index)
    except AwsError:
        return context
    if leading:
        context["dynamodb:LeadingKeys"] = [str(next(iter(each.values()))) for each in leading]
    return context


def _require(action: str, resource: str, context: dict[str, Any] | None = None) -> Requirement:
    return Requirement(f"dynamodb:{action}", resource, context or {})


def _resource(call: Call, params: Params) -> str:
    """The table's ARN, or its index's."""
    name: str = params.get("TableName") or ""
    arn = name if name.startswith("arn:") else call.config.arn("dynamodb", f"table/{name}")
    return f"{arn}/index/{params['IndexName']}" if params.get("IndexName") else arn


def _context(call: Call, params: Params) -> dict[str, Any]:
    """The condition keys of a request; what is malformed is left to the operation to refuse."""
    if call.caller.kind in _TRUSTED:
        return {}
    context: dict[str, Any] = {}
    for member in ("Select", "ReturnValues", "ReturnConsumedCapacity"):
        if params.get(member):
            context[f"dynamodb:{member}"] = params[member]
    try:
        view = call.cloud.database.view()
        table = definitions.find(view, call.config, params.get("TableName") or "")
        if table is not None:
            index = table.index(params["IndexName"]) if params.get("IndexName") else None
            context.update(_of_items(params, (index or table).hash_key))
    except AwsError:
        return context
    return context


def _of_items(params: Params, hash_key: str) -> dict[str, Any]:
    found = expressions.of(params, *(kind for kind in _EXPRESSIONS if kind in params))
    items = [params[name] for name in ("Item", "Key") if params.get(name)]
    items += params.get("Keys") or []
    leading = [values.canonical(item[hash_key])[0] for item in items if hash_key in item]
    leading += _equal_to(found, hash_key)
    attributes = {name for item in items for name in item}
    for kind in found.by_kind:
        attributes.update(found.top_names(kind))
    context: dict[str, Any] = {}
    if leading:
        context["dynamodb:LeadingKeys"] = [str(next(iter(value.values()))) for value in leading]
    if attributes:
        context["dynamodb:Attributes"] = sorted(attributes)
    return context


def _equal_to(found: expressions.Expressions, hash_key: str) -> list[dict[str, Any]]:
    """The value of the partition key in a key condition."""
    waiting = [found.tree("KeyConditionExpression")]
    equals = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, Logic):
            waiting += [node.left, node.right]
        elif isinstance(node, Comparison) and isinstance(node.right, Placeholder):
            is_path = isinstance(node.left, Path)
            if is_path and _name(found, node.left) == hash_key:
                equals.append(found.bindings.values[node.right.name])
    return equals


def _name(found: expressions.Expressions, path: Any) -> str:
    name = str(path.parts[0])
    return found.bindings.names.get(name, name)
