"""Policies of tables and streams: kept as they were sent, and given to the evaluation of calls.

A table's policy is about the table and its indexes, a stream's about the stream, whatever else they
name. A change holds at once.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from cloudlet.call import Call, Output, Requirement
from cloudlet.dynamodb import definitions, streams
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError
from cloudlet.policy import evaluation
from cloudlet.policy.context import Context
from cloudlet.policy.patterns import glob
from cloudlet.policy.publicity import is_public, listed
from cloudlet.store.database import Row, Transaction, View

_WRONG = "One or more parameter values were invalid: "
_BYTES_MAX = 20 << 10
_NONE = "NO_POLICY"


def put_resource_policy(call: Call, tx: Transaction) -> Output:
    """Attaches a policy; the same one again changes nothing."""
    arn, name = _named(call, tx)
    known, text = _find(tx, arn), call.params["Policy"]
    expected = call.params.get("ExpectedRevisionId")
    if expected == _NONE and known is not None:
        raise _missing(
            f"Requested policy update expecting none to be present for table {name}, but a policy"
            f" exists with revision id {known['revision']}."
        )
    if expected != _NONE:
        _check_expected(expected, known, name)
    if known is not None and known["policy"] == text:
        return {"RevisionId": known["revision"]}
    if "/stream/" in arn and streams.find_stream(tx, arn) is None:
        raise AwsError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn}")
    _check(call, text, arn)
    return {"RevisionId": _save(tx, arn, text, call.now_ms)}


def get_resource_policy(call: Call, view: View) -> Output:
    arn, _ = _named(call, view)
    known = _find(view, arn)
    if known is None:
        raise _missing(arn)
    return {"Policy": known["policy"], "RevisionId": known["revision"]}


def delete_resource_policy(call: Call, tx: Transaction) -> Output:
    """Where there is none, nothing is amiss, unless a revision was expected."""
    arn, name = _named(call, tx)
    known = _find(tx, arn)
    _check_expected(call.params.get("ExpectedRevisionId"), known, name)
    tx.run("DELETE FROM dynamodb_policies WHERE arn = ?", (arn,))
    return {"RevisionId": known["revision"]} if known is not None else {}


def attach(call: Call, tx: Transaction, table: Table, text: str) -> None:
    _check(call, text, table.arn)
    _save(tx, table.arn, text, call.now_ms)


def _save(tx: Transaction, arn: str, text: str, now_ms: int) -> str:
    """Revisions are times, each later than all before."""
    last = tx.value("SELECT max(CAST(revision AS INTEGER)) FROM dynamodb_policies") or 0
    revision = str(max(now_ms, last + 1))
    tx.run(
        "INSERT OR REPLACE INTO dynamodb_policies (arn, policy, revision) VALUES (?, ?, ?)",
        (arn, text, revision),
    )
    return revision


def _find(view: View, arn: str) -> Row | None:
    return view.one("SELECT policy, revision FROM dynamodb_policies WHERE arn = ?", (arn,))


def _named(call: Call, view: View) -> tuple[str, str]:
    """The ARN that a call names, and the name of the table."""
    arn: str = call.params["ResourceArn"]
    parts = arn.split(":", 5)
    if parts[0] != "arn":
        raise invalid(f"{_WRONG}ARNs must start with 'arn:': {arn}")
    kinds = parts[-1].split("/")
    is_known = len(parts) == 6 and parts[2] == "dynamodb" and kinds[0] == "table"
    if not is_known or len(kinds) < 2 or kinds[2:3] not in ([], ["stream"], ["index"]):
        raise invalid(f"{_WRONG}Provided Arn is not a DynamoDB resource arn: {arn}")
    if kinds[2:3] == ["index"]:
        raise invalid(
            f"{_WRONG}Invalid resource arn provided, only table or stream is accepted. Provided"
            f" resource arn: {arn}"
        )
    if parts[1] != "aws" or parts[3] != call.config.region:
        raise invalid(f"{_WRONG}Invalid resource Arn: {arn}")
    if parts[4] != call.config.account:
        raise invalid(
            "This action is only supported by accounts that match the resource owner’s account."
        )
    if len(kinds) == 2:
        return definitions.get_described(view, call.config, arn).arn, kinds[1]
    return arn, kinds[1]


def _check_expected(expected: str | None, known: Row | None, name: str) -> None:
    revision = known["revision"] if known is not None else None
    if expected is not None and expected != revision:
        there = f"has revision id {revision}" if revision else "is not there"
        raise _missing(
            f"Requested update for policy with revision id {expected}, but the policy associated to"
            f" target table {name} {there}."
        )


def _missing(why: str) -> AwsError:
    text = "Resource-based policy not found for the provided ResourceArn"
    return AwsError("PolicyNotFoundException", f"{text}: {why}")


def _check(call: Call, text: str, arn: str) -> None:
    if len(text.encode()) > _BYTES_MAX:
        raise invalid(f"{_WRONG}Maximum policy size of {_BYTES_MAX} bytes exceeded")
    try:
        document = orjson.loads(text)
    except ValueError:
        raise _malformed("This policy contains invalid Json") from None
    found = listed(document.get("Statement") or []) if isinstance(document, dict) else []
    if not found:
        raise _malformed("Could not parse the policy: Statement is empty!")
    for statement in found:
        _check_statement(statement)
    if is_public(document):
        raise invalid(
            "Resource-based policy grants unbounded access in one or more elements. Please revise"
            " the policy to ensure least-privilege form of access"
        )
    _check_lockout(call, document, arn)


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Missing required field Effect")
    for field in ("Principal", "Action", "Resource"):
        if statement.get(field, statement.get(f"Not{field}")) is None:
            raise _malformed(f"Missing required field {field}")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal != "*" and not isinstance(principal, dict):
        raise invalid("Invalid principal in policy document.")
    actions = listed(statement.get("Action", statement.get("NotAction")))
    wrong = [each for each in actions if each != "*" and not str(each).startswith("dynamodb:")]
    if wrong:
        raise _malformed(f"The following action names are invalid: {', '.join(map(str, wrong))}")


def _malformed(why: str) -> AwsError:
    return invalid(f"{_WRONG}Invalid policy document: {why}")


def _check_lockout(call: Call, document: Mapping[str, Any], arn: str) -> None:
    """Who takes the right to change the policy from themselves must say so."""
    if call.params.get("ConfirmRemoveSelfResourceAccess"):
        return
    for action in ("PutResourcePolicy", "DeleteResourcePolicy"):
        wanted = Requirement(f"dynamodb:{action}", arn)
        context = Context(call.config, call.caller, call.request, wanted)
        if evaluation.evaluate(call.caller, wanted, context, [document]).denied_by:
            raise invalid(
                f"{_WRONG}The policy takes the permission to change it from you; confirm that with"
                " ConfirmRemoveSelfResourceAccess"
            )


def policies(view: View, arns: set[str]) -> list[Mapping[str, Any]]:
    """Of tables and streams, each reduced to what it may speak of."""
    found = [
        view.remembered(("dynamodb_policies", arn), partial(_reduced, view, arn)) for arn in arns
    ]
    return [document for document in found if document is not None]


def there_are(view: View) -> bool:
    sql = "SELECT EXISTS (SELECT 1 FROM dynamodb_policies)"
    return view.remembered(("dynamodb_policies", ""), lambda: bool(view.value(sql)))


def _reduced(view: View, arn: str) -> Mapping[str, Any] | None:
    row = _find(view, arn)
    if row is None:
        return None
    document = orjson.loads(row["policy"])
    found = view.one(
        "SELECT id, definition FROM dynamodb_tables WHERE name = ?", (arn.split("/")[1],)
    )
    indexes = definitions.load(*found).indexes if found and "/stream/" not in arn else ()
    own = [arn, *(f"{arn}/index/{index.name}" for index in indexes)]
    return {**document, "Statement": [_about(own, each) for each in listed(document["Statement"])]}


def _about(own: list[str], statement: dict[str, Any]) -> dict[str, Any]:
    is_negated = "NotResource" in statement
    patterns = [
        glob(str(each))
        for each in listed(statement.get("NotResource" if is_negated else "Resource"))
    ]
    kept = [arn for arn in own if any(match(arn) for match in patterns) != is_negated]
    others = {name: value for name, value in statement.items() if name != "NotResource"}
    return {**others, "Resource": kept}
