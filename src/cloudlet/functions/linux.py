"""The few calls of Linux that Python has no name for. Each says whether it worked.

Importing this does nothing, on any system; elsewhere than on Linux all calls answer False.
https://man7.org/linux/man-pages/dir_section_2.html
"""

import ctypes
import struct
import sys
from typing import Any

NEW_MOUNTS, NEW_USER, NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXECUTE = 1, 2, 4, 8
REMOUNT, BIND, RECURSIVE, PRIVATE = 32, 0x1000, 0x4000, 0x40000
PARENT_DEATH_SIGNAL, DUMPABLE, NO_NEW_PRIVILEGES, SUBREAPER = 1, 4, 38, 36
_DROP_BOUNDING, _CAPABILITY_VERSION, _CAPABILITIES = 24, 0x20080522, 64
_MOUNT_SETATTR, _HERE, _ALL_BELOW = 442, -100, 0x8000


def libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def is_linux() -> bool:
    return sys.platform == "linux"


def prctl(option: int, value: int) -> bool:
    return is_linux() and libc().prctl(option, value, 0, 0, 0) == 0


def unshare(flags: int) -> bool:
    return is_linux() and libc().unshare(flags) == 0


def rejoin(namespace: int, kind: int) -> bool:
    return is_linux() and libc().setns(namespace, kind) == 0


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> bool:
    texts = [text.encode() or None for text in (source, target, kind)]
    return is_linux() and libc().mount(*texts, flags, options.encode() or None) == 0


def make_read_only(path: str) -> bool:
    """The mount at `path` and all below it."""
    attributes = struct.pack("4Q", READ_ONLY, 0, 0, 0)
    arguments = (_HERE, path.encode(), _ALL_BELOW, attributes, len(attributes))
    return is_linux() and libc().syscall(_MOUNT_SETATTR, *arguments) == 0


def keep_capabilities(count: int) -> bool:
    """Drops all but the first `count`, and what a program executed later could gain."""
    if not is_linux():
        return False
    for capability in range(count, _CAPABILITIES):
        prctl(_DROP_BOUNDING, capability)
    kept = (1 << count) - 1
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    return bool(libc().capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)) == 0)
