"""The service "sns", and what runs for it."""

from collections.abc import Awaitable

from cloudlet.call import Cloud
from cloudlet.events.delivery import Delivery
from cloudlet.events.timers import Timers
from cloudlet.exchange import Request, Response
from cloudlet.sns import endpoints, permissions, publishing, sms, subscriptions, topics
from cloudlet.sns.deliveries import Deliveries
from cloudlet.sns.signing import signer
from cloudlet.wire import models
from cloudlet.wire.service import Service, operations

_SWEEP_S = 3600
_CERTIFICATE = "/SimpleNotificationService-"


class SnsState:
    """What runs: made once per account, after the schema was prepared."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._deliveries = Deliveries(cloud)

    def register(self, delivery: Delivery) -> None:
        delivery.register("sns", self._deliveries.deliver, self._deliveries.room)

    def start(self, timers: Timers) -> None:
        timers.every(_SWEEP_S, self._sweep)

    def certificate(self, request: Request) -> Awaitable[Response | None] | None:
        """What signatures are verified with: everybody may have it."""
        is_asked = request.method == "GET" and request.raw_path.startswith(_CERTIFICATE)
        return self._certificate(request) if is_asked else None

    async def _certificate(self, request: Request) -> Response | None:
        own = signer(self._cloud.config.whole_data)
        if request.raw_path != own.certificate_path:
            return None
        return Response(200, [("Content-Type", "application/x-pem-file")], own.certificate)

    async def _sweep(self) -> None:
        now_ms = self._cloud.config.now_ms()
        await self._cloud.database.write(lambda tx: subscriptions.sweep(tx, now_ms))


def service() -> Service:
    modules = (topics, subscriptions, publishing, endpoints, sms)
    return Service(
        "sns",
        operations(models.operation_names("sns"), *modules),
        permissions.requirements,
        permissions.resource_policies,
        unsigned=permissions.UNSIGNED,
    )
