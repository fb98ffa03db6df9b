"""Deploys AWS's published SAM patterns on cloudlet and does what their READMEs say.

CLONE is a clone of aws-samples/serverless-patterns. Every pattern runs on a cloudlet of its own,
by `cloudlet up template.yaml`, its files as published.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from tests.patterns import events, functions, http, node, rest
from tests.patterns.pattern import Deployed, Pattern
from tests.server import Server

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance" / "serverless-patterns.md"
_INTRODUCTION = """# Serverless patterns

AWS's own published SAM patterns (aws-samples/serverless-patterns), deployed as they are by
`cloudlet up template.yaml`, each on a new cloudlet, then tried as their READMEs say. Made by
`script/patterns --write CLONE`.

"""


def patterns() -> Iterator[Pattern]:
    for module in (http, rest, functions, events, node):
        for value in vars(module).values():
            if isinstance(value, Pattern):
                yield value


@click.command(help=__doc__)
@click.argument("clone", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("names", nargs=-1)
@click.option("--write", is_flag=True, help="Write docs/conformance/serverless-patterns.md.")
def main(clone: Path, names: tuple[str, ...], write: bool) -> None:
    rows = []
    for each in patterns():
        if names and each.folder not in names:
            continue
        result = _run(clone, each)
        rows.append(f"| {each.folder} | {result or 'works'} | {each.tells} |")
        click.echo(f"{'FAILS' if result else 'works'}  {each.folder}  {result}")
    good = sum(" | works | " in row for row in rows)
    click.echo(f"{good} of {len(rows)} patterns work")
    if write:
        head = f"{good} of {len(rows)} work.\n\n| pattern | result | tried |\n| --- | --- | --- |\n"
        DOCUMENT.write_text(_INTRODUCTION + head + "\n".join(rows) + "\n")
    sys.exit(good != len(rows))


def _run(clone: Path, each: Pattern) -> str:
    """What went wrong, in a line; "" if nothing did."""
    folder = Path(tempfile.mkdtemp(prefix="pattern-"))
    copy = shutil.copytree(clone / each.folder, folder / each.folder)
    template = next(path for path in copy.iterdir() if path.stem == "template")
    parameters = [f"--parameter={name}={value}" for name, value in each.parameters.items()]
    server = Server(folder / "data", template, "--no-watch", "--retry-seconds=0", *parameters)
    try:
        if each.before:
            bare = Server(folder / "data").start()
            each.before(bare)
            bare.stop()
        server.start()
        each.check(Deployed(server, template.parent.name))
        return ""
    except Exception as error:
        if isinstance(error, AssertionError | OSError):
            said = " ".join(str(error).split()) or "the answer differs"
        else:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return said[-300:].replace("|", "\\|")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
