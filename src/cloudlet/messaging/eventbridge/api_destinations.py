"""EventBridge's API destinations: web APIs as targets of rules. `web_calls` calls them.

cloudlet-specific: an endpoint may be plain HTTP, for services on this machine.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.messaging.eventbridge import event_connections
from cloudlet.messaging.eventbridge.rules import invalid, missing, page
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

Document = dict[str, Any]
RATE_MAX = 300
_URL = re.compile(r"https?://[^/\s?#]+[^\s#]*")
_SETTINGS = ("ConnectionArn", "InvocationEndpoint", "HttpMethod", "InvocationRateLimitPerSecond",
             "Description")  # fmt: skip
_ANSWERED = ("ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime")


def create_api_destination(call: Call, tx: Transaction) -> Output:
    name = call.params["Name"]
    if tx.value("SELECT 1 FROM api_destinations WHERE name = ?", (name,)):
        text = f"An api-destination '{name}' already exists."
        raise AwsError("ResourceAlreadyExistsException", text)
    arn = call.config.arn("events", f"api-destination/{name}/{call.config.new_id()}")
    known = {"Name": name, "ApiDestinationArn": arn, "CreationTime": call.now_ms / 1000}
    return _save(call, tx, {"InvocationRateLimitPerSecond": RATE_MAX, **known})


def update_api_destination(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, _known(tx, call.params["Name"]))


def describe_api_destination(call: Call, view: View) -> Output:
    return _with_state(view, _known(view, call.params["Name"]))


def list_api_destinations(call: Call, view: View) -> Output:
    found = event_connections.listed(call, view, "api_destinations")
    arn = call.params.get("ConnectionArn")
    shown = [_with_state(view, each) for each in found if arn in (None, each["ConnectionArn"])]
    return page(call, "ApiDestinations", shown)


def delete_api_destination(call: Call, tx: Transaction) -> None:
    _known(tx, call.params["Name"])
    tx.run("DELETE FROM api_destinations WHERE name = ?", (call.params["Name"],))


def find(view: View, arn: str) -> Document:
    """By its ARN, as targets have it."""
    document = _known(view, arn.split("/")[1])
    if document["ApiDestinationArn"] != arn:
        raise missing(f"API destination {arn} does not exist.")
    return document


def _save(call: Call, tx: Transaction, known: Document) -> Output:
    given = {name: call.params[name] for name in _SETTINGS if call.params.get(name) is not None}
    document = known | given | {"LastModifiedTime": call.now_ms / 1000}
    if not _URL.fullmatch(document["InvocationEndpoint"]):
        raise invalid("Parameter InvocationEndpoint is not valid. Reason: it must be a URL.")
    if event_connections.find(tx, document["ConnectionArn"]) is None:
        raise missing(f"Connection '{document['ConnectionArn']}' does not exist.")
    tx.run(
        "INSERT OR REPLACE INTO api_destinations (name, document) VALUES (?, ?)",
        (document["Name"], orjson.dumps(document).decode()),
    )
    told = _with_state(tx, document)
    return {name: told[name] for name in _ANSWERED}


def _with_state(view: View, document: Document) -> Document:
    """It is active while its connection is authorized."""
    connection = event_connections.find(view, document["ConnectionArn"]) or {}
    is_usable = connection.get("ConnectionState") == "AUTHORIZED"
    return document | {"ApiDestinationState": "ACTIVE" if is_usable else "INACTIVE"}


def _known(view: View, name: str) -> Document:
    found = stored.find(view, "SELECT document FROM api_destinations WHERE name = ?", (name,))
    if found is None:
        raise missing(
            f"Failed to describe the api-destination(s). An api-destination '{name}' does not"
            " exist."
        )
    return found
