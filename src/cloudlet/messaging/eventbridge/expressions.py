"""Schedule expressions: `rate()`, six-field `cron()`, `at()`, and when they are next due.

Times are milliseconds since the epoch; time zones are IANA names.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_croniter import AwsCroniter

_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((.+)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_UNIT_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


class InvalidExpression(ValueError):
    """The text is not a schedule expression."""


def check(expression: str, zone: str = "UTC", *, is_scheduler: bool = False) -> None:
    """Raises InvalidExpression."""
    _zone(zone)
    if expression.startswith("rate("):
        interval_ms(expression)
        # messaging-001: rules refuse rate(1 minutes) and rate(5 minute), Scheduler takes them
        is_singular = expression.startswith("rate(1 ")
        if not is_scheduler and is_singular == expression.endswith("s)"):
            raise InvalidExpression(expression)
    elif expression.startswith("cron("):
        _cron(expression)
    elif is_scheduler and _AT.fullmatch(expression):
        _at_ms(expression, zone)
    else:
        raise InvalidExpression(expression)


def first_ms(expression: str, zone: str, start_ms: int) -> int | None:
    """The first turn at or after `start_ms`: at once for a rate."""
    if expression.startswith("rate("):
        return start_ms
    if expression.startswith("at("):
        due_ms = _at_ms(expression, zone)
        return due_ms if due_ms >= start_ms else None
    return _next_cron_ms(expression, zone, start_ms - 1)


def next_ms(expression: str, zone: str, due_ms: int, now_ms: int) -> int | None:
    """The first turn after `now_ms` of a schedule whose last turn was `due_ms`.

    Turns that were missed while nothing ran are skipped: the late one counts for all of them.
    """
    if expression.startswith("rate("):
        step_ms = interval_ms(expression)
        return due_ms + max(1, (now_ms - due_ms) // step_ms + 1) * step_ms
    if expression.startswith("at("):
        return None
    return _next_cron_ms(expression, zone, max(due_ms, now_ms))


def interval_ms(expression: str) -> int:
    match = _RATE.fullmatch(expression)
    if match is None:
        raise InvalidExpression(expression)
    count, unit = int(match.group(1)), match.group(2)
    if not 1 <= count < 2**31:
        raise InvalidExpression(expression)
    return count * _UNIT_MS[unit.removesuffix("s")]


@lru_cache(maxsize=256)
def _cron(expression: str) -> AwsCroniter:
    match = _CRON.fullmatch(expression)
    if match is None:
        raise InvalidExpression(expression)
    try:
        return AwsCroniter(match.group(1))
    except Exception as error:  # the library has one class per field
        raise InvalidExpression(str(error)) from None


def _next_cron_ms(expression: str, zone: str, after_ms: int) -> int | None:
    place = _zone(zone)
    after = datetime.fromtimestamp(after_ms / 1000, UTC)
    wall = after.astimezone(place).replace(tzinfo=UTC)
    while True:
        # the library knows UTC alone, so it counts in the zone's wall clock
        found = _cron(expression).get_next(wall)[0]
        if found is None:
            return None
        local = found.replace(tzinfo=place)
        moment = local.astimezone(UTC)
        is_real = moment.astimezone(place).replace(tzinfo=None) == local.replace(tzinfo=None)
        if is_real and moment > after:  # a time that a clock change skips has no turn
            return int(moment.timestamp() * 1000)
        wall = found


def _at_ms(expression: str, zone: str) -> int:
    match = _AT.fullmatch(expression)
    if match is None:
        raise InvalidExpression(expression)
    try:
        moment = datetime.fromisoformat(match.group(1)).replace(tzinfo=_zone(zone))
    except ValueError:
        raise InvalidExpression(expression) from None
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidExpression(f"Unknown time zone {name}") from None
