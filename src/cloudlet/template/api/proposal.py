"""What a call wants a stack to be: template, parameters, tags, role; checked, and ready to plan.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cloudlet.call import Call, Requirement
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate
from cloudlet.store.database import Transaction, View
from cloudlet.template import document as documents
from cloudlet.template import engine, operations, parameters, prepare, stacks
from cloudlet.template.document import Document
from cloudlet.template.execute import Run
from cloudlet.template.plan import Step
from cloudlet.template.prepare import Source
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import Details, Event, Stack
from cloudlet.template.words import words

_BODY_BYTES_MAX = 51_200
# cloudformation-002: `cdk bootstrap` asks for ImportExistingResources. What exists is not imported:
# such a creation fails and says so.
_REFUSED = words(
    "ResourcesToImport RollbackConfiguration StackPolicyBody StackPolicyURL"
    " StackPolicyDuringUpdateBody StackPolicyDuringUpdateURL ResourceTypes DeploymentMode"
    " RetainExceptOnCreate TimeoutInMinutes"
)
HIDDEN = "****"


@dataclass(slots=True)
class Proposal:
    """`document` is the processed template; all of it is JSON."""

    details: Details
    document: Document
    values: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def refuse(call: Call) -> None:
    """Options that would change what happens, and that cloudlet doesn't have."""
    for name in sorted(_REFUSED):
        if call.params.get(name):
            raise NotImplementedByCloudlet(f"cloudformation:{call.operation} with {name}")
    if (call.params.get("DeploymentConfig") or {}).get("Mode", "STANDARD") != "STANDARD":
        raise NotImplementedByCloudlet("The deployment mode EXPRESS")


async def body_of(call: Call, previous: str = "") -> str:
    """The template's text: given, in S3, or the one that the stack has."""
    params = call.params
    if params.get("UsePreviousTemplate"):
        if not previous:
            raise TemplateError("Template does not exist: there is no previous template.")
        return previous
    body = params.get("TemplateBody")
    if body is not None and params.get("TemplateURL"):
        raise TemplateError("Only one of TemplateBody or TemplateURL may be specified.")
    if body is not None:
        if len(body.encode()) > _BODY_BYTES_MAX and call.caller.kind != "service":
            raise TemplateError(
                f"1 validation error detected: Value '{body[:40]}…' at 'templateBody' failed to"
                " satisfy constraint: Member must have length less than or equal to 51200"
            )
        return str(body)
    if params.get("TemplateURL"):
        return await prepare.read_url(call.cloud, call.caller, params["TemplateURL"])
    raise TemplateError("Either Template URL or Template Body must be specified.")


async def propose(call: Call, stack: Stack, details: Details) -> Proposal:
    """`details` are the stack's so far; those of the proposal are new."""
    refuse(call)
    params = call.params
    body = await body_of(call, details.body)
    document = documents.parse(body)
    given = _given(document, params.get("Parameters") or [], details.parameters)
    acknowledged = params.get("Capabilities") or []
    _check_expansion(call, document, acknowledged)
    role = params.get("RoleARN") or details.role
    caller = await operations.assumed(call.cloud, role, stack) if role else call.caller
    prepared = await prepare.prepare(Source(call.cloud, stack, caller), document, given)
    _check_iam(prepared.document, acknowledged)
    is_processed = prepared.document != document
    return Proposal(
        Details(
            created_ms=details.created_ms,
            parent=details.parent,
            description=str(document.get("Description", "")),
            body=body,
            processed=json.dumps(prepared.document) if is_processed else "",
            parameters=given,
            resolved=dict(prepared.stored),
            hidden=parameters.hidden(document),
            capabilities=acknowledged,
            tags=params["Tags"] if params.get("Tags") is not None else details.tags,
            role=role,
            outputs=details.outputs,
            disable_rollback=bool(params.get("DisableRollback")),
            is_protected=params.get("EnableTerminationProtection", details.is_protected),
            topics=_topics(call, details),
        ),
        prepared.document,
        dict(prepared.values),
    )


def _topics(call: Call, details: Details) -> list[str]:
    """Who has a stack tell a topic must be allowed to publish there."""
    wanted = call.params.get("NotificationARNs")
    if wanted is None:
        return details.topics
    for arn in wanted:
        parts = arn.split(":")
        if parts[:3] != ["arn", "aws", "sns"] or len(parts) != 6:
            raise AwsError("ValidationError", f"Invalid notification ARN: {arn}")
        need = Requirement("sns:Publish", arn)
        context = Context(call.config, call.caller, call.request, need)
        if not evaluate(call.caller, need, context).is_allowed:
            text = f"User: {call.caller.arn} is not authorized to perform: SNS:Publish on {arn}"
            raise AwsError("AccessDenied", text, 403)
    return list(wanted)


def _given(
    document: Document, asked: list[dict[str, Any]], previous: dict[str, str]
) -> dict[str, str]:
    given = {}
    for each in asked:
        name = each.get("ParameterKey", "")
        if each.get("UsePreviousValue"):
            if name not in previous:
                if "Default" in ((document.get("Parameters") or {}).get(name) or {}):
                    continue
                raise TemplateError(
                    f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as"
                    " true for a parameter key not in the previous template"
                )
            given[name] = previous[name]
        else:
            given[name] = each.get("ParameterValue", "")
    return given


def _check_expansion(call: Call, document: Document, acknowledged: list[str]) -> None:
    """Macros may make anything: who has no change set to look at must say that it is fine."""
    resources = document.get("Resources") or {}
    types = {str(each.get("Type")) for each in resources.values() if isinstance(each, dict)}
    is_blind = call.operation != "CreateChangeSet" and documents.transforms(document)
    is_needed = is_blind or "AWS::Serverless::Application" in types
    if is_needed and "CAPABILITY_AUTO_EXPAND" not in acknowledged:
        raise _insufficient(["CAPABILITY_AUTO_EXPAND"])


def _check_iam(document: Document, acknowledged: list[str]) -> None:
    needed = documents.capabilities(document)
    if needed and not {"CAPABILITY_NAMED_IAM", *needed} & set(acknowledged):
        raise _insufficient(needed)


def _insufficient(needed: list[str]) -> AwsError:
    return AwsError(
        "InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(needed)}]"
    )


async def steps_of(call: Call, stack: Stack, proposal: Proposal) -> list[Step]:
    """What carrying the proposal out would do; raises for what cannot be."""
    scope = engine.scope_of(call.cloud, stack, proposal.document, proposal.values, call.caller)
    rows = stacks.records(call.cloud.database.view(), stack.name)
    run = Run(call.cloud, stack, scope, call.state.presign, print, rows, call.caller)
    run.tags = proposal.details.tags
    _, steps = await engine.planned(run, proposal.document)
    return steps


def is_change(details: Details, proposal: Proposal, steps: list[Step]) -> bool:
    """Whether anything would be other than it is."""
    if steps or details.tags != proposal.details.tags:
        return True
    try:
        before = json.loads(details.processed) if details.processed else None
        before = before or documents.parse(details.body)
    except AwsError:
        return True
    return bool(_rest(before) != _rest(proposal.document))


def _rest(document: Document) -> Any:
    """What no step is needed for: policies, metadata, outputs."""
    names = ("DeletionPolicy", "UpdateReplacePolicy", "Metadata")
    resources = document.get("Resources") or {}
    attributes = {
        key: {name: member[name] for name in names if name in member}
        for key, member in resources.items()
    }
    return attributes, document.get("Outputs") or {}


def begin(
    tx: Transaction, call: Call, stack: Stack, proposal: Proposal, on_failure: str = "ROLLBACK"
) -> None:
    """The stack is to be what is proposed: writes all that the operation needs."""
    is_new = stacks.status(tx, stack) in ("REVIEW_IN_PROGRESS", "")
    before = stacks.details(tx, stack)
    imports = tx.all("SELECT name FROM template_imports WHERE stack_id = ?", (stack.id,))
    job = {
        "document": proposal.document,
        "values": proposal.values,
        "before": [asdict(record) for record in stacks.records(tx, stack.name)],
        "is_new": is_new,
        "on_failure": on_failure,
        "tags": proposal.details.tags,
        "caller": operations.caller_to_json(call.caller),
        "role": proposal.details.role,
        "imports": [row["name"] for row in imports],
        "previous": None if is_new else asdict(before),
    }
    details = proposal.details
    details.outputs, details.parent = before.outputs, before.parent or details.parent
    details.created_ms = before.created_ms or call.now_ms
    details.updated_ms = None if is_new else call.now_ms
    stacks.put_details(tx, stack, details)
    event = Event(f"{'CREATE' if is_new else 'UPDATE'}_IN_PROGRESS", "User Initiated")
    stacks.turn(tx, call.config, stack, event, None)
    operations.put(tx, stack, operations.DEPLOY, job)


def existing(view: View, name: str) -> Stack:
    """The stack of that name or id; AWS's error for one that is not there."""
    found = stacks.find(view, name)
    if found is None:
        raise AwsError("ValidationError", f"Stack [{name}] does not exist")
    return found
