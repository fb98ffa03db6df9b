"""What holds for every example: it deploys to AWS as it is, and its page of text is true."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.apps.test_template import SAM, run

EXAMPLES = Path(__file__).parents[2] / "examples"
TEMPLATES = sorted(EXAMPLES.glob("*/template.yaml"))
NAMES = [template.parent.name for template in TEMPLATES]
_README_LINES_MAX = 80
_PICTURE_BYTES_MAX = 200_000


class _Loader(yaml.SafeLoader):
    """CloudFormation's tags are read for what they hold."""


_Loader.add_multi_constructor(
    "!", lambda loader, suffix, node: getattr(node, "value", None) and str(node.value)
)


def test_there_are_the_talks_six() -> None:
    assert NAMES == ["social", "thumbnails", "tractor", "trends", "warehouse", "weather"]


def test_cfn_lint_finds_nothing() -> None:
    run(str(SAM / "cfn-lint"), *map(str, TEMPLATES))


@pytest.mark.parametrize("name", NAMES)
def test_every_example_has_what_a_stranger_needs(name: str) -> None:
    folder = EXAMPLES / name
    text = (folder / "README.md").read_text()
    assert len(text.splitlines()) <= _README_LINES_MAX
    assert "```mermaid" in text and "](screenshot.png)" in text
    assert f"cloudlet up examples/{name}/template.yaml" in text and "sam deploy" in text
    for script in re.findall(rf"examples/{name}/([a-z_]+\.py)", text):
        assert (folder / script).is_file(), script
    assert 0 < (folder / "screenshot.png").stat().st_size <= _PICTURE_BYTES_MAX
    template = yaml.load((folder / "template.yaml").read_text(), _Loader)
    assert "Page" in template["Outputs"]


@pytest.mark.parametrize("name", NAMES)
def test_functions_do_not_ask_where_they_run(name: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files", f"examples/{name}/*/*.py", f"examples/{name}/template.yaml"],
        cwd=EXAMPLES.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in listed.stdout.split():
        found = re.search(
            r"cloudlet|localhost|127\.0\.0\.1|4566", (EXAMPLES.parent / path).read_text()
        )
        assert found is None, f"{path}: {found}"
