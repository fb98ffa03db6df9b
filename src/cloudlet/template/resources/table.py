"""All resource types, by name."""

from collections.abc import Mapping

from cloudlet.template.resources import (
    cloudfront,
    custom,
    dynamodb,
    event_buses,
    functions,
    gateway,
    global_table,
    iam,
    kinesis,
    kms,
    messaging,
    monitoring,
    registry,
    rest,
    rest_stages,
    s3,
    sns,
    stacks,
)
from cloudlet.template.resources.kind import Kind

KINDS: Mapping[str, Kind] = {
    kind.type: kind
    for module in (
        *(s3, dynamodb, global_table, functions, iam, gateway, rest, rest_stages),
        *(
            messaging,
            sns,
            kinesis,
            kms,
            event_buses,
            monitoring,
            cloudfront,
            custom,
            registry,
            stacks,
        ),
    )
    for kind in module.KINDS
}


def find(resource_type: str) -> Kind | None:
    if resource_type.startswith(custom.PREFIX):
        return KINDS[custom.TYPE]
    return KINDS.get(resource_type)
