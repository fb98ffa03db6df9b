"""The `@connections` API: how functions talk to open WebSockets. `call.state` is `Connections`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

from cloudlet.call import Call, Output, Requirement
from cloudlet.errors import AwsError
from cloudlet.gateway.websockets.connections import MESSAGE_MAX_BYTES, Connection, Connections


async def post_to_connection(call: Call) -> None:
    """Queues a message for the client; text unless it is not UTF-8."""
    data = call.params["Data"]
    if not isinstance(data, bytes | bytearray):
        data = await data.read(MESSAGE_MAX_BYTES + 1)
    if len(data) > MESSAGE_MAX_BYTES:
        raise AwsError("PayloadTooLargeException", "Message too long", 413)
    connection = _connection(call)
    try:
        message: str | bytes = bytes(data).decode()
    except UnicodeDecodeError:
        message = bytes(data)
    if not connection.post(message):
        raise _gone()


async def get_connection(call: Call) -> Output:
    connection = _connection(call)
    request = connection.origin.request
    return {
        "ConnectedAt": connection.origin.connected_ms / 1000,
        "Identity": {
            "SourceIp": request.client,
            "UserAgent": request.headers.get("user-agent", ""),
        },
        "LastActiveAt": connection.last_active_ms / 1000,
    }


async def delete_connection(call: Call) -> None:
    _connection(call).end(1000, "Connection closed by the application")


def _connection(call: Call) -> Connection:
    connections: Connections = call.state
    connection = connections.open.get(call.params["ConnectionId"])
    if connection is None or connection.closing is not None:
        raise _gone()
    return connection


def _gone() -> AwsError:
    return AwsError("GoneException", "The connection is gone.", 410)


def requirements(call: Call) -> list[Requirement]:
    verbs = {"PostToConnection": "POST", "GetConnection": "GET", "DeleteConnection": "DELETE"}
    identifier = call.params["ConnectionId"]
    connections: Connections | None = call.state
    connection = connections.open.get(identifier) if connections is not None else None
    # of a connection that is gone nobody knows the API; the answer will be 410
    place = "*/*"
    if connection is not None:
        place = f"{connection.origin.stage.api_id}/{connection.origin.stage.name}"
    resource = f"{place}/{verbs[call.operation]}/@connections/{identifier}"
    return [Requirement("execute-api:ManageConnections", call.config.arn("execute-api", resource))]
