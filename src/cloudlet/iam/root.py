"""The root key: made at the first start, kept in `<data>/root-key.json`, for the owner's eyes only.

Whoever can read the file is the account's root. A file that others can read is closed again, with
a warning; a damaged one is refused, never replaced: somebody may hold copies of the key.
"""

import contextlib
import json
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.iam.identifiers import access_key_id, secret_key

FILE = "root-key.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RootKey:
    access_key: str
    secret_key: str


class DamagedRootKey(AwsError):
    """The key file is there and can't be read."""

    def __init__(self, message: str) -> None:
        super().__init__("DamagedRootKey", message, 500)


def root_key(config: Config) -> RootKey:
    """The key of this data directory; the first call makes it."""
    path = config.data / FILE
    if not path.exists():
        config.data.mkdir(parents=True, exist_ok=True)
        key = RootKey(access_key_id(config, "AKIA"), secret_key(config))
        # Two processes may start at once: whoever links first wins, both read the same file.
        _create(path, key, config.new_secret(8))
    return _read(path)


def _create(path: Path, key: RootKey, suffix: str) -> None:
    temporary = path.with_name(f".{path.name}.{suffix}")
    text = json.dumps({"AccessKeyId": key.access_key, "SecretAccessKey": key.secret_key}) + "\n"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> RootKey:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        _log.warning("%s was readable by others; its mode is 0600 again", path)
        path.chmod(0o600)
    try:
        document = json.loads(path.read_text())
        return RootKey(str(document["AccessKeyId"]), str(document["SecretAccessKey"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRootKey(f"{path} is damaged: {error}. Restore it, or move it away.") from error
