"""realtime: who listens to what over the WebSocket API.

`Connections` has one row per topic and connection; whoever has news publishes to a topic
(`lambdashare_core.broadcast`). `subscribe` answers with the present state, so that a page needs
neither polling nor luck.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html
"""

import json
from typing import Any

from lambdashare_core import broadcast, links, shares, tables
from lambdashare_core.moments import now_ms
from lambdashare_core.problems import Problem, malformed
from lambdashare_core.web import log

LIFETIME_S = 3 * 3600  # API Gateway closes after two hours
MAX_TOPICS = 20  # of one connection
BY_CONNECTION = "by-connection"


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    context = event["requestContext"]
    connection = context["connectionId"]
    kind = context.get("eventType")
    if kind == "DISCONNECT":
        forget(connection)
    elif kind == "MESSAGE":
        _message(connection, event.get("body") or "", context.get("requestId", ""))
    return {"statusCode": 200}


def _message(connection: str, body: str, request_id: str) -> None:
    topic = ""
    try:
        message = parsed(body)
        topic = str(message.get("topic", ""))
        answer = ACTIONS[message["action"]](connection, topic)
    except Problem as problem:
        document = problem.document(request_id)
        named = {name: document[name] for name in ("status", "title", "detail")}
        answer = {"type": "error", "topic": topic, **named, "request_id": request_id}
    if not broadcast.send(connection, answer):
        forget(connection)


def parsed(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        raise malformed("A message must be JSON.") from None
    action = message.get("action") if isinstance(message, dict) else None
    if not isinstance(action, str) or action not in ACTIONS:
        raise malformed(f"'action' must be one of {', '.join(ACTIONS)}.")
    return dict(message)


def _require_topic(topic: str) -> None:
    kind, _, share = topic.partition(":")
    if topic != "stats" and kind != "share":
        raise malformed("'topic' must be 'stats' or 'share:<id>'.")
    if kind == "share":
        links.share_id(share)


def subscribe(connection: str, topic: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": "subscribed", "topic": topic}
    _require_topic(topic)
    _add(connection, topic)
    share = topic.partition(":")[2]
    if share:
        try:  # after the row, so that no change falls between the two
            answer["share"] = shares.share_view(shares.load(share), links.origin(None))
        except Problem:
            unsubscribe(connection, topic)
            raise
    return answer


def _add(connection: str, topic: str) -> None:
    if len(topics(connection)) >= MAX_TOPICS:
        raise Problem(429, "too-many", f"A connection may have {MAX_TOPICS} topics.")
    row = {"topic": topic, "connection": connection, "ttl": now_ms() // 1000 + LIFETIME_S}
    attributes = tables.attributes_of(row)
    tables.client("dynamodb").put_item(TableName=broadcast.table(), Item=attributes)


def unsubscribe(connection: str, topic: str) -> dict[str, Any]:
    _require_topic(topic)
    key = tables.attributes_of({"topic": topic, "connection": connection})
    tables.client("dynamodb").delete_item(TableName=broadcast.table(), Key=key)
    return {"type": "unsubscribed", "topic": topic}


def ping(_connection: str, _topic: str) -> dict[str, Any]:
    return {"type": "pong"}


def topics(connection: str) -> list[str]:
    names = {"connection": connection}
    condition = "#connection = :connection"
    found = tables.query(broadcast.table(), condition, names, IndexName=BY_CONNECTION)
    return [row["topic"] for row in found]


def forget(connection: str) -> None:
    for topic in topics(connection):
        unsubscribe(connection, topic)
    log.info("%s is gone", connection)


ACTIONS = {"subscribe": subscribe, "unsubscribe": unsubscribe, "ping": ping}
