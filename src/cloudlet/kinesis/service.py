"""The API of data streams as the layers above see it."""

from cloudlet.kinesis import (
    consumers,
    encryption,
    fanout,
    metrics,
    permissions,
    reading,
    resources,
    shards,
    streams,
    writing,
)
from cloudlet.kinesis.state import Kinesis
from cloudlet.wire import models
from cloudlet.wire.service import Service, operations

_MODULES = (streams, shards, writing, reading, consumers, fanout, resources, encryption)


def service(state: Kinesis | None = None) -> Service:
    return Service(
        "kinesis",
        operations(models.operation_names("kinesis"), *_MODULES),
        permissions.requirements,
        permissions.policies,
        state=state,
        observe=metrics.observe,
    )
