"""Functions: create, read, change, delete. Versions and aliases are in `versions`, callers' rights
in `grants`, the rest of a function's settings in `limits`, invoking it in `invocations`.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

from pathlib import Path
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.functions import names, records, settings, uploads, versions
from cloudlet.functions.code import Code
from cloudlet.functions.credentials import assume
from cloudlet.functions.names import LATEST
from cloudlet.functions.records import Document
from cloudlet.store.database import Transaction, View


async def create_function(call: Call) -> Output:
    """Stores the code, then the function; it is Active at once."""
    name = names.parse(call.params["FunctionName"]).name
    with call.cloud.database.snapshot() as view:
        _require_new(view, name)
        settings.create(call, view, name)  # what is wrong is told before the code is unpacked
    await assume(call.cloud, call.params["Role"], name)  # a role that Lambda can't use is refused
    code = await uploads.load(call, call.params.get("Code") or {})
    output: Output = await call.cloud.database.write(lambda tx: _create(call, tx, name, code))
    await _equip(call, name)
    return await _publish_if_asked(call, name, output)


def _create(call: Call, tx: Transaction, name: str, code: Code) -> Output:
    _require_new(tx, name)
    document = settings.create(call, tx, name)
    settings.set_code(document, code)
    tags = orjson.dumps(call.params.get("Tags") or {}).decode()
    tx.run("INSERT INTO functions (name, tags) VALUES (?, ?)", (name, tags))
    records.save_version(tx, name, document, code)
    return document


def _require_new(view: View, name: str) -> None:
    if view.value("SELECT 1 FROM functions WHERE name = ?", (name,)):
        raise names.conflict(f"Function already exist: {name}")


def get_function(call: Call, view: View) -> Output:
    found = _found(call, view)
    row = view.one("SELECT tags FROM functions WHERE name = ?", (found.name,))
    output: Output = {
        "Configuration": shown(call, found),
        # The unpacked code's own place: there is no zip to presign.
        "Code": {"RepositoryType": "S3", "Location": Path(found.code.folder).as_uri()},
        "Tags": orjson.loads(row["tags"]) if row else {},
    }
    if found.reserved is not None:
        output["Concurrency"] = {"ReservedConcurrentExecutions": found.reserved}
    return output


def get_function_configuration(call: Call, view: View) -> Output:
    return shown(call, _found(call, view))


def shown(call: Call, found: records.Found) -> Document:
    """The configuration as asked for: its ARN carries the qualifier."""
    arn = names.function_arn(call.config, found.name, found.qualifier)
    return {**found.config, "FunctionArn": arn}


def _found(call: Call, view: View) -> records.Found:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    return records.find(view, call.config, name, qualifier)


async def update_function_code(call: Call) -> Output:
    name = records.named(call, call.cloud.database.view())
    code = await uploads.load(call, call.params)

    def change(tx: Transaction) -> Output:
        document = _latest(call, tx, name)
        settings.set_code(document, code)
        if call.params.get("Architectures"):
            document["Architectures"] = call.params["Architectures"]
        settings.stamp(call, document)
        if not call.params.get("DryRun"):
            records.save_version(tx, name, document, code)
        return document

    output: Output = await call.cloud.database.write(change)
    _recycle(call, name)
    await _equip(call, name)
    return await _publish_if_asked(call, name, output)


async def update_function_configuration(call: Call) -> Output:
    name = names.parse(call.params["FunctionName"]).name
    if call.params.get("Role"):
        records.require(call.cloud.database.view(), call.config, name)
        await assume(call.cloud, call.params["Role"], name)

    def change(tx: Transaction) -> Output:
        document = _latest(call, tx, name)
        settings.change(call, tx, document)
        records.save_version(tx, name, document, records.find(tx, call.config, name).code)
        return document

    output: Output = await call.cloud.database.write(change)
    _recycle(call, name)
    return output


def _latest(call: Call, tx: Transaction, name: str) -> Document:
    document = records.find(tx, call.config, name).config
    records.check_revision(call, document)
    return document


async def _publish_if_asked(call: Call, name: str, output: Output) -> Output:
    if call.params.get("Publish") and not call.params.get("DryRun"):
        call.params["FunctionName"] = name
        return await versions.publish(call, name, "")
    return output


async def _equip(call: Call, name: str) -> None:
    if call.state is not None:
        await call.state.equip(name)


def _recycle(call: Call, name: str, version: str = LATEST) -> None:
    if call.state is not None:
        call.state.recycle(names.function_arn(call.config, name), version)


async def delete_function(call: Call) -> None:
    """Without a qualifier the function and all its versions, else one published version."""
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))

    def change(tx: Transaction) -> None:
        records.require(tx, call.config, name, qualifier)
        if not qualifier:
            tx.run("DELETE FROM functions WHERE name = ?", (name,))
            return
        if not qualifier.isdigit():
            raise names.invalid("$LATEST version cannot be deleted without deleting the function."
                                if qualifier == LATEST else
                                "Deletion of aliases is not currently supported.")  # fmt: skip
        users = versions.aliases_of(tx, name, qualifier)
        if users:
            raise names.conflict(f"Version {qualifier} cannot be deleted: aliases use it: {users}")
        tx.run("DELETE FROM function_versions WHERE name = ? AND version = ?", (name, qualifier))

    await call.cloud.database.write(change)
    _recycle(call, name, qualifier)


def list_functions(call: Call, view: View) -> Output:
    is_all = call.params.get("FunctionVersion") == "ALL"
    rows = view.all(
        "SELECT config FROM function_versions WHERE ? OR version = ? ORDER BY name, version",
        (is_all, LATEST),
    )
    documents = [_listed(orjson.loads(row["config"])) for row in rows]
    return records.page(documents, call.params, "Functions")


def _listed(document: dict[str, Any]) -> Document:
    """Lists leave the state out, as AWS does."""
    hidden = ("State", "LastUpdateStatus")
    return {key: value for key, value in document.items() if key not in hidden}


def get_function_code_signing_config(call: Call, view: View) -> Output:
    """No function has one: settings that ask for it are refused."""
    return {"FunctionName": _found(call, view).name, "CodeSigningConfigArn": ""}


def get_runtime_management_config(call: Call, view: View) -> Output:
    """Runtimes are what this machine has: they change when it is updated."""
    arn = names.function_arn(call.config, _found(call, view).name, call.params.get("Qualifier", ""))
    return {"UpdateRuntimeOn": "Auto", "FunctionArn": arn}


def get_account_settings(call: Call, view: View) -> Output:
    reserved = view.value("SELECT coalesce(sum(reserved), 0) FROM functions")
    count = view.value("SELECT count(*) FROM functions")
    rows = view.all("SELECT config FROM function_versions")
    size = sum(orjson.loads(row["config"])["CodeSize"] for row in rows)
    return {
        "AccountLimit": {
            "TotalCodeSize": 80530636800,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 1000 - reserved,
        },
        "AccountUsage": {"TotalCodeSize": size, "FunctionCount": count},
    }
