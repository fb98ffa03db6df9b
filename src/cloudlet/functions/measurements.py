"""What CloudWatch shows of functions.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from collections.abc import Mapping
from functools import lru_cache

from cloudlet.call import Meter
from cloudlet.functions.records import Found

_NAMESPACE = "AWS/Lambda"
_MILLISECONDS = {"Duration", "IteratorAge", "AsyncEventAge"}
_Dimensions = tuple[tuple[str, str], ...]


def add(meter: Meter, found: Found, values: Mapping[str, float]) -> None:
    """For the function, and for the version or alias that was asked for."""
    for dimensions in _dimensions(found.name, found.qualifier):
        for name, value in values.items():
            unit = "Milliseconds" if name in _MILLISECONDS else "Count"
            meter.add(_NAMESPACE, name, dimensions, value, unit)


@lru_cache(maxsize=4096)
def _dimensions(name: str, qualifier: str) -> tuple[_Dimensions, ...]:
    function = (("FunctionName", name),)
    if not qualifier:
        return (function,)
    return function, (*function, ("Resource", f"{name}:{qualifier}"))
