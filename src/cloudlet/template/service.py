"""The cloudformation service. Its state carries operations out in the background."""

from cloudlet.template import permissions
from cloudlet.template.api import change_sets, describing, stacks
from cloudlet.template.operations import Operations
from cloudlet.wire.service import Service, operations


def service(state: Operations | None = None) -> Service:
    from cloudlet.wire.models import operation_names  # loads botocore's models

    found = operations(operation_names("cloudformation"), stacks, change_sets, describing)
    return Service("cloudformation", found, permissions.requirements, state=state)
