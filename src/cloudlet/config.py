"""Every setting of one cloudlet, the clock and the source of ids included.

Nothing else reads the environment, the clock or a random source for decisions that a test may
want to steer.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ACCOUNTS = "accounts"  # the folder of all but the default one
REMOTES = "remotes"  # what is known of buckets elsewhere
_AT_ONCE = 128


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Identifiers:
    """Random UUIDs (version 4). Every request has some, so randomness is fetched for many."""

    def __init__(self) -> None:
        self._digits: deque[str] = deque()

    def new(self) -> str:
        """From any thread."""
        while True:
            try:
                digits = self._digits.popleft()
            except IndexError:
                block = secrets.token_hex(16 * _AT_ONCE)
                self._digits.extend(block[at : at + 32] for at in range(0, len(block), 32))
            else:
                return (
                    f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
                )


@dataclass(frozen=True, slots=True)
class Config:
    data: Path
    replica: Path | None = None  # a second directory that holds all of it, too
    host: str = "127.0.0.1"
    aws_port: int = 4566
    door_port: int = 8000
    public_url: str = ""  # of the front door, as other machines see it; "" = derived
    region: str = "us-east-1"
    account: str = "000000000000"
    open_access: bool = False  # --open: any credentials are accepted
    classic_buckets: bool = False  # new buckets as AWS made them until 2020
    readers: int = 0  # processes beside this one that may answer reads (`front.readers`)
    retry_s: float = 60.0  # after it a failed asynchronous invocation is tried again (AWS: 60)
    now_ms: Callable[[], int] = field(default=_now_ms)
    new_id: Callable[[], str] = field(default_factory=lambda: Identifiers().new)
    new_secret: Callable[[int], str] = field(default=secrets.token_hex)

    @property
    def aws_endpoint(self) -> str:
        """Where processes on this machine reach AWS's protocols (an IP: path-style addressing)."""
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def whole_data(self) -> Path:
        """Of all accounts: the others' folders are in the default account's."""
        place = self.data.parent
        is_other = place.name == ACCOUNTS and self.data.name == self.account
        return place.parent if is_other else self.data

    def arn(self, service: str, resource: str) -> str:
        """`arn("sqs", "jobs")` → `arn:aws:sqs:us-east-1:000000000000:jobs`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
