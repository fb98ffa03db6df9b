"""Namespaces: a worker with processes, mounts and a /tmp of its own.

Root may make them as it is. Anyone else makes them inside a user namespace, in which one may do
all of this but to nothing outside; some systems refuse even that.
The first process of a PID namespace takes all others along when it ends.
https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cloudlet.functions import linux

_BARRED = linux.NO_SETUID | linux.NO_DEVICES | linux.NO_EXECUTE
_KEPT_FLAGS = linux.READ_ONLY | _BARRED
_NO_MORE = "No more processes can be started."
_TMP = os.path.realpath("/tmp")


def works(kind: str) -> bool:
    """Tries it in a child. Kinds: "plain" (with the rights we have) and "user"."""
    return linux.is_linux() and _succeeds(lambda: _enter(kind) and cover(["/tmp"], []))


def can_be_read_only(kind: str) -> bool:
    return _succeeds(lambda: _enter(kind) and linux.make_read_only("/"))


def _enter(kind: str) -> bool:
    if kind == "user" and not _own_user():
        return False
    return linux.unshare(linux.NEW_PIDS) and own_mounts()


def _succeeds(attempt: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(OSError):
            status = 0 if attempt() else 1
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def fork_plain(own_pids: int) -> int:
    """Forks; the child is the first of its own PID namespace. `own_pids`: a descriptor of the
    caller's, which it returns to."""
    is_apart = linux.unshare(linux.NEW_PIDS)
    child = _fork_or_fail()
    if child and is_apart:
        linux.rejoin(own_pids, linux.NEW_PIDS)
    if child < 0:
        raise BlockingIOError(_NO_MORE)
    return child


def fork_in_user_namespace() -> int:
    """The same without privileges. The way back out of a namespace is barred then, so a process
    in between goes in, forks, tells the number and ends; the caller, who must be a subreaper,
    inherits its child. The child goes on only after that: its parent is final."""
    told_in, told_out = os.pipe()
    go_in, go_out = os.pipe()
    between = _fork_or_fail()
    if between == 0:
        os.close(go_out)
        _go_between(told_out, go_in)
        return 0
    os.close(told_out)
    os.close(go_in)
    told = os.read(told_in, 16) if between > 0 else b""
    if between > 0:
        os.waitpid(between, 0)
    if told:
        with suppress(BrokenPipeError):
            os.write(go_out, b"!")
    os.close(told_in)
    os.close(go_out)
    if not told:
        raise BlockingIOError(_NO_MORE)
    return int(told)


def _fork_or_fail() -> int:
    try:
        return os.fork()
    except OSError:
        return -1


def _go_between(told_out: int, go_in: int) -> None:
    """Returns in the child alone."""
    try:
        if not (_own_user() and linux.unshare(linux.NEW_PIDS)):
            os._exit(1)
        child = os.fork()
    except OSError:
        os._exit(1)
    if child:
        os.write(told_out, str(child).encode())
        os._exit(0)
    if not os.read(go_in, 1):
        os._exit(1)


def _own_user() -> bool:
    """A user namespace in which this user and group are themselves, and nobody else exists."""
    user, group = os.geteuid(), os.getegid()
    linux.prctl(linux.DUMPABLE, 1)  # else /proc/self belongs to root
    if not linux.unshare(linux.NEW_USER):
        return False
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    with suppress(OSError):  # a function needs none of its own
        _write("/proc/sys/user/max_user_namespaces", "0")
    return True


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def own_mounts() -> bool:
    """What is mounted from here on, nobody else sees."""
    everything = linux.RECURSIVE | linux.PRIVATE
    return linux.unshare(linux.NEW_MOUNTS) and linux.mount("none", "/", "", everything)


def own_proc() -> bool:
    """A /proc of this PID namespace alone. Some containers refuse it."""
    return linux.mount("proc", "/proc", "proc", _BARRED)


def cover(folders: list[str], visible: list[str], tmp_mb: int = 1) -> bool:
    """Puts something empty over each folder: over /tmp a file system of that size, over others
    one that cannot be written. What is `visible` below them stays where it is, to be read."""
    covers = {os.path.realpath(path) for path in folders if Path(path).is_dir()}
    kept = {
        path: os.open(path, os.O_PATH)
        for path in {os.path.realpath(path) for path in visible} - covers
        if Path(path).exists() and any(Path(path).is_relative_to(cover) for cover in covers)
    }
    made = []
    try:
        for path in sorted(covers | set(kept)):  # from the outside to the inside
            if path in kept:
                _put_back(kept[path], path)
            elif Path(path).is_dir():
                made.append(path)
                if not _mount_empty(path, tmp_mb):
                    return False
    finally:
        for descriptor in kept.values():
            os.close(descriptor)
    return all(_seal(path) for path in made if path != _TMP)


def show_at(source: str, target: str) -> bool:
    """Lets a folder appear at another place as well, to be read."""
    return linux.mount(source, target, "", linux.BIND | linux.RECURSIVE) and _seal(target)


def _mount_empty(path: str, tmp_mb: int) -> bool:
    options = f"size={tmp_mb}m,mode=1777" if path == _TMP else "size=1m,mode=0755"
    return linux.mount("tmpfs", path, "tmpfs", linux.NO_SETUID | linux.NO_DEVICES, options)


def _put_back(descriptor: int, path: str) -> None:
    source, target = f"/proc/self/fd/{descriptor}", Path(path)
    if target.exists():
        return  # below one that was put back before
    if Path(source).is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    if not (linux.mount(source, path, "", linux.BIND | linux.RECURSIVE) and _seal(path)):
        raise PermissionError(f"{path} cannot be shown to the function")


def _seal(path: str) -> bool:
    flags = os.statvfs(path).f_flag & _KEPT_FLAGS  # may not be taken away
    return linux.mount("", path, "", linux.REMOUNT | linux.BIND | linux.READ_ONLY | flags)
