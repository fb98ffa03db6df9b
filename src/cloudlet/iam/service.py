"""The iam and sts services. Their state is the credentials' cache, which changes must reach."""

from cloudlet.iam import permissions, policies, roles, sessions, users
from cloudlet.iam.credentials import Credentials
from cloudlet.wire.service import Service, operations


def service(state: Credentials | None = None) -> list[Service]:
    from cloudlet.wire.models import operation_names  # loads botocore's models

    iam = operations(operation_names("iam"), roles, policies, users)
    sts = operations(operation_names("sts"), sessions)
    return [
        Service("iam", iam, permissions.of_iam, state=state),
        Service("sts", sts, permissions.of_sts, permissions.trust_policies, state),
    ]
