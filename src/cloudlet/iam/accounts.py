"""The accounts of one data directory, as folders: the default one is the directory itself, each
other has `accounts/<id>/`, with a root key and, once somebody used it, all of its state.

A running cloudlet notices new folders, and those marked for deletion, by itself.
https://docs.aws.amazon.com/accounts/latest/reference/accounts-welcome.html
"""

import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cloudlet.config import ACCOUNTS, Config
from cloudlet.errors import AwsError
from cloudlet.iam.root import FILE, RootKey, root_key
from cloudlet.store import integrity, lineage

_ABOUT = "account.json"
_DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str


def config_of(config: Config, account: str) -> Config:
    """The settings of one account; everything of it lives below its folder."""
    if account == config.account:
        return config
    replica = config.replica and config.replica / ACCOUNTS / account
    return replace(config, account=account, data=config.data / ACCOUNTS / account, replica=replica)


def create(config: Config, name: str) -> tuple[Account, RootKey]:
    """Appears at once and whole, under a new id."""
    if not re.fullmatch(r"[\w. @+-]{0,50}", name):
        raise AwsError("InvalidAccount", f"{name!r} is no account's name: letters, digits, . @ + -")
    if name and any(each.name == name for each in known(config)):
        raise AwsError("AccountExists", f"there is an account named {name} already", 409)
    account = Account(_new_id(config), name)
    own = config_of(config, account.id)
    draft = replace(own, data=own.data.with_name(f".{account.id}"))
    draft.data.mkdir(parents=True, mode=0o700)
    key = root_key(draft)
    (draft.data / _ABOUT).write_text(json.dumps({"Name": name}))
    draft.data.rename(own.data)
    if other := lineage.other(config.data):
        with suppress(OSError):  # it gets them when it can be written again
            for name in (FILE, _ABOUT):
                integrity.copy(own.data / name, other / ACCOUNTS / account.id / name)
    return account, key


def known(config: Config) -> list[Account]:
    """All but the default one."""
    folders = sorted((config.data / ACCOUNTS).glob("[0-9]*"))
    return [_read(folder) for folder in folders if exists(config, folder.name)]


def exists(config: Config, account: str) -> bool:
    folder = config.data / ACCOUNTS / account
    return account.isdecimal() and (folder / FILE).exists() and not is_deleted(config, account)


def id_of(config: Config, account: str) -> str:
    """`account` is an id or a name."""
    if account == config.account or exists(config, account):
        return account
    for each in known(config):
        if account and each.name == account:
            return each.id
    raise AwsError("NoSuchAccount", f"there is no account {account} in {config.data}", 404)


def key_of(config: Config, account: str) -> RootKey:
    return root_key(config_of(config, id_of(config, account)))


def is_used(config: Config, account: str) -> bool:
    """Whether it has any state that may want to act by itself."""
    return (config_of(config, account).data / "cloudlet.db").exists()


def mark_deleted(config: Config, account: str) -> None:
    account = id_of(config, account)
    if account == config.account:
        raise AwsError("InvalidAccount", "the default account cannot be deleted")
    (config_of(config, account).data / _DELETED).touch()


def is_deleted(config: Config, account: str) -> bool:
    return (config.data / ACCOUNTS / account / _DELETED).exists()


def sweep(config: Config) -> None:
    """Removes the folders that are marked; nobody may have them open."""
    for mark in (config.data / ACCOUNTS).glob(f"[0-9]*/{_DELETED}"):
        if other := lineage.other(config.data):
            shutil.rmtree(other / ACCOUNTS / mark.parent.name, ignore_errors=True)
        mark.parent.rename(mark.parent.with_name(f".{mark.parent.name}-{config.new_secret(4)}"))
    for dying in (config.data / ACCOUNTS).glob(
        ".[0-9]*-*"
    ):  # by name first: a crash may be between
        shutil.rmtree(dying, ignore_errors=True)


def _new_id(config: Config) -> str:
    while True:
        number = int(config.new_secret(8), 16) % 900_000_000_000 + 100_000_000_000
        if not (config.data / ACCOUNTS / str(number)).exists():
            return str(number)


def _read(folder: Path) -> Account:
    try:
        document = json.loads((folder / _ABOUT).read_text())
        return Account(folder.name, str(document["Name"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Account(folder.name, "")
