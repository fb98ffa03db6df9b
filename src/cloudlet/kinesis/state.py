"""What runs for the streams: made once per account, after the schema was prepared."""

from cloudlet.call import Cloud
from cloudlet.events.timers import Timers
from cloudlet.kinesis import records
from cloudlet.kinesis.records import Records
from cloudlet.kinesis.source import Source

_SWEEP_S = 300


class Kinesis:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.records = Records(cloud.blobs.master)
        self.source = Source(cloud.config, self.records)

    def start(self, timers: Timers) -> None:
        """On the event loop; it stops with the timers."""
        timers.every(_SWEEP_S, self.sweep)

    async def sweep(self) -> None:
        """In steps, between which others may write."""
        now_ms = self.cloud.config.now_ms()
        while await self.cloud.database.write(lambda tx: records.sweep(tx, now_ms)):
            pass
