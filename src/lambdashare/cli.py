"""The `lambdashare` command. Exit codes: 0 done; 1 error; 2 wrong usage; 3 a sum does not match;
4 not found, expired or deleted.
"""

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from urllib3.exceptions import HTTPError

from lambdashare import receiving, sending
from lambdashare.client import NETWORK_ERRORS, ApiError, Client
from lambdashare.receiving import Mismatch

ERROR, MISMATCH, ABSENT = 1, 3, 4
SERVER = "http://localhost:8000"
UNITS_S = {"m": 60, "h": 3600, "d": 86400}

Command = Callable[..., Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lambdashare", prog_name="lambdashare")
def cli() -> None:
    """Temporary file sharing in which a file's hash sum is its address.

    Exit codes: 0 done, 1 error, 2 wrong usage, 3 a sum does not match, 4 not found or expired.
    """


def main() -> None:
    try:
        cli()
    except Mismatch as error:
        _fail(f"MISMATCH: {error}", MISMATCH)
    except ApiError as error:
        _fail(str(error), ABSENT if error.status in (404, 410) else ERROR)
    except ValueError as error:
        _fail(str(error), 2)
    except RuntimeError as error:
        _fail(str(error), ERROR)
    except HTTPError as error:
        _fail(f"{error} (--server or LAMBDASHARE_SERVER says where λShare is)", ERROR)
    except OSError as error:
        _fail(str(error), ERROR)


def _fail(message: str, code: int) -> None:
    click.echo(f"lambdashare: {message}", err=True)
    sys.exit(code)


def _server(command: Command) -> Command:
    return click.option(
        "--server",
        default=SERVER,
        show_default=True,
        envvar="LAMBDASHARE_SERVER",
        help="Which λShare.",
    )(command)


def _json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def seconds_of(_context: Any, _parameter: Any, text: str) -> int:
    """`90m`, `24h`, `7d` or seconds."""
    found = re.fullmatch(r"([0-9]+)([mhd]?)", text)
    if not found:
        raise click.BadParameter("give minutes, hours or days: 90m, 24h, 7d")
    seconds = int(found[1]) * UNITS_S.get(found[2], 1)
    if not 300 <= seconds <= 30 * 86400:
        raise click.BadParameter("must be 5 minutes to 30 days")
    return seconds


class Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, what: str, total: int, shown: bool) -> None:
        self._bar: Any = None
        if not (shown and sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task(what, total=total)

    def add(self, amount: int) -> None:
        if self._bar:
            self._bar.advance(self._task, amount)

    def now(self, what: str, done: int) -> None:
        if self._bar:
            self._bar.update(self._task, description=what, completed=done)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_server
@click.option("--expires", default="24h", callback=seconds_of, help="5m to 30d; default 24h.")
@click.option("--max-downloads", type=click.IntRange(1, 1_000_000), help="Of each file.")
@click.option("--unlisted", is_flag=True, help="Not to be found by its hash.")
@_json
def send(
    files: tuple[Path, ...],
    server: str,
    expires: int,
    max_downloads: int | None,
    unlisted: bool,
    as_json: bool,
) -> None:
    """Sends FILES (and folders) and prints the link once the sums agree."""
    found = sending.sources(list(files))
    if not found:
        raise click.UsageError("there are no files in there")
    client = Client(server)
    total = sum(source.size for source in found)
    bar = Bar("uploading", total, not as_json)
    try:
        run = sending.Sending(client, found, bar.add)
        wishes = {"expires_in_s": expires, "max_downloads": max_downloads, "listed": not unlisted}
        share = run.begin(wishes)
        run.run()
        view = client.wait(share["id"], _settled, lambda view: _show_hashing(bar, view))
    finally:
        bar.close()
    if as_json:
        click.echo(json.dumps(_summary(view), ensure_ascii=False))
    else:
        click.echo(_link(view))
    if view["phase"] == "quarantined":
        raise Mismatch("what arrived is not what was sent; it was quarantined")


def _settled(view: dict[str, Any]) -> bool:
    return all(file["phase"] in ("verified", "quarantined") for file in view["files"])


def _show_hashing(bar: Bar, view: dict[str, Any]) -> None:
    bar.now(view["phase"], sum(file["hashed_bytes"] for file in view["files"]))


def _link(view: dict[str, Any]) -> str:
    files = view["files"]
    if len(files) == 1 and files[0]["digests"]:
        return f"{view['url']}#sha256={files[0]['digests']['sha256']}"
    return str(view["url"])


def _summary(view: dict[str, Any]) -> dict[str, Any]:
    files = [{key: file[key] for key in ("name", "size", "digests")} for file in view["files"]]
    named = {"url": _link(view), "id": view["id"], "expires_at": view["expires_at"]}
    return {**named, "files": files}


@cli.command()
@click.argument("what", metavar="URL|HASH")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File or folder.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@_server
@_json
def get(what: str, output: Path | None, force: bool, server: str, as_json: bool) -> None:
    """Downloads and verifies: a file that does not match is not kept."""
    want = receiving.wanted(what, server)
    client = Client(want.server)
    files = receiving.files_of(client, want)
    done = []
    for file, target in zip(files, _targets(files, output), strict=True):
        if target.exists() and not force:
            raise FileExistsError(f"{target} exists; --force replaces it")
        bar = Bar(file["name"], file["size"] or 0, not as_json)
        try:
            got = receiving.receive(client, file, want, target, bar.add)
        finally:
            bar.close()
        _receipt(client, file, got["sha256"])
        done.append({"path": str(target), "size": file["size"], "digests": got})
        if not as_json:
            click.echo(f"{got['sha256']}  {target}")
    if as_json:
        click.echo(json.dumps({"files": done}, ensure_ascii=False))


def _targets(files: list[dict[str, Any]], output: Path | None) -> list[Path]:
    names = [receiving.local_name(file["name"]) for file in files]
    if len(files) == 1 and output and not output.is_dir():
        return [output]
    folder = output or Path()
    return [folder / (name.name if len(files) == 1 else name) for name in names]


def _receipt(client: Client, file: dict[str, Any], sha256: str) -> None:
    """Tells the sender's statistics that it arrived; nothing depends on it."""
    path = f"/v1/shares/{file['share']}/files/{file['n']}/verifications"
    try:
        client.call("POST", path, {"sha256": sha256})
    except (ApiError, *NETWORK_ERRORS):
        return


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("digest", metavar="[HASH]", required=False)
@_server
@_json
def verify(file: Path, digest: str | None, server: str, as_json: bool) -> None:
    """Compares FILE with HASH, or asks the server whether it knows FILE.

    HASH is any of the seven sums, or the first 12 or more digits of one.
    """
    from lambdashare import sums

    if digest is None:
        got = sums.of_file(file, ["sha256"])
        found = Client(server).call("GET", f"/v1/hashes/{got['sha256']}")
        _say(as_json, found, f"{got['sha256']}  {file}: known, {found['files'][0]['share_url']}")
        return
    wanted = sums.parse(digest)
    algorithms = sums.algorithms_of(wanted) or list(sums.LENGTHS)
    got = sums.of_file(file, algorithms)
    matching = [name for name, value in got.items() if value.startswith(wanted)]
    if not matching:
        raise Mismatch(f"{file} does not have the hash {wanted}")
    document = {"file": str(file), "match": True, "algorithm": matching[0], "digests": got}
    _say(as_json, document, f"{got[matching[0]]}  {file}: OK ({matching[0]})")


@cli.command()
@click.option("--range", "span", type=click.Choice(["hour", "day", "month"]), default="hour")
@_server
@_json
def stats(span: str, server: str, as_json: bool) -> None:
    """Prints what happened in the last hour, day or month."""
    found = Client(server).call("GET", f"/v1/stats?range={span}")
    totals = found["totals"]
    names = ("uploads", "bytes", "downloads", "verifications", "hashes", "quarantined")
    lines = [f"{name:14}{totals[name]:>16,}" for name in names]
    for name in ("p50_ms", "p99_ms"):
        value = totals["latency"][name]
        lines.append(f"{'hash ' + name:14}{'–' if value is None else f'≤ {value:,}':>16}")
    _say(as_json, found, "\n".join(lines))


def _say(as_json: bool, document: Any, text: str) -> None:
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else text)


def _own_name(host: str) -> str:
    """How others reach a server that listens on `host`: for links when no public URL is given."""
    if host in ("127.0.0.1", "::1", "localhost"):
        return "localhost"
    if host not in ("0.0.0.0", "::"):
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


@cli.command()
@click.option(
    "--port",
    envvar="LAMBDASHARE_PORT",
    default=8000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Of the page.",
)
@click.option(
    "--aws-port",
    envvar="LAMBDASHARE_AWS_PORT",
    default=4566,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of AWS's protocols.",
)
@click.option(
    "--data",
    envvar="LAMBDASHARE_DATA",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".cloudlet"),
    show_default=True,
    help="The folder with all state.",
)
@click.option(
    "--replica",
    envvar="LAMBDASHARE_REPLICA",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="A second folder, on another disk, that holds everything, too.",
)
@click.option(
    "--host",
    envvar="LAMBDASHARE_HOST",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0: other machines.",
)
@click.option(
    "--public-url",
    envvar="LAMBDASHARE_PUBLIC_URL",
    default="",
    help="How others see it (https://share.example).",
)
@click.option("--no-watch", is_flag=True, help="Do not deploy again when files change.")
def up(port: int, data: Path, host: str, public_url: str, no_watch: bool, **more: Any) -> None:
    """Runs λShare on this machine, on cloudlet. Ctrl-C stops it."""
    if public_url and not re.fullmatch(r"https?://[^/]+/?", public_url):
        raise click.BadParameter("must be http(s)://HOST[:PORT]", param_hint="--public-url")
    links = public_url.rstrip("/") or f"http://{_own_name(host)}:{port}"
    from cloudlet.app import serve
    from cloudlet.config import Config
    from cloudlet.errors import AwsError
    from lambdashare import web_build

    if not web_build.is_current():
        web_build.build_page(click.echo)
    config = Config(
        data=data.absolute(),
        host=host,
        door_port=port,
        public_url=public_url.rstrip("/"),
        **more,
    )
    template = Path(__file__).parent / "template.yaml"
    parameters = {"PublicUrl": links, "S3Endpoint": links}
    try:
        sys.exit(serve(config, template, parameters, watch=not no_watch, say=click.echo))
    except AwsError as error:
        raise RuntimeError(error.message) from None
    except OSError as error:
        raise RuntimeError(error.strerror or str(error)) from None


if __name__ == "__main__":
    main()
