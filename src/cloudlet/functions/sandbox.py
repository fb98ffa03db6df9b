"""What shuts a worker in: namespaces, rlimits, Landlock, no new privileges.

Runs inside the zygote and its children, so it imports nothing heavy and keeps no state. Every
measure is tried and its success told: `probe()` says what this machine can do, and the pool's
`isolation_report` passes it on. https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_RDONLY, _MS_REMOUNT = 1, 32
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x1000, 0x4000, 0x40000, 2, 4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_SIGKILL = 9
_PR_CAPBSET_DROP, _CAPABILITY_VERSION = 24, 0x20080522
_KEPT_CAPABILITIES = 4  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_SCOPES = 0b11  # abstract sockets and signals stay inside
OPEN_FILES = 1024  # AWS's limit of descriptors and of processes and threads
PROCESSES = 1024
SYSTEM_PATHS = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc", "/sys/devices/system/cpu",
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/ld.so.cache",
    "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/mime.types",
    "/etc/os-release", "/etc/alternatives", "/run/systemd/resolve",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """Landlock's version on this kernel; 0 = none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, 1)))


def probe() -> dict[str, bool]:
    """What of the isolation works for this process (children have the same rights)."""
    can_namespace = _can_unshare()
    return {
        "landlock": landlock_abi() > 0,
        "landlock_scopes": landlock_abi() >= 6,
        "private_tmp": can_namespace,
        "pid_namespace": can_namespace,
        "process_limit": os.getuid() != 0,  # the kernel exempts root from RLIMIT_NPROC
    }


def _can_unshare() -> bool:
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        failed = _libc().unshare(_CLONE_NEWNS | _CLONE_NEWPID)
        failed = failed or _libc().mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        os._exit(1 if failed else 0)
    return os.waitpid(child, 0)[1] == 0


def fork_in_pid_namespace(own_namespace: int | None) -> int:
    """Forks; the child is the first process of its own PID namespace, so that its death ends all
    it started. `own_namespace` is a descriptor of the caller's; None = plain fork."""
    libc = _libc()
    is_apart = own_namespace is not None and libc.unshare(_CLONE_NEWPID) == 0
    child = os.fork()
    if child and is_apart:
        libc.setns(own_namespace, _CLONE_NEWPID)
    return child


def die_with_parent() -> None:
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def set_limits(address_space_bytes: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if address_space_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))


def limit_processes(running: int) -> None:
    """The kernel counts all processes of the user: allow what runs now and AWS's limit more."""
    with suppress(ValueError, OSError):
        limit = running + PROCESSES
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def private_tmp(size_mb: int, visible: list[str]) -> bool:
    """Mounts an own /tmp of a fixed size; `visible` folders below /tmp stay where they are."""
    libc = _libc()
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        return False
    kept = [
        (os.open(path, os.O_PATH), path)
        for path in sorted({os.path.realpath(path) for path in visible})
        if path.startswith("/tmp/") and Path(path).exists()
    ]
    options = f"size={size_mb}m,mode=1777".encode()
    if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", _MS_NOSUID | _MS_NODEV, options):
        return False
    for descriptor, path in kept:
        source = f"/proc/self/fd/{descriptor}"
        target = Path(path)
        if Path(source).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        libc.mount(source.encode(), path.encode(), None, _MS_BIND | _MS_REC, None)
        # Below /tmp all is writable but what was put there from outside.
        libc.mount(None, path.encode(), None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None)
        os.close(descriptor)
    return True


def drop_capabilities() -> None:
    """A root process keeps only what files' owners and modes would deny it: no mounts, no
    devices, no network settings, no other process's memory. Others have none to begin with."""
    if os.getuid() != 0 or sys.platform != "linux":
        return
    libc = _libc()
    for capability in range(_KEPT_CAPABILITIES, 64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    kept = (1 << _KEPT_CAPABILITIES) - 1
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0))


def restrict(readable: list[str], writable: list[str]) -> bool:
    """From here on only these paths can be opened. Also forbids gaining privileges (setuid)."""
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    abi = landlock_abi()
    if not abi:
        return False
    handled = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    attributes = struct.pack("QQQ", handled, 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    for path in readable:
        _allow(libc, ruleset, path, handled & _READ)
    for path in _DEVICES:
        _allow(libc, ruleset, path, handled & (_READ_FILE | _WRITE_FILE))
    for path in writable:
        _allow(libc, ruleset, path, handled)
    failed = libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return not failed


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there: nothing to allow
    if not Path(path).is_dir():
        rights &= _FILE_RIGHTS
    libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)
