"""mypy, strict, on every function: each folder is a root of its own, as in Lambda."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.lambdashare_local import FUNCTIONS, LAYER

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py")))
def test_function_is_typed(name: str) -> None:
    folder = FUNCTIONS / name
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *folder.glob("*.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": f"{LAYER}{os.pathsep}{folder}"},
        check=False,
    )
    assert done.returncode == 0, done.stdout
