"""S3 as a service: which functions answer which operations, and who may call them."""

from cloudlet.s3 import (
    access,
    access_logs,
    acl,
    archive,
    authority,
    buckets,
    bulk,
    completion,
    control,
    copying,
    cors,
    declared,
    default_encryption,
    inventory,
    lifecycle,
    listing,
    locks,
    multipart,
    notifications,
    objects,
    ownership,
    payment,
    permissions,
    public_access,
    reading,
    replication,
    request_metrics,
    retention,
    settings,
    tagging,
    uploads,
    version_listing,
    website,
)
from cloudlet.wire.models import operation_names
from cloudlet.wire.service import Service, made, operations

_MODULES = (
    access,
    access_logs,
    acl,
    archive,
    buckets,
    bulk,
    completion,
    copying,
    cors,
    declared,
    default_encryption,
    inventory,
    lifecycle,
    listing,
    locks,
    multipart,
    notifications,
    objects,
    ownership,
    payment,
    public_access,
    reading,
    replication,
    request_metrics,
    retention,
    settings,
    tagging,
    uploads,
    version_listing,
    website,
)


def service() -> list[Service]:
    table = operations(operation_names("s3"), *_MODULES)
    return [
        Service(
            "s3",
            table | made("Object", Post=objects.post_object),
            permissions.requirements,
            authority.resource_policies,
            waives=authority.waives,
            own_checks=frozenset({"DeleteObjects"}),
        ),
        Service(
            "s3control", operations(operation_names("s3control"), control), control.requirements
        ),
    ]
