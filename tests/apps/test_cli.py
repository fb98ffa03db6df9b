"""The `lambdashare` command: what it prints, what it leaves on disk, how it exits."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from cloudlet.config import Config
from lambdashare import cli, receiving, sending, web_build
from lambdashare.client import ApiError, Client
from tests.apps.http_door import served
from tests.apps.lambdashare_local import LocalShare

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(share: LocalShare, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with served(share) as url:
        monkeypatch.setenv("PUBLIC_URL", url)
        monkeypatch.setenv("LAMBDASHARE_SERVER", url)
        yield url


def test_up_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Config] = []
    monkeypatch.setattr("cloudlet.app.serve", lambda config, *_, **__: started.append(config))
    monkeypatch.setattr(web_build, "is_current", lambda: True)
    options = ["--aws-port", "7", "--data", str(tmp_path), "--replica", str(tmp_path / "other")]
    assert CliRunner().invoke(cli.cli, ["up", *options]).exit_code == 0
    assert (started[0].aws_port, started[0].replica) == (7, tmp_path / "other")


@pytest.fixture
def run(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def running(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lambdashare", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "letter ü.txt"
    path.write_bytes(os.urandom(3000))
    return path


def test_send_get_verify(run: Run, file: Path, tmp_path: Path) -> None:
    code, out, _ = run("send", file, "--json")
    sent = json.loads(out)
    assert code == 0 and set(sent) == {"url", "id", "expires_at", "files"}
    assert sent["url"].endswith(f"/s/{sent['id']}#sha256={sent['files'][0]['digests']['sha256']}")
    assert sent["expires_at"].endswith("Z")
    (described,) = sent["files"]
    assert set(described) == {"name", "size", "digests"} and described["size"] == 3000
    assert len(described["digests"]) == 7
    copy = tmp_path / "copy"
    code, out, _ = run("get", sent["url"], "-o", copy)
    assert (code, copy.read_bytes()) == (0, file.read_bytes())
    for digest in described["digests"].values():
        assert run("verify", file, digest)[0] == 0
    assert run("verify", file)[0] == 0
    by_hash = tmp_path / "by-hash"
    assert run("get", described["digests"]["blake3"], "-o", by_hash)[0] == 0
    assert by_hash.read_bytes() == file.read_bytes()
    assert not list((tmp_path / "cache").rglob("*.json"))  # nothing is left to resume


def test_link_carries_the_digest(run: Run, file: Path, tmp_path: Path) -> None:
    code, out, _ = run("send", file, "--expires", "5m")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert code == 0 and out.strip().endswith(f"#sha256={sha256}")
    assert run("get", out.strip(), "-o", tmp_path / "good")[0] == 0
    forged = out.strip().replace(sha256, "0" * 64)
    code, _, err = run("get", forged, "-o", tmp_path / "bad")
    assert code == 3 and "MISMATCH" in err
    assert not (tmp_path / "bad").exists() and not list(tmp_path.glob(".bad*"))


def test_tampered_bytes_are_refused(run: Run, file: Path, tmp_path: Path) -> None:
    sent = json.loads(run("send", file, "--json")[1])
    key = f"shares/{sent['id']}/1"
    boto3.client("s3").put_object(Bucket="uploads", Key=key, Body=os.urandom(3000))
    want = receiving.wanted(sent["url"], "")
    client = Client(want.server)
    (described,) = [{**each, "n": 1, "share": sent["id"]} for each in sent["files"]]
    with pytest.raises(receiving.Mismatch):
        receiving.receive(client, described, want, tmp_path / "bad", lambda _: None)
    assert not (tmp_path / "bad").exists()


def test_multipart_resumes_after_a_crash(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(17 * MIB))
    whole = sending.Sending._put
    sent: list[int] = []

    def dies(self: Any, upload: Any, part: Any, sha256: str, url: Any) -> None:
        if part.number == 2:
            raise OSError("the network is gone")
        whole(self, upload, part, sha256, url)

    monkeypatch.setattr(sending.Sending, "_put", dies)
    code, _, err = run("send", big)
    assert code == 1 and "network" in err

    def counts(self: Any, upload: Any, part: Any, sha256: str, url: Any) -> None:
        sent.append(part.number)
        whole(self, upload, part, sha256, url)

    monkeypatch.setattr(sending.Sending, "_put", counts)
    code, out, _ = run("send", big, "--json")
    assert code == 0 and sent == [2]
    digest = hashlib.sha256(big.read_bytes()).hexdigest()
    assert json.loads(out)["files"][0]["digests"]["sha256"] == digest


def test_folder_keeps_its_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "box" / "deep").mkdir(parents=True)
    (tmp_path / "box" / "a").write_bytes(b"")
    (tmp_path / "box" / "deep" / "b").write_bytes(b"b")
    sent = json.loads(run("send", tmp_path / "box", "--json")[1])
    assert [each["name"] for each in sent["files"]] == ["box/a", "box/deep/b"]
    (tmp_path / "out").mkdir()
    assert run("get", sent["url"], "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "box" / "deep" / "b").read_bytes() == b"b"


def test_exit_codes(run: Run, file: Path, tmp_path: Path, url: str) -> None:
    assert run("verify", file, "0" * 64)[0] == 3
    assert run("verify", file)[0] == 4
    assert run("get", "0" * 64)[0] == 4
    assert run("get", f"{url}/s/{'a' * 22}")[0] == 4
    for word in ("neither", "nohash", "elevenchars"):  # base64 of a CRC has these lengths, too
        code, _, err = run("get", word)
        assert code == 2 and f"'{word}' is neither a link nor a digest" in err
    assert run("send")[0] == 2
    assert run("send", file, "--expires", "1m")[0] == 2
    assert run("send", file, "--server", "http://127.0.0.1:1")[0] == 1


def test_existing_files_are_kept(run: Run, file: Path) -> None:
    sent = json.loads(run("send", file, "--json")[1])
    file.write_bytes(b"mine")
    code, _, err = run("get", sent["url"], "-o", file)
    assert (code, file.read_bytes()) == (1, b"mine")
    assert err == f"lambdashare: {file} exists; --force replaces it\n"
    assert run("get", sent["url"], "-o", file, "--force")[0] == 0


def test_a_server_needs_no_scheme(run: Run, url: str) -> None:
    assert run("stats", "--server", url.removeprefix("http://"))[0] == 0
    assert "LAMBDASHARE_SERVER" in run("send", __file__, "--server", "127.0.0.1:1")[2]


def test_stats(run: Run, file: Path) -> None:
    run("send", file)
    code, out, _ = run("stats")
    assert code == 0 and out.startswith("uploads                      1\n")
    assert json.loads(run("stats", "--json", "--range", "day")[1])["range"] == "day"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "..\\x", "a//b", "", "\0"])
def test_names_from_elsewhere_stay_inside(name: str) -> None:
    with pytest.raises(ValueError, match="safe"):
        receiving.local_name(name)


def test_links_are_understood() -> None:
    share = "a" * 22
    want = receiving.wanted(f"https://h/s/{share}/2/x#sha256={'0' * 64}", "")
    assert (want.server, want.share, want.n) == ("https://h", share, 2)
    assert want.promised == {2: "0" * 64}
    want = receiving.wanted(f"https://h/s/{share}#sha256={'0' * 64}&sha256.2={'1' * 64}", "")
    assert want.promised == {1: "0" * 64, 2: "1" * 64}
    assert receiving.wanted(f"https://h/h/{'0' * 32}.md5", "").digest == "0" * 32
    with pytest.raises(ValueError):
        receiving.wanted("https://h/elsewhere", "")


def test_problems_are_told() -> None:
    errors = [{"pointer": "/files/0/size", "detail": "must be a number"}]
    told = str(ApiError(422, {"detail": "Not valid.", "errors": errors}))
    assert told == "Not valid. /files/0/size: must be a number."


def test_a_failing_build_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "package.json").write_text('{"scripts": {"build": "node -e throw(42)"}}')
    monkeypatch.setattr(web_build, "WEB", tmp_path)
    with pytest.raises(RuntimeError, match="npm run build failed"):
        web_build.build_page(lambda _: None)
