"""The APIs of this package: "logs" and "cloudwatch"."""

from typing import Any

from cloudlet.monitoring import (
    live_tail,
    log_events,
    log_filters,
    log_groups,
    log_streams,
    permissions,
)
from cloudlet.wire.service import Service, operations


def service(state: Any = None) -> list[Service]:
    """`state` is the process's `Monitoring`."""
    from cloudlet.wire.models import operation_names

    return [
        Service(
            "logs",
            operations(
                operation_names("logs"), live_tail, log_events, log_filters, log_groups, log_streams
            ),
            permissions.log_requirements,
            state=state,
        ),
    ]
