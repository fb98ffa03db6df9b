"""Builds code as `sam build` does: what a folder's requirements.txt or package.json asks for is
installed beside a copy of it, in the data directory.

A build is kept under the digest of the folder, installed packages under that of what asks for them,
so a changed handler installs nothing again. Folders that are built already, and those whose
requirements cloudlet's own environment satisfies, are used as they are: their functions run in it.
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-layers.html
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path

from cloudlet import npm
from cloudlet.store.database import Database
from cloudlet.template import bundles, folders
from cloudlet.template.problems import TemplateError

Say = Callable[[str], None]
_OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
_KEPT = 3  # builds of one folder: workers may still run the one before
_INSTALL_S = 900
_LAYER_FOLDERS = {"python": "python", "nodejs": "nodejs"}
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:(?P<how>==|>=)\s*(?P<version>[0-9][0-9.]*))?"
)
_ELSEWHERE = re.compile(
    r"^\s*(-[rce]|--(req|con|edi)|\.|/|file:)|\s@\s", re.M
)  # more than this one file decides


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built. `method` is a runtime ("python3.12"), "esbuild" or "makefile";
    `options` the template's BuildProperties as JSON."""

    logical_id: str
    folder: Path
    method: str
    is_layer: bool
    options: str = "{}"

    @property
    def language(self) -> str:
        return "nodejs" if self.method == "esbuild" else self.method.rstrip("0123456789.x")

    @property
    def asks(self) -> Path:
        return self.folder / ("package.json" if self.language == "nodejs" else "requirements.txt")


def is_needed(order: Order) -> bool:
    if order.method == "makefile":
        return not (order.is_layer and any((order.folder / n).is_dir() for n in _LAYER_FOLDERS))
    if order.method == "esbuild" and not order.is_layer:
        return True
    if order.language not in _LAYER_FOLDERS or order.method == "esbuild":
        raise TemplateError(f"BuildMethod {order.method} is not implemented by cloudlet.",
                            where=order.logical_id)  # fmt: skip
    if not order.asks.is_file():
        return False
    if order.language == "nodejs":
        return _lacks_packages(order)
    lines = [line.split("#", 1)[0].strip() for line in _text(order.asks).splitlines()]
    names = [line for line in lines if line]
    if _python(order.method) == sys.executable and all(map(_is_satisfied, names)):
        return False
    return bool(names) and not any(order.folder.glob("*.dist-info"))


def _lacks_packages(order: Order) -> bool:
    has_own = (order.folder / "node_modules").is_dir()
    return not has_own and order.asks.is_file() and "ependencies" in _text(order.asks)


def build(database: Database, data: Path, order: Order, say: Say) -> Path:
    """The folder with the build. Blocking, and long the first time: `say` is told when something
    is run for it. Raises TemplateError."""
    content = folders.digest(database, order.folder).digest
    place = data / "builds" / _digest(str(order.folder), order.logical_id)
    target = place / _digest(content, order.method, order.options)
    if target.is_dir():
        target.touch()
        return target
    partial_ = place / f"new-{target.name}"
    shutil.rmtree(partial_, ignore_errors=True)
    inner = partial_ / _LAYER_FOLDERS.get(order.language, "") if order.is_layer else partial_
    inner.mkdir(parents=True)
    try:
        if order.method == "makefile":
            _tell(say, order, "make")
            _make(order, partial_)
        elif order.method == "esbuild":
            _tell(say, order, "esbuild")
            _bundle(data, order, content, partial_)
        else:
            installed = _installed(data / "builds" / "packages", order, content, say)
            shutil.copytree(installed, inner, copy_function=os.link, dirs_exist_ok=True)
            _copy(order.folder, inner)
        partial_.rename(target)
    finally:
        shutil.rmtree(partial_, ignore_errors=True)
    for old in sorted(place.iterdir(), key=lambda path: -path.stat().st_mtime)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _tell(say: Say, order: Order, how: str) -> None:
    say(f"Building {order.logical_id} ({how}) …")


def _copy(source: Path, target: Path) -> None:
    skipped = shutil.ignore_patterns(*folders.SKIPPED, "*.pyc")

    def ignored(folder: str, names: list[str]) -> set[str]:
        """The data directory, too, where it lies in the code: the copy is inside."""
        inside = {name for name in names if Path(folder, name) in target.parents}
        return skipped(folder, names) | inside

    shutil.copytree(source, target, copy_function=_replace, ignore=ignored, dirs_exist_ok=True)


def _replace(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)  # it may be a link to a kept package's file
    shutil.copy2(source, target)


def _make(order: Order, target: Path) -> None:
    """As `sam build` runs it: in a copy of the folder, told where the artifacts go."""
    scratch = target.with_name(f"{target.name}-scratch")
    try:
        _copy(order.folder, scratch)
        command = ["make", f"build-{order.logical_id}", f"ARTIFACTS_DIR={target}"]
        _run(order, command, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _bundle(data: Path, order: Order, content: str, target: Path) -> None:
    packages = None
    if _lacks_packages(order):
        packages = _installed(data / "builds" / "packages", order, content, None)
    try:
        program = bundles.command(data, order.folder, packages)
        told = bundles.arguments(json.loads(order.options), order.folder, target)
    except (npm.NpmError, ValueError) as error:
        raise TemplateError(f"{order.folder} cannot be built: {error}.",
                            where=order.logical_id) from error  # fmt: skip
    paths = {"NODE_PATH": str(packages / "node_modules")} if packages else {}
    _run(order, [program, *told], order.folder, **paths)


def _installed(place: Path, order: Order, content: str, say: Say | None) -> Path:
    lock = order.folder / "package-lock.json"
    text = _text(order.asks)
    is_elsewhere = order.language == "python" and _ELSEWHERE.search(text)
    asked = [text, _text(lock) if lock.is_file() else "", content if is_elsewhere else ""]
    target = place / _digest(*asked, order.method, _OWN)
    if target.is_dir():
        return target
    if say is not None:
        tool = "npm" if order.language == "nodejs" else "pip"
        _tell(say, order, f"{tool}: {order.asks.name}")
    new = target.with_name(f"new-{target.name}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        if order.language == "nodejs":
            _npm(order, new, lock)
        else:
            _run(order, [*_pip(order), "--target", str(new), "-r", order.asks.name], order.folder)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target


def _pip(order: Order) -> list[str]:
    """pip of the Python that will run the function; it takes its index from its own settings."""
    python = _python(order.method)
    if _works(python, "-m", "pip", "--version"):
        options = ["--disable-pip-version-check", "--no-input", "--quiet"]
        return [python, "-m", "pip", "install", *options]
    uv = shutil.which("uv")
    if uv is None:
        raise TemplateError(f"{order.asks} cannot be installed: there is no pip and no uv.",
                            where=order.logical_id)  # fmt: skip
    return [uv, "pip", "install", "--quiet", "--python", python]


@cache
def _python(runtime: str) -> str:
    """The interpreter that runs the runtime's functions: cloudlet's own where there is no other."""
    found = None if runtime == _OWN else shutil.which(runtime)
    return found if found and _works(found, "--version") else sys.executable


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _npm(order: Order, target: Path, lock: Path) -> None:
    for file in filter(Path.is_file, (order.asks, lock, order.folder / ".npmrc")):
        shutil.copy2(file, target)
    how = "ci" if lock.is_file() else "install"
    _run(order, [*npm.command(), how, "--omit=dev", *npm.OPTIONS], target)


def _run(order: Order, command: list[str], folder: Path, **environment: str) -> None:
    run = partial(
        subprocess.run,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        done = run(command, timeout=_INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TemplateError(f"{order.folder} cannot be built: {error}",
                            where=order.logical_id) from error  # fmt: skip
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-1500:]
        raise TemplateError(f"{order.folder} cannot be built: {Path(command[0]).name} says: {said}",
                            where=order.logical_id)  # fmt: skip


def _is_satisfied(line: str) -> bool:
    """Whether cloudlet's own environment has it. What is not plain to see is built."""
    match = _REQUIREMENT.fullmatch(line)
    if match is None:
        return False
    try:
        version = metadata.version(match["name"])
    except metadata.PackageNotFoundError:
        return False
    if match["how"] == "==":
        return version == match["version"]
    return match["how"] is None or _numbers(version) >= _numbers(match["version"])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
