"""What runs for the streams: made once per account, after the schema was prepared."""

from cloudlet.call import Cloud
from cloudlet.events.delivery import Delivery
from cloudlet.events.timers import Timers
from cloudlet.kinesis import records
from cloudlet.kinesis.deliveries import Deliveries
from cloudlet.kinesis.fanout import Subscriptions
from cloudlet.kinesis.records import Records
from cloudlet.kinesis.source import Source

_SWEEP_S = 300


class Kinesis:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.records = Records(cloud.blobs.master)
        self.source = Source(cloud.config, self.records)
        self.subscriptions = Subscriptions()

    def register(self, delivery: Delivery) -> None:
        delivery.register("kinesis", Deliveries(self.cloud).deliver)

    def start(self, timers: Timers) -> None:
        """On the event loop; it stops with the timers and the database."""
        self.subscriptions.start(self.cloud.database)
        timers.every(_SWEEP_S, self.sweep)

    async def sweep(self) -> None:
        """In steps, between which others may write."""
        now_ms = self.cloud.config.now_ms()
        while await self.cloud.database.write(lambda tx: records.sweep(tx, now_ms)):
            pass
