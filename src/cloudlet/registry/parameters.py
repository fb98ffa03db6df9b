"""Systems Manager's Parameter Store: String and StringList, versions, paths, tags.

SecureString is refused: there is no KMS to decrypt it for some and not for others.
https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.policy import regexes
from cloudlet.store.database import Row, Transaction, View

_NAME = re.compile(r"[a-zA-Z0-9_.\-/]{1,1011}")
_VERSIONS_MAX = 100
_LEVELS_MAX = 15
_STANDARD_BYTES, _ADVANCED_BYTES = 4096, 8192
_ABSENT = ("Policies", "KeyId")
_LATEST = (
    "SELECT p.name, p.tags, v.version, v.modified_ms, v.document FROM registry_parameters p"
    " JOIN registry_versions v ON v.name = p.name AND v.version = p.version"
)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _not_found(name: str) -> AwsError:
    return AwsError("ParameterNotFound", f"Parameter {name} not found.")


def put_parameter(call: Call, tx: Transaction) -> Output:
    params, name = call.params, call.params["Name"]
    for absent in _ABSENT:
        if params.get(absent):
            raise NotImplementedByCloudlet(f"ssm:PutParameter with {absent}")
    _check_name(name)
    row = tx.one(f"{_LATEST} WHERE p.name = ?", (name,))
    before = json.loads(row["document"]) if row else {}
    if row and not params.get("Overwrite"):
        raise AwsError(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the"
            " request to true.",
        )
    if row and params.get("Tags"):
        raise invalid("Invalid request: tags and overwrite can't be used together.")
    document = _document(call, before)
    version = row["version"] + 1 if row else 1
    tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags") or []}
    tx.run(
        "INSERT INTO registry_parameters (name, version, tags) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET version = excluded.version",
        (name, version, json.dumps(tags)),
    )
    tx.run(
        "INSERT INTO registry_versions (name, version, modified_ms, document) VALUES (?, ?, ?, ?)",
        (name, version, call.now_ms, json.dumps(document)),
    )
    oldest = (name, version - _VERSIONS_MAX)
    tx.run("DELETE FROM registry_versions WHERE name = ? AND version <= ?", oldest)
    return {"Version": version, "Tier": document["Tier"]}


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or "//" in name or name.endswith("/"):
        raise invalid(
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path,'
            " it can consist of sub-paths divided by slash symbol; each sub-path can be formed as"
            " a mix of letters, numbers and the following 3 symbols .-_"
        )
    if re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
        raise invalid(f"No access to reserved parameter name: {name}.")
    if "/" in name and not name.startswith("/"):
        raise invalid("Parameter name must be a fully qualified name.")
    if name.count("/") > _LEVELS_MAX:
        raise AwsError(
            "HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of 15 levels."
        )


def _is_allowed(pattern: str, value: str) -> bool:
    try:
        return regexes.matches(pattern, value, "search")
    except re.error as error:
        code = "InvalidAllowedPatternException"
        raise AwsError(code, f"AllowedPattern {pattern} cannot be used: {error}") from error


def _document(call: Call, before: dict[str, Any]) -> dict[str, Any]:
    """The new version: what is not given stays."""
    params = call.params
    kind = params.get("Type") or before.get("Type")
    if kind is None:
        raise invalid("A parameter type is required when you create a parameter.")
    if kind == "SecureString":
        raise NotImplementedByCloudlet("SecureString parameters")
    if before and kind != before["Type"]:
        raise AwsError(
            "HierarchyTypeMismatchException", "The parameter type can't be changed with an update."
        )
    if params.get("DataType", "text") != "text":
        raise NotImplementedByCloudlet(f"Parameters of the data type {params['DataType']}")
    value, tier = params["Value"], params.get("Tier") or before.get("Tier") or "Standard"
    size = len(value.encode())
    if tier == "Intelligent-Tiering":
        tier = "Advanced" if size > _STANDARD_BYTES else "Standard"
    if size > (_STANDARD_BYTES if tier == "Standard" else _ADVANCED_BYTES):
        raise invalid(
            f"{tier} tier parameters support a maximum parameter value of"
            f" {_STANDARD_BYTES if tier == 'Standard' else _ADVANCED_BYTES} characters."
        )
    pattern = params.get("AllowedPattern") or before.get("AllowedPattern")
    if pattern and not _is_allowed(pattern, value):
        raise AwsError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {pattern}",
        )
    return {
        "Type": kind,
        "Value": value,
        "Tier": tier,
        "Description": params.get("Description", before.get("Description")),
        "AllowedPattern": pattern,
        "User": call.caller.arn,
    }


def get_parameter(call: Call, view: View) -> Output:
    return {"Parameter": _selected(call, view, call.params["Name"])}


def get_parameters(call: Call, view: View) -> Output:
    found, missing = [], []
    for name in call.params["Names"]:
        try:
            found.append(_selected(call, view, name))
        except AwsError:
            missing.append(name)
    return {"Parameters": found, "InvalidParameters": missing}


def plain_name(name: str) -> str:
    """Names may be ARNs; those of plain names lack their slash."""
    return name.partition(":parameter")[2] if name.startswith("arn:") else name


def _selected(call: Call, view: View, given: str) -> dict[str, Any]:
    """A parameter by name, ARN, and perhaps `:version`."""
    name, _, version = plain_name(given).partition(":")
    if given.startswith("arn:") and name.count("/") == 1:
        known = view.value("SELECT name FROM registry_parameters WHERE name = ?", (name[1:],))
        name = known or name
    if not version:
        row = view.one(f"{_LATEST} WHERE p.name = ?", (name,))
        if row is None:
            raise _not_found(name)
        return _shown(call, row)
    row = view.one(
        "SELECT * FROM registry_versions WHERE name = ? AND version = ?", (name, version)
    )
    if row is None:
        code = "ParameterVersionNotFound"
        raise AwsError(code, f"Systems Manager could not find version {version} of {name}.")
    return _shown(call, row) | {"Selector": f":{version}"}


def _shown(call: Call, row: Row) -> dict[str, Any]:
    document = json.loads(row["document"])
    return {
        "Name": row["name"],
        "Type": document["Type"],
        "Value": document["Value"],
        "Version": row["version"],
        "LastModifiedDate": _moment(row),
        "ARN": arn(call, row["name"]),
        "DataType": "text",
    }


def _moment(row: Row) -> datetime:
    return datetime.fromtimestamp(row["modified_ms"] / 1000, UTC)


def arn(call: Call, name: str) -> str:
    return call.config.arn("ssm", f"parameter/{name.removeprefix('/')}")


def get_parameters_by_path(call: Call, view: View) -> Output:
    path = call.params["Path"]
    if not path.startswith("/"):
        raise invalid("The parameter doesn't meet the parameter name requirements.")
    if call.params.get("ParameterFilters"):
        raise NotImplementedByCloudlet("ssm:GetParametersByPath with ParameterFilters")
    prefix = path.rstrip("/") + "/"
    rows = view.all(
        f"{_LATEST} WHERE substr(p.name, 1, ?) = ? ORDER BY p.name", (len(prefix), prefix)
    )
    if not call.params.get("Recursive"):
        rows = [row for row in rows if "/" not in row["name"][len(prefix) :]]
    page, token = _page(call, rows, 10)
    return {"Parameters": [_shown(call, row) for row in page], "NextToken": token}


def _page(call: Call, rows: list[Row], default: int) -> tuple[list[Row], str | None]:
    start = call.params.get("NextToken") or "0"
    if not start.isdigit():
        raise AwsError("InvalidNextToken", "The specified token isn't valid.")
    end = int(start) + int(call.params.get("MaxResults") or default)
    return rows[int(start) : end], str(end) if end < len(rows) else None


def describe_parameters(call: Call, view: View) -> Output:
    if call.params.get("Filters") or call.params.get("Shared"):
        raise NotImplementedByCloudlet("ssm:DescribeParameters with Filters or Shared")
    rows = view.all(f"{_LATEST} ORDER BY p.name")
    for each in call.params.get("ParameterFilters") or []:
        rows = [row for row in rows if _matches(row, each)]
    page, token = _page(call, rows, 50)
    return {"Parameters": [_described(call, row) for row in page], "NextToken": token}


def _matches(row: Row, wanted: dict[str, Any]) -> bool:
    option, values = wanted.get("Option"), wanted.get("Values") or []
    if wanted["Key"] == "Name" and option in (None, "Equals"):
        return row["name"] in values
    if wanted["Key"] == "Name" and option == "BeginsWith":
        return bool(row["name"].startswith(tuple(values)))
    if wanted["Key"] == "Name" and option == "Contains":
        return any(value in row["name"] for value in values)
    if wanted["Key"] == "Type" and option in (None, "Equals"):
        return json.loads(row["document"])["Type"] in values
    raise NotImplementedByCloudlet(f"ssm:DescribeParameters by {wanted['Key']} {option or ''}")


def _described(call: Call, row: Row) -> dict[str, Any]:
    document = json.loads(row["document"])
    return {
        "Name": row["name"],
        "ARN": arn(call, row["name"]),
        "Type": document["Type"],
        "LastModifiedDate": _moment(row),
        "LastModifiedUser": document["User"],
        "Description": document["Description"],
        "AllowedPattern": document["AllowedPattern"],
        "Version": row["version"],
        "Tier": document["Tier"],
        "DataType": "text",
        "Policies": [],
    }


def get_parameter_history(call: Call, view: View) -> Output:
    name = plain_name(call.params["Name"])
    rows = view.all("SELECT * FROM registry_versions WHERE name = ? ORDER BY version", (name,))
    if not rows:
        raise _not_found(name)
    page, token = _page(call, rows, 50)
    shown = [
        {**_described(call, row), "Value": json.loads(row["document"])["Value"]} for row in page
    ]
    return {
        "Parameters": [{k: v for k, v in each.items() if k != "ARN"} for each in shown],
        "NextToken": token,
    }


def delete_parameter(call: Call, tx: Transaction) -> Output:
    name = plain_name(call.params["Name"])
    if not tx.run("DELETE FROM registry_parameters WHERE name = ?", (name,)).rowcount:
        raise _not_found(name)
    return {}


def delete_parameters(call: Call, tx: Transaction) -> Output:
    deleted: list[str] = []
    missing: list[str] = []
    for name in call.params["Names"]:
        found = tx.run("DELETE FROM registry_parameters WHERE name = ?", (name,)).rowcount
        (deleted if found else missing).append(name)
    return {"DeletedParameters": deleted, "InvalidParameters": missing}


def _tagged(call: Call, view: View) -> tuple[str, dict[str, str]]:
    if call.params["ResourceType"] != "Parameter":
        raise NotImplementedByCloudlet(f"Tags of the resource type {call.params['ResourceType']}")
    name = call.params["ResourceId"]
    text = view.value("SELECT tags FROM registry_parameters WHERE name = ?", (name,))
    if text is None:
        raise AwsError("InvalidResourceId", "The resource ID is not valid.")
    return name, json.loads(text)


def _put_tags(tx: Transaction, name: str, tags: dict[str, str]) -> None:
    sql = "UPDATE registry_parameters SET tags = ? WHERE name = ?"
    tx.run(sql, (json.dumps(tags), name))


def add_tags_to_resource(call: Call, tx: Transaction) -> Output:
    name, tags = _tagged(call, tx)
    tags |= {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
    if len(tags) > 50:
        raise AwsError("TooManyTagsError", "A resource can have at most 50 tags.")
    _put_tags(tx, name, tags)
    return {}


def remove_tags_from_resource(call: Call, tx: Transaction) -> Output:
    name, tags = _tagged(call, tx)
    _put_tags(tx, name, {k: v for k, v in tags.items() if k not in call.params["TagKeys"]})
    return {}


def list_tags_for_resource(call: Call, view: View) -> Output:
    tags = _tagged(call, view)[1]
    return {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}
