"""The API of keys as the layers above see it."""

from cloudlet.kms import aliases, ciphers, keys, permissions, rotation, tagging
from cloudlet.wire import models
from cloudlet.wire.service import Service, operations


def service() -> Service:
    modules = (keys, aliases, ciphers, tagging, rotation)
    table = operations(models.operation_names("kms"), *modules)
    return Service("kms", table, permissions.requirements, permissions.policies)
