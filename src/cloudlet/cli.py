"""The `cloudlet` command: bring a template up, and small things around a running cloudlet.

Every option of `up` has an environment variable (CLOUDLET_PORT, …). Everything heavy is imported
by the command that needs it, so that `cloudlet --help` is quick.
"""

import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cloudlet import __version__, remote
from cloudlet.config import Config
from cloudlet.remote import data_option, environment, fail

_POLL_S = 0.5


def _most_readers() -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores - 1, 3)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cloudlet")
def cli() -> None:
    """The one-machine serverless cloud: runs SAM templates, speaks AWS's protocols."""


cli.add_command(remote.invoke)
cli.add_command(remote.logs)


def main() -> None:
    """Runs the command; an error that a person can act on is one line and exit code 1."""
    from cloudlet.errors import AwsError

    try:
        cli()
    except AwsError as error:
        fail(error.message)
    except OSError as error:
        fail(_os_error(error))


@cli.command()
@click.argument(
    "template", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    envvar="CLOUDLET_PORT",
    help="Of the application's front door.",
)
@click.option(
    "--aws-port",
    default=4566,
    show_default=True,
    type=click.IntRange(0, 65535),
    envvar="CLOUDLET_AWS_PORT",
    help="Of AWS's protocols.",
)
@data_option
@click.option(
    "--replica",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    envvar="CLOUDLET_REPLICA",
    help="A second folder, on another disk, that holds everything, too.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="CLOUDLET_HOST",
    help="The address to listen on; 0.0.0.0 for other machines.",
)
@click.option(
    "--public-url",
    default="",
    envvar="CLOUDLET_PUBLIC_URL",
    help="The front door as others see it (behind a proxy: https://share.example).",
)
@click.option(
    "--parameter",
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template; repeatable.",
)
@click.option(
    "--open",
    "open_access",
    is_flag=True,
    envvar="CLOUDLET_OPEN",
    help="Accept any credentials. For throw-away tests only.",
)
@click.option(
    "--classic-buckets",
    is_flag=True,
    envvar="CLOUDLET_CLASSIC_BUCKETS",
    help="New buckets as AWS made them until 2020: ACLs enabled (ObjectWriter), public access not "
    "blocked; and Signature Version 2 is accepted.",
)
@click.option(
    "--readers",
    default=_most_readers,
    show_default="the cores but one, 3 at most",
    type=click.IntRange(0, 64),
    envvar="CLOUDLET_READERS",
    help="Processes that may be started to answer reads of S3 and DynamoDB when many come.",
)
@click.option("--no-watch", is_flag=True, help="Do not deploy again when files change.")
@click.option(
    "--retry-seconds",
    "retry_s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    envvar="CLOUDLET_RETRY_SECONDS",
    help="Before a failed asynchronous invocation is tried again; twice as long before the last.",
)
def up(template: Path | None, parameters: tuple[str, ...], no_watch: bool, **settings: Any) -> None:
    """Starts the cloud and deploys TEMPLATE. Without one, the bare services."""
    more = {
        name: settings.pop(name) for name in ("retry_s", "classic_buckets", "replica", "readers")
    }
    config = replace(config_of(**settings), **more)
    values = parameter_values(parameters)
    from cloudlet.app import serve

    sys.exit(serve(config, template, values, watch=not no_watch, say=_say, shows_addresses=True))


def config_of(
    *, port: int, aws_port: int, data: Path, host: str, public_url: str, open_access: bool
) -> Config:
    """The configuration that the options of `up` describe."""
    if public_url and not public_url.startswith(("http://", "https://")):
        raise click.BadParameter("must start with http:// or https://", param_hint="--public-url")
    return Config(
        data=data.absolute(),
        host=host,
        aws_port=aws_port,
        door_port=port,
        public_url=public_url.rstrip("/"),
        open_access=open_access,
        readers=_most_readers(),
    )


def parameter_values(given: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--parameter")
        values[name] = value
    return values


_account_option = click.option(
    "--account", default="", metavar="ID|NAME", help="Another than the default account."
)


@cli.command()
@_account_option
@data_option
def env(account: str, data: Path) -> None:
    """Prints exports for a shell: eval "$(cloudlet env)"."""
    for name, value in environment(data, account).items():
        click.echo(f"export {name}={shlex.quote(value)}")


@cli.group()
def account() -> None:
    """Accounts beside the default one, each with a cloud of its own."""


@account.command("create")
@click.argument("name", default="")
@data_option
def create_account(name: str, data: Path) -> None:
    """Makes an account; prints its id and its root key. It is usable at once."""
    from cloudlet.iam import accounts

    made, key = accounts.create(Config(data=data.absolute()), name)
    click.echo(f"account            {made.id}")
    click.echo(f"access key         {key.access_key}")
    click.echo(f"secret access key  {key.secret_key}")


@account.command("list")
@data_option
def list_accounts(data: Path) -> None:
    """Prints the id and the name of each account."""
    from cloudlet.iam import accounts

    config = Config(data=data.absolute())
    for each in [accounts.Account(config.account, "(default)"), *accounts.known(config)]:
        click.echo(f"{each.id}  {each.name}".rstrip())


@account.command("delete")
@click.argument("account", metavar="ID|NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def delete_account(account: str, yes: bool, data: Path) -> None:
    """Deletes an account with all that is in it."""
    from cloudlet.errors import AwsError
    from cloudlet.iam import accounts
    from cloudlet.store.holding import hold

    config = Config(data=data.absolute())
    account_id = accounts.id_of(config, account)
    if not yes:
        click.confirm(f"Delete account {account_id} and all that is in it?", abort=True)
    accounts.mark_deleted(config, account_id)
    while accounts.is_deleted(config, account_id):
        try:  # whoever has the data directory removes it
            held = hold(config.data)
        except AwsError:
            time.sleep(_POLL_S)
        else:
            accounts.sweep(config)
            os.close(held)


@cli.group("remote")
def remotes() -> None:
    """Buckets at other S3 endpoints, to replicate to."""


@remotes.command("add")
@click.argument("name")
@click.option("--endpoint", required=True, metavar="URL", help="https://s3.REGION.amazonaws.com, …")
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--bucket", default="", help="What the bucket is called there, if not NAME.")
@click.option("--access-key", required=True)
@click.option("--secret-key", envvar="CLOUDLET_REMOTE_SECRET_KEY", help="Better not said here.")
@_account_option
@data_option
def add_remote(name: str, account: str, data: Path, secret_key: str | None, **where: str) -> None:
    """Makes arn:aws:s3:::NAME a bucket elsewhere, for replication.

    The secret key is read from CLOUDLET_REMOTE_SECRET_KEY, from standard input or, where that is
    the terminal, asked for. It is kept encrypted.
    """
    from cloudlet.s3.remotes import Remote, add, trouble

    config, place = _config_of(data, account), (where["endpoint"], where["region"])
    there = Remote(name, *place, where["bucket"] or name, where["access_key"], "")
    add(config, replace(there, secret=secret_key or _secret_key()))
    if found := trouble(config, name):
        click.echo(f"cloudlet: warning: {name} is added, but cannot be used yet: {found}", err=True)


def _secret_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Secret key", hide_input=True))
    if given := sys.stdin.readline().strip():
        return given
    raise click.UsageError("standard input has no secret key")


@remotes.command("list")
@_account_option
@data_option
def list_remotes(account: str, data: Path) -> None:
    """Prints each bucket's name here, its endpoint and its name there."""
    from cloudlet.s3.remotes import known

    for each in known(_config_of(data, account)):
        click.echo(f"{each.name}  {each.endpoint}  {each.bucket}")


@remotes.command("remove")
@click.argument("name")
@_account_option
@data_option
def remove_remote(name: str, account: str, data: Path) -> None:
    """Forgets a bucket elsewhere. What still waits for it FAILS."""
    from cloudlet.s3.remotes import remove

    remove(_config_of(data, account), name)


@remotes.command("sync")
@click.argument("bucket")
@data_option
def sync_remote(bucket: str, data: Path) -> None:
    """Replicates what BUCKET holds already, and what has failed.

    Of the default account.
    """
    remote.replicate_existing(data, bucket)


def _config_of(data: Path, account: str) -> Config:
    from cloudlet.iam import accounts

    config = Config(data=data.absolute())
    if not account:
        return config
    return accounts.config_of(config, accounts.id_of(config, account))


@cli.command()
@data_option
@click.option(
    "--replica",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    envvar="CLOUDLET_REPLICA",
    help="The second folder; by default the one that was used last.",
)
@click.option("--repair", is_flag=True, help="Take what is damaged or lost from the other folder.")
def scrub(data: Path, replica: Path | None, repair: bool) -> None:
    """Verifies everything that is stored. The exit code is 1 if something is damaged."""
    from cloudlet.inspection import inspect

    sys.exit(1 if inspect(data.absolute(), replica, repair, _say) else 0)


@cli.command()
@click.option("--missing/--no-missing", default=True, help="List the missing operations.")
def coverage(missing: bool) -> None:
    """Which operations of each AWS service are implemented."""
    from cloudlet.app import services_table

    click.echo(coverage_text(services_table(), missing))


def coverage_text(table: dict[str, tuple[list[str], list[str]]], missing: bool) -> str:
    lines = [f"{'service':<26}{'operations':>12}"]
    for name, (implemented, known) in sorted(table.items()):
        count = f"{len(implemented)}/{len(known)}"
        lines.append(f"{name:<26}{count:>12}")
        absent = sorted(set(known) - set(implemented))
        if missing and absent:
            lines.append(click.wrap_text(", ".join(absent), 96, "    missing: ", "        "))
    return "\n".join(lines)


def _os_error(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text


def _say(message: str) -> None:
    click.echo(message)
    sys.stdout.flush()
