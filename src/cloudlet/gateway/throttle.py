"""Token buckets: how many requests a route takes per second, and in a burst."""

_RATE = 10_000.0  # an account's limits in most regions
_BURST = 5_000


class Bucket:
    def __init__(self, rate: float, burst: int, now_ms: int) -> None:
        self.rate = rate  # tokens per second
        self.burst = burst
        self._tokens = float(burst)
        self._at_ms = now_ms

    @classmethod
    def of(cls, rate: float | None, burst: int | None, now_ms: int) -> "Bucket":
        """What is None or negative is the account's limit."""
        return cls(
            _RATE if rate is None or rate < 0 else rate,
            _BURST if burst is None or burst < 0 else burst,
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
