"""Published versions, which never change, and aliases, which point to them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

import asyncio
import re
import shutil
from dataclasses import replace
from pathlib import Path

import orjson

from cloudlet.call import Call, Output
from cloudlet.functions import names, provisioned, records
from cloudlet.functions.code import Code
from cloudlet.functions.names import LATEST
from cloudlet.functions.records import Document
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_ALIAS = re.compile(r"(?!^\d+$)[a-zA-Z0-9-_]{1,128}")
_VOLATILE = ("LastModified", "RevisionId", "Version", "FunctionArn", "Description")


async def publish_version(call: Call) -> Output:
    name = names.parse(call.params["FunctionName"]).name
    return await publish(call, name, call.params.get("Description", ""))


async def publish(call: Call, name: str, description: str) -> Output:
    """Freezes $LATEST; nothing new is made when nothing changed since the last version."""
    found = records.find(call.cloud.database.view(), call.config, name)
    wanted = call.params.get("CodeSha256")
    if wanted and wanted != found.config["CodeSha256"]:
        raise names.invalid(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST"
            f" ({found.config['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST."
        )
    if call.operation == "PublishVersion":
        records.check_revision(call, found.config)
    code = found.code
    if code.in_place:
        code = await asyncio.to_thread(_frozen, call, code)
    return await call.cloud.database.write(lambda tx: _publish(call, tx, name, code, description))


def _frozen(call: Call, code: Code) -> Code:
    """A copy of a folder that is edited in place."""
    store = call.config.data / "functions"
    target = store / f"copy-{call.config.new_id()}"
    shutil.copytree(Path(code.folder), target, symlinks=True)
    call.cloud.blobs.keep_folder(target)
    return replace(code, folder=str(target), in_place=False)


def _publish(call: Call, tx: Transaction, name: str, code: Code, description: str) -> Output:
    document = dict(records.find(tx, call.config, name).config)
    last = tx.one(
        "SELECT config FROM function_versions WHERE name = ? AND version <> ?"
        " ORDER BY CAST(version AS INTEGER) DESC LIMIT 1",
        (name, LATEST),
    )
    if last is not None:
        previous: Output = orjson.loads(last["config"])
        if _essence(previous) == _essence(document):
            return previous
    number = tx.value("SELECT next_version FROM functions WHERE name = ?", (name,))
    tx.run("UPDATE functions SET next_version = next_version + 1 WHERE name = ?", (name,))
    document["Version"] = str(number)
    document["FunctionArn"] = names.function_arn(call.config, name, str(number))
    document["Description"] = description or document["Description"]
    document["RevisionId"] = call.config.new_id()
    records.save_version(tx, name, document, code)
    return document


def _essence(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in _VOLATILE}


def list_versions_by_function(call: Call, view: View) -> Output:
    name = records.named(call, view)
    sql = "SELECT config FROM function_versions WHERE name = ? ORDER BY CAST(version AS INTEGER)"
    documents = stored.every(view, sql, (name,))
    for document in documents:
        if document["Version"] == LATEST:
            document["FunctionArn"] = names.function_arn(call.config, name, LATEST)
    return records.page(documents, call.params, "Versions")


def create_alias(call: Call, tx: Transaction) -> Output:
    name, alias = _reference(call)
    if not _ALIAS.fullmatch(alias):
        raise names.invalid(f"{alias!r} is not a valid alias name.")
    records.require(tx, call.config, name)
    arn = names.function_arn(call.config, name, alias)
    if tx.value("SELECT 1 FROM function_aliases WHERE name = ? AND alias = ?", (name, alias)):
        raise names.conflict(f"Alias already exists: {arn}")
    document: Document = {"AliasArn": arn, "Name": alias, "Description": ""}
    return _save_alias(call, tx, name, document)


def update_alias(call: Call, tx: Transaction) -> Output:
    name, _ = _reference(call)
    document = get_alias(call, tx)
    records.check_revision(call, document)
    provisioned.changed(call, tx)
    return _save_alias(call, tx, name, document)


def _save_alias(call: Call, tx: Transaction, name: str, document: Document) -> Output:
    params = call.params
    for key in ("FunctionVersion", "Description"):
        if params.get(key) is not None:
            document[key] = params[key]
    if params.get("RoutingConfig") is not None:
        weights = params["RoutingConfig"].get("AdditionalVersionWeights") or {}
        document["RoutingConfig"] = {"AdditionalVersionWeights": weights}
    weights = document.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    if len(weights) > 1 or any(not 0 <= weight <= 1 for weight in weights.values()):
        raise names.invalid("Invalid routing config: one version with a weight of 0 to 1.")
    if weights and document["FunctionVersion"] == LATEST:
        raise names.invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    for version in (document["FunctionVersion"], *weights):
        if version != LATEST and not version.isdigit():
            raise names.invalid(f"{version!r} is not a version.")
        records.require(tx, call.config, name, version)
    document["RevisionId"] = call.config.new_id()
    tx.run(
        "INSERT INTO function_aliases (name, alias, config) VALUES (?, ?, ?)"
        " ON CONFLICT (name, alias) DO UPDATE SET config = excluded.config",
        (name, document["Name"], orjson.dumps(document).decode()),
    )
    return document


def list_aliases(call: Call, view: View) -> Output:
    sql = "SELECT config FROM function_aliases WHERE name = ? ORDER BY alias"
    documents = stored.every(view, sql, (records.named(call, view),))
    version = call.params.get("FunctionVersion")
    if version:
        documents = [item for item in documents if item["FunctionVersion"] == version]
    return records.page(documents, call.params, "Aliases")


def delete_alias(call: Call, tx: Transaction) -> None:
    """Deleting what is not there is no error."""
    name, alias = _reference(call)
    for table in ("permissions", "event_configs", "urls", "provisioned"):
        tx.run(f"DELETE FROM function_{table} WHERE name = ? AND qualifier = ?", (name, alias))
    tx.run("DELETE FROM function_aliases WHERE name = ? AND alias = ?", (name, alias))
    provisioned.changed(call, tx)


def aliases_of(view: View, name: str, version: str) -> list[str]:
    rows = view.all("SELECT alias, config FROM function_aliases WHERE name = ?", (name,))
    found = []
    for row in rows:
        document = orjson.loads(row["config"])
        weights = document.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        if version in (document["FunctionVersion"], *weights):
            found.append(row["alias"])
    return found


def _reference(call: Call) -> tuple[str, str]:
    return names.parse(call.params["FunctionName"]).name, call.params["Name"]


def get_alias(call: Call, view: View) -> Output:
    name, alias = _reference(call)
    sql = "SELECT config FROM function_aliases WHERE name = ? AND alias = ?"
    document = stored.find(view, sql, (name, alias))
    if document is None:
        arn = names.function_arn(call.config, name, alias)
        raise names.missing(f"Cannot find alias arn: {arn}")
    return document
