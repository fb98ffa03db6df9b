"""The APIs of this package: "logs" and "cloudwatch"."""

from typing import Any

from cloudlet.monitoring import (
    alarms,
    dashboards,
    live_tail,
    log_events,
    log_filters,
    log_groups,
    log_policies,
    log_queries,
    log_streams,
    measurements,
    metric_queries,
    permissions,
)
from cloudlet.wire.service import Service, operations


def service(state: Any = None) -> list[Service]:
    """`state` is the process's `Monitoring`."""
    from cloudlet.wire.models import operation_names

    logs = (
        live_tail, log_events, log_filters, log_groups, log_policies, log_queries, log_streams,
    )  # fmt: skip
    metrics = (alarms, dashboards, measurements, metric_queries)
    return [
        Service(
            "logs",
            operations(operation_names("logs"), *logs),
            permissions.log_requirements,
            log_policies.policies,
            state=state,
        ),
        Service(
            "cloudwatch",
            operations(operation_names("cloudwatch"), *metrics),
            permissions.metric_requirements,
            state=state,
        ),
    ]
