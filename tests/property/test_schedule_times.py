"""The next turn of a cron expression in a time zone, against stepping through the minutes.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html: a time that a clock
change skips has no turn, one that it repeats has its turn once.
"""

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.messaging.eventbridge import expressions

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
# around changes of the clocks, the end of February, and the end of a year
STARTS = (
    datetime(2026, 3, 28, 20, tzinfo=UTC),
    datetime(2026, 10, 24, 20, tzinfo=UTC),
    datetime(2026, 3, 7, 22, tzinfo=UTC),
    datetime(2026, 11, 1, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 12, tzinfo=UTC),
    datetime(2028, 2, 27, 23, tzinfo=UTC),
    datetime(2026, 12, 30, 5, tzinfo=UTC),
)
DAYS_AHEAD = 4


def field(low: int, high: int, *, steps: bool = True) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.builds(lambda a, n: f"{a}/{n}", number, st.integers(1, 20))
    listed = st.lists(number, min_size=1, max_size=3, unique=True)
    several = listed.map(lambda numbers: ",".join(map(str, numbers)))
    plain = st.one_of(st.just("*"), number.map(str), span, several)
    if not steps:
        return plain
    return st.one_of(plain, step, st.integers(1, 20).map(lambda n: f"*/{n}"))


days_of_month = st.one_of(field(1, 31), st.just("L"), st.integers(1, 28).map(lambda n: f"{n}W"))
days_of_week = st.one_of(
    field(1, 7, steps=False),
    st.sampled_from(["MON-FRI", "SUN", "MON,WED", "6L", "2#1", "3#5"]),
)
days = st.one_of(days_of_month.map(lambda d: (d, "?")), days_of_week.map(lambda d: ("?", d)))


def wants(text: str, value: int, low: int, high: int) -> bool:
    return any(value in range(*_bounds(part, low, high)) for part in text.split(","))


def _bounds(part: str, low: int, high: int) -> tuple[int, int, int]:
    span, _, step = part.partition("/")
    if span == "*":
        first, last = low, high
    elif "-" in span:
        first, last = (int(each) for each in span.split("-"))
    else:
        first, last = int(span), high if step else int(span)
    return first, last + 1, int(step or 1)


def is_day(day: date, of_month: str, of_week: str) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if of_week == "?":
        if of_month == "L":
            return day.day == length
        if of_month.endswith("W"):
            return day == _nearest_weekday(day.replace(day=int(of_month[:-1])), length)
        return wants(of_month, day.day, 1, 31)
    number = day.isoweekday() % 7 + 1
    for index, name in enumerate(DAYS, 1):
        of_week = of_week.replace(name, str(index))
    if of_week.endswith("L"):
        return number == int(of_week[:-1]) and day.day + 7 > length
    if "#" in of_week:
        wanted, nth = of_week.split("#")
        return number == int(wanted) and (day.day - 1) // 7 + 1 == int(nth)
    return wants(of_week, number, 1, 7)


def _nearest_weekday(day: date, length: int) -> date:
    """Within the month."""
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)
    if day.day + shift < 1:
        shift = 2
    if day.day + shift > length:
        shift = -2
    return day + timedelta(days=shift)


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(field(0, 59), field(0, 23)), days, st.sampled_from(ZONES), st.sampled_from(STARTS),
    st.integers(0, 2000),
)  # fmt: skip
def test_the_next_turn(
    times: tuple[str, str], on: tuple[str, str], zone: str, start: datetime, minutes: int
) -> None:
    expression = f"cron({times[0]} {times[1]} {on[0]} * {on[1]} *)"
    after = start + timedelta(minutes=minutes)
    after_ms = int(after.timestamp() * 1000)
    found_ms = expressions.next_ms(expression, zone, after_ms, after_ms)
    moment, last = after, after + timedelta(days=DAYS_AHEAD)
    while (moment := moment + timedelta(minutes=1)) <= last:
        wall = moment.astimezone(ZoneInfo(zone))
        if (
            not wall.fold  # the second time of an hour that comes twice
            and wants(times[0], wall.minute, 0, 59)
            and wants(times[1], wall.hour, 0, 23)
            and is_day(wall.date(), *on)
        ):
            assert found_ms == int(moment.timestamp() * 1000), moment
            return
    assert found_ms is None or found_ms > last.timestamp() * 1000


@given(st.integers(1, 500), st.sampled_from(["minutes", "hours", "days"]), st.integers(0, 10**8))
def test_rates_keep_their_rhythm(count: int, unit: str, late_ms: int) -> None:
    """However late a turn is taken, the next one is after now, and a whole number of steps on."""
    expression = f"rate({count} {unit})"
    step_ms = expressions.interval_ms(expression)
    due_ms = 1_700_000_000_000
    following_ms = expressions.next_ms(expression, "UTC", due_ms, due_ms + late_ms)
    assert following_ms is not None
    assert (following_ms - due_ms) % step_ms == 0
    assert 0 < following_ms - (due_ms + late_ms) <= step_ms
