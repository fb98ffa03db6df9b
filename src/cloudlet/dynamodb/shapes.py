"""What CreateTable and UpdateTable may say about keys and indexes, with AWS's refusals.

See https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
"""

from collections import Counter
from typing import Any

from cloudlet.call import Params
from cloudlet.dynamodb.definitions import key_names
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError

_WRONG = "One or more parameter values were invalid: "
_LOCAL_MAX = 5
_GLOBAL_MAX = 20
_PROJECTED_MAX = 100
_PARTS_MAX = 4  # of each kind in a global index's key


def check_table(params: Params) -> None:
    """Everything of a CreateTable's parameters that the model does not check."""
    check_billing(params)
    if params.get("AttributeDefinitions") is None:
        raise invalid(f"{_WRONG}AttributeDefinitions must be specified")
    definitions = _definitions(params["AttributeDefinitions"])
    _check_schema(params["KeySchema"], definitions, is_index=False)
    local = params.get("LocalSecondaryIndexes")
    if local is not None:
        _check_local(params, local, definitions)
    global_ = params.get("GlobalSecondaryIndexes")
    if global_ is not None:
        if not global_:
            raise invalid(f"{_WRONG}List of GlobalSecondaryIndexes is empty")
        if len(global_) > _GLOBAL_MAX:
            raise invalid(
                f"{_WRONG}GlobalSecondaryIndex count exceeds the per-table limit of {_GLOBAL_MAX}"
            )
        for index in global_:
            check_index(index, definitions, params.get("BillingMode"))
    indexes = [*(local or ()), *(global_ or ())]
    check_names(indexes)
    check_definitions(definitions, params["KeySchema"], indexes)


def _definitions(given: list[dict[str, str]]) -> dict[str, str]:
    definitions = {each["AttributeName"]: each["AttributeType"] for each in given}
    if len(definitions) < len(given):
        names = Counter(each["AttributeName"] for each in given)
        twice = next(name for name, count in names.items() if count > 1)
        raise invalid(f"{_WRONG}Duplicate AttributeName in AttributeDefinitions: {twice}")
    return definitions


def check_billing(params: Params) -> None:
    has_throughput = params.get("ProvisionedThroughput") is not None
    if params.get("BillingMode") == "PAY_PER_REQUEST":
        if has_throughput:
            raise invalid(
                f"{_WRONG}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when"
                " BillingMode is PAY_PER_REQUEST"
            )
    elif not has_throughput:
        raise invalid(
            f"{_WRONG}ReadCapacityUnits and WriteCapacityUnits must both be specified when"
            " BillingMode is PROVISIONED"
        )


def _check_schema(
    schema: list[dict[str, str]],
    definitions: dict[str, str],
    *,
    is_index: bool,
    is_global: bool = False,
) -> None:
    names = [element["AttributeName"] for element in schema]
    missing = [name for name in names if name not in definitions]
    if missing and is_index:
        raise invalid(
            f"{_WRONG}Some index key attributes are not defined in AttributeDefinitions. Keys:"
            f" [{', '.join(names)}], AttributeDefinitions: [{', '.join(definitions)}]"
        )
    if not is_index and len(schema) > 2:
        element = "KeySchemaElement(attributeName={AttributeName}, keyType={KeyType})"
        shown = ", ".join(element.format(**each) for each in schema)
        raise invalid(
            f"1 validation error detected: Value '[{shown}]' at 'keySchema' failed to satisfy"
            " constraint: Member must have length less than or equal to 2"
        )
    if missing or (not is_index and len(schema) > len(definitions)):
        raise invalid("Invalid KeySchema: Some index key attribute have no definition")
    if schema[0]["KeyType"] != "HASH":
        raise invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    kinds = [element["KeyType"] for element in schema]
    if len(set(names)) < len(names):
        raise invalid(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name"
        )
    if is_global:
        _check_several(kinds)
    elif len(schema) > 2:
        raise invalid("Invalid KeySchema: a key has at most two (2) attributes")
    elif kinds[1:] == ["HASH"]:
        raise invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _check_several(kinds: list[str]) -> None:
    if kinds != sorted(kinds):
        raise invalid("Invalid KeySchema: All HASH key elements must precede all RANGE elements")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > _PARTS_MAX:
            raise invalid(
                f"Invalid KeySchema: The number of {kind} key elements exceeds {_PARTS_MAX}"
            )


def _check_local(params: Params, local: list[Any], definitions: dict[str, str]) -> None:
    if not local:
        raise invalid(f"{_WRONG}List of LocalSecondaryIndexes is empty")
    if len(local) > _LOCAL_MAX:
        raise invalid(
            f"{_WRONG}Number of LocalSecondaryIndexes exceeds per-table limit of {_LOCAL_MAX}"
        )
    hash_key, range_key = key_names(params["KeySchema"])
    if range_key is None:
        raise invalid(
            f"{_WRONG}Table KeySchema does not have a range key, which is required when specifying"
            " a LocalSecondaryIndex"
        )
    for index in local:
        _check_schema(index["KeySchema"], definitions, is_index=True)
        if len(index["KeySchema"]) < 2:
            raise invalid(
                f"{_WRONG}Index KeySchema does not have a range key for index: {index['IndexName']}"
            )
        if index["KeySchema"][0]["AttributeName"] != hash_key:
            raise invalid(
                f"{_WRONG}Index KeySchema does not have the same leading hash key as table"
                f" KeySchema for index: {index['IndexName']}. index hash key:"
                f" {index['KeySchema'][0]['AttributeName']}, table hash key: {hash_key}"
            )
        _check_projection(index["Projection"])


def check_index(index: Params, definitions: dict[str, str], billing_mode: str | None) -> None:
    """A global index, of a new table or added to one."""
    _check_schema(index["KeySchema"], definitions, is_index=True, is_global=True)
    _check_projection(index["Projection"])
    if billing_mode == "PAY_PER_REQUEST" and index.get("ProvisionedThroughput") is not None:
        raise invalid(
            f"{_WRONG}ProvisionedThroughput should not be specified for index:"
            f" {index['IndexName']} when BillingMode is PAY_PER_REQUEST"
        )
    if billing_mode != "PAY_PER_REQUEST" and index.get("ProvisionedThroughput") is None:
        raise invalid(
            f"{_WRONG}ProvisionedThroughput must be specified for index: {index['IndexName']}"
        )


def _check_projection(projection: dict[str, Any]) -> None:
    kind, names = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid(f"{_WRONG}Unknown ProjectionType: null")
    if kind == "INCLUDE" and not names:
        raise invalid(f"{_WRONG}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    twice = [name for name, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise invalid(f"{_WRONG}Duplicate value in attribute name: {twice[0]}")
    if kind != "INCLUDE" and names is not None:
        raise invalid(f"{_WRONG}ProjectionType is {kind}, but NonKeyAttributes is specified")


def check_names(indexes: list[Any]) -> None:
    seen = set()
    projected = 0
    for index in indexes:
        if index["IndexName"] in seen:
            raise invalid(f"{_WRONG}Duplicate index name: {index['IndexName']}")
        seen.add(index["IndexName"])
        projected += len(index["Projection"].get("NonKeyAttributes") or ())
    if projected > _PROJECTED_MAX:
        raise invalid(
            f"{_WRONG}Number of all projected attributes over all indexes exceeds limit of"
            f" {_PROJECTED_MAX}"
        )


def check_definitions(
    definitions: dict[str, str], schema: list[dict[str, str]], indexes: list[Any]
) -> None:
    """Every definition must be of a key."""
    used = {element["AttributeName"] for element in schema}
    for index in indexes:
        used |= {element["AttributeName"] for element in index["KeySchema"]}
    if len(used) != len(definitions):
        raise invalid(
            f"{_WRONG}Number of attributes in KeySchema does not exactly match number of attributes"
            " defined in AttributeDefinitions"
        )


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUseException", message)
