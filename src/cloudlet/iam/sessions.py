"""STS: temporary credentials, and who the caller is.

Whether a role may be assumed was decided before: `permissions` requires sts:AssumeRole and hands
the role's trust policy to the guard.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.iam import credentials, documents, faults
from cloudlet.iam.identifiers import access_key_id, account_of_key, secret_key, session_token
from cloudlet.store.database import Row, Transaction, View

_SESSION_S = 3600
_CHAINED_S_MAX = 3600
_USER_SESSION_S = 43_200
_USER_SESSION_S_MAX = 129_600
_POLICY_CHARACTERS_MAX = 2048
_NOT_HERE = ("TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity")


def assume_role(call: Call, tx: Transaction) -> Output:
    """Temporary credentials of a role."""
    params = call.params
    _refuse_absent(call, *_NOT_HERE, "ProvidedContexts")
    if call.caller.kind == "root":
        raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
    role = named_role(tx, params["RoleArn"], call.config.account)
    if role is None:
        raise _not_authorized(call)
    duration_s = params.get("DurationSeconds", _SESSION_S)
    _check_duration(call, duration_s, role)
    policies = _session_policies(call, tx)
    tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
    name = params["RoleSessionName"]
    owner = ("role", role["id"], name, policies, orjson.dumps(tags).decode())
    output: Output = {
        "Credentials": _issue(call, tx, duration_s, owner),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role['id']}:{name}",
            "Arn": f"arn:aws:sts::{call.config.account}:assumed-role/{role['name']}/{name}",
        },
    }
    if policies != "[]":
        output["PackedPolicySize"] = max(1, len(policies) * 100 // _POLICY_CHARACTERS_MAX)
    return output


def get_session_token(call: Call, tx: Transaction) -> Output:
    """Temporary credentials with the caller's own permissions; for users and root only."""
    _refuse_absent(call, "SerialNumber", "TokenCode")
    caller = call.caller
    if caller.kind not in ("user", "root") or caller.access_key.startswith("ASIA"):
        text = "Cannot call GetSessionToken with session credentials"
        raise AwsError("AccessDenied", text, 403)
    duration_s = call.params.get("DurationSeconds", _USER_SESSION_S)
    if caller.kind == "root":  # as AWS: an hour at most, whatever is asked
        duration_s = min(duration_s, _SESSION_S)
    if not 900 <= duration_s <= _USER_SESSION_S_MAX:
        raise faults.invalid(
            f"The requested DurationSeconds must be between 900 and {_USER_SESSION_S_MAX}."
        )
    owner = (caller.kind, caller.user_id, "", "[]", "{}")
    return {"Credentials": _issue(call, tx, duration_s, owner)}


def get_caller_identity(call: Call, view: View) -> Output:
    """Everybody may ask who they are."""
    caller = call.caller
    return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}


def get_access_key_info(call: Call, view: View) -> Output:
    """Whose a key is, as the key itself tells."""
    key = call.params["AccessKeyId"]
    return {"Account": account_of_key(key) or call.config.account}


def named_role(view: View, arn: str, account: str) -> Row | None:
    """The role of an ARN, if it exists here with just this path."""
    prefix = f"arn:aws:iam::{account}:role"
    if not arn.startswith(f"{prefix}/"):
        return None
    path, _, name = arn.removeprefix(prefix).rpartition("/")
    row = view.one("SELECT * FROM iam_role WHERE name = ?", (name,))
    return row if row is not None and row["path"] == f"{path}/" else None


def _issue(
    call: Call, tx: Transaction, duration_s: int, owner: tuple[str, str, str, str, str]
) -> dict[str, Any]:
    config = call.config
    key, secret, token = access_key_id(config, "ASIA"), secret_key(config), session_token(config)
    expires_ms = call.now_ms + duration_s * 1000
    tx.run(
        "INSERT INTO iam_session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, secret, token, expires_ms, *owner),
    )
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": datetime.fromtimestamp(expires_ms // 1000, UTC),
    }


def _check_duration(call: Call, duration_s: int, role: Row) -> None:
    if duration_s < 900:
        raise faults.invalid("The requested DurationSeconds must be at least 900.")
    if duration_s > role["max_session_s"]:
        raise faults.invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if call.caller.kind == "role" and duration_s > _CHAINED_S_MAX:
        raise faults.invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )


def _session_policies(call: Call, tx: Transaction) -> str:
    """Inline and managed session policies as JSON; resolved now, as AWS does."""
    found: list[Any] = []
    text = call.params.get("Policy")
    if text is not None:
        if len(text) > _POLICY_CHARACTERS_MAX:
            raise AwsError("PackedPolicyTooLarge", "The session policy is too large.", 400)
        found.append(orjson.loads(documents.identity(text)))
    for item in call.params.get("PolicyArns", []):
        document = credentials.managed_document(tx, item["arn"])
        if document is None:
            raise faults.no_such_policy(item["arn"])
        found.append(document)
    return orjson.dumps(found).decode()


def _refuse_absent(call: Call, *names: str) -> None:
    for name in names:
        if call.params.get(name):
            raise NotImplementedByCloudlet(f"{call.operation}: {name}")


def _not_authorized(call: Call) -> AwsError:
    """A role that doesn't exist looks like one that may not be assumed."""
    return AwsError(
        "AccessDenied",
        f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: "
        f"{call.params['RoleArn']}",
        403,
    )
