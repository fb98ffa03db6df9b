"""The API of data streams as the layers above see it."""

from cloudlet.kinesis import encryption, permissions, reading, shards, streams, writing
from cloudlet.kinesis.state import Kinesis
from cloudlet.wire import models
from cloudlet.wire.service import Service, operations


def service(state: Kinesis | None = None) -> Service:
    return Service(
        "kinesis",
        operations(
            models.operation_names("kinesis"), streams, shards, writing, reading, encryption
        ),
        permissions.requirements,
        state=state,
    )
