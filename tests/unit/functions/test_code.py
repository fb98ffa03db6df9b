"""Unpacking zips that mean no good."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from cloudlet.errors import AwsError
from cloudlet.functions import code


def archive(*members: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            target.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def test_unpacks_once_with_executables_and_inner_links(tmp_path: Path) -> None:
    data = archive(
        ("bin/run", b"#!/bin/sh", 0o755),
        ("lib/x.py", b"1", 0o644),
        ("link", b"lib/x.py", stat.S_IFLNK | 0o777),
    )
    first = code.of_zip(data, tmp_path, "1")
    second = code.of_zip(data, tmp_path, "2")
    assert first == second
    folder = Path(first.folder)
    assert (folder / "bin/run").stat().st_mode & 0o111
    assert (folder / "link").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x", 0o644)],
        [("/etc/evil", b"x", 0o644)],
        [("a/../../evil", b"x", 0o644)],
        [("a\\..\\evil", b"x", 0o644)],
        [("link", b"/etc", stat.S_IFLNK | 0o777)],
        [("link", b"../..", stat.S_IFLNK | 0o777)],
        [("a", b"..", stat.S_IFLNK | 0o777), ("a/evil", b"x", 0o644)],
    ],
)
def test_refuses_what_leads_outside(tmp_path: Path, members: list[tuple[str, bytes, int]]) -> None:
    store = tmp_path / "store"
    with pytest.raises(AwsError) as refusal:
        code.of_zip(archive(*members), store, "1")
    assert refusal.value.code == "InvalidParameterValueException"
    assert list(store.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_refuses_bombs_and_what_is_no_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "UNPACKED_BYTES_MAX", 1 << 20)
    for data in (archive(("bomb", bytes(2 << 20), 0o644)), b"not a zip", b""):
        with pytest.raises(AwsError):
            code.of_zip(data, tmp_path, "1")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_the_digest_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = code.of_folder(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert code.of_folder(tmp_path) == first
    (tmp_path / "a.py").write_text("2")
    assert code.of_folder(tmp_path).digest != first.digest
