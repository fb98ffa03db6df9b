"""S3 as a service: which functions answer which operations, and who may call them."""

from cloudlet.s3 import (
    access,
    acl,
    buckets,
    bulk,
    copying,
    cors,
    encryption,
    lifecycle,
    listing,
    multipart,
    notifications,
    objects,
    ownership,
    permissions,
    reading,
    replication,
    settings,
    tagging,
    uploads,
    version_listing,
    website,
)
from cloudlet.wire.models import operation_names
from cloudlet.wire.service import Service, made, operations


def service() -> Service:
    modules = (access, acl, buckets, bulk, copying, cors, encryption, lifecycle, listing, multipart)
    more = (
        notifications,
        objects,
        ownership,
        reading,
        settings,
        tagging,
        uploads,
        version_listing,
        website,
    )
    by_itself = (replication,)
    table = operations(operation_names("s3"), *modules, *more, *by_itself)
    return Service(
        "s3",
        table | made("Object", Post=objects.post_object),
        permissions.requirements,
        permissions.resource_policies,
        own_checks=frozenset({"DeleteObjects"}),
    )
