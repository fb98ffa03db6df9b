"""Custom domain names and their base paths: the store that both API Gateway APIs use, and routing.

A domain's document has the member names of apigatewayv2; REST's operations translate. A mapping
ties a path below a domain to a stage of an HTTP, REST or WebSocket API; the longest path that is a
prefix, by whole segments, wins: so `/v1` and `/v2` may be two APIs.
https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
"""

from dataclasses import dataclass
from urllib.parse import unquote

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.store import stored
from cloudlet.store.database import Row, Transaction, View

Document = stored.Document
TOPIC = "gateway-domains"
SCHEMA = """
CREATE TABLE IF NOT EXISTS gateway_domains (
    name       TEXT PRIMARY KEY,          -- in lower case
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL              -- members of apigatewayv2's GetDomainName
);
CREATE TABLE IF NOT EXISTS gateway_mappings (
    id     TEXT PRIMARY KEY,
    domain TEXT NOT NULL REFERENCES gateway_domains ON DELETE CASCADE,
    path   TEXT NOT NULL,                 -- without slashes around; "" is the root
    api_id TEXT NOT NULL,                 -- of an HTTP, REST or WebSocket API
    stage  TEXT NOT NULL,
    UNIQUE (domain, path)
);
"""


@dataclass(frozen=True, slots=True)
class Mapping:
    id: str
    domain: str
    path: str
    api_id: str
    stage: str

    @classmethod
    def of(cls, row: Row) -> "Mapping":
        return cls(row["id"], row["domain"], row["path"], row["api_id"], row["stage"])


@dataclass(frozen=True, slots=True)
class Found:
    """Where a request to a custom domain goes: `raw_path` is what is left below the mapping."""

    mapping: Mapping
    host: str
    raw_path: str


def find(view: View, name: str) -> Document:
    sql = "SELECT document FROM gateway_domains WHERE name = ?"
    document = stored.find(view, sql, (name.lower(),))
    if document is None:
        raise AwsError("NotFoundException", "Invalid domain name identifier specified", 404)
    return document


def every(view: View) -> list[Document]:
    return stored.every(view, "SELECT document FROM gateway_domains ORDER BY name")


def save(tx: Transaction, document: Document, now_ms: int) -> None:
    key = {"name": document["DomainName"].lower()}
    stored.save(tx, "gateway_domains", key, document, created_ms=now_ms)
    tx.touch(TOPIC)


def remove(tx: Transaction, name: str) -> None:
    find(tx, name)
    tx.run("DELETE FROM gateway_domains WHERE name = ?", (name.lower(),))
    tx.touch(TOPIC)


def mappings(view: View, domain: str) -> list[Mapping]:
    """Raises where there is no such domain."""
    find(view, domain)
    rows = view.all(
        "SELECT * FROM gateway_mappings WHERE domain = ? ORDER BY path", (domain.lower(),)
    )
    return [Mapping.of(row) for row in rows]


def mapping_of_api(view: View, api_id: str) -> Mapping | None:
    """One that keeps the API from being deleted."""
    row = view.one("SELECT * FROM gateway_mappings WHERE api_id = ? LIMIT 1", (api_id,))
    return None if row is None else Mapping.of(row)


_TAKEN = "ApiMapping key already exists for this domain name"


def save_mapping(tx: Transaction, mapping: Mapping, taken_message: str = _TAKEN) -> None:
    """Raises ConflictException where the domain's path is taken."""
    taken = tx.value(
        "SELECT 1 FROM gateway_mappings WHERE domain = ? AND path = ? AND id <> ?",
        (mapping.domain.lower(), mapping.path, mapping.id),
    )
    if taken:
        raise AwsError("ConflictException", taken_message, 409)
    tx.run(
        "INSERT INTO gateway_mappings (id, domain, path, api_id, stage) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET path = excluded.path, api_id = excluded.api_id,"
        " stage = excluded.stage",
        (mapping.id, mapping.domain.lower(), mapping.path, mapping.api_id, mapping.stage),
    )
    tx.touch(TOPIC)


def remove_mapping(tx: Transaction, mapping: Mapping) -> None:
    tx.run("DELETE FROM gateway_mappings WHERE id = ?", (mapping.id,))
    tx.touch(TOPIC)


class Domains:
    """Live routing of requests by host and path; follows changes of the store by itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: dict[str, list[Mapping]] | None = None
        cloud.database.subscribe(TOPIC, self._forget)

    def route(self, host: str, raw_path: str) -> Found | None:
        """None where the host is no custom domain; raises where no mapping fits: 403."""
        paths = self._paths(host)
        if paths is None:
            return None
        name = host.rsplit(":", 1)[0].lower()
        for mapping in paths:  # the longest first
            rest = _below(mapping.path, raw_path)
            if rest is not None:
                return Found(mapping, name, rest)
        raise AwsError("ForbiddenException", "Forbidden", 403)

    def has(self, host: str) -> bool:
        """Every request asks."""
        return self._paths(host) is not None

    def names(self) -> list[str]:
        return list(self._mappings())

    def _paths(self, host: str) -> list[Mapping] | None:
        known = self._mappings()
        if not known:
            return None
        name = host.rsplit(":", 1)[0].lower()
        found = known.get(name)
        return known.get(f"*.{name.partition('.')[2]}") if found is None else found

    def _mappings(self) -> dict[str, list[Mapping]]:
        known = self._known
        if known is None:
            self._known = known = {}
            with self._cloud.database.snapshot() as view:
                for row in view.all("SELECT name FROM gateway_domains"):
                    known[row["name"]] = []
                for row in view.all("SELECT * FROM gateway_mappings ORDER BY length(path) DESC"):
                    known[row["domain"]].append(Mapping.of(row))
        return known

    def _forget(self, _: str) -> None:
        self._known = None


def _below(path: str, raw_path: str) -> str | None:
    """`/v1/pets` below `v1` is `/pets`; None: not below."""
    wanted = path.split("/") if path else []
    segments = raw_path[1:].split("/")
    if [unquote(segment) for segment in segments[: len(wanted)]] != wanted:
        return None
    return "/" + "/".join(segments[len(wanted) :])
