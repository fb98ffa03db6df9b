"""One cloudlet per data directory: a lock that goes with the process, however it ends. And how
many files it may open."""

import fcntl
import os
import resource
from pathlib import Path

from cloudlet.errors import AwsError

_SHARE_MAX = 256  # files


def hold(data: Path) -> int:
    """The descriptor to close when done; AwsError while another process holds the folder."""
    file = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        message = f"{data} is in use by another cloudlet"
        raise AwsError("DataDirectoryInUse", message, 409) from error
    return file


def opened(path: Path, flags: int) -> int:
    """A file for a content; refused while the store itself may need those that are left."""
    try:
        file = os.open(path, flags, 0o600)
    except OSError as error:
        if not flags & os.O_CREAT:
            raise
        raise AwsError("ServiceUnavailable", f"The store cannot write: {error}.", 503) from error
    if is_crowded(file, 1):
        os.close(file)
        if flags & os.O_CREAT:
            path.unlink()
        raise slow_down()
    return file


def is_crowded(file: int, shares: int) -> bool:
    """Whether hardly any more files can be opened, told by the number that one got: it is always
    the lowest that is free. `shares` are what others have to be left."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return file >= most - shares * min(_SHARE_MAX, most // 8)


def slow_down() -> AwsError:
    return AwsError("SlowDown", "Please reduce your request rate.", 503)
