"""Local code: folders and files that a template names, their digests, and the URIs in between.

The translator and CloudFormation know code only as an object in S3. A local folder is therefore
called `s3://cloudlet-folder/<digest>/<path>`: the digest changes with the content, so a changed
folder is a changed property (and, with AutoPublishAlias, a new version). `location` turns it back
into what Lambda is told here: `{"S3Bucket": "cloudlet-folder", "S3Key": "/absolute/path"}`.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from cloudlet.store.database import Database, Transaction
from cloudlet.template.problems import TemplateError

BUCKET = "cloudlet-folder"
DATA_URL = "data:application/json,"  # of a nested template
SKIPPED = frozenset(
    {"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".DS_Store", ".aws-sam", ".cloudlet"}
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS template_digests (
    path      TEXT PRIMARY KEY,
    signature TEXT NOT NULL,  -- names, sizes and times: equal means unread
    digest    TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder (or a single file) with code."""

    path: Path
    digest: str

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{self.key}"

    @property
    def key(self) -> str:
        return f"{self.digest}{quote(str(self.path))}"


def location(code: dict[str, Any]) -> dict[str, Any]:
    """`Code` or `Content` as Lambda is told: a zip file's bytes, or the folder's place."""
    if code.get("S3Bucket") != BUCKET:
        return code
    path = Path(unquote(code["S3Key"].partition("/")[2]).join(("/", "")))
    if path.is_file():
        return {"ZipFile": path.read_bytes()}
    return {"S3Bucket": BUCKET, "S3Key": str(path)}


def refuse(properties: dict[str, Any]) -> None:
    """Who deploys over the network has no folders here."""
    for code in (properties.get("Code"), properties.get("Content")):
        if isinstance(code, dict) and code.get("S3Bucket") == BUCKET:
            raise TemplateError(f"The bucket {BUCKET} is not accessible.")


def digest(database: Database, path: Path) -> Folder:
    """The folder with the digest of its content; unchanged files are not read again."""
    names, signature = _signature(path)
    row = database.view().one(
        "SELECT digest FROM template_digests WHERE path = ? AND signature = ?",
        (str(path), signature),
    )
    if row is not None:
        return Folder(path, row["digest"])
    content = _content_digest(path, names)

    def remember(tx: Transaction) -> None:
        tx.run(
            "INSERT OR REPLACE INTO template_digests VALUES (?, ?, ?)",
            (str(path), signature, content),
        )

    database.write_now(remember)
    return Folder(path, content)


def files(path: Path) -> Iterator[Path]:
    """Every file of a folder that counts, in a stable order."""
    if path.is_file():
        yield path
        return
    seen: set[str] = set()  # links are followed, but never in circles
    for folder, names, entries in os.walk(path, followlinks=True):
        names[:] = sorted(name for name in names if name not in SKIPPED)
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        for entry in sorted(entries):
            if entry not in SKIPPED and not entry.endswith(".pyc"):
                yield Path(folder, entry)


def _signature(path: Path) -> tuple[list[Path], str]:
    names = list(files(path))
    state = hashlib.sha256()
    for name in names:
        status = name.stat() if name.exists() else name.lstat()
        state.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n".encode())
    return names, state.hexdigest()


def _content_digest(path: Path, names: list[Path]) -> str:
    state = hashlib.sha256()
    for name in names:
        data = name.read_bytes() if name.exists() else b""
        relative = name.relative_to(path) if name != path else Path(name.name)
        mode = "x" if os.access(name, os.X_OK) else "-"
        state.update(f"{relative}\0{mode}\0{len(data)}\0".encode())
        state.update(data)
    return state.hexdigest()[:32]
