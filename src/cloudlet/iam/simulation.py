"""What policies would allow, and which condition keys they ask for, without doing anything.

Decisions are `policy.evaluation`'s, the same that every call meets.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Caller, Output, Requirement
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.iam import attachments, credentials, documents, faults, managed
from cloudlet.iam.entities import GROUP, ROLE, USER, Kind, find
from cloudlet.iam.groups import groups_of
from cloudlet.iam.identifiers import page
from cloudlet.policy import evaluation
from cloudlet.policy.context import resource_account
from cloudlet.store.database import Row, View

_VARIABLE = re.compile(r"\$\{\s*([^*?$,}\s][^,}\s]*)\s*(?:,[^}]*)?\}")
_BOUNDARY = "permissions boundary"


@dataclass(frozen=True, slots=True)
class Source:
    """One policy, and how answers name it."""

    id: str
    type: str
    text: str

    @property
    def document(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = orjson.loads(self.text)
        return document


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a simulation is about, but for the action and the resource."""

    caller: Caller
    identity: list[Source]
    resource: list[Source]
    context: dict[str, Any]
    owner: str  # account of the resources; "" = as their ARNs say


def simulate_custom_policy(call: Call, view: View) -> Output:
    if call.params.get("OrderedOrganizationPolicyInputList"):
        raise NotImplementedByCloudlet(f"{call.operation}: OrderedOrganizationPolicyInputList")
    return _simulate(call, _given(call), _caller(call, None), _boundaries(call))


def simulate_principal_policy(call: Call, view: View) -> Output:
    kind, row = _principal(call, view)
    if call.params.get("PolicyExclusionList"):
        raise NotImplementedByCloudlet(f"{call.operation}: PolicyExclusionList")
    bounds = _boundaries(call)
    if not bounds and kind is not GROUP and row["boundary"]:
        found = credentials.managed_document(view, row["boundary"])
        bounds = [found] if found else [{"Statement": []}]
    sources = [*_sources(view, kind, row["name"]), *_given(call)]
    who = None if kind is GROUP else (kind, row)
    return _simulate(call, sources, _caller(call, who), bounds)


def get_context_keys_for_custom_policy(call: Call, view: View) -> Output:
    return {"ContextKeyNames": _keys_of(_given(call))}


def get_context_keys_for_principal_policy(call: Call, view: View) -> Output:
    kind, row = _principal(call, view)
    return {"ContextKeyNames": _keys_of([*_sources(view, kind, row["name"]), *_given(call)])}


# --- Whose policies


def _principal(call: Call, view: View) -> tuple[Kind, Row]:
    arn = call.params["PolicySourceArn"]
    for kind in (USER, GROUP, ROLE):
        prefix = f"arn:aws:iam::{call.config.account}:{kind.name}/"
        if arn.startswith(prefix):
            return kind, find(view, kind, arn.rsplit("/", 1)[-1])
    raise faults.invalid_input(
        f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
    )


def _sources(view: View, kind: Kind, name: str) -> list[Source]:
    """A user's own policies and those of the user's groups."""
    found = [
        Source(f"{kind.name}_{name}_{row['name']}", kind.name, row["document"])
        for row in attachments.inline_of(view, kind, name)
    ]
    for arn in attachments.attached_to(view, kind, name):
        document = credentials.managed_document(view, arn)
        if document is not None:
            type_ = "aws-managed" if managed.find(arn) else "user-managed"
            text = orjson.dumps(document).decode()
            found.append(Source(arn.rsplit("/", 1)[-1], type_, text))
    if kind is USER:
        for group in groups_of(view, name):
            found += _sources(view, GROUP, group["name"])
    return found


def _given(call: Call) -> list[Source]:
    texts = call.params.get("PolicyInputList") or []
    for text in texts:
        documents.identity(text)
    return [Source(f"PolicyInputList.{n}", "none", text) for n, text in enumerate(texts, 1)]


def _boundaries(call: Call) -> list[Mapping[str, Any]]:
    texts = call.params.get("PermissionsBoundaryPolicyInputList") or []
    return [orjson.loads(documents.identity(text)) for text in texts]


def _caller(call: Call, who: tuple[Kind, Row] | None) -> Caller:
    """Who asks: `CallerArn`, the principal itself, or a user of this account without a name."""
    arn, account, user_id, tags = call.params.get("CallerArn"), call.config.account, "", {}
    if arn is None and who is not None:
        kind, row = who
        arn = f"arn:aws:iam::{account}:{kind.name}{row['path']}{row['name']}"
        user_id, tags = row["id"], orjson.loads(row["tags"])
    elif arn is None:
        if call.params.get("ResourcePolicy"):
            raise faults.invalid_input("CallerArn is required if ResourcePolicy is specified.")
        arn = f"arn:aws:iam::{account}:user/"
    context = {f"aws:PrincipalTag/{key}": value for key, value in tags.items()}
    return Caller("user", arn, resource_account(arn, account), user_id, context=context)


# --- The simulation


def _simulate(
    call: Call, sources: list[Source], caller: Caller, bounds: list[Mapping[str, Any]]
) -> Output:
    params = call.params
    if params.get("ResourceHandlingOption"):
        raise NotImplementedByCloudlet(f"{call.operation}: ResourceHandlingOption")
    text = params.get("ResourcePolicy")
    scene = Scene(
        _limited(caller, sources, bounds),
        sources,
        [Source("ResourcePolicy", "resource", text)] if text else [],
        _context(call, caller),
        resource_account(params.get("ResourceOwner") or "", ""),
    )
    results = [
        (f"{number:06}", action, resource)
        for number, (action, resource) in enumerate(
            (action, resource)
            for action in params["ActionNames"]
            for resource in params.get("ResourceArns") or ["*"]
        )
    ]
    return page(results, params, "EvaluationResults", lambda row: _result(scene, row[1], row[2]))


def _limited(caller: Caller, sources: list[Source], bounds: list[Mapping[str, Any]]) -> Caller:
    return Caller(
        caller.kind,
        caller.arn,
        caller.account,
        caller.user_id,
        policies=tuple(source.document for source in sources),
        context=caller.context,
        limits=((_BOUNDARY, tuple(bounds)),) if bounds else (),
    )


def _result(scene: Scene, action: str, resource: str) -> dict[str, Any]:
    caller, account = scene.caller, scene.caller.account
    owner = scene.owner or resource_account(resource, account)
    context = {**scene.context, "aws:resourceaccount": owner}
    requirement = Requirement(action, resource, {})
    policies = [source.document for source in scene.resource]
    decision = evaluation.evaluate(caller, requirement, context, policies)
    word = "allowed" if decision.is_allowed else "explicitDeny"
    if not decision.is_allowed and not decision.denied_by:
        word = "implicitDeny"
    matched = _matched(scene, action, resource, context)
    missing = _missing(scene, context)
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": word,
        "MatchedStatements": matched,
        "MissingContextValues": missing,
    }
    shared: dict[str, Any] = {}
    if caller.limits:
        bare = Caller(caller.kind, caller.arn, account, policies=caller.limits[0][1])
        allowed = evaluation.evaluate(bare, requirement, context | {"aws:resourceaccount": account})
        detail = {"AllowedByPermissionsBoundary": allowed.is_allowed}
        shared["PermissionsBoundaryDecisionDetail"] = detail
    if owner != account:
        shared["EvalDecisionDetails"] = _sides(scene, action, resource, context)
    if resource != "*":
        specific = {"EvalResourceName": resource, "EvalResourceDecision": word}
        found = {"MatchedStatements": matched, "MissingContextValues": missing}
        result["ResourceSpecificResults"] = [{**specific, **found, **shared}]
        result["MissingContextValues"] = []
    return {**result, **shared}


def _sides(scene: Scene, action: str, resource: str, context: dict[str, Any]) -> dict[str, str]:
    """Between accounts: what each side says by itself."""
    sides = {}
    for name, sources in (("IAM Policy", scene.identity), ("Resource Policy", scene.resource)):
        effects = {effect for _, _, effect in _applying(sources, action, resource, context)}
        denied = "implicitDeny" if True not in effects else "allowed"
        sides[name] = "explicitDeny" if False in effects else denied
    return sides


def _applying(
    sources: Iterable[Source], action: str, resource: str, context: dict[str, Any]
) -> Iterator[tuple[Source, int, bool]]:
    """(policy, number of the statement, whether it allows) of statements that apply."""
    for source in sources:
        for number, statement in enumerate(evaluation.statements(source.document)):
            if statement.applies(action.lower(), resource, context):
                yield source, number, statement.is_allow


def _matched(
    scene: Scene, action: str, resource: str, context: dict[str, Any]
) -> list[dict[str, Any]]:
    """The statements that decide: those that deny, if there are any."""
    found = list(_applying([*scene.identity, *scene.resource], action, resource, context))
    denying = [item for item in found if not item[2]]
    return [
        {
            "SourcePolicyId": source.id,
            "SourcePolicyType": source.type,
            **_position(source.text, number),
        }
        for source, number, _ in denying or found
    ]


def _position(text: str, number: int) -> dict[str, dict[str, int]]:
    """Where a statement is in its policy. # iam-001: from behind the character before it, which is
    a bracket, a comma or a colon, to behind its brace; both count from 1."""
    start, end = _statement_ends(text)[number]
    return {"StartPosition": _line_column(text, start), "EndPosition": _line_column(text, end)}


def _line_column(text: str, offset: int) -> dict[str, int]:
    line_start = text.rfind("\n", 0, offset) + 1
    return {"Line": text.count("\n", 0, offset) + 1, "Column": offset - line_start + 1}


def _statement_ends(text: str) -> list[tuple[int, int]]:
    """(after the character before, after the last) of each statement."""
    decoder, ends = json.JSONDecoder(), []
    at = text.index("{") + 1
    while True:
        key, at = decoder.raw_decode(text, _skip(text, at, ", \t\r\n"))
        at = _skip(text, at, " \t\r\n") + 1  # behind the colon
        if key == "Statement":
            break
        _, at = decoder.raw_decode(text, _skip(text, at, " \t\r\n"))
    first = _skip(text, at, " \t\r\n")
    if text[first] != "[":
        return [(at, decoder.raw_decode(text, first)[1])]
    at = first + 1
    while text[_skip(text, at, " \t\r\n")] != "]":
        _, end = decoder.raw_decode(text, _skip(text, at, " \t\r\n"))
        ends.append((at, end))
        at = _skip(text, end, " \t\r\n")
        at += text[at] == ","
    return ends


def _skip(text: str, at: int, blanks: str) -> int:
    while text[at] in blanks:
        at += 1
    return at


# --- Condition keys


def _context(call: Call, caller: Caller) -> dict[str, Any]:
    """What was given; what the caller's ARN tells is known, too."""
    values: dict[str, Any] = {
        "aws:principalarn": caller.arn,
        "aws:principalaccount": caller.account,
        **{key.lower(): value for key, value in caller.context.items()},
    }
    if ":user/" in caller.arn and not caller.arn.endswith("/"):
        values["aws:username"] = caller.arn.rsplit("/", 1)[-1]
        values["aws:principaltype"] = "User"
    if caller.user_id:
        values["aws:userid"] = caller.user_id
    for entry in call.params.get("ContextEntries") or []:
        given = entry.get("ContextKeyValues") or []
        is_list = entry.get("ContextKeyType", "").endswith("List")
        value = given if is_list or len(given) != 1 else given[0]
        values[entry["ContextKeyName"].lower()] = value
    return values


def _missing(scene: Scene, context: dict[str, Any]) -> list[str]:
    names = _keys_of([*scene.identity, *scene.resource])
    return [name for name in names if name.lower() not in context]


def _keys_of(sources: list[Source]) -> list[str]:
    """Every key that a policy asks for, in conditions and as a variable, as it is written first."""
    found: dict[str, str] = {}
    for source in sources:
        statements = source.document.get("Statement", [])
        for item in statements if isinstance(statements, list) else [statements]:
            keys = [key for block in (item.get("Condition") or {}).values() for key in block]
            keys += _VARIABLE.findall(json.dumps(item))
            for key in keys:
                found.setdefault(key.lower(), key)
    return list(found.values())
