"""The AWS SDK for JavaScript, which AWS puts beside Node.js functions: what code imports of it
without bringing it along is installed by npm into the data directory, once for each set.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included
"""

import logging
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from cloudlet import npm
from cloudlet.functions.worker_process import Spec

_log = logging.getLogger(__name__)
# Of @smithy every package has a line of its own: the one that the SDK's goes with is its newest.
_VERSIONS = {"@aws-sdk": "^3", "@smithy": "*"}
_IMPORTED = re.compile(
    rb"""(?:\brequire\s*\(|\bfrom|\bimport\s*\(?)\s*["'](@(?:aws-sdk|smithy)/[a-z0-9._-]+)"""
)
_SUFFIXES = (".js", ".mjs", ".cjs")
_MODULES = "node_modules"


def provide(data: Path, spec: Spec, *, insists: bool = False) -> str:
    """The folder whose `node_modules` has what the function lacks; "" where there is none, or it
    cannot be had. Blocking. `insists`: tries again even where it failed just now."""
    missing = _missing(spec.folder, spec.layers, spec.digest)
    if not missing or not spec.runtime.startswith("nodejs"):
        return ""
    packages = [f"{name}@{_VERSIONS[name.partition('/')[0]]}" for name in missing]
    folder = npm.folder(data, packages)
    if folder.is_dir():
        return str(folder)
    if npm.has_failed(data, packages) and not insists:
        return ""
    shown = ", ".join(packages)
    _log.warning("%s imports what AWS's runtime brings; npm installs: %s", spec.name, shown)
    try:
        return str(npm.install(data, packages))
    except npm.NpmError as error:
        _log.warning("%s will fail to start: it lacks %s, and %s", spec.name, shown, error)
        return ""


@lru_cache(maxsize=1024)
def _missing(folder: str, layers: tuple[str, ...], digest: str) -> tuple[str, ...]:
    """The function's imports, and its layers', that none of their node_modules satisfies.
    `digest` tells one state of a folder from the next."""
    shared = [Path(layer, "nodejs") for layer in layers]
    names = set(_lacking(Path(folder), shared, is_layer=False))
    for layer in layers:
        names.update(_lacking(Path(layer), shared, is_layer=True))
    return tuple(sorted(names))


def _lacking(root: Path, shared: list[Path], *, is_layer: bool) -> Iterator[str]:
    for place, folders, files in os.walk(root):
        if not is_layer and _MODULES in folders:  # what is there has been resolved by npm
            folders.remove(_MODULES)
        for file in files:
            if file.endswith(_SUFFIXES):
                above = [Path(place), *Path(place).parents]
                homes = [*(each for each in above if each.is_relative_to(root)), *shared]
                for found in set(_IMPORTED.findall(Path(place, file).read_bytes())):
                    name = found.decode()
                    if not any((home / _MODULES / name).is_dir() for home in homes):
                        yield name
