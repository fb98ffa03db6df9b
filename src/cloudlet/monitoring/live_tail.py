"""StartLiveTail: what log groups take in, as an event stream with an update each second.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.filter_patterns import compile_pattern
from cloudlet.monitoring.log_groups import group_arn, require_group
from cloudlet.store.database import Row

_UPDATE_S = 1.0
_SHOWN_MAX = 500  # events in an update; of more it says that they are a sample
_READ_MAX = 10_000
_SESSION_S = 3 * 3600
_SESSIONS_MAX = 15


async def start_live_tail(call: Call) -> Output:
    params, sessions = call.params, call.state.live_tails
    view = call.cloud.database.view()
    names = {require_group(call, view, each) for each in params["logGroupIdentifiers"]}
    if params.get("logStreamNames") and params.get("logStreamNamePrefixes"):
        raise invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive.")
    compile_pattern(params.get("logEventFilterPattern") or "")
    if len(sessions) >= _SESSIONS_MAX:
        raise AwsError("LimitExceededException", f"{_SESSIONS_MAX} live tails are open already.")
    tail = LiveTail(call, names)
    sessions.add(tail)
    return {"responseStream": tail}


class LiveTail:
    """One session; the front closes it when its client is gone."""

    def __init__(self, call: Call, groups: set[str]) -> None:
        self._call = call
        self.hung_up = asyncio.Event()  # by us: the process ends
        self._groups = groups
        self._pattern = compile_pattern(call.params.get("logEventFilterPattern") or "")
        self._last_id = self._view.value("SELECT max(id) FROM log_events") or 0

    @property
    def _view(self) -> Any:
        return self._call.cloud.database.view()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        call, end_ms = self._call, self._call.now_ms + _SESSION_S * 1000
        session = {"requestId": call.request.id, "sessionId": call.config.new_id()}
        yield {"sessionStart": {**call.params, **session}}
        while call.now_ms < end_ms:
            with suppress(TimeoutError):
                async with asyncio.timeout(_UPDATE_S):
                    await self.hung_up.wait()
                return
            yield {"sessionUpdate": self._update()}
        raise AwsError("SessionTimeoutException", "The session has timed out.")

    async def aclose(self) -> None:
        self._call.state.live_tails.discard(self)

    def _update(self) -> Output:
        found = [self._result(row) for row in self._fresh() if self._is_wanted(row)]
        is_sampled = len(found) > _SHOWN_MAX
        shown = found[:: len(found) // _SHOWN_MAX + 1] if is_sampled else found
        return {"sessionMetadata": {"sampled": is_sampled}, "sessionResults": shown}

    def _fresh(self) -> list[Row]:
        rows: list[Row] = self._view.all(
            "SELECT e.*, s.name, s.log_group FROM log_events AS e JOIN log_streams AS s"
            " ON s.id = e.stream WHERE e.id > ? ORDER BY e.id LIMIT ?",
            (self._last_id, _READ_MAX),
        )
        if rows:
            self._last_id = rows[-1]["id"]
        return rows

    def _is_wanted(self, row: Row) -> bool:
        params = self._call.params
        names, prefixes = params.get("logStreamNames"), params.get("logStreamNamePrefixes")
        return (
            row["log_group"] in self._groups
            and (not names or row["name"] in names)
            and (not prefixes or row["name"].startswith(tuple(prefixes)))
            and self._pattern(row["message"]) is not None
        )

    def _result(self, row: Row) -> Output:
        return {
            "logStreamName": row["name"],
            "logGroupIdentifier": group_arn(self._call, row["log_group"]),
            "message": row["message"],
            "timestamp": row["time_ms"],
            "ingestionTime": row["ingested_ms"],
        }
