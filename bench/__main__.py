"""Measures cloudlet against its peers and the machine; see bench/ for what exactly."""

import click

from bench import buckets, events, functions, items, results, sharing

_TABLES = ("sharing", "functions", "events", "dynamodb", "s3")


@click.command()
@click.argument("tables", nargs=-1, type=click.Choice(_TABLES))
@click.option("--seconds", default=2.0, help="Length of one window.", show_default=True)
@click.option("--write", is_flag=True, help="Write docs/benchmarks.md (all tables).")
def main(tables: tuple[str, ...], seconds: float, write: bool) -> None:
    """Prints tables of figures and ratios; all of them without arguments."""
    made = []
    for name in tables or _TABLES:
        click.echo(f"measuring {name} …", err=True)
        if name == "sharing":
            made.append(sharing.sharing())
        elif name == "functions":
            made.append(functions.functions(seconds))
        elif name == "events":
            made.append(events.events(seconds))
        elif name == "dynamodb":
            made.append(items.dynamodb(seconds))
        else:
            made.append(buckets.s3(seconds))
        click.echo(made[-1].text())
    if write:
        results.write(made, "script/bench --write" + "".join(f" {name}" for name in tables))


if __name__ == "__main__":
    main()
