"""The two APIs of DynamoDB as the layers above see them."""

from cloudlet.dynamodb import (
    batches,
    destinations,
    exports,
    imports,
    items,
    iterators,
    metrics,
    partiql,
    permissions,
    resource_policies,
    search,
    settings,
    tables,
    transactions,
)
from cloudlet.wire.service import Service, operations

_MODULES = (
    items,
    search,
    batches,
    transactions,
    partiql,
    exports,
    imports,
    tables,
    settings,
    destinations,
    resource_policies,
)


def service() -> list[Service]:
    """Stateless: everything is in the store."""
    from cloudlet.wire.models import operation_names  # loads botocore's models

    return [
        Service(
            "dynamodb",
            operations(operation_names("dynamodb"), *_MODULES),
            permissions.requirements,
            permissions.policies,
            observe=metrics.observe,
        ),
        Service(
            "dynamodbstreams",
            operations(operation_names("dynamodbstreams"), iterators),
            permissions.requirements,
            permissions.policies,
        ),
    ]
