"""Access key → secret and identity, for whoever verifies signatures.

`lookup` reads the store; `Credentials` keeps answers until a change of IAM's tables, which makes it
forget before the change is acknowledged. So a policy that was taken away is gone at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cloudlet.call import Caller
from cloudlet.config import Config
from cloudlet.iam import managed
from cloudlet.iam.identifiers import iam_arn
from cloudlet.iam.root import RootKey, root_key
from cloudlet.store.database import Database, Row, Transaction, View

Documents = tuple[Mapping[str, Any], ...]
Limits = tuple[tuple[str, Documents], ...]
_CACHE_MAX = 4096
_EVERYTHING = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_KEPT_AFTER_EXPIRY_MS = 24 * 3600_000  # so that a late client hears "expired", not "unknown"


@dataclass(frozen=True, slots=True)
class Credential:
    access_key: str
    secret: str
    session_token: str | None
    expires_ms: int | None
    caller: Caller


class Credentials:
    """The credentials of one cloud, cached; also the live state of the iam and sts services."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        self._root = root_key(config)
        self._known: dict[str, Credential] = {}
        self._used: dict[str, tuple[int, str]] = {}  # key or role → when, by which service
        self.on_forget: Callable[[], None] = lambda: None

    @property
    def root(self) -> RootKey:
        return self._root

    def find(self, access_key: str) -> Credential | None:
        # A change that commits meanwhile replaces the dict: what we read before goes nowhere.
        known = self._known
        found = known.get(access_key)
        if found is None:
            with self._database.snapshot() as view:
                found = lookup(view, self._config, access_key, self._root)
            if found is not None:
                if len(known) >= _CACHE_MAX:
                    known.clear()
                known[access_key] = found
        return found

    def forget(self) -> None:
        """Called in the writer thread, after a commit."""
        self._known = {}
        self.on_forget()

    def note(self, caller: Caller, service: str) -> None:
        """Remembers the last use of a user's key or of a role."""
        if caller.kind == "user" and caller.access_key.startswith("AKIA"):
            self._used[caller.access_key] = (self._config.now_ms(), service)
        elif caller.kind == "role":
            self._used[caller.user_id.partition(":")[0]] = (self._config.now_ms(), service)

    def last_use(self, view: View, identifier: str) -> dict[str, Any]:
        used = self._used.get(identifier) or view.one(
            "SELECT used_ms, service FROM iam_use WHERE id = ?", (identifier,)
        )
        if used is None:
            return {}
        date_s, region = used[0] // 1000, self._config.region
        return {"LastUsedDate": date_s, "ServiceName": used[1], "Region": region}

    def take_uses(self) -> dict[str, tuple[int, str]]:
        used, self._used = self._used, {}
        return used

    def add_uses(self, used: Mapping[str, tuple[int, str]]) -> None:
        """What was noted in another process."""
        self._used.update(used)

    async def keep_uses(self) -> None:
        """Writes down what was noted; AWS, too, tells of a use some minutes late."""
        rows = [(identifier, *use) for identifier, use in self.take_uses().items()]
        if rows:
            sql = "INSERT OR REPLACE INTO iam_use VALUES (?, ?, ?)"
            await self._database.write(lambda tx: tx.run_many(sql, rows))

    async def collect(self) -> int:
        """Deletes sessions that expired long ago; returns how many."""
        await self.keep_uses()
        now_ms = self._config.now_ms()
        count = await self._database.write(lambda tx: collect_expired(tx, now_ms))
        if count:
            self.forget()
        return count


def collect_expired(tx: Transaction, now_ms: int) -> int:
    before_ms = now_ms - _KEPT_AFTER_EXPIRY_MS
    return tx.run("DELETE FROM iam_session WHERE expires_ms < ?", (before_ms,)).rowcount


def lookup(view: View, config: Config, access_key: str, root: RootKey) -> Credential | None:
    """The credential as it is now. Expired ones are found, too: their refusal differs."""
    if access_key == root.access_key:
        return Credential(access_key, root.secret_key, None, None, root_caller(config, access_key))
    if access_key.startswith("ASIA"):
        return _session(view, config, access_key)
    row = view.one(
        "SELECT k.secret, u.* FROM iam_access_key k JOIN iam_user u ON u.name = k.owner"
        " WHERE k.id = ? AND k.status = 'Active'",
        (access_key,),
    )
    if row is None:
        return None
    caller = _user_caller(view, config, row, access_key)
    return Credential(access_key, row["secret"], None, None, caller)


def open_credential(config: Config, access_key: str) -> Credential:
    """With open access: whatever nobody knows is root."""
    return Credential(access_key, "", None, None, root_caller(config, access_key))


def root_caller(config: Config, access_key: str = "") -> Caller:
    arn = f"arn:aws:iam::{config.account}:root"
    return Caller("root", arn, config.account, config.account, access_key)


def _session(view: View, config: Config, access_key: str) -> Credential | None:
    row = view.one("SELECT * FROM iam_session WHERE access_key = ?", (access_key,))
    if row is None:
        return None
    caller = _session_caller(view, config, row)
    if caller is None:  # its role or user is gone
        return None
    return Credential(access_key, row["secret"], row["token"], row["expires_ms"], caller)


def _session_caller(view: View, config: Config, row: Row) -> Caller | None:
    key, owner, claims = row["access_key"], row["owner_id"], orjson.loads(row["claims"])
    if row["kind"] == "role":
        role = view.one("SELECT * FROM iam_role WHERE id = ?", (owner,))
        return _role_caller(view, config, role, row) if role else None
    if row["kind"] == "root" or owner == config.account:
        caller = root_caller(config, key)
    else:
        user = view.one("SELECT * FROM iam_user WHERE id = ?", (owner,))
        if user is None:
            return None
        caller = _user_caller(view, config, user, key)
    if row["kind"] != "federated":
        return replace(caller, context={**caller.context, **claims})
    documents = tuple(orjson.loads(row["policies"]))
    policies = caller.policies if caller.kind == "user" else (_EVERYTHING,)
    return Caller(
        "federated",
        f"arn:aws:sts::{config.account}:federated-user/{row['name']}",
        config.account,
        f"{config.account}:{row['name']}",
        key,
        policies,
        {**_tag_keys(orjson.loads(row["tags"])), **claims},
        (*caller.limits, ("session policy", documents)),
    )


def _user_caller(view: View, config: Config, user: Row, access_key: str) -> Caller:
    return Caller(
        "user",
        iam_arn(config, "user", user["path"], user["name"]),
        config.account,
        user["id"],
        access_key,
        policies_of(view, "user", user["name"]),
        _tag_keys(orjson.loads(user["tags"])),
        _boundary(view, user["boundary"]),
    )


def _role_caller(view: View, config: Config, role: Row, session: Row) -> Caller:
    limits = _boundary(view, role["boundary"])
    documents = tuple(orjson.loads(session["policies"]))
    if documents:
        limits = (*limits, ("session policy", documents))
    tags = {**orjson.loads(role["tags"]), **orjson.loads(session["tags"])}
    return Caller(
        "role",
        f"arn:aws:sts::{config.account}:assumed-role/{role['name']}/{session['name']}",
        config.account,
        f"{role['id']}:{session['name']}",
        session["access_key"],
        policies_of(view, "role", role["name"]),
        {
            # AWS shows the role here, not the session
            "aws:PrincipalArn": iam_arn(config, "role", role["path"], role["name"]),
            **_tag_keys(tags),
            **orjson.loads(session["claims"]),
        },
        limits,
    )


def policies_of(view: View, kind: str, owner: str) -> Documents:
    """Inline and attached documents of a role, group, or user with its groups."""
    groups: Documents = ()
    if kind == "user":
        sql = "SELECT group_name FROM iam_member WHERE user_name = ? ORDER BY 1"
        for row in view.all(sql, (owner,)):
            groups += policies_of(view, "group", row["group_name"])
    inline = view.all(
        "SELECT document FROM iam_inline WHERE kind = ? AND owner = ? ORDER BY name", (kind, owner)
    )
    attached = view.all(
        "SELECT arn FROM iam_attached WHERE kind = ? AND owner = ? ORDER BY arn", (kind, owner)
    )
    found = [orjson.loads(row["document"]) for row in inline]
    found += [document for row in attached if (document := managed_document(view, row["arn"]))]
    return (*found, *groups)


def managed_document(view: View, arn: str) -> Mapping[str, Any] | None:
    """The default version of a managed policy, AWS's or the customer's own."""
    known = managed.document(arn)
    if known is not None:
        return known
    text = view.value(
        "SELECT v.document FROM iam_policy p JOIN iam_policy_version v"
        " ON v.arn = p.arn AND v.version = p.default_version WHERE p.arn = ?",
        (arn,),
    )
    document: Mapping[str, Any] | None = orjson.loads(text) if text else None
    return document


def _boundary(view: View, arn: str | None) -> Limits:
    if arn is None:
        return ()
    document = managed_document(view, arn)
    # A boundary whose policy is gone allows nothing.
    return (("permissions boundary", (document,) if document else ()),)


def _tag_keys(tags: dict[str, str]) -> dict[str, str]:
    return {f"aws:PrincipalTag/{key}": value for key, value in tags.items()}
