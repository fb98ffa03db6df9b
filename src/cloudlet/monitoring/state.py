"""CloudWatch's live state: the journal, the meter and what runs by the clock.

`app.py` makes the one, hands journal and meter to the cloud, starts it before all who log and
stops it after them.
"""

from cloudlet.call import Cloud
from cloudlet.events.timers import Timers
from cloudlet.monitoring import alarm_evaluation, alarm_states, ingestion, points
from cloudlet.monitoring.journal import Journal
from cloudlet.monitoring.live_tail import LiveTail
from cloudlet.monitoring.log_queries import Queries
from cloudlet.monitoring.meter import Meter
from cloudlet.monitoring.schema import SCHEMA

_SWEEP_S = 300
_ALARMS_S = 5


class Monitoring:
    def __init__(self, cloud: Cloud) -> None:
        cloud.database.prepare(SCHEMA)
        self.cloud = cloud
        self.meter = Meter(cloud)
        self.intake = ingestion.Intake(cloud.config, self.meter)
        self.journal = Journal(cloud, self.intake)
        self.queries = Queries(cloud)
        self.live_tails: set[LiveTail] = set()
        cloud.journal = self.journal
        cloud.meter = self.meter

    def start(self, timers: Timers) -> None:
        self.journal.start()
        self.meter.start()
        timers.every(_SWEEP_S, self._sweep, first_s=1)
        timers.every(_ALARMS_S, self._look)

    def hang_up(self) -> None:
        """Ends live tails: a listener that stops waits for its answers."""
        for tail in self.live_tails:
            tail.hung_up.set()

    async def stop(self) -> None:
        await self.queries.stop()
        await self.journal.stop()
        await self.meter.stop()

    async def _sweep(self) -> None:
        now_ms = self.cloud.config.now_ms()
        while await self.cloud.database.write(lambda tx: ingestion.sweep(tx, now_ms)):
            pass
        while await self.cloud.database.write(lambda tx: points.roll_up(tx, now_ms)):
            pass
        await self.cloud.database.write(lambda tx: alarm_states.forget(tx, now_ms))

    async def _look(self) -> None:
        await self.meter.flush()
        await alarm_evaluation.evaluate_due(self.cloud)
