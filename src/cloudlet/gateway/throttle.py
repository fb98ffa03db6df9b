"""Token buckets: how many requests a route takes per second, and in a burst."""

from typing import Any

DEFAULT_RATE = 10_000.0  # an account's limits in most regions
DEFAULT_BURST = 5_000


class Bucket:
    def __init__(self, rate: float, burst: int, now_ms: int) -> None:
        self.rate = rate  # tokens per second
        self.burst = burst
        self._tokens = float(burst)
        self._at_ms = now_ms

    @classmethod
    def of(cls, settings: dict[str, Any], now_ms: int) -> "Bucket":
        rate = settings.get("ThrottlingRateLimit")
        burst = settings.get("ThrottlingBurstLimit")
        return cls(
            DEFAULT_RATE if rate is None else rate,
            DEFAULT_BURST if burst is None else burst,
            now_ms,
        )

    def take(self, now_ms: int) -> bool:
        """Takes one token if there is one."""
        elapsed_ms = max(0, now_ms - self._at_ms)
        self._tokens = min(self.burst, self._tokens + elapsed_ms * self.rate / 1000)
        self._at_ms = now_ms
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
