"""Which program runs a runtime, and what is said where there is none."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.functions import interpreters

OWN = f"python3.{sys.version_info.minor}"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A PATH of its own, and nothing remembered of another."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    interpreters.find.cache_clear()
    interpreters._python.cache_clear()


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_pythons(programs: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert interpreters.find(OWN).kind == "own"
    script(programs / "python3.8", "echo /opt/py/bin/python3.8; echo /opt/py")
    found = interpreters.find("python3.8")
    assert (found.kind, found.command, found.home) == ("python", "/opt/py/bin/python3.8", "/opt/py")
    script(programs / "python3.9", "exit 127")  # a name that leads nowhere
    for _ in range(3):
        assert interpreters.find("python3.9").kind == "own"
        assert interpreters.find("python3.6").kind == "own"
    told = [record.getMessage() for record in caplog.records]
    line = f"python3.9 is not on the PATH: {OWN} runs the functions that want it"
    assert told == [line, line.replace("3.9", "3.6")]


def test_a_python_that_does_not_answer_is_passed_over(
    programs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks meanwhile waits with the first; it is asked once, and told of once."""
    monkeypatch.setattr(interpreters, "_ASK_S", 0.2)
    for name in ("python3.7", "python3.8"):
        script(programs / name, f"echo x >> {programs}/{name}.asked; exec /bin/sleep 1000")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(interpreters.find, ["python3.8"] * 4))
    assert [each.kind for each in found] == ["own"] * 4
    assert (programs / "python3.8.asked").read_text() == "x\n"
    assert [record.getMessage() for record in caplog.records] == [
        f"python3.8 does not answer ({programs}/python3.8): {OWN} runs the functions that want it"
    ]
    later = programs / "later"
    later.mkdir()
    script(later / "python3.7", "echo /opt/py/bin/python3.7; echo /opt/py")
    monkeypatch.setenv("PATH", f"{programs}:{later}")
    assert interpreters.find("python3.7").command == "/opt/py/bin/python3.7"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("text", ["echo one line", "\x7fELF, but not for this machine"])
def test_a_python_that_is_none(programs: Path, text: str) -> None:
    (programs / "python3.8").write_text(text)
    (programs / "python3.8").chmod(0o755)
    assert interpreters.find("python3.8").kind == "own"


def test_checking_a_runtime_asks_no_program(programs: Path) -> None:
    script(programs / "python3.8", f"touch {programs}/asked")
    interpreters.check("python3.8")
    assert not (programs / "asked").exists()


def test_node(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AwsError, match="needs Node"):
        interpreters.find("nodejs20.x")
    script(programs / "real", "")
    (programs / "node").symlink_to("real")
    assert interpreters.find("nodejs22.x").command == str(programs / "real")


def test_what_there_is_not(programs: Path) -> None:
    assert interpreters.find("provided.al2023").kind == "provided"
    for runtime in ("java21", "ruby3.3", "dotnet8"):
        with pytest.raises(NotImplementedByCloudlet, match=f"The runtime {runtime}"):
            interpreters.find(runtime)


def test_code_that_borrows_packages(tmp_path: Path) -> None:
    assert not interpreters.borrows([str(tmp_path)])
    (tmp_path / "requirements.txt").write_text("# nothing\n--no-index\n")
    assert not interpreters.borrows([str(tmp_path)])
    (tmp_path / "requirements.txt").write_text("boto3\n")
    assert interpreters.borrows([str(tmp_path)])
    (tmp_path / "boto3-1.0.dist-info").mkdir()
    assert not interpreters.borrows([str(tmp_path)])


def test_a_bundle_has_what_aws_has(tmp_path: Path) -> None:
    folder = interpreters.bundle(tmp_path / OWN, shutil.which("true") or os.devnull)
    names = {path.stem for path in folder.iterdir()}
    assert {"boto3", "botocore", "awslambdaric", "six"} <= names and "orjson" not in names
    assert (folder / "boto3" / "__init__.py").is_file()
