"""Function URLs: create, read, change, delete. They are served by the gateway.

The URL is one that works from this machine: under `*.localhost` where such names are resolved,
else by path; both, and AWS's own host name, are answered on the AWS port.
https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
"""

import socket
from functools import cache

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.functions import names, records
from cloudlet.functions.records import Document, page, timestamp
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_SETTINGS = ("AuthType", "Cors", "InvokeMode")


def create_function_url_config(call: Call, tx: Transaction) -> Output:
    """For the function or an alias; never for a version."""
    name, qualifier = _target(call)
    arn = names.function_arn(call.config, name, qualifier)
    if tx.value("SELECT 1 FROM function_urls WHERE name = ? AND qualifier = ?", (name, qualifier)):
        raise names.conflict(
            f"Failed to create function url config for [functionArn = {arn}]. Error message: "
            " FunctionUrlConfig exists for this Lambda function"
        )
    records.require(tx, call.config, name, qualifier)
    url_id = call.config.new_secret(16)
    document: Document = {
        "FunctionUrl": _url(call.config, url_id),
        "FunctionArn": arn,
        "InvokeMode": "BUFFERED",
        "CreationTime": timestamp(call.now_ms),
    }
    return _save(call, tx, document, url_id)


def update_function_url_config(call: Call, tx: Transaction) -> Output:
    document = get_function_url_config(call, tx)
    url_id = tx.value("SELECT url_id FROM function_urls WHERE name = ? AND qualifier = ?",
                      _target(call))  # fmt: skip
    return _save(call, tx, document, url_id)


def _save(call: Call, tx: Transaction, document: Document, url_id: str) -> Output:
    for key in _SETTINGS:
        if call.params.get(key) is not None:
            document[key] = call.params[key]
    if not document.get("Cors"):
        document.pop("Cors", None)
    document["LastModifiedTime"] = timestamp(call.now_ms)
    tx.run(
        "INSERT OR REPLACE INTO function_urls (name, qualifier, url_id, config)"
        " VALUES (?, ?, ?, ?)",
        (*_target(call), url_id, orjson.dumps(document).decode()),
    )
    return document


def delete_function_url_config(call: Call, tx: Transaction) -> None:
    get_function_url_config(call, tx)
    tx.run("DELETE FROM function_urls WHERE name = ? AND qualifier = ?", _target(call))


def list_function_url_configs(call: Call, view: View) -> Output:
    sql = "SELECT config FROM function_urls WHERE name = ? ORDER BY qualifier"
    items = stored.every(view, sql, (records.named(call, view),))
    return page(items, call.params, "FunctionUrlConfigs")


def find(view: View, url_id: str) -> Document | None:
    """What is served under an id: the configuration."""
    return stored.find(view, "SELECT config FROM function_urls WHERE url_id = ?", (url_id,))


def _target(call: Call) -> tuple[str, str]:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    if qualifier == names.LATEST or qualifier.isdigit():
        raise names.invalid(f"{qualifier} is not an alias: a function URL is an alias's.")
    return name, qualifier


def get_function_url_config(call: Call, view: View) -> Output:
    name, qualifier = _target(call)
    sql = "SELECT config FROM function_urls WHERE name = ? AND qualifier = ?"
    document = stored.find(view, sql, (name, qualifier))
    if document is None:
        records.require(view, call.config, name, qualifier)
        raise names.missing("The resource you requested does not exist.")
    return document


def _url(config: Config, url_id: str) -> str:
    if _resolves():
        return f"http://{url_id}.lambda-url.{config.region}.localhost:{config.aws_port}/"
    return f"http://localhost:{config.aws_port}/_aws/lambda-url/{url_id}/"


@cache
def _resolves() -> bool:
    """Whether names below localhost are this machine's, as RFC 6761 asks; not every libc does."""
    try:
        socket.getaddrinfo("any.localhost", 80)
    except OSError:
        return False
    return True
