"""Tables: create, describe, update, delete, list.

A table is ready when CreateTable is answered; the answer still says CREATING, as AWS's does. An
index added to a table with more than a few items is filled by `sweep.backfill`.
See https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
"""

import copy
import uuid
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import definitions, settings, shapes, storage, streams, sweep
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction, View

_WRONG = "One or more parameter values were invalid: "
_NOT_OF_DELETED = (
    "AttributeDefinitions",
    "CreationDateTime",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LatestStreamArn",
    "LatestStreamLabel",
    "LocalSecondaryIndexes",
)
_ABSENT = (
    "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode",
    "ReplicaUpdates",
    "MultiRegionConsistency",
    "GlobalTableWitnessUpdates",
    "ResourcePolicy",
    "VectorIndexes",
    "VectorIndexUpdates",
    "DisassociationProtectionEnabled",
    "WarmThroughput",
    "OnDemandThroughput",
)


def create_table(call: Call, tx: Transaction) -> Output:
    """A new, empty table."""
    params = call.params
    _refuse_absent(params)
    shapes.check_table(params)
    name = definitions.name_of(call.config, params["TableName"])
    definitions.check_name(name)
    if definitions.find(tx, call.config, name) is not None:
        raise shapes.in_use(f"Table already exists: {name}")
    document = _document(call, name)
    specification = params.get("StreamSpecification")
    if specification is not None:
        _change_stream(tx, document, specification, call.now_ms)
    cursor = tx.run(
        "INSERT INTO dynamodb_tables (name, definition) VALUES (?, ?)",
        (name, orjson.dumps(document)),
    )
    assert cursor.lastrowid is not None
    table = definitions.load(cursor.lastrowid, orjson.dumps(document))
    storage.create_table(tx, table)
    for index in table.indexes:
        storage.create_index(tx, table, index)
    settings.tag(tx, table.arn, params.get("Tags") or [])
    return {"TableDescription": describe(tx, table, "CREATING")}


def _refuse_absent(params: Params) -> None:
    if (params.get("SSESpecification") or {}).get("Enabled"):
        raise NotImplementedByCloudlet("Encryption of tables with KMS keys (SSESpecification)")
    for name in _ABSENT:
        if params.get(name) is not None:
            raise NotImplementedByCloudlet(f"The parameter {name}")
    for index in params.get("GlobalSecondaryIndexes") or ():
        for name in _ABSENT:
            if index.get(name) is not None:
                raise NotImplementedByCloudlet(f"The parameter {name}")


def _document(call: Call, name: str) -> dict[str, Any]:
    params = call.params
    document: dict[str, Any] = {
        "TableName": name,
        "TableArn": call.config.arn("dynamodb", f"table/{name}"),
        "TableId": str(uuid.UUID(call.config.new_id())),
        "CreatedMs": call.now_ms,
        "AttributeDefinitions": params["AttributeDefinitions"],
        "KeySchema": params["KeySchema"],
        "BillingMode": params.get("BillingMode", "PROVISIONED"),
        "ProvisionedThroughput": params.get("ProvisionedThroughput"),
        "DeletionProtectionEnabled": params.get("DeletionProtectionEnabled", False),
        "TableClass": params.get("TableClass"),
        "Indexes": [],
        "IndexesMade": 0,
    }
    for is_global, member in ((False, "LocalSecondaryIndexes"), (True, "GlobalSecondaryIndexes")):
        for index in params.get(member) or ():
            add_index(document, index, is_global, "ACTIVE")
    return document


def add_index(document: dict[str, Any], index: Params, is_global: bool, status: str) -> None:
    document["IndexesMade"] += 1
    document["Indexes"].append(
        {
            "Id": document["IndexesMade"],
            "IsGlobal": is_global,
            "IndexName": index["IndexName"],
            "KeySchema": index["KeySchema"],
            "Projection": index["Projection"],
            "ProvisionedThroughput": index.get("ProvisionedThroughput"),
            "Status": status,
        }
    )


def _change_stream(
    tx: Transaction, document: dict[str, Any], specification: Params, now_ms: int
) -> None:
    view_type = specification.get("StreamViewType")
    if not specification["StreamEnabled"]:
        if view_type is not None:
            raise invalid(f"{_WRONG}StreamViewType cannot be specified when StreamEnabled is false")
        streams.disable(tx, document, now_ms)
        return
    if view_type is None:
        raise invalid(f"{_WRONG}StreamViewType must be specified when StreamEnabled is true")
    if document.get("Stream"):
        raise invalid(f"Table already has an enabled stream: TableName: {document['TableName']}")
    streams.enable(tx, document, view_type, now_ms)


def describe_table(call: Call, view: View) -> Output:
    """The table's description; counts are exact."""
    table = definitions.get_described(view, call.config, call.params["TableName"])
    return {"Table": describe(view, table, _status(table))}


def _status(table: Table) -> str:
    return "ACTIVE" if all(index.status == "ACTIVE" for index in table.indexes) else "UPDATING"


def describe(view: View, table: Table, status: str) -> dict[str, Any]:
    document = table.document
    counts = {
        row[0]: (row[1], row[2])
        for row in view.all(
            "SELECT index_id, items, bytes FROM dynamodb_counts WHERE table_id = ?", (table.id,)
        )
    }
    items, size_bytes = counts.get(0, (0, 0))
    shown: dict[str, Any] = {
        "TableName": table.name,
        "TableArn": table.arn,
        "TableId": document["TableId"],
        "TableStatus": status,
        "CreationDateTime": document["CreatedMs"] / 1000,
        "AttributeDefinitions": document["AttributeDefinitions"],
        "KeySchema": document["KeySchema"],
        "ItemCount": items,
        "TableSizeBytes": size_bytes,
        "ProvisionedThroughput": _throughput(document["ProvisionedThroughput"]),
        "DeletionProtectionEnabled": document["DeletionProtectionEnabled"],
        **_describe_settings(document),
    }
    for index in document["Indexes"]:
        is_global = index["IsGlobal"]
        member = "GlobalSecondaryIndexes" if is_global else "LocalSecondaryIndexes"
        shown.setdefault(member, []).append(
            _describe_index(table, index, counts.get(index["Id"], (0, 0)), status == "CREATING")
        )
    return shown


def _describe_settings(document: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if document["BillingMode"] == "PAY_PER_REQUEST":
        shown["BillingModeSummary"] = {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": document.get("OnDemandMs", document["CreatedMs"])
            / 1000,
        }
    if document.get("TableClass"):
        shown["TableClassSummary"] = {"TableClass": document["TableClass"]}
    if document.get("Stream"):
        shown["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": document["Stream"]["ViewType"],
        }
    if document.get("LatestStream"):
        shown["LatestStreamArn"] = document["LatestStream"]["Arn"]
        shown["LatestStreamLabel"] = document["LatestStream"]["Label"]
    return shown


def _throughput(given: dict[str, int] | None) -> dict[str, int]:
    given = given or {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    return {**given, "NumberOfDecreasesToday": 0}


def _describe_index(
    table: Table, index: dict[str, Any], counts: tuple[int, int], is_new: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "IndexName": index["IndexName"],
        "KeySchema": index["KeySchema"],
        "Projection": index["Projection"],
        "IndexArn": f"{table.arn}/index/{index['IndexName']}",
        "ItemCount": counts[0],
        "IndexSizeBytes": counts[1],
    }
    if index["IsGlobal"]:
        shown["IndexStatus"] = "CREATING" if is_new else index["Status"]
        if index["Status"] == "CREATING":
            shown["Backfilling"] = True
        shown["ProvisionedThroughput"] = _throughput(index["ProvisionedThroughput"])
    return shown


def update_table(call: Call, tx: Transaction) -> Output:
    """Changes billing, protection, stream or global indexes of a table."""
    params = call.params
    _refuse_absent(params)
    table = definitions.get_described(tx, call.config, params["TableName"])
    leaving = _leaving(tx, table, params)
    document = copy.deepcopy(table.document)
    changes = [
        _update_billing(params, document, call.now_ms),
        _update_plain(params, document),
        _update_stream(tx, call, document),
        _update_indexes(tx, call, table, document),
    ]
    if not any(changes):
        raise invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled,"
            " GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"
        )
    table = save(tx, table, document)
    shown = describe(tx, table, "UPDATING")
    if leaving:
        shown.setdefault("GlobalSecondaryIndexes", []).extend(leaving)
    sweep.start_backfills(tx, table)
    return {"TableDescription": shown}


def _leaving(view: View, table: Table, params: Params) -> list[dict[str, Any]]:
    """The indexes that go, as they were; the answer still has them."""
    updates = params.get("GlobalSecondaryIndexUpdates") or ()
    names = [each["Delete"]["IndexName"] for each in updates if each.get("Delete")]
    known = describe(view, table, "UPDATING").get("GlobalSecondaryIndexes", ()) if names else ()
    return [each | {"IndexStatus": "DELETING"} for each in known if each["IndexName"] in names]


def save(tx: Transaction, table: Table, document: dict[str, Any]) -> Table:
    definition = orjson.dumps(document)
    tx.run("UPDATE dynamodb_tables SET definition = ? WHERE id = ?", (definition, table.id))
    return definitions.load(table.id, definition)


def _update_billing(params: Params, document: dict[str, Any], now_ms: int) -> bool:
    mode, throughput = params.get("BillingMode"), params.get("ProvisionedThroughput")
    if mode is None and throughput is None:
        return False
    shapes.check_billing(
        {"BillingMode": mode or document["BillingMode"], "ProvisionedThroughput": throughput}
    )
    if mode == "PAY_PER_REQUEST" and document["BillingMode"] != mode:
        document["OnDemandMs"] = now_ms
    if mode is None and throughput == document["ProvisionedThroughput"]:
        units = "{ReadCapacityUnits}, {WriteCapacityUnits}".format(**throughput).split(", ")
        raise invalid(
            "The provisioned throughput for the table will not change. The requested value equals"
            f" the current value. Current ReadCapacityUnits provisioned for the table: {units[0]}."
            f" Requested ReadCapacityUnits: {units[0]}. Current WriteCapacityUnits provisioned for"
            f" the table: {units[1]}. Requested WriteCapacityUnits: {units[1]}. Refer to the Amazon"
            " DynamoDB Developer Guide for current limits and how to request higher limits."
        )
    document["BillingMode"] = mode or document["BillingMode"]
    document["ProvisionedThroughput"] = throughput
    return True


def _update_plain(params: Params, document: dict[str, Any]) -> bool:
    is_changed = False
    for member in ("DeletionProtectionEnabled", "TableClass"):
        if params.get(member) is not None:
            document[member] = params[member]
            is_changed = True
    if params.get("SSESpecification") is not None:  # off, as it is: else it was refused
        is_changed = True
    return is_changed


def _update_stream(tx: Transaction, call: Call, document: dict[str, Any]) -> bool:
    specification = call.params.get("StreamSpecification")
    if specification is None:
        return False
    if not specification["StreamEnabled"] and not document.get("Stream"):
        raise invalid(f"Table has no stream to disable: TableName: {document['TableName']}")
    _change_stream(tx, document, specification, call.now_ms)
    return True


def _update_indexes(tx: Transaction, call: Call, table: Table, document: dict[str, Any]) -> bool:
    given = call.params.get("GlobalSecondaryIndexUpdates") or []
    made = [each for each in given if each.get("Create") or each.get("Delete")]
    if len(made) > 1:
        raise AwsError(
            "LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted"
            " simultaneously per table",
        )
    for update in given:
        if sum(update.get(name) is not None for name in ("Create", "Delete", "Update")) > 1:
            raise invalid(
                f"{_WRONG}Only one of GlobalSecondaryIndexUpdate.Update,"
                " GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete may be given"
            )
        if update.get("Create"):
            _create_index(tx, call, document, update["Create"], table)
        elif update.get("Delete"):
            _delete_index(tx, table, document, update["Delete"]["IndexName"])
        elif update.get("Update"):
            _change_index(document, update["Update"])
        else:
            raise invalid(
                f"{_WRONG}One of GlobalSecondaryIndexUpdate.Update,"
                " GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be"
                " null"
            )
    return bool(given)


def _create_index(
    tx: Transaction, call: Call, document: dict[str, Any], index: Params, table: Table
) -> None:
    types = {each["AttributeName"]: each for each in document["AttributeDefinitions"]}
    given = {each["AttributeName"]: each for each in call.params.get("AttributeDefinitions") or ()}
    for name in given:
        if name in types and types[name] != given[name]:
            raise _redefined(document, types[name], given[name])
    missing = [each["AttributeName"] for each in index["KeySchema"]]
    if any(name not in given for name in missing):
        raise invalid(
            f"{_WRONG}Some index key attributes are not defined in AttributeDefinitions. Keys:"
            f" [{', '.join(missing)}], AttributeDefinitions: [{', '.join(given)}]"
        )
    types |= given
    kinds = {name: each["AttributeType"] for name, each in types.items()}
    _refuse_absent({"GlobalSecondaryIndexes": [index]})
    shapes.check_index(index, kinds, document["BillingMode"])
    if any(each["IndexName"] == index["IndexName"] for each in document["Indexes"]):
        raise invalid(
            f"{_WRONG}Attempting to create an index which already exists: {index['IndexName']}"
        )
    if any(each["Status"] != "ACTIVE" for each in document["Indexes"]):
        raise shapes.in_use(
            "Attempt to change a resource which is still in use: Table is being updated:"
            f" {table.name}"
        )
    if sum(each["IsGlobal"] for each in document["Indexes"]) >= 20:
        raise invalid(f"{_WRONG}GlobalSecondaryIndex count exceeds the per-table limit of 20")
    add_index(document, index, True, "CREATING")
    _keep_used(document, types)
    changed = definitions.load(table.id, orjson.dumps(document))
    storage.create_index(tx, changed, changed.indexes[-1])


def _redefined(document: dict[str, Any], old: dict[str, str], new: dict[str, str]) -> AwsError:
    roles = {
        each["AttributeName"]: each["KeyType"]
        for schema in (document["KeySchema"], *(each["KeySchema"] for each in document["Indexes"]))
        for each in schema
    }
    shown = [
        f"Schema:[SchemaElement: key{{{each['AttributeName']}:{each['AttributeType']}:"
        f"{roles.get(each['AttributeName'], 'HASH')}}}]"
        for each in (old, new)
    ]
    return invalid(
        f"{_WRONG}Attributes cannot be redefined. Please check that your attribute has the same"
        f" type as previously defined. Existing schema: {shown[0]} New schema: {shown[1]}"
    )


def _keep_used(document: dict[str, Any], types: dict[str, Any]) -> None:
    """AttributeDefinitions are those of keys, no others."""
    schemas = [document["KeySchema"], *(index["KeySchema"] for index in document["Indexes"])]
    used = {element["AttributeName"] for schema in schemas for element in schema}
    document["AttributeDefinitions"] = [types[name] for name in types if name in used]


def _delete_index(tx: Transaction, table: Table, document: dict[str, Any], name: str) -> None:
    index = next((each for each in table.indexes if each.name == name and each.is_global), None)
    if index is None:
        raise _no_index(name)
    storage.drop_index(tx, table, index)
    document["Indexes"] = [each for each in document["Indexes"] if each["IndexName"] != name]
    types = {each["AttributeName"]: each for each in document["AttributeDefinitions"]}
    _keep_used(document, types)


def _change_index(document: dict[str, Any], update: Params) -> None:
    for index in document["Indexes"]:
        if index["IndexName"] == update["IndexName"] and index["IsGlobal"]:
            index["ProvisionedThroughput"] = update["ProvisionedThroughput"]
            return
    raise _no_index(update["IndexName"])


def _no_index(name: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Requested resource not found: Index: {name}")


def delete_table(call: Call, tx: Transaction) -> Output:
    """Deletes the table, its items and indexes; its stream stays readable for a day."""
    table = definitions.get_described(tx, call.config, call.params["TableName"])
    if table.document["DeletionProtectionEnabled"]:
        raise invalid(
            "Resource cannot be deleted as it is currently protected against deletion. Disable"
            " deletion protection first."
        )
    shown = describe(tx, table, "DELETING")
    for member in _NOT_OF_DELETED:
        shown.pop(member, None)
    streams.disable(tx, copy.deepcopy(table.document), call.now_ms)
    storage.drop_table(tx, table)
    tx.run("DELETE FROM dynamodb_tables WHERE id = ?", (table.id,))
    tx.run("DELETE FROM dynamodb_tags WHERE arn = ?", (table.arn,))
    return {"TableDescription": shown}


def list_tables(call: Call, view: View) -> Output:
    """Names in alphabetical order."""
    limit = call.params.get("Limit", 100)
    rows = view.all(
        "SELECT name FROM dynamodb_tables WHERE name > ? ORDER BY name LIMIT ?",
        (call.params.get("ExclusiveStartTableName", ""), limit + 1),
    )
    names = [row[0] for row in rows[:limit]]
    output: Output = {"TableNames": names}
    if len(rows) > limit:
        output["LastEvaluatedTableName"] = names[-1]
    return output
