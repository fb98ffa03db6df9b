"""Layers: archives whose `python/`, `bin/` and `lib/` join a function's own.

On AWS they are merged below /opt; here each stays a folder and the paths lead there.
https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
"""

import re
from pathlib import Path

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.functions import names, uploads
from cloudlet.functions.code import Code
from cloudlet.functions.records import Document, page, timestamp
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

LAYERS_MAX = 5
_ARN = re.compile(r"arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:([a-zA-Z0-9-_]+):(\d+)")


def reference(config: Config, view: View, arn: str) -> Document:
    """A function's entry for a layer version that exists."""
    match = _ARN.fullmatch(arn)
    code = _code(view, match[1], int(match[2])) if match else None
    if code is None:
        raise names.invalid(f"Layer version {arn} does not exist.")
    return {"Arn": arn, "CodeSize": code.size_bytes}


def folders(view: View, entries: list[Document]) -> tuple[str, ...]:
    """Where a function's layers are; the last layer wins, as when they are laid over another."""
    found = []
    for entry in reversed(entries):
        match = _ARN.fullmatch(entry["Arn"])
        text = match and view.value(
            "SELECT code FROM function_layers WHERE name = ? AND version = ?",
            (match[1], int(match[2])),
        )
        if text:
            found.append(Code.of_json(text).folder)
    return tuple(found)


async def publish_layer_version(call: Call) -> Output:
    """Creates the next version of a layer."""
    name = _name(call.params["LayerName"])
    code = await uploads.load(call, call.params["Content"])
    return await call.cloud.database.write(lambda tx: _publish(call, tx, name, code))


def _publish(call: Call, tx: Transaction, name: str, code: Code) -> Output:
    last = tx.value("SELECT max(version) FROM function_layers WHERE name = ?", (name,))
    version = (last or 0) + 1
    arn = call.config.arn("lambda", f"layer:{name}")
    output: Output = {
        "LayerArn": arn,
        "LayerVersionArn": f"{arn}:{version}",
        "Version": version,
        "Description": call.params.get("Description", ""),
        "CreatedDate": timestamp(call.now_ms),
        "CompatibleRuntimes": call.params.get("CompatibleRuntimes") or [],
        "CompatibleArchitectures": call.params.get("CompatibleArchitectures") or [],
        "LicenseInfo": call.params.get("LicenseInfo", ""),
        "Content": {
            "CodeSha256": code.digest,
            "CodeSize": code.size_bytes,
            "Location": Path(code.folder).as_uri(),
        },
    }
    tx.run(
        "INSERT INTO function_layers (name, version, config, code) VALUES (?, ?, ?, ?)",
        (name, version, orjson.dumps(output).decode(), code.to_json()),
    )
    return output


def get_layer_version(call: Call, view: View) -> Output:
    name, version = _name(call.params["LayerName"]), int(call.params["VersionNumber"])
    sql = "SELECT config FROM function_layers WHERE name = ? AND version = ? AND NOT is_deleted"
    output = stored.find(view, sql, (name, version))
    if output is None:
        arn = call.config.arn("lambda", f"layer:{name}:{version}")
        raise names.missing(f"The resource you requested does not exist: {arn}")
    return output


def get_layer_version_by_arn(call: Call, view: View) -> Output:
    match = _ARN.fullmatch(call.params["Arn"])
    if match is None:
        raise names.invalid(f"{call.params['Arn']} is not the ARN of a layer version.")
    call.params.update(LayerName=match[1], VersionNumber=int(match[2]))
    return get_layer_version(call, view)


def list_layers(call: Call, view: View) -> Output:
    rows = view.all(
        "SELECT name, max(version) AS version, config FROM function_layers WHERE NOT is_deleted"
        " GROUP BY name ORDER BY name"
    )
    items = [
        {
            "LayerName": row["name"],
            "LayerArn": call.config.arn("lambda", f"layer:{row['name']}"),
            "LatestMatchingVersion": summary,
        }
        for row in rows
        if _is_compatible(summary := _summary(row["config"]), call.params)
    ]
    return page(items, call.params, "Layers")


def list_layer_versions(call: Call, view: View) -> Output:
    rows = view.all(
        "SELECT config FROM function_layers WHERE name = ? AND NOT is_deleted"
        " ORDER BY version DESC",
        (_name(call.params["LayerName"]),),
    )
    found = [_summary(row["config"]) for row in rows]
    items = [item for item in found if _is_compatible(item, call.params)]
    return page(items, call.params, "LayerVersions")


def _is_compatible(summary: Document, params: Document) -> bool:
    """With the runtime and the architecture that are asked for."""
    kinds = ("CompatibleRuntime", "CompatibleArchitecture")
    return all(not params.get(kind) or params[kind] in summary[f"{kind}s"] for kind in kinds)


def delete_layer_version(call: Call, tx: Transaction) -> None:
    """Functions that use the version keep it, as on AWS; nobody new can."""
    name, version = _name(call.params["LayerName"]), int(call.params["VersionNumber"])
    tx.run(
        "UPDATE function_layers SET is_deleted = 1 WHERE name = ? AND version = ?", (name, version)
    )


def _code(view: View, name: str, version: int) -> Code | None:
    text = view.value(
        "SELECT code FROM function_layers WHERE name = ? AND version = ? AND NOT is_deleted",
        (name, version),
    )
    return Code.of_json(text) if text else None


def _name(reference_: str) -> str:
    return reference_.rsplit(":layer:", 1)[-1]


def _summary(text: str) -> Document:
    document: Document = orjson.loads(text)
    document.pop("Content", None)
    document.pop("LayerArn", None)
    return document
