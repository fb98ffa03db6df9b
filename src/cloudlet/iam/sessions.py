"""STS: temporary credentials, and who the caller is.

Whether a role may be assumed was decided before: `permissions` requires sts:AssumeRole (and
sts:TagSession, sts:SetSourceIdentity) and hands the role's trust policy to the guard. What a
session says of itself in conditions is in its *claims*: condition keys, and under `TRANSITIVE` the
names of the tags that go on to the next role of a chain.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Call, Caller, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.iam import credentials, documents, faults
from cloudlet.iam.identifiers import access_key_id, account_of_key, secret_key, session_token
from cloudlet.store.database import Row, Transaction, View

TRANSITIVE = "cloudlet:TransitiveTags"
SOURCE = "aws:SourceIdentity"
_TAG = "aws:PrincipalTag/"
_SESSION_S = 3600
_CHAINED_S_MAX = 3600
_USER_SESSION_S = 43_200
_USER_SESSION_S_MAX = 129_600
_POLICY_CHARACTERS_MAX = 2048
_POLICY_ARNS_MAX = 10
_PACKED_BYTES = 4096  # 100 % of policies and tags together
_TAGS_MAX = 50


def assume_role(call: Call, tx: Transaction) -> Output:
    """Temporary credentials of a role."""
    params, caller = call.params, call.caller
    _refuse_absent(call, "SerialNumber", "TokenCode", "ProvidedContexts")
    if caller.kind == "root":
        raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
    role = named_role(tx, params["RoleArn"], call.config.account)
    if role is None or caller.kind == "federated":
        raise _not_authorized(call)
    duration_s = params.get("DurationSeconds", _SESSION_S)
    _check_duration(call, duration_s, role)
    tags = _tags(call)
    transitive = _transitive(params, caller, tags)
    policies = _session_policies(call, tx)
    source = source_identity(call)
    claims = {SOURCE: source} if source else {}
    if transitive:
        claims[TRANSITIVE] = "\n".join(sorted(transitive))
    name = params["RoleSessionName"]
    owner = ("role", role["id"], name, policies)
    output: Output = {
        "Credentials": _issue(call, tx, duration_s, owner, (inherited(caller) | tags, claims)),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role['id']}:{name}",
            "Arn": f"arn:aws:sts::{call.config.account}:assumed-role/{role['name']}/{name}",
        },
        "SourceIdentity": source,
    }
    return {**output, **_packed(policies, tags)}


def get_session_token(call: Call, tx: Transaction) -> Output:
    """Temporary credentials with the caller's own permissions; for users and root only."""
    _refuse_absent(call, "SerialNumber", "TokenCode")
    caller = _long_term(call)
    owner = (caller.kind, caller.user_id, "", "[]")
    return {"Credentials": _issue(call, tx, _user_duration_s(call), owner, ({}, {}))}


def get_federation_token(call: Call, tx: Transaction) -> Output:
    """Credentials for somebody the caller vouches for: with what the caller may do *and* the
    session policies allow. Without these, only what resource policies grant."""
    caller, name, account = _long_term(call), call.params["Name"], call.config.account
    policies, tags = _session_policies(call, tx), _tags(call)
    owner = ("federated", caller.user_id, name, policies)
    user = {
        "FederatedUserId": f"{account}:{name}",
        "Arn": f"arn:aws:sts::{account}:federated-user/{name}",
    }
    made = _issue(call, tx, _user_duration_s(call), owner, (tags, {}))
    return {"Credentials": made, "FederatedUser": user, **_packed(policies, tags)}


def get_caller_identity(call: Call, view: View) -> Output:
    """Everybody may ask who they are."""
    caller = call.caller
    return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}


def get_access_key_info(call: Call, view: View) -> Output:
    """Whose a key is, as the key itself tells."""
    key = call.params["AccessKeyId"]
    return {"Account": account_of_key(key) or call.config.account}


def decode_authorization_message(call: Call, view: View) -> Output:
    """Refusals here say all they have to say in clear: there is no encoded message to decode."""
    raise AwsError("InvalidAuthorizationMessageException", "Message is not valid")


def named_role(view: View, arn: str, account: str) -> Row | None:
    """The role of an ARN, if it exists here with just this path."""
    prefix = f"arn:aws:iam::{account}:role"
    if not arn.startswith(f"{prefix}/"):
        return None
    path, _, name = arn.removeprefix(prefix).rpartition("/")
    row = view.one("SELECT * FROM iam_role WHERE name = ?", (name,))
    return row if row is not None and row["path"] == f"{path}/" else None


# --- What a session is told


def source_identity(call: Call) -> str | None:
    """As asked for, else the caller's: once set, it stays through every role of a chain."""
    asked, known = call.params.get("SourceIdentity"), call.caller.context.get(SOURCE)
    if asked and known and asked != known:
        raise _not_authorized(call)
    return known or asked


def inherited(caller: Caller) -> dict[str, str]:
    """The transitive tags of the session that assumes the next role."""
    names = caller.context.get(TRANSITIVE, "").split("\n")
    return {name: caller.context[_TAG + name] for name in names if name}


def _tags(call: Call) -> dict[str, str]:
    given = call.params.get("Tags") or []
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len({key.lower() for key in tags}) != len(given):
        raise faults.invalid_input(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if len(tags) > _TAGS_MAX:
        raise faults.invalid(f"A session can have up to {_TAGS_MAX} tags.")
    return tags


def _transitive(call_params: dict[str, Any], caller: Caller, tags: dict[str, str]) -> set[str]:
    known = inherited(caller)
    overridden = {key.lower() for key in known} & {key.lower() for key in tags}
    if overridden:
        raise faults.invalid_input(
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session."
        )
    wanted = set(call_params.get("TransitiveTagKeys") or [])
    if wanted - set(tags):
        raise faults.invalid_input(
            "The specified transitive tag key must be included in the requested tags."
        )
    return wanted | set(known)


def _issue(
    call: Call,
    tx: Transaction,
    duration_s: int,
    owner: tuple[str, str, str, str],
    told: tuple[dict[str, str], dict[str, str]],
) -> dict[str, Any]:
    """`owner`: kind, id, session name, policies; `told`: tags and claims."""
    config, (tags, claims) = call.config, told
    key, secret, token = access_key_id(config, "ASIA"), secret_key(config), session_token(config)
    expires_ms = call.now_ms + duration_s * 1000
    issued = datetime.fromtimestamp(call.now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    claims = {"aws:TokenIssueTime": issued, "aws:MultiFactorAuthPresent": "false", **claims}
    told_text = (orjson.dumps(tags).decode(), orjson.dumps(claims).decode())
    tx.run(
        "INSERT INTO iam_session (access_key, secret, token, expires_ms, kind, owner_id, name,"
        " policies, tags, claims) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, secret, token, expires_ms, *owner, *told_text),
    )
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": datetime.fromtimestamp(expires_ms // 1000, UTC),
    }


def _session_policies(call: Call, tx: Transaction) -> str:
    """Inline and managed session policies as JSON; resolved now, as AWS does."""
    found: list[Any] = []
    text, arns = call.params.get("Policy"), call.params.get("PolicyArns") or []
    if text is not None:
        if len(text) > _POLICY_CHARACTERS_MAX:
            raise faults.invalid(
                "1 validation error detected: Value at 'policy' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_POLICY_CHARACTERS_MAX}"
            )
        found.append(orjson.loads(documents.identity(text)))
    if len(arns) > _POLICY_ARNS_MAX:
        raise faults.invalid(f"At most {_POLICY_ARNS_MAX} managed session policies are allowed.")
    for item in arns:
        document = credentials.managed_document(tx, item["arn"])
        if document is None:
            raise faults.no_such_policy(item["arn"])
        found.append(document)
    return orjson.dumps(found).decode()


def _packed(policies: str, tags: dict[str, str]) -> Output:
    """How much of the room for session policies and tags is taken, in percent."""
    if policies == "[]" and not tags:
        return {}
    used = len(policies) + sum(len(key) + len(value) for key, value in tags.items())
    size = max(1, used * 100 // _PACKED_BYTES)
    if size > 100:
        text = f"Packed policy consumes {size}% of allotted space, please use smaller policy."
        raise AwsError("PackedPolicyTooLarge", text)
    return {"PackedPolicySize": size}


# --- For how long, and for whom


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


def _user_duration_s(call: Call) -> int:
    duration_s = int(call.params.get("DurationSeconds", _USER_SESSION_S))
    if call.caller.kind == "root":  # as AWS: an hour at most, whatever is asked
        duration_s = min(duration_s, _SESSION_S)
    if not 900 <= duration_s <= _USER_SESSION_S_MAX:
        raise faults.invalid(
            f"The requested DurationSeconds must be between 900 and {_USER_SESSION_S_MAX}."
        )
    return duration_s


def _long_term(call: Call) -> Caller:
    caller = call.caller
    if caller.kind not in ("user", "root") or caller.access_key.startswith("ASIA"):
        text = f"Cannot call {call.operation} with session credentials"
        raise AwsError("AccessDenied", text, 403)
    return caller


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
