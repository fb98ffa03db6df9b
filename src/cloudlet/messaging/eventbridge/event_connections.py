"""EventBridge's connections: how API destinations are authorized. What is secret of them lies in
the store sealed, and is never told again.

Private connectivity and own keys are absent; there is no Secrets Manager, so no `SecretArn`.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, refuse
from cloudlet.events import outbox
from cloudlet.messaging.eventbridge.rules import invalid, missing, page
from cloudlet.store import stored
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Row, Transaction, View

Document = dict[str, Any]
_ABSENT = ("InvocationConnectivityParameters", "KmsKeyIdentifier")
# of each way: its parameters, and which of them are told
_WAYS = {
    "BASIC": ("BasicAuthParameters", ("Username",)),
    "API_KEY": ("ApiKeyAuthParameters", ("ApiKeyName",)),
    "OAUTH_CLIENT_CREDENTIALS": ("OAuthParameters", ()),
}
_LISTED = ("ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime",
           "LastAuthorizedTime")  # fmt: skip


def create_connection(call: Call, tx: Transaction) -> Output:
    name, now_s = call.params["Name"], call.now_ms / 1000
    if _row(tx, name) is not None:
        raise AwsError("ResourceAlreadyExistsException", f"Connection {name} already exists.")
    arn = call.config.arn("events", f"connection/{name}/{call.config.new_id()}")
    document = {"ConnectionArn": arn, "Name": name, "CreationTime": now_s}
    return _save(call, tx, document, _checked(call.params))


def update_connection(call: Call, tx: Transaction) -> Output:
    row = _known(tx, call.params["Name"])
    known = orjson.loads(row["document"])
    merged = {"AuthorizationType": known["AuthorizationType"], **call.params}
    if merged["AuthorizationType"] == known["AuthorizationType"] and row["secret"]:
        merged["AuthParameters"] = _merged(_opened(call.cloud.blobs, row), merged)
    return _save(call, tx, known, _checked(merged))


def describe_connection(call: Call, view: View) -> Output:
    document = orjson.loads(_known(view, call.params["Name"])["document"])
    return dict(document)


def list_connections(call: Call, view: View) -> Output:
    found = listed(call, view, "event_connections")
    state = call.params.get("ConnectionState")
    shown = [d for d in found if state in (None, d["ConnectionState"])]
    return page(call, "Connections", shown)


def deauthorize_connection(call: Call, tx: Transaction) -> Output:
    """Forgets its secrets."""
    document = orjson.loads(_known(tx, call.params["Name"])["document"])
    document |= {"ConnectionState": "DEAUTHORIZED", "LastModifiedTime": call.now_ms / 1000}
    _put(tx, document, None)
    return {name: document.get(name) for name in _LISTED}


def delete_connection(call: Call, tx: Transaction) -> Output:
    document = orjson.loads(_known(tx, call.params["Name"])["document"])
    tx.run("DELETE FROM event_connections WHERE name = ?", (document["Name"],))
    return {name: document.get(name) for name in _LISTED} | {"ConnectionState": "DELETING"}


def secrets(blobs: Blobs, view: View, arn: str) -> tuple[str, Document]:
    """Way of authorization and all its parameters; raises for what cannot authorize."""
    row = _row(view, arn.split("/")[1])
    document = orjson.loads(row["document"]) if row is not None else {}
    if row is None or document["ConnectionArn"] != arn:
        raise missing(f"Connection {arn} does not exist.")
    if row["secret"] is None:
        raise AwsError("AccessDeniedException", f"Connection {arn} is not authorized.")
    return document["AuthorizationType"], _opened(blobs, row)


def find(view: View, arn: str) -> Document | None:
    """What is told of a connection."""
    row = _row(view, arn.split("/")[1]) if arn.count("/") == 2 else None
    document = orjson.loads(row["document"]) if row is not None else {}
    return document if document.get("ConnectionArn") == arn else None


def settle(tx: Transaction, arn: str, state: str, asked_ms: int) -> None:
    """How the attempt ended to get a token; nothing if the connection was changed meanwhile."""
    document = find(tx, arn)
    if document is None or document["LastModifiedTime"] != asked_ms / 1000:
        return
    document["ConnectionState"] = state
    text = orjson.dumps(document).decode()
    tx.run("UPDATE event_connections SET document = ? WHERE name = ?", (text, document["Name"]))


def listed(call: Call, view: View, table: str) -> list[Document]:
    """Documents of a table whose names have the wanted prefix, by name."""
    prefix = call.params.get("NamePrefix") or ""
    sql = f"SELECT document FROM {table} WHERE substr(name, 1, ?) = ? ORDER BY name"
    return stored.every(view, sql, (len(prefix), prefix))


def _checked(params: Document) -> Document:
    refuse(params, *_ABSENT, what="A connection with {}")
    way, given = params["AuthorizationType"], params.get("AuthParameters") or {}
    refuse(given, "ConnectivityParameters", what="A connection with {}")
    wanted = _WAYS[way][0]
    others = [name for name, _ in _WAYS.values() if name != wanted and given.get(name)]
    if others or not given.get(wanted):
        raise invalid(f"AuthorizationType {way} needs {wanted} as AuthParameters, alone.")
    method = (given.get("OAuthParameters") or {}).get("HttpMethod", "GET")
    if method.upper() not in ("GET", "POST", "PUT"):
        raise invalid(
            f"1 validation error detected: Value '{method}' at 'authParameters.oAuthParameters."
            "httpMethod' failed to satisfy constraint: Member must satisfy enum value set: "
            "[GET, POST, PUT]"
        )
    return params


def _merged(known: Document, params: Document) -> Document:
    """An update states parts; the others stay."""
    merged = dict(known)
    for name, value in (params.get("AuthParameters") or {}).items():
        is_structure = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if is_structure else value
    return merged


def _save(call: Call, tx: Transaction, known: Document, params: Document) -> Output:
    now_ms, given = call.now_ms, params["AuthParameters"]
    now_s = now_ms / 1000
    is_oauth = params["AuthorizationType"] == "OAUTH_CLIENT_CREDENTIALS"
    told = {
        "AuthorizationType": params["AuthorizationType"],
        "AuthParameters": _told(params["AuthorizationType"], given),
        "ConnectionState": "AUTHORIZING" if is_oauth else "AUTHORIZED",
        "LastModifiedTime": now_s,
        "LastAuthorizedTime": now_s,
    }
    if params.get("Description") is not None:
        told["Description"] = params["Description"]
    key = call.cloud.blobs.master.derived("event-connections").new_key()
    sealed = key.seal(0, orjson.dumps(given))
    _put(tx, known | told, (key.wrapped, sealed))
    document = known | told
    if is_oauth:  # until there is a token
        arn = document["ConnectionArn"]
        outbox.put(tx, arn, b"{}", source=arn, now_ms=now_ms)  # `settle` compares it
    return {name: document.get(name) for name in _LISTED}


def _told(way: str, given: Document) -> Document:
    member, shown = _WAYS[way]
    if way == "OAUTH_CLIENT_CREDENTIALS":
        oauth = dict(given[member])
        oauth["ClientParameters"] = {"ClientID": oauth["ClientParameters"]["ClientID"]}
        if oauth.get("OAuthHttpParameters"):
            oauth["OAuthHttpParameters"] = _open_ones(oauth["OAuthHttpParameters"])
        told: Document = {member: oauth}
    else:
        told = {member: {name: given[member][name] for name in shown}}
    if given.get("InvocationHttpParameters") is not None:
        told["InvocationHttpParameters"] = _open_ones(given["InvocationHttpParameters"])
    return told


def _open_ones(parameters: Document) -> Document:
    """Without the values that are secret."""
    return {
        kind: [
            {k: v for k, v in each.items() if k != "Value" or not each.get("IsValueSecret")}
            for each in entries
        ]
        for kind, entries in parameters.items()
        if entries
    }


def _put(tx: Transaction, document: Document, secret: tuple[str, bytes] | None) -> None:
    wrapped, sealed = secret or (None, None)
    tx.run(
        "INSERT OR REPLACE INTO event_connections (name, document, key, secret)"
        " VALUES (?, ?, ?, ?)",
        (document["Name"], orjson.dumps(document).decode(), wrapped, sealed),
    )


def _opened(blobs: Blobs, row: Row) -> Document:
    key = blobs.master.derived("event-connections").unwrap(row["key"])
    opened: Document = orjson.loads(key.open(0, bytes(row["secret"])))
    return opened


def _row(view: View, name: str) -> Row | None:
    return view.one("SELECT * FROM event_connections WHERE name = ?", (name,))


def _known(view: View, name: str) -> Row:
    row = _row(view, name)
    if row is None:
        raise missing(f"Failed to describe the connection(s). Connection '{name}' does not exist.")
    return row
