"""Functions, versions and aliases as rows: finding what a call means, storing what it changes."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from cloudlet.call import Call
from cloudlet.config import Config
from cloudlet.functions import names
from cloudlet.functions.code import Code
from cloudlet.functions.names import LATEST
from cloudlet.store.database import Transaction, View

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """One version of a function. `qualifier` is what was asked for: "", a version or an alias."""

    name: str
    qualifier: str
    version: str
    config: Document
    code: Code
    reserved: int | None


def find(view: View, config: Config, name: str, qualifier: str = "", roll: float = 1.0) -> Found:
    """`roll` (0 ≤ roll < 1) lets an alias's weights choose; 1.0 = always its main version."""
    version = qualifier or LATEST
    if version != LATEST and not version.isdigit():
        version = _alias_version(view, config, name, qualifier, roll)
    row = view.one(
        "SELECT v.config, v.code, f.reserved FROM function_versions AS v"
        " JOIN functions AS f USING (name) WHERE name = ? AND version = ?",
        (name, version),
    )
    if row is None:
        raise names.not_found(config, name, qualifier)
    document = orjson.loads(row["config"])
    return Found(name, qualifier, version, document, Code.of_json(row["code"]), row["reserved"])


def _alias_version(view: View, config: Config, name: str, alias: str, roll: float) -> str:
    text = view.value(
        "SELECT config FROM function_aliases WHERE name = ? AND alias = ?", (name, alias)
    )
    if text is None:
        raise names.not_found(config, name, alias)
    document = orjson.loads(text)
    weights = document.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    for version, weight in weights.items():
        roll -= weight
        if roll < 0:
            return str(version)
    return str(document["FunctionVersion"])


def require(view: View, config: Config, name: str, qualifier: str = "") -> None:
    """The function (and the version or alias) must exist."""
    find(view, config, name, qualifier)


def named(call: Call, view: View) -> str:
    """The name of the function that the call names; it must exist."""
    name = names.parse(call.params["FunctionName"]).name
    require(view, call.config, name)
    return name


def check_revision(call: Call, document: Document) -> None:
    """Whoever says which revision it was, changes none but that."""
    revision = call.params.get("RevisionId")
    if revision and revision != document["RevisionId"]:
        raise names.precondition_failed()


def save_version(tx: Transaction, name: str, document: Document, code: Code) -> None:
    tx.run(
        "INSERT INTO function_versions (name, version, config, code) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name, version) DO UPDATE SET config = excluded.config, code = excluded.code",
        (name, document["Version"], orjson.dumps(document).decode(), code.to_json()),
    )


def timestamp(now_ms: int) -> str:
    """Lambda's own format: 2026-01-31T12:00:00.000+0000."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}+0000"


def known_folders(view: View) -> set[str]:
    """Folders of code that versions and layers refer to."""
    rows = view.all(
        "SELECT code FROM function_versions UNION SELECT code FROM function_layers AS l"
        " WHERE NOT is_deleted OR EXISTS (SELECT 1 FROM function_versions AS v"
        " WHERE instr(v.config, json_extract(l.config, '$.LayerVersionArn') || '\"'))"
    )
    return {Code.of_json(row["code"]).folder for row in rows}


def relocate(tx: Transaction, store: Path) -> None:
    """After the data directory was moved (or its replica took its place), so has the code."""
    for table in ("function_versions", "function_layers"):
        for row in tx.all(f"SELECT DISTINCT code FROM {table}"):
            code = Code.of_json(row["code"])
            here = store / Path(code.folder).name
            if not code.in_place and not Path(code.folder).exists() and here.exists():
                moved = replace(code, folder=str(here)).to_json()
                tx.run(f"UPDATE {table} SET code = ? WHERE code = ?", (moved, row["code"]))


def page(items: list[Document], params: Document, key: str) -> Document:
    """One page of a list, AWS's way: MaxItems (50 at most), Marker = where to go on."""
    start = int(params.get("Marker") or 0) if str(params.get("Marker") or "0").isdigit() else 0
    count = min(int(params.get("MaxItems") or 50), 50)
    output: Document = {key: items[start : start + count]}
    if start + count < len(items):
        output["NextMarker"] = str(start + count)
    return output
