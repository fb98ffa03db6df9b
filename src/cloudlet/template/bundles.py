"""BuildMethod esbuild: which esbuild bundles a function's code, and what it is told.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-build-typescript.html
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudlet import npm

_ESBUILD = "^0.28"  # where the project names none
_OWN = ("Bundle", "Platform", "Outdir")  # not for templates to say
_NOT_ESBUILDS = ("EntryPoints", "UseNpmCi")
_DEFAULTS = {"Target": "es2020", "Format": "cjs", "Minify": True}
_VERSION = re.compile(r"[\^~]?\d+(\.\d+)*")


def command(data: Path, folder: Path, packages: Path | None) -> str:
    """The project's own esbuild, the machine's, or one that npm installs. Raises npm.NpmError."""
    places = [folder, *folder.parents, *filter(None, [packages])]
    found = [place / "node_modules" / ".bin" / "esbuild" for place in places]
    for program in (*filter(Path.is_file, found), shutil.which("esbuild")):
        if program:
            return str(program)
    installed = npm.install(data, [f"esbuild@{_wanted(folder / 'package.json')}"])
    return str(installed / "node_modules" / ".bin" / "esbuild")


def arguments(options: Mapping[str, Any], folder: Path, target: Path) -> list[str]:
    """Raises ValueError."""
    entries = options.get("EntryPoints")
    if not isinstance(entries, list) or not entries:
        raise ValueError("EntryPoints of BuildProperties must be a list of files")
    told = ["--bundle", "--platform=node", f"--outdir={target}"]
    for name, value in {**_DEFAULTS, **options}.items():
        if name in (*_OWN, *_NOT_ESBUILDS):
            continue
        flag = "--" + re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()
        if isinstance(value, list):
            told += [f"{flag}:{each}" for each in value]
        elif isinstance(value, bool):
            told += [flag] if value else []
        else:
            told.append(f"{flag}={value}")
    return [*(_entry(folder, str(entry)) for entry in entries), *told]


def _entry(folder: Path, name: str) -> str:
    ends = ("",) if Path(name).suffix else (".ts", ".js")
    for end in ends:
        if (folder / f"{name}{end}").is_file():
            return name + end
    raise ValueError(f"the entry point {name} does not exist")


def _wanted(manifest: Path) -> str:
    try:
        version = json.loads(manifest.read_text())["devDependencies"]["esbuild"]
    except (OSError, ValueError, KeyError, TypeError):
        return _ESBUILD
    return version if _VERSION.fullmatch(str(version)) else _ESBUILD
