"""May this call happen? Every requirement of it, against all policies that have a say.

The refusal is worded as AWS words it, per service.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from cloudlet.auth import refusals
from cloudlet.auth.refusals import Dialect
from cloudlet.call import Call, Caller, Requirement
from cloudlet.errors import AwsError
from cloudlet.policy import evaluation
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import IDENTITY, RESOURCE, Decision
from cloudlet.store.database import View
from cloudlet.wire import models
from cloudlet.wire.service import Service


def authorize(call: Call, service: Service, view: View) -> None:
    """Raises AWS's AccessDenied unless all that the call requires is allowed."""
    caller = call.caller
    if caller.kind == "service" and caller.arn == evaluation.INTERNAL:
        return
    may_be_anyone = service.name == "s3" or call.operation in service.unsigned
    if caller.kind == "anonymous" and not may_be_anyone:
        raise refusals.missing(Dialect(_kind(service.name)))
    if call.operation in service.own_checks:
        return
    requirements = service.requirements(call)
    if not requirements:
        if caller.account not in ("", call.config.account):  # another account's are never at home
            raise AwsError("AccessDenied", "Access Denied", 403)
        return
    documents = service.resource_policies(call, view)
    for requirement in requirements:
        context = Context(call.config, caller, call.request, requirement)
        decision = evaluation.evaluate(caller, requirement, context, documents)
        if not decision.is_allowed and not service.waives(call, view, requirement):
            raise _refusal(service.name, caller, requirement, decision)


def admit_anyone(service: Service | None) -> None:
    """Who comes without a signature to a service that has nothing for such callers goes before
    anything of the request is looked at."""
    if service is not None and service.name != "s3" and not service.unsigned:
        raise refusals.missing(Dialect(_kind(service.name)))


def _kind(service: str) -> str:
    if service == "s3":
        return "s3"
    protocol = models.load(service).protocol
    return "query" if protocol in ("rest-xml", models.CBOR) else protocol


def _refusal(
    service: str, caller: Caller, requirement: Requirement, decision: Decision
) -> AwsError:
    kind = _kind(service)
    if kind == "s3" and (caller.kind == "anonymous" or decision.missing == RESOURCE):
        return AwsError("AccessDenied", "Access Denied", 403)
    resource = f'"{requirement.resource}"' if kind == "s3" else requirement.resource
    action = requirement.action
    message = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    if not action.startswith("sts:Assume"):  # STS never tells which policy it was
        message += _because(action, decision)
    if service == "sns":
        return AwsError("AuthorizationError", message, 403)
    if kind in ("s3", "query") or service == "sqs":
        return AwsError("AccessDenied", message, 403)
    return AwsError("AccessDeniedException", message, 403 if kind == "rest-json" else 400)


def _because(action: str, decision: Decision) -> str:
    if decision.denied_by:
        article = "an" if decision.denied_by == IDENTITY else "a"
        return f" with an explicit deny in {article} {decision.denied_by}"
    return f" because no {decision.missing} allows the {action} action"
