"""What runs inside a worker process: AWS's own runtime interface client on the function's handler.

Entered in a process forked from the zygote (`enter`), or as a script where the function brings its
own boto3 and needs a fresh interpreter. Imports nothing of cloudlet: it is the function's process.
"""

import http.client
import os
import re
import sys
import time
from typing import Any

_EXECUTE_API = re.compile(r"https?://[^/]+\.execute-api\.[^/]+\.amazonaws\.com(?::\d+)?(?=/|$)")


def enter(environment: dict[str, str], folders: list[str]) -> None:
    """Becomes the function's runtime; returns only by SystemExit."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    extra = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    sys.path[:0] = [*folders, *(path for path in extra if path not in folders)]
    sys.argv = ["bootstrap", environment["_HANDLER"]]
    _steer_clients()
    # Only now: it reads the environment when imported.
    from awslambdaric import bootstrap, lambda_runtime_client
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    address, _, prefix = environment["AWS_LAMBDA_RUNTIME_API"].partition("/")

    class Client(LambdaRuntimeClient):  # type: ignore[misc]
        """Its calls about a failed start know hosts only, no paths."""

        def call_rapid(self, method: str, endpoint: str, *rest: Any, **named: Any) -> Any:
            return super().call_rapid(method, f"/{prefix}{endpoint}", *rest, **named)

    client = Client(address)
    if lambda_runtime_client.runtime_client is None:  # its native part is another Python's
        lambda_runtime_client.runtime_client = PlainClient(address, f"/{prefix}")
    bootstrap.run(environment["_HANDLER"], client)


class PlainClient:
    """What awslambdaric's native client does, for interpreters that it wasn't built for."""

    def __init__(self, address: str, prefix: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._prefix = f"{prefix}/2018-06-01/runtime/invocation"

    def next(self) -> tuple[bytes, Any]:
        self._connection.request("GET", f"{self._prefix}/next")
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            sys.exit(0)
        return body, response.headers

    def post_invocation_result(self, id_: str, data: bytes, kind: str, *_: Any) -> None:
        self._post(f"{id_}/response", data, kind)

    def post_error(self, id_: str, document: str, *_: Any) -> None:
        self._post(f"{id_}/error", document.encode(), "application/json")

    def _post(self, target: str, data: bytes, kind: str) -> None:
        self._connection.close()  # while a handler ran for long the other side may have done so
        self._connection.request("POST", f"{self._prefix}/{target}", data, {"Content-Type": kind})
        self._connection.getresponse().read()


def share_models(loader: Any) -> None:
    """Lets every botocore session of the process use one loader, whose models are parsed."""
    import botocore

    botocore.register_initializer(lambda session: session.register_component("data_loader", loader))


def _steer_clients() -> None:
    """Code that names a gateway's AWS address (to post to WebSocket connections) stays unchanged:
    such requests go to this cloud, signed and with the Host header as for AWS."""
    try:
        import botocore
    except ImportError:
        return

    def steer(request: Any, **_: Any) -> None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        match = _EXECUTE_API.match(request.url)
        if endpoint and match:
            request.headers["Host"] = match.group().split("://")[1]
            request.url = endpoint.rstrip("/") + request.url[match.end() :]

    handler: Any = steer
    botocore.register_initializer(
        lambda session: session.register("before-send.apigatewaymanagementapi", handler)
    )


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - import-light
    sys.path[:] = [path for path in sys.path if path != here]
    enter(dict(os.environ), os.environ.get("CLOUDLET_PATH", "").split(":"))
