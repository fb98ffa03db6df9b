"""Which Python packages a function's `requirements.txt` asks for that its worker will not find.

Requirements are not installed: Python functions run with cloudlet's own packages, plus what lies in
their folder and their layers.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cloudlet.template.sam import Localized

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def missing(localized: Localized) -> list[str]:
    """A warning for each package that is neither installed nor beside the code that asks."""
    warnings = []
    for logical_id, folder in localized.code.items():
        is_layer = localized.document["Resources"][logical_id]["Type"].endswith("LayerVersion")
        place = folder.path / "python" if is_layer else folder.path
        for name in _required(folder.path / "requirements.txt"):
            if not _is_installed(name) and not _is_bundled(place, name):
                warnings.append(
                    f"{logical_id}: requirements.txt asks for {name}, which is not installed beside"
                    " cloudlet: it cannot be imported."
                )
    return warnings


def _required(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#", 1)[0].strip()
        match = _NAME.match(text)
        if match and not text.startswith("-"):
            yield match[1]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _is_bundled(folder: Path, name: str) -> bool:
    wanted = re.sub(r"[-_.]+", "_", name).lower()
    found = (re.sub(r"[-_.]+", "_", path.name).lower() for path in folder.glob("*.dist-info"))
    return any(each.startswith(f"{wanted}_") for each in found) or (folder / wanted).is_dir()
