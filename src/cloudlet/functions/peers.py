"""Which process is at the other end of a loopback connection, as Linux tells.

For runtimes that take the Runtime API's address for a host and a port, and nothing else: they
cannot bring a secret, so it counts whose process holds the socket.
https://man7.org/linux/man-pages/man7/sock_diag.7.html
"""

import os
import socket
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path

from cloudlet.functions import linux

_DIAGNOSIS, _BY_FAMILY, _ASKED = 4, 20, 1
_ANY = 0xFFFFFFFF
_INODE_AT = 84


@cache
def can_be_told() -> bool:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        inode = socket_of(client.getsockname()[1], server.getsockname()[1])
        return bool(inode) and holds(os.getpid(), inode)


def socket_of(port: int, peer_port: int) -> int:
    """The inode of the socket at `port`, which is connected to `peer_port`; 0: there is none."""
    if not linux.is_linux():
        return 0
    here = socket.inet_aton("127.0.0.1") + bytes(12)
    query = struct.pack("=4BI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY)
    query += struct.pack("!2H", port, peer_port) + here + here + struct.pack("=3I", 0, _ANY, _ANY)
    head = struct.pack("=I2H2I", 16 + len(query), _BY_FAMILY, _ASKED, 0, 0)
    with (
        suppress(OSError, struct.error),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAGNOSIS) as channel,
    ):
        channel.send(head + query)
        answer = channel.recv(4096)
        if struct.unpack_from("=H", answer, 4)[0] == _BY_FAMILY:
            return int(struct.unpack_from("=I", answer, _INODE_AT)[0])
    return 0


def holds(pid: int, inode: int) -> bool:
    """Whether the process, or one below it, has the socket open."""
    wanted, waiting = f"socket:[{inode}]", [pid]
    while waiting:
        folder = f"/proc/{waiting.pop()}"
        with suppress(OSError):  # gone since
            if wanted in map(_target, Path(f"{folder}/fd").iterdir()):
                return True
            for task in Path(f"{folder}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return False


def _target(descriptor: Path) -> str:
    with suppress(OSError):
        return os.readlink(descriptor)  # noqa: PTH115 - what it leads to is no path
    return ""
