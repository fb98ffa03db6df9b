"""How a worker is shut in: which measures this machine grants, and how they are applied.

Runs inside the zygote and its children, so it imports nothing heavy and keeps no state. Every
measure is tried first: `probe()` says what works, and the pool's `isolation_report` passes it on.
Where there are namespaces and Landlock, both shut the function in; either alone suffices to hide
the data directory. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import os
import pwd
import resource
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from cloudlet.functions import landlock, linux, namespaces

_SIGKILL = 9
_ROOT_CAPABILITIES = 4  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
OPEN_FILES = 1024  # AWS's limit of descriptors and of processes and threads
PROCESSES = 1024
SYSTEM_PATHS = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc", "/sys/devices/system/cpu",
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/ld.so.cache",
    "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/mime.types",
    "/etc/os-release", "/etc/alternatives", "/run/systemd/resolve",
)  # fmt: skip


def probe(without: Collection[str] = ()) -> dict[str, bool]:
    """What of the isolation works for this process (children have the same rights). `without`:
    measures to leave alone, so that tests can see each mode; "namespaces" are those of root."""
    plain = "namespaces" not in without and namespaces.works("plain")
    user = not plain and "user_namespace" not in without and namespaces.works("user")
    kind = "plain" if plain else "user"
    version = 0 if "landlock" in without else landlock.abi()
    return {
        "landlock": version > 0,
        "landlock_scopes": version >= landlock.SCOPES_ABI,
        "private_tmp": plain or user,
        "pid_namespace": plain or user,
        "user_namespace": user,
        "read_only": (plain or user) and namespaces.can_be_read_only(kind),
        "adopts_orphans": adopt_orphans(),
        "process_limit": os.getuid() != 0,  # the kernel exempts root from RLIMIT_NPROC
    }


def fork(abilities: dict[str, bool], own_pids: int | None) -> int:
    """Forks into namespaces as this machine can. Raises OSError when it is full."""
    if abilities["user_namespace"]:
        return namespaces.fork_in_user_namespace()
    if abilities["pid_namespace"] and own_pids is not None:
        return namespaces.fork_plain(own_pids)
    return os.fork()


def shut_in(message: dict[str, Any], readable: list[str], abilities: dict[str, bool]) -> str:
    """In the worker: applies all that works; returns the folder that it may write."""
    own_tmp = str(message["tmp"])
    if abilities["private_tmp"]:
        _shut_in_by_mounts(message, readable, abilities)
        own_tmp = "/tmp"
    _set_limits(message["address_space_bytes"])
    if abilities["process_limit"]:
        is_counted_apart = abilities["user_namespace"] and _counts_by_namespace()
        _limit_processes(0 if is_counted_apart else message["user_processes"])
    is_root = os.getuid() == 0 and not abilities["user_namespace"]
    linux.keep_capabilities(_ROOT_CAPABILITIES if is_root else 0)
    linux.prctl(linux.NO_NEW_PRIVILEGES, 1)
    is_apart = abilities["user_namespace"]
    if abilities["landlock"]:
        is_apart |= landlock.restrict(readable, [own_tmp], message["hidden"])
    # Where nothing else does, this keeps workers of the same user out of each other's memory.
    linux.prctl(linux.DUMPABLE, int(is_apart))
    return own_tmp


def _shut_in_by_mounts(
    message: dict[str, Any], readable: list[str], abilities: dict[str, bool]
) -> None:
    folders = ["/tmp", *message["hidden"]]
    if not namespaces.own_mounts():
        raise PermissionError("The worker gets no mounts of its own.")
    if not abilities["landlock"]:
        linux.make_read_only("/")
        folders += _homes()
    if not namespaces.cover(folders, readable, message["tmp_mb"]):
        raise PermissionError("The worker gets no /tmp of its own.")
    if message["opt"] and namespaces.show_at(message["opt"], "/opt"):
        readable.append("/opt")
    namespaces.own_proc()


def _homes() -> list[str]:
    with suppress(KeyError):
        home = pwd.getpwuid(os.getuid()).pw_dir
        return [home] if os.path.realpath(home) != "/" else []
    return []


def die_with_parent() -> None:
    linux.prctl(linux.PARENT_DEATH_SIGNAL, _SIGKILL)


def adopt_orphans() -> bool:
    """Processes whose parents end below this one become its children, whatever their session."""
    return linux.prctl(linux.SUBREAPER, 1)


def hide_memory() -> None:
    """Processes of the same user can read neither our memory nor our environment from here on."""
    linux.prctl(linux.DUMPABLE, 0)


def _set_limits(address_space_bytes: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if address_space_bytes:
        with suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))


def _counts_by_namespace() -> bool:
    """Since Linux 5.14 a user's processes count in each user namespace from zero."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)


def _limit_processes(running: int) -> None:
    """The kernel counts all processes of the user: allow what runs now and AWS's limit more."""
    with suppress(ValueError, OSError):
        limit = running + PROCESSES
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
