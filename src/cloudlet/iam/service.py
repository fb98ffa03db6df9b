"""The iam and sts services. Their state is the credentials' cache, which changes must reach."""

from cloudlet.iam import (
    attachments,
    entities,
    groups,
    permissions,
    policies,
    roles,
    sessions,
    simulation,
    summary,
    users,
)
from cloudlet.iam.credentials import Credentials
from cloudlet.wire.service import Service, operations

_IAM = (attachments, entities, groups, policies, roles, simulation, summary, users)


def service(state: Credentials | None = None) -> list[Service]:
    from cloudlet.wire.models import operation_names  # loads botocore's models

    iam = operations(operation_names("iam"), *_IAM)
    sts = operations(operation_names("sts"), sessions)
    return [
        Service("iam", iam, permissions.of_iam, state=state),
        Service("sts", sts, permissions.of_sts, permissions.trust_policies, state),
    ]
