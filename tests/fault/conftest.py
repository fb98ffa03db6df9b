"""What several fault tests need: a disk so small that it can be filled, an end of all servers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server


@pytest.fixture(autouse=True)
def no_server_stays() -> Iterator[None]:
    """A test that fails half-way takes its servers with it; those of whole modules stay."""
    before = set(Server.running)
    yield
    for server in Server.running - before:
        server.kill()


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A tmpfs of the asking module's DISK_MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={request.module.DISK_MB}m"
    mount = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
