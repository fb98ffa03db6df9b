"""The API of this package: "lambda"."""

from typing import Any

from cloudlet.functions import (
    api,
    grants,
    invocations,
    layers,
    limits,
    mapping_api,
    permissions,
    provisioned,
    streaming,
    urls,
    versions,
)
from cloudlet.wire.service import Service, operations


def service(state: Any = None) -> list[Service]:
    """`state` is the process's `Functions`."""
    from cloudlet.wire.models import operation_names

    modules = (
        api, grants, invocations, layers, limits, mapping_api, provisioned, streaming, urls,
        versions,
    )  # fmt: skip
    return [
        Service(
            "lambda",
            operations(operation_names("lambda"), *modules),
            permissions.requirements,
            permissions.resource_policies,
            state,
        )
    ]
