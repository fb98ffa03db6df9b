"""The installed command, curl and coreutils against λShare on cloudlet."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.apps.http_door import HttpDoor
from tests.server import Server

MIB = 1 << 20
README = Path(__file__).parents[2] / "README.md"
ALGORITHMS = {"md5", "sha1", "sha256", "sha512", "crc32", "crc64nvme", "blake3"}


@pytest.fixture
def door(lambdashare: Server) -> HttpDoor:
    return HttpDoor(lambdashare.url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Brief für Dich.txt"
    path.write_bytes(os.urandom(200_000))
    return path


class Shell:
    """Runs the command as a person would, with λShare's address in the environment."""

    def __init__(self, server: Server, folder: Path) -> None:
        cache = {"XDG_CACHE_HOME": str(folder / "cache"), "LAMBDASHARE_SERVER": server.url}
        self._environment = os.environ | cache
        self._folder = folder

    def lambdashare(self, *arguments: Any) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-m", "lambdashare.cli", *map(str, arguments))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=self._folder,
            timeout=120,
            check=False,
        )

    def script(self, text: str) -> "subprocess.CompletedProcess[str]":
        return self.run("sh", "-euc", text)


@pytest.fixture
def shell(lambdashare: Server, tmp_path: Path) -> Shell:
    return Shell(lambdashare, tmp_path)


def test_send_get_verify_stats(shell: Shell, file: Path, tmp_path: Path) -> None:
    done = shell.lambdashare("send", file, "--json")
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    assert set(sent) == {"url", "id", "files", "expires_at"}
    assert sent["url"].endswith(f"#sha256={sent['files'][0]['digests']['sha256']}")
    (described,) = sent["files"]
    assert (described["name"], described["size"]) == (file.name, 200_000)
    assert set(described["digests"]) == ALGORITHMS
    data = file.read_bytes()
    assert described["digests"]["blake3"] == blake3(data).hexdigest()
    sha256 = hashlib.sha256(data).hexdigest()
    assert described["digests"]["sha256"] == sha256

    for wanted, name in ((sent["url"], "by-link"), (described["digests"]["sha1"], "by-hash")):
        done = shell.lambdashare("get", wanted, "-o", tmp_path / name)
        assert done.returncode == 0 and done.stdout.startswith(sha256), done.stderr
        assert (tmp_path / name).read_bytes() == data
    for digest in ((), (sha256,), (described["digests"]["crc64nvme"],)):
        assert shell.lambdashare("verify", file, *digest).returncode == 0
    stats = json.loads(shell.lambdashare("stats", "--json").stdout)
    assert stats["totals"]["uploads"] >= 1 and len(stats["buckets"]) == 60


def test_a_mismatch_is_refused_and_leaves_no_file(shell: Shell, file: Path, tmp_path: Path) -> None:
    link = shell.lambdashare("send", file).stdout.strip()
    forged = re.sub("sha256=.*", f"sha256={'0' * 64}", link)
    folder = tmp_path / "received"
    folder.mkdir()
    done = shell.lambdashare("get", forged, "-o", folder)
    assert done.returncode == 3 and "MISMATCH" in done.stderr
    assert list(folder.iterdir()) == []
    done = shell.lambdashare("get", link, "-o", folder)
    assert done.returncode == 0 and (folder / file.name).read_bytes() == file.read_bytes()
    assert shell.lambdashare("verify", file, "0" * 64).returncode == 3
    assert shell.lambdashare("verify", README).returncode == 4
    assert shell.lambdashare("get", f"{link.split('/s/')[0]}/s/{'a' * 22}").returncode == 4


def hashed(door: HttpDoor, share: str) -> Any:
    def check() -> Any:
        found = door.request("GET", f"/v1/shares/{share}").json()
        return found if found["phase"] == "hashed" else None

    return door.eventually(check)


def test_send_in_many_parts(shell: Shell, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(35 * MIB + 1))
    sent = json.loads(shell.lambdashare("send", big, "--json").stdout)
    expected = hashlib.sha512(big.read_bytes()).hexdigest()
    assert sent["files"][0]["digests"]["sha512"] == expected


def test_curl_uploads_30_mb_and_says_the_link(shell: Shell, door: HttpDoor, tmp_path: Path) -> None:
    big = tmp_path / "film.mkv"
    big.write_bytes(os.urandom(30_000_000))
    done = shell.script(f"curl -sSLT film.mkv -D - -o /dev/null --fail {door.base}/film.mkv")
    assert done.returncode == 0, done.stderr
    statuses = re.findall(r"(?m)^HTTP/1.1 (\d+)", done.stdout)
    assert [each for each in statuses if each != "100"] == ["307", "200"]
    headers = dict(re.findall(r"(?m)^([\w-]+): (.*?)\r?$", done.stdout.lower()))
    share = re.findall(r"(?im)^x-share-id: (\w+)", done.stdout)[0]
    assert headers["x-share-url"] == f"{door.base}/s/{share}".lower()
    assert headers["link"].endswith('rel="alternate"')
    view = hashed(door, share)
    assert (view["size"], view["phase"]) == (30_000_000, "hashed")
    assert view["files"][0]["digests"]["md5"] == hashlib.md5(big.read_bytes()).hexdigest()


def readme_lines(door: HttpDoor) -> str:
    """README's shell function, to the letter but for the address."""
    (function,) = re.findall(r"(?m)^share\(\) \{.*\}$", README.read_text())
    assert "http://localhost:8000" in function
    return str(function).replace("http://localhost:8000", door.base)


def test_the_readmes_shell_function(shell: Shell, door: HttpDoor, file: Path) -> None:
    done = shell.script(f"{readme_lines(door)}\nshare '{file.name}'")
    assert done.returncode == 0, done.stderr
    (link,) = done.stdout.splitlines()
    share = link.removeprefix(f"{door.base}/s/")
    view = hashed(door, share)
    assert view["files"][0]["name"] == file.name


def test_sha256sum_c(shell: Shell, door: HttpDoor, file: Path) -> None:
    shell.lambdashare("send", file)
    digests = {"sha256": "sha256sum", "md5": "md5sum", "sha1": "sha1sum", "sha512": "sha512sum"}
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    for algorithm, tool in digests.items():
        done = shell.script(f"curl -sS --fail {door.base}/h/{md5}.{algorithm} | {tool} -c")
        assert done.returncode == 0 and done.stdout == f"{file.name}: OK\n", done.stderr
    file.write_bytes(b"something else")
    done = shell.script(f"curl -sS --fail {door.base}/h/{md5}.sha256 | sha256sum -c")
    assert done.returncode == 1


def test_curl_downloads_and_resumes(shell: Shell, door: HttpDoor, file: Path) -> None:
    link = shell.lambdashare("send", file).stdout.split("#")[0]
    half = shell.script(f"curl -sSL --fail -r 0-99999 -o copy {link}/1 && wc -c < copy")
    assert half.stdout.strip() == "100000"
    done = shell.script(f"curl -sSL --fail -C - -o copy {link}/1 && cmp copy '{file.name}'")
    assert done.returncode == 0, done.stdout + done.stderr
