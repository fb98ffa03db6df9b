"""Landlock: from some moment on a process and all it starts can open only the paths named.

The rules only ever add, so a folder with something secret below it is allowed piece by piece.
https://docs.kernel.org/userspace-api/landlock.html
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudlet.functions import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_SCOPES = 0b11  # abstract sockets and signals stay inside
SCOPES_ABI = 6
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """Landlock's version on this kernel; 0 = none."""
    if not linux.is_linux():
        return 0
    return max(0, int(linux.libc().syscall(_CREATE_RULESET, None, 0, 1)))


def restrict(readable: list[str], writable: list[str], hidden: list[str]) -> bool:
    """`hidden` stays so even below `readable`. Needs the promise not to gain privileges."""
    version = abi()
    if not version:
        return False
    libc = linux.libc()
    handled = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("QQQ", handled, 0, _SCOPES if version >= SCOPES_ABI else 0)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, 24 if version >= SCOPES_ABI else 8, 0)
    if ruleset < 0:
        return False
    secrets = [os.path.realpath(path) for path in hidden]
    for path in readable:
        for piece, rights in _pieces(os.path.realpath(path), secrets):
            _allow(libc, ruleset, piece, handled & rights)
    for path in _DEVICES:
        _allow(libc, ruleset, path, handled & (_READ_FILE | _WRITE_FILE))
    for path in writable:
        _allow(libc, ruleset, path, handled)
    failed = libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return not failed


def _pieces(path: str, secrets: list[str]) -> Iterator[tuple[str, int]]:
    """What of `path` may be read; of a folder above a secret, the names and all else in it."""
    if path in secrets:
        return
    if not any(Path(secret).is_relative_to(path) for secret in secrets):
        yield path, _READ
        return
    yield path, _READ_DIR
    with suppress(OSError):
        for entry in os.scandir(path):
            if not entry.is_symlink():  # what a link leads to is allowed where it is
                yield from _pieces(entry.path, secrets)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there: nothing to allow
    if not Path(path).is_dir():
        rights &= _FILE_RIGHTS
    libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)
