"""Who besides the account may call a function: its resource policy, statement by statement.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

import uuid
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.functions import names, records
from cloudlet.functions.records import Document
from cloudlet.store.database import Transaction, View

_REFUSED = ("EventSourceToken", "PrincipalOrgID")


def add_permission(call: Call, tx: Transaction) -> Output:
    params = call.params
    name, qualifier = names.parse(params["FunctionName"], params.get("Qualifier"))
    if qualifier == names.LATEST:
        raise names.invalid("We currently do not support adding policies for $LATEST.")
    records.require(tx, call.config, name, qualifier)
    _check_revision(call, tx, name, qualifier)
    for key in _REFUSED:
        if params.get(key):
            raise NotImplementedByCloudlet(key)
    sid = params["StatementId"]
    known = (name, qualifier, sid)
    if tx.value(
        "SELECT 1 FROM function_permissions WHERE name = ? AND qualifier = ? AND sid = ?", known
    ):
        raise names.conflict(f"The statement id ({sid}) provided already exists. Please provide a"
                             " new statement id, or remove the existing statement.")  # fmt: skip
    statement = _statement(call, names.function_arn(call.config, name, qualifier))
    text = orjson.dumps(statement).decode()
    tx.run(
        "INSERT INTO function_permissions (name, qualifier, sid, statement) VALUES (?, ?, ?, ?)",
        (*known, text),
    )
    return {"Statement": text}


def _statement(call: Call, arn: str) -> Document:
    params = call.params
    conditions: dict[str, dict[str, str]] = {}
    if params.get("SourceArn"):
        conditions["ArnLike"] = {"AWS:SourceArn": params["SourceArn"]}
    if params.get("SourceAccount"):
        conditions["StringEquals"] = {"AWS:SourceAccount": params["SourceAccount"]}
    if params.get("FunctionUrlAuthType"):
        conditions.setdefault("StringEquals", {})["lambda:FunctionUrlAuthType"] = params[
            "FunctionUrlAuthType"
        ]
    if params.get("InvokedViaFunctionUrl"):
        conditions["Bool"] = {"lambda:InvokedViaFunctionUrl": "true"}
    statement: Document = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(params["Principal"]),
        "Action": params["Action"],
        "Resource": arn,
    }
    if conditions:
        statement["Condition"] = conditions
    return statement


def _principal(principal: str) -> Any:
    if principal == "*":
        return "*"
    if principal.isdigit():
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    return {"AWS": principal} if principal.startswith("arn:") else {"Service": principal}


def remove_permission(call: Call, tx: Transaction) -> None:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    records.require(tx, call.config, name, qualifier)
    _check_revision(call, tx, name, qualifier)
    gone = tx.run(
        "DELETE FROM function_permissions WHERE name = ? AND qualifier = ? AND sid = ?",
        (name, qualifier, call.params["StatementId"]),
    )
    if not gone.rowcount:
        raise names.missing(
            f"Statement {call.params['StatementId']} is not found in resource policy."
        )


def get_policy(call: Call, view: View) -> Output:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    records.require(view, call.config, name, qualifier)
    document = policy(view, name, qualifier)
    if document is None:
        raise AwsError(
            "ResourceNotFoundException", "The resource you requested does not exist.", 404
        )
    return {"Policy": orjson.dumps(document).decode(), "RevisionId": _revision(document)}


def _revision(document: Document | None) -> str:
    """Changes with the policy."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, orjson.dumps(document).decode()))


def _check_revision(call: Call, view: View, name: str, qualifier: str) -> None:
    wanted = call.params.get("RevisionId")
    if wanted and wanted != _revision(policy(view, name, qualifier)):
        raise names.precondition_failed()


def policy(view: View, name: str, qualifier: str) -> Document | None:
    rows = view.all(
        "SELECT statement FROM function_permissions WHERE name = ? AND qualifier = ? ORDER BY sid",
        (name, "" if qualifier == names.LATEST else qualifier),
    )
    if not rows:
        return None
    statements = [orjson.loads(row["statement"]) for row in rows]
    return {"Version": "2012-10-17", "Id": "default", "Statement": statements}


def is_allowed(
    view: View, config: Config, reference: names.Reference, attributes: Mapping[str, str]
) -> bool:
    """Whether a service's event (`principal`, `source_arn`, `source_account`) may invoke."""
    document = policy(view, *reference)
    statements = document["Statement"] if document else []
    return any(_matches(statement, config, attributes) for statement in statements)


def _matches(statement: Document, config: Config, attributes: Mapping[str, str]) -> bool:
    if statement["Action"] not in ("lambda:InvokeFunction", "lambda:*", "*"):
        return False
    principal = statement["Principal"]
    if principal != "*" and principal.get("Service") != attributes["principal"]:
        return False
    conditions = statement.get("Condition", {})
    source = attributes.get("source_arn", "")
    account = attributes.get("source_account") or config.account
    pattern = conditions.get("ArnLike", {}).get("AWS:SourceArn")
    if pattern and not fnmatchcase(source, pattern.replace("[", "[[]")):
        return False
    wanted = conditions.get("StringEquals", {})
    if "lambda:FunctionUrlAuthType" in wanted or "Bool" in conditions:
        return False
    return bool(wanted.get("AWS:SourceAccount", account) == account)
