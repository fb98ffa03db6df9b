"""Which program runs a runtime, and what is said where there is none."""

import logging
import os
import shutil
import sys
import threading
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
    interpreters.find.cache_clear()
    monkeypatch.setattr(interpreters, "_told", set())
    yield folder
    interpreters.find.cache_clear()


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


def test_what_is_missing_is_told_once(
    programs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Functions are made at the same time."""
    together = threading.Barrier(4)

    def nowhere(name: str) -> None:
        together.wait(30)

    monkeypatch.setattr(shutil, "which", nowhere)
    with ThreadPoolExecutor(4) as pool:
        assert {each.kind for each in pool.map(interpreters.find, ["python3.7"] * 4)} == {"own"}
    assert len(caplog.records) == 1


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
