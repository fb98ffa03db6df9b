"""S3 as a service: which functions answer which operations, and who may call them."""

from cloudlet.s3 import (
    access,
    access_logs,
    acl,
    archive,
    buckets,
    bulk,
    completion,
    copying,
    cors,
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


def service() -> Service:
    table = operations(operation_names("s3"), *_MODULES)
    return Service(
        "s3",
        table | made("Object", Post=objects.post_object),
        permissions.requirements,
        permissions.resource_policies,
        own_checks=frozenset({"DeleteObjects"}),
    )
