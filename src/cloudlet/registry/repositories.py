"""ECR's repositories with their settings. Images are refused: there is nothing that runs them.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/Repositories.html
"""

import json
from datetime import UTC, datetime
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Row, Transaction, View

_MISSING = {
    "policy": ("RepositoryPolicyNotFoundException", "Repository policy does not exist"),
    "lifecycle": ("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist"),
}


def create_repository(call: Call, tx: Transaction) -> Output:
    params, name = call.params, call.params["repositoryName"]
    encryption = params.get("encryptionConfiguration") or {}
    if encryption.get("encryptionType", "AES256") != "AES256":
        raise NotImplementedByCloudlet("ECR encryption with KMS keys")
    for absent in ("imageTagMutabilityExclusionFilters", "registryId"):
        if params.get(absent, call.config.account) != call.config.account:
            raise NotImplementedByCloudlet(f"ecr:CreateRepository with {absent}")
    if tx.one("SELECT 1 FROM registry_repositories WHERE name = ?", (name,)):
        text = (
            f"The repository with name '{name}' already exists in the registry with id"
            f" '{call.config.account}'"
        )
        raise AwsError("RepositoryAlreadyExistsException", text)
    document = {
        "imageTagMutability": params.get("imageTagMutability", "MUTABLE"),
        "imageScanningConfiguration": {
            "scanOnPush": (params.get("imageScanningConfiguration") or {}).get("scanOnPush", False)
        },
    }
    tags = {tag["Key"]: tag["Value"] for tag in params.get("tags") or []}
    tx.run(
        "INSERT INTO registry_repositories (name, created_ms, document, tags) VALUES (?, ?, ?, ?)",
        (name, call.now_ms, json.dumps(document), json.dumps(tags)),
    )
    return {"repository": _shown(call, _row(call, tx, name))}


def _row(call: Call, view: View, name: str) -> Row:
    row = view.one("SELECT * FROM registry_repositories WHERE name = ?", (name,))
    if row is None:
        text = (
            f"The repository with name '{name}' does not exist in the registry with id"
            f" '{call.config.account}'"
        )
        raise AwsError("RepositoryNotFoundException", text)
    return row


def _named(call: Call, view: View) -> Row:
    return _row(call, view, call.params["repositoryName"])


def arn(call: Call, name: str) -> str:
    return call.config.arn("ecr", f"repository/{name}")


def _shown(call: Call, row: Row) -> dict[str, Any]:
    config = call.config
    return {
        "repositoryArn": arn(call, row["name"]),
        "registryId": config.account,
        "repositoryName": row["name"],
        "repositoryUri": (f"{config.account}.dkr.ecr.{config.region}.amazonaws.com/{row['name']}"),
        "createdAt": datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        "encryptionConfiguration": {"encryptionType": "AES256"},
        **json.loads(row["document"]),
    }


def describe_repositories(call: Call, view: View) -> Output:
    names = call.params.get("repositoryNames")
    rows = view.all("SELECT * FROM registry_repositories ORDER BY name")
    if names:
        rows = [_row(call, view, name) for name in names]
    start = int(call.params.get("nextToken") or 0)
    end = start + int(call.params.get("maxResults") or 100)
    token = str(end) if end < len(rows) else None
    return {"repositories": [_shown(call, row) for row in rows[start:end]], "nextToken": token}


def delete_repository(call: Call, tx: Transaction) -> Output:
    row = _named(call, tx)
    tx.run("DELETE FROM registry_repositories WHERE name = ?", (row["name"],))
    return {"repository": _shown(call, row)}


def _about(call: Call, row: Row, **more: Any) -> Output:
    return {"registryId": call.config.account, "repositoryName": row["name"], **more}


def _put(call: Call, tx: Transaction, column: str, text: str) -> Row:
    row = _named(call, tx)
    if text:
        try:
            json.loads(text)
        except ValueError:
            message = "Invalid parameter: the policy text is not JSON"
            raise AwsError("InvalidParameterException", message) from None
    elif not row[column]:
        raise AwsError(*_MISSING[column], 400)
    sql = f"UPDATE registry_repositories SET {column} = ? WHERE name = ?"
    tx.run(sql, (text, row["name"]))
    return row


def _get(call: Call, view: View, column: str) -> Row:
    row = _named(call, view)
    if not row[column]:
        raise AwsError(*_MISSING[column], 400)
    return row


def set_repository_policy(call: Call, tx: Transaction) -> Output:
    text = call.params["policyText"]
    return _about(call, _put(call, tx, "policy", text), policyText=text)


def get_repository_policy(call: Call, view: View) -> Output:
    row = _get(call, view, "policy")
    return _about(call, row, policyText=row["policy"])


def delete_repository_policy(call: Call, tx: Transaction) -> Output:
    row = _put(call, tx, "policy", "")
    return _about(call, row, policyText=row["policy"])


def put_lifecycle_policy(call: Call, tx: Transaction) -> Output:
    """Kept; there are no images that could expire."""
    text = call.params["lifecyclePolicyText"]
    return _about(call, _put(call, tx, "lifecycle", text), lifecyclePolicyText=text)


def get_lifecycle_policy(call: Call, view: View) -> Output:
    row = _get(call, view, "lifecycle")
    return _about(call, row, lifecyclePolicyText=row["lifecycle"])


def delete_lifecycle_policy(call: Call, tx: Transaction) -> Output:
    row = _put(call, tx, "lifecycle", "")
    return _about(call, row, lifecyclePolicyText=row["lifecycle"])


def _set(call: Call, tx: Transaction, name: str) -> Output:
    row = _named(call, tx)
    document = json.loads(row["document"]) | {name: call.params[name]}
    tx.run(
        "UPDATE registry_repositories SET document = ? WHERE name = ?",
        (json.dumps(document), row["name"]),
    )
    return _about(call, row, **{name: call.params[name]})


def put_image_tag_mutability(call: Call, tx: Transaction) -> Output:
    return _set(call, tx, "imageTagMutability")


def put_image_scanning_configuration(call: Call, tx: Transaction) -> Output:
    return _set(call, tx, "imageScanningConfiguration")


def list_images(call: Call, view: View) -> Output:
    _named(call, view)
    return {"imageIds": []}


def describe_images(call: Call, view: View) -> Output:
    row = _named(call, view)
    if call.params.get("imageIds"):
        text = f"The image with imageId {call.params['imageIds'][0]} does not exist within the"
        text += f" repository with name '{row['name']}'"
        raise AwsError("ImageNotFoundException", text)
    return {"imageDetails": []}


def _of_arn(call: Call, view: View) -> tuple[str, dict[str, str]]:
    row = _row(call, view, call.params["resourceArn"].partition(":repository/")[2])
    return row["name"], json.loads(row["tags"])


def _put_tags(tx: Transaction, name: str, tags: dict[str, str]) -> None:
    sql = "UPDATE registry_repositories SET tags = ? WHERE name = ?"
    tx.run(sql, (json.dumps(tags), name))


def tag_resource(call: Call, tx: Transaction) -> Output:
    name, tags = _of_arn(call, tx)
    _put_tags(tx, name, tags | {tag["Key"]: tag["Value"] for tag in call.params["tags"]})
    return {}


def untag_resource(call: Call, tx: Transaction) -> Output:
    name, tags = _of_arn(call, tx)
    _put_tags(tx, name, {k: v for k, v in tags.items() if k not in call.params["tagKeys"]})
    return {}


def list_tags_for_resource(call: Call, view: View) -> Output:
    _, tags = _of_arn(call, view)
    return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
