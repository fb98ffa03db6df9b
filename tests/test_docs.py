"""Documents that cannot rot: what they show exists, and what exists is shown."""

import re
from pathlib import Path

import pytest
from docs import generate

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize(
    ("name", "make"),
    [("coverage.md", generate.coverage), ("settings.md", generate.settings)],
)
def test_generated_documents_are_fresh(name: str, make: object) -> None:
    assert callable(make)
    assert (ROOT / "docs" / name).read_text() == make(), "run `just docs`"


def test_commands_in_the_readme_exist() -> None:
    from cloudlet.cli import cli as cloudlet
    from lambdashare.cli import cli as lambdashare

    used = re.findall(r"\.venv/bin/(lambdashare|cloudlet) ([a-z]+)", README)
    assert used
    for program, command in used:
        assert command in (lambdashare if program == "lambdashare" else cloudlet).commands
    for script in re.findall(r"\bscript/([a-z]+)", README):
        assert (ROOT / "script" / script).exists()


def test_options_in_the_readme_exist() -> None:
    from lambdashare.cli import cli

    known = {flag for p in cli.commands["up"].params for flag in p.opts}
    table = README.split("## Options")[1].split("##")[0]
    for option in re.findall(r"`(--[a-z-]+)", table):
        assert option in known


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for package in (ROOT / "src" / "cloudlet").iterdir():
        if (package / "__init__.py").exists():
            assert f"{package.name}/" in text, package.name


def test_the_changelog_has_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings and headings[0] == "## [Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading)


def test_surprises_that_are_cited_are_pinned_by_tests() -> None:
    """`# s3-014: …` in the code has a test that carries the same number."""
    cited: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        cited |= set(
            re.findall(r"#\s?((?:s3|dynamodb|lambda|gateway|sqs|iam)-\d{3})", path.read_text())
        )
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    missing = {n for n in cited if n not in tests and n.replace("-", "_") not in tests}
    assert not missing
