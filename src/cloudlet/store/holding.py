"""One cloudlet per data directory: a lock that goes with the process, however it ends."""

import fcntl
import os
from pathlib import Path

from cloudlet.errors import AwsError


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
