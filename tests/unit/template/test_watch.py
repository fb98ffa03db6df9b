"""Which changes of files are worth a deployment."""

from pathlib import Path

from watchfiles import Change

from cloudlet.template import watch


def test_temporary_files_are_no_change(tmp_path: Path) -> None:
    """`sed -i` writes one beside and renames it; vim tries whether it may write."""
    kept, gone = tmp_path / "app.py", tmp_path / "old.py"
    kept.touch()
    passing = [str(tmp_path / name) for name in ("sedLZRL5s", "4913")]
    changes = {(change, path) for path in passing for change in (Change.added, Change.deleted)}
    assert watch._lasting(changes) == set()
    changes |= {(Change.added, str(kept)), (Change.deleted, str(gone))}
    assert watch._lasting(changes) == {kept, gone}
