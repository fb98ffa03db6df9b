"""The services ssm and ecr, as far as deployments need them."""

from cloudlet.registry import parameters, permissions, repositories
from cloudlet.wire.service import Service, operations


def service() -> list[Service]:
    from cloudlet.wire.models import operation_names  # loads botocore's models

    ssm = operations(operation_names("ssm"), parameters)
    ecr = operations(operation_names("ecr"), repositories)
    return [
        Service("ssm", ssm, permissions.of_ssm),
        Service("ecr", ecr, permissions.of_ecr, permissions.repository_policies),
    ]
