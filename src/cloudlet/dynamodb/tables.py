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
from cloudlet.dynamodb import (
    definitions,
    encryption,
    resource_policies,
    settings,
    shapes,
    storage,
    streams,
    sweep,
    throughput,
)
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction, View
from cloudlet.wire.table_requests import check_name

_WRONG = "One or more parameter values were invalid: "
_NOT_OF_DELETED = (
    "AttributeDefinitions",
    "CreationDateTime",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LatestStreamArn",
    "LatestStreamLabel",
    "LocalSecondaryIndexes",
    "WarmThroughput",
)
_ABSENT = (
    "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode",
    "ReplicaUpdates",
    "MultiRegionConsistency",
    "GlobalTableWitnessUpdates",
    "VectorIndexes",
    "VectorIndexUpdates",
    "DisassociationProtectionEnabled",
)
# What UpdateTable does alone, with AWS's name of it (dynamodb-063)
_ALONE = {
    "SSESpecification": "Server-Side Encryption modification",
    "TableClass": "TableClass modification",
    "DeletionProtectionEnabled": "DeletionProtection modification",
}
# what changes while the table stays ACTIVE (dynamodb-064)
_QUIET = {"SSESpecification", "DeletionProtectionEnabled", "OnDemandThroughput", "WarmThroughput"}
_CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "GlobalSecondaryIndexUpdates",
    "OnDemandThroughput",
    "WarmThroughput",
    *_ALONE,
)


async def create_table(call: Call) -> Output:
    """A new, empty table."""
    key_arn = await encryption.key_of(call, call.params)
    return await call.cloud.database.write(lambda tx: create(call, tx, key_arn))


def create(call: Call, tx: Transaction, key_arn: str | None) -> Output:
    params = call.params
    _refuse_absent(params)
    name = definitions.name_of(call.config, params["TableName"])
    check_name(name)
    shapes.check_table(params)
    if definitions.find(tx, call.config, name) is not None:
        raise shapes.in_use(f"Table already exists: {name}")
    document = _document(call, name) | {"KeyArn": key_arn}
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
    if params.get("ResourcePolicy") is not None:
        resource_policies.attach(call, tx, table, params["ResourcePolicy"])
    shown = describe(tx, table, "CREATING")
    throughput.at_creation(shown, params)
    return {"TableDescription": shown}


def _refuse_absent(params: Params) -> None:
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
    throughput.begin(document, params, call.config.region)
    for index in params.get("LocalSecondaryIndexes") or ():
        _add_index(document, index, False, "ACTIVE")
    for index in params.get("GlobalSecondaryIndexes") or ():
        made = _add_index(document, index, True, "ACTIVE")
        throughput.begin(made, index, call.config.region)
    return document


def _add_index(
    document: dict[str, Any], index: Params, is_global: bool, status: str
) -> dict[str, Any]:
    document["IndexesMade"] += 1
    made = {
        "Id": document["IndexesMade"],
        "IsGlobal": is_global,
        "IndexName": index["IndexName"],
        "KeySchema": index["KeySchema"],
        "Projection": index["Projection"],
        "ProvisionedThroughput": index.get("ProvisionedThroughput"),
        "Status": status,
    }
    document["Indexes"].append(made)
    return made


def _change_stream(
    tx: Transaction, document: dict[str, Any], specification: Params, now_ms: int
) -> None:
    view_type = specification.get("StreamViewType")
    if not specification["StreamEnabled"]:
        if view_type is not None:
            raise invalid(
                f"{_WRONG}Table is being created with a stream disabled, UpdateViewType should not"
                " be specified"
            )
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
        "DeletionProtectionEnabled": document["DeletionProtectionEnabled"],
        **throughput.described(document),
        **encryption.described(document),
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
        shown |= throughput.described(index)
    return shown


async def update_table(call: Call) -> Output:
    """Changes billing, protection, stream, encryption or global indexes of a table."""
    key_arn = await encryption.key_of(call, call.params)
    return await call.cloud.database.write(lambda tx: _update(call, tx, key_arn))


def _update(call: Call, tx: Transaction, key_arn: str | None) -> Output:
    params = call.params
    _refuse_absent(params)
    _check_combination(params)
    table = definitions.get_described(tx, call.config, params["TableName"])
    before = describe(tx, table, "UPDATING")
    document = copy.deepcopy(table.document)
    _update_billing(params, document, call.now_ms)
    throughput.change(document, params, call.config.region)
    _update_plain(params, document)
    encryption.change(document, params, key_arn)
    _update_stream(tx, call, document)
    _update_indexes(tx, call, table, document)
    table = definitions.save(tx, table, document)
    is_quiet = _QUIET & params.keys() and not params.get("BillingMode")
    shown = describe(tx, table, "ACTIVE" if is_quiet else "UPDATING")
    throughput.at_update(shown, before, params)
    encryption.at_update(shown, before, params)
    if leaving := _leaving(before, params):
        shown.setdefault("GlobalSecondaryIndexes", []).extend(leaving)
    sweep.start_backfills(tx, table)
    return {"TableDescription": shown}


def _check_combination(params: Params) -> None:
    given = [name for name in _CHANGES if params.get(name) not in (None, [])]
    if not given:
        raise invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled,"
            " GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates,"
            " MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency,"
            " DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is"
            " required"
        )
    for name, what in _ALONE.items():
        if name in given and len(given) > 1:
            raise invalid(f"{_WRONG}{what} must be the only operation in the request")
    if "OnDemandThroughput" in given and set(given) - {"OnDemandThroughput", "BillingMode"}:
        raise invalid(
            f"{_WRONG}OnDemandThroughput can only be combined with BillingMode in an UpdateTable"
            " request"
        )


def _leaving(before: dict[str, Any], params: Params) -> list[dict[str, Any]]:
    """The indexes that go, as they were; the answer still has them."""
    updates = params.get("GlobalSecondaryIndexUpdates") or ()
    names = [each["Delete"]["IndexName"] for each in updates if each.get("Delete")]
    known = before.get("GlobalSecondaryIndexes", ())
    return [each | {"IndexStatus": "DELETING"} for each in known if each["IndexName"] in names]


def _update_billing(params: Params, document: dict[str, Any], now_ms: int) -> None:
    mode, units = params.get("BillingMode"), params.get("ProvisionedThroughput")
    if mode is None and units is None:
        return
    shapes.check_billing(
        {"BillingMode": mode or document["BillingMode"], "ProvisionedThroughput": units}
    )
    if mode == "PAY_PER_REQUEST" and document["BillingMode"] != mode:
        document["OnDemandMs"] = now_ms
    is_same = mode in (None, document["BillingMode"])
    if is_same and units is not None and units == document["ProvisionedThroughput"]:
        read, write = units["ReadCapacityUnits"], units["WriteCapacityUnits"]
        raise invalid(
            "The provisioned throughput for the table will not change. The requested value equals"
            f" the current value. Current ReadCapacityUnits provisioned for the table: {read}."
            f" Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for"
            f" the table: {write}. Requested WriteCapacityUnits: {write}. Refer to the Amazon"
            " DynamoDB Developer Guide for current limits and how to request higher limits."
        )
    throughput.switch(document)
    document["BillingMode"] = mode or document["BillingMode"]
    document["ProvisionedThroughput"] = units
    throughput.switch(document)


def _update_plain(params: Params, document: dict[str, Any]) -> None:
    for member in ("DeletionProtectionEnabled", "TableClass"):
        if params.get(member) is not None:
            document[member] = params[member]


def _update_stream(tx: Transaction, call: Call, document: dict[str, Any]) -> None:
    specification = call.params.get("StreamSpecification")
    if specification is None:
        return
    if not specification["StreamEnabled"] and not document.get("Stream"):
        raise invalid(f"Table has no stream to disable: TableName: {document['TableName']}")
    _change_stream(tx, document, specification, call.now_ms)


def _update_indexes(tx: Transaction, call: Call, table: Table, document: dict[str, Any]) -> None:
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
            _change_index(call, document, update["Update"])
        else:
            raise invalid(
                f"{_WRONG}One of GlobalSecondaryIndexUpdate.Update,"
                " GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be"
                " null"
            )


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
    made = _add_index(document, index, True, "CREATING")
    throughput.begin(made, index, call.config.region)
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


def _change_index(call: Call, document: dict[str, Any], update: Params) -> None:
    for index in document["Indexes"]:
        if index["IndexName"] == update["IndexName"] and index["IsGlobal"]:
            units = update.get("ProvisionedThroughput")
            if units is not None and document["BillingMode"] == "PAY_PER_REQUEST":
                raise invalid(
                    f"{_WRONG}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for"
                    f" index: {index['IndexName']} when BillingMode is PAY_PER_REQUEST"
                )
            throughput.warm_up(index, {})
            index["ProvisionedThroughput"] = units or index["ProvisionedThroughput"]
            throughput.change(index, update, call.config.region)
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
    remove(tx, table, call.now_ms)
    return {"TableDescription": shown}


def remove(tx: Transaction, table: Table, now_ms: int) -> None:
    streams.disable(tx, copy.deepcopy(table.document), now_ms)
    storage.drop_table(tx, table)
    tx.run("DELETE FROM dynamodb_tables WHERE id = ?", (table.id,))
    tx.run("DELETE FROM dynamodb_tags WHERE arn = ?", (table.arn,))
    tx.run("DELETE FROM dynamodb_policies WHERE arn = ?", (table.arn,))


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
