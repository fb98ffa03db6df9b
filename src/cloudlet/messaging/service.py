"""The messaging services: "sqs", "events" and "scheduler", and what runs for them."""

from dataclasses import dataclass
from functools import partial

from cloudlet.call import Cloud
from cloudlet.events.delivery import Delivery
from cloudlet.events.timers import Timers
from cloudlet.messaging import metrics, permissions
from cloudlet.messaging.eventbridge import (
    api_destinations,
    archives,
    buses,
    event_connections,
    publishing,
    replays,
    rules,
    scheduler,
)
from cloudlet.messaging.eventbridge.firing import Firing
from cloudlet.messaging.sqs import messages, queue_permissions, queues, redrive
from cloudlet.messaging.sqs.arrivals import Arrivals
from cloudlet.messaging.steps import Steps
from cloudlet.messaging.targets import Targets
from cloudlet.wire import models
from cloudlet.wire.service import Service, operations

_SWEEP_S = 3600
_MEASURE_S = 60


@dataclass(frozen=True, slots=True)
class MessagingState:
    """What runs: made once per process, after the schema was prepared."""

    cloud: Cloud
    arrivals: Arrivals
    firing: Firing
    targets: Targets
    timers: Timers
    steps: tuple[Steps, ...]

    @classmethod
    def of(cls, cloud: Cloud, timers: Timers) -> "MessagingState":
        firing = Firing(cloud.config, cloud.database, timers)
        move = partial(redrive.step, master=cloud.blobs.master)
        steps = tuple(
            Steps(topic, step, cloud.database, cloud.config)
            for topic, step in ((redrive.TOPIC, move), (replays.TOPIC, replays.step))
        )
        return cls(cloud, Arrivals(cloud.database), firing, Targets(cloud), timers, steps)

    def register(self, delivery: Delivery) -> None:
        delivery.register("sqs", self.targets.queue)
        delivery.register("events", self.targets.event)
        delivery.register("scheduler", self.targets.event)

    def start(self) -> None:
        """On the event loop; it stops with the timers and the database."""
        self.arrivals.start()
        self.firing.start()
        for each in self.steps:
            each.start(self.timers)
        self.timers.every(_SWEEP_S, self._sweep)
        self.timers.every(_MEASURE_S, lambda: metrics.measure(self.cloud))

    async def _sweep(self) -> None:
        now_ms = self.cloud.config.now_ms()
        await self.cloud.database.write(lambda tx: messages.sweep(tx, now_ms))
        await self.cloud.database.write(lambda tx: archives.sweep(tx, now_ms))


def service(state: MessagingState | None = None) -> list[Service]:
    return [
        Service(
            "sqs",
            operations(models.operation_names("sqs"), queues, queue_permissions, messages, redrive),
            permissions.sqs,
            permissions.queue_policies,
            state=state.arrivals if state else None,
            observe=metrics.observe,
        ),
        Service(
            "events",
            operations(
                models.operation_names("events"),
                *(buses, rules, publishing, archives, replays),
                *(event_connections, api_destinations),
            ),
            permissions.events,
            permissions.bus_policies,
        ),
        Service(
            "scheduler",
            operations(models.operation_names("scheduler"), scheduler),
            permissions.scheduler,
        ),
    ]
