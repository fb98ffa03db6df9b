"""Operations that are named by hand are those that botocore knows and that are written."""

from cloudlet.registry import parameters, repositories
from cloudlet.registry import service as registry_service
from cloudlet.template import service as template_service
from cloudlet.template.api import change_sets, describing, stacks
from cloudlet.wire.models import operation_names
from cloudlet.wire.service import operations

MODULES = {
    "ssm": [parameters],
    "ecr": [repositories],
    "cloudformation": [stacks, change_sets, describing],
}


def test_every_operation_is_named() -> None:
    services = [*registry_service.service(), template_service.service()]
    assert {each.name for each in services} == MODULES.keys()
    for each in services:
        written = operations(operation_names(each.name), *MODULES[each.name])
        assert each.operations.keys() == written.keys()
