"""The cloudformation service. Its state carries operations out in the background.

The operations are named here: botocore's large model is loaded with the first call, not at every
start.
"""

from cloudlet.template import permissions
from cloudlet.template.api import change_sets, describing, stacks
from cloudlet.template.operations import Operations
from cloudlet.wire.service import Service, operations

_NAMES = (
    "CancelUpdateStack ContinueUpdateRollback CreateChangeSet CreateStack DeleteChangeSet"
    " DeleteStack DescribeChangeSet DescribeStackEvents DescribeStackResource"
    " DescribeStackResources DescribeStacks ExecuteChangeSet GetStackPolicy GetTemplate"
    " GetTemplateSummary ListChangeSets ListExports ListImports ListStackResources ListStacks"
    " RollbackStack UpdateStack UpdateTerminationProtection ValidateTemplate"
)


def service(state: Operations | None = None) -> Service:
    found = operations(_NAMES.split(), stacks, change_sets, describing)
    return Service("cloudformation", found, permissions.requirements, state=state)
