"""Messages to everyone who subscribed to a topic over the WebSocket API.

A connection that is gone is forgotten; a message that cannot be delivered is not worth failing
what caused it, so other errors are logged and dropped.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lambdashare_core import tables
from lambdashare_core.web import log


def table() -> str:
    return os.environ["CONNECTIONS_TABLE"]


def subscribers(topic: str) -> list[str]:
    rows = tables.query(table(), "topic = :topic", {"topic": topic})
    return [row["connection"] for row in rows]


def publish(topic: str, message: dict[str, Any], listeners: list[str] | None = None) -> int:
    """Send to all subscribers; how many there are."""
    try:
        found = subscribers(topic) if listeners is None else listeners
        if not found:
            return 0
        data = json.dumps({"topic": topic, **message}, ensure_ascii=False).encode()
        if len(found) == 1:
            _deliver(found[0], topic, data)
        else:
            with ThreadPoolExecutor(min(16, len(found))) as pool:
                list(pool.map(lambda connection: _deliver(connection, topic, data), found))
        return len(found)
    except (ClientError, BotoCoreError):
        log.exception("could not publish to %s", topic)
        return 0


def send(connection: str, message: dict[str, Any]) -> bool:
    """Send to one connection; False if it is gone."""
    return _post(connection, json.dumps(message, ensure_ascii=False).encode())


def _deliver(connection: str, topic: str, data: bytes) -> None:
    if not _post(connection, data):
        key = {"topic": topic, "connection": connection}
        tables.client("dynamodb").delete_item(TableName=table(), Key=tables.attributes_of(key))


def _post(connection: str, data: bytes) -> bool:
    gateway = tables.client("apigatewaymanagementapi", os.environ["WEBSOCKET_ENDPOINT"])
    try:
        gateway.post_to_connection(ConnectionId=connection, Data=data)
    except gateway.exceptions.GoneException:
        return False
    return True
