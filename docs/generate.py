"""Writes the generated documents: `python -m docs.generate`; `--check` only compares."""

import sys
from pathlib import Path

import click

HERE = Path(__file__).parent


def coverage() -> str:
    """Every operation of every service, from the dispatch table itself."""
    from cloudlet.app import services_table

    lines = [
        "# Coverage",
        "",
        "From the dispatch table (`just docs`; `cloudlet coverage` prints the same). What is not",
        "listed answers `NotImplemented` with its name.",
        "",
        "| service | answered | of |",
        "|---|---|---|",
    ]
    table = services_table()
    for name, (done, known) in sorted(table.items()):
        lines.append(f"| {name} | {len(done)} | {len(known)} |")
    for name, (done, _) in sorted(table.items()):
        lines += ["", f"## {name}", "", ", ".join(f"`{operation}`" for operation in done)]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Options and environment variables, from the commands themselves."""
    from cloudlet.cli import cli as cloudlet
    from lambdashare.cli import cli as lambdashare

    lines = [
        "# Settings",
        "",
        "Generated from the commands (`just docs`). `script/up` is `lambdashare up`.",
    ]
    lines += _commands("lambdashare", lambdashare) + _commands("cloudlet", cloudlet)
    return "\n".join(lines) + "\n"


def _commands(program: str, group: click.Group) -> list[str]:
    lines = []
    for name, command in sorted(group.commands.items()):
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        names = " ".join(a.make_metavar(click.Context(command)) for a in arguments)
        lines += ["", f"## `{f'{program} {name} {names}'.strip()}`", ""]
        lines.append((command.help or "").strip().split("\n\n")[0].replace("\n", " "))
        lines += _options(command)
        if isinstance(command, click.Group):
            lines += _commands(f"{program} {name}", command)
    return lines


def _options(command: click.Command) -> list[str]:
    options = [p for p in command.params if isinstance(p, click.Option)]
    if not options:
        return []
    lines = ["", "| option | variable | default | |", "|---|---|---|---|"]
    for option in options:
        flags = ", ".join(f"`{flag}`" for flag in option.opts)
        variable = f"`{option.envvar}`" if option.envvar else ""
        shown = isinstance(option.default, str | int | float | Path) and not isinstance(
            option.default, bool
        )
        default = f"`{option.default}`" if shown and str(option.default) else ""
        lines.append(f"| {flags} | {variable} | {default} | {option.help or ''} |")
    return lines


def main() -> None:
    stale = []
    for name, make in (("coverage.md", coverage), ("settings.md", settings)):
        path, text = HERE / name, make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run `just docs`")


if __name__ == "__main__":
    main()
