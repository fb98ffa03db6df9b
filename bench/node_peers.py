"""Peers that npm has: dynalite for DynamoDB, serverless-offline for functions behind HTTP.

Installed from bench/peers/package-lock.json by script/bench; left out where npm is missing.
"""

import shutil
from pathlib import Path

from bench.contenders import Contender, free_port

_PEERS = Path(__file__).parent / "peers"
_BIN = _PEERS / "node_modules" / ".bin"
_SERVERLESS = """
service: bench
frameworkVersion: "3"
plugins: [serverless-offline]
provider: {name: aws, runtime: nodejs20.x}
functions:
  hello: {handler: index.hello, events: [{httpApi: "GET /hello"}]}
"""
_HELLO = 'exports.hello = async () => ({ statusCode: 200, body: "hello" });\n'


def are_installed() -> bool:
    return (_BIN / "serverless").exists() and shutil.which("node") is not None


class Dynalite(Contender):
    """In memory, no signatures checked, as it starts by default."""

    def __init__(self) -> None:
        super().__init__("dynalite")

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [str(_BIN / "dynalite"), "--port", str(self.port), "--createTableMs", "0"], {}


class ServerlessOffline(Contender):
    """One Node handler behind an HTTP API, in its worker threads: its fastest way."""

    def __init__(self) -> None:
        super().__init__("serverless-offline")
        (self.folder / "serverless.yml").write_text(_SERVERLESS)
        (self.folder / "index.js").write_text(_HELLO)
        (self.folder / "node_modules").symlink_to(_PEERS / "node_modules")
        self.working = self.folder

    def command(self) -> tuple[list[str], dict[str, str]]:
        ports = ["--httpPort", str(self.port), "--lambdaPort", str(free_port())]
        command = [str(_BIN / "serverless"), "offline", "start", "--host", "127.0.0.1"]
        quiet = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
        return [*command, "--noPrependStageInUrl", *ports], quiet
