"""The command's options, its output and its refusals."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from docs import generate

from cloudlet import cli, remote
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.iam import accounts
from cloudlet.iam.root import root_key
from cloudlet.s3 import remotes
from cloudlet.store.sealing import Master
from lambdashare.cli import cli as lambdashare


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `serve` was called with."""
    calls: list[Any] = []
    app = ModuleType("cloudlet.app")

    def serve(config: Config, template: Path | None, parameters: Any, **options: Any) -> int:
        calls.append((config, template, parameters, options))
        return 0

    app.serve = serve  # type: ignore[attr-defined]
    app.services_table = lambda: {"s3": (["GetObject"], ["GetObject", "PutObject"])}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cloudlet.app", app)
    return calls


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("cloudlet.iam.root")
    key = SimpleNamespace(access_key="AKIA1", secret_key="it's $ecret")
    module.root_key = lambda config: key  # type: ignore[attr-defined]
    module.FILE = "root-key.json"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cloudlet.iam", ModuleType("cloudlet.iam"))
    monkeypatch.setitem(sys.modules, "cloudlet.iam.root", module)


def test_up_passes_its_options_on(served: list[Any], tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("")
    arguments = ["up", str(template), "--port", "1", "--aws-port", "2", "--data", str(tmp_path)]
    arguments += ["--public-url", "https://a.example/", "--parameter", "A=1=2", "--no-watch"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exit_code == 0, result.output
    config, given, parameters, options = served[0]
    assert (config.door_port, config.aws_port, config.data) == (1, 2, tmp_path)
    assert config.public_url == "https://a.example" and config.host == "127.0.0.1"
    assert given == template and parameters == {"A": "1=2"} and options["watch"] is False


def test_up_reads_the_environment(served: list[Any]) -> None:
    variables = {"CLOUDLET_PORT": "7", "CLOUDLET_AWS_PORT": "8", "CLOUDLET_HOST": "0.0.0.0"}
    result = CliRunner().invoke(cli.cli, ["up"], env={**variables, "CLOUDLET_DATA": "/tmp/d"})
    assert result.exit_code == 0, result.output
    config, template, _, options = served[0]
    assert (config.door_port, config.aws_port, config.host) == (7, 8, "0.0.0.0")
    assert config.data == Path("/tmp/d") and template is None and options["watch"] is True


@pytest.mark.parametrize(
    "arguments",
    [["--parameter", "A"], ["--public-url", "x"], ["--port", "70000"], ["/no/such/template"]],
)
def test_up_refuses(served: list[Any], arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.cli, ["up", *arguments])
    assert result.exit_code == 2 and served == []


@pytest.mark.usefixtures("root")
def test_env_is_safe_to_evaluate(tmp_path: Path) -> None:
    (tmp_path / "root-key.json").touch()
    (tmp_path / "endpoint.json").write_text('{"aws_port": 4599}')
    result = CliRunner().invoke(cli.cli, ["env", "--data", str(tmp_path)])
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:4599\n" in result.output
    assert """export AWS_SECRET_ACCESS_KEY='it'"'"'s $ecret'\n""" in result.output
    assert "export AWS_REGION=us-east-1\n" in result.output


def test_env_invents_nothing(tmp_path: Path) -> None:
    with pytest.raises(AwsError, match="no cloudlet has run"):
        remote.environment(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_accounts_go_by_name_or_id(tmp_path: Path) -> None:
    root_key(Config(data=tmp_path))

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli.cli, [*words, "--data", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    made = run("account", "create", "team").split()
    run("account", "create")  # it has no name
    assert run("env", "--account", "team") == run("env", "--account", made[1])
    assert made[-1] in run("env", "--account", "team")
    assert run("remote", "list", "--account", "team") == ""
    with pytest.raises(AwsError, match="no account"):
        accounts.id_of(Config(data=tmp_path), "")
    run("account", "delete", "team", "--yes")
    assert "team" not in run("account", "list")


ADD = "remote", "add", "bucket", "--endpoint", "http://127.0.0.1:1", "--access-key", "A"


def test_a_secret_key_comes_from_a_pipe(tmp_path: Path) -> None:
    """Though there is a terminal; and an endpoint where nobody answers is told of."""
    master, slave = os.openpty()
    command = [sys.executable, "-m", "cloudlet", *ADD, "--data", str(tmp_path)]
    done = subprocess.run(
        command, input="s3cret\n", text=True, stdout=slave, stderr=slave, timeout=60, check=True
    )
    os.close(slave)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    assert done.returncode == 0 and "GetPass" not in shown and "ecret key" not in shown
    assert "warning: bucket is added, but cannot be used yet: ServiceUnavailable: " in shown
    kept = remotes.find(Config(data=tmp_path), "bucket")
    assert kept is not None
    sealed = Master(tmp_path / "master-key").wrapper.open(base64.b64decode(kept.secret))
    assert sealed == b"s3cret"


def test_without_a_secret_key_nothing_is_added(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.cli, [*ADD, "--data", str(tmp_path)], input="")
    assert done.exit_code == 2 and not remotes.known(Config(data=tmp_path))


def test_summaries_are_whole() -> None:
    groups = cli.cli, cli.account, cli.remotes, lambdashare
    for group in groups:
        listed = CliRunner().invoke(group, ["--help"], terminal_width=80).output
        assert not re.search(r"\.\.\.$", listed.partition("Commands:")[2], re.MULTILINE), listed


def test_settings_list_commands_of_commands() -> None:
    assert "## `cloudlet remote add NAME`" in generate.settings()
    assert "## `cloudlet account delete ID|NAME`" in generate.settings()


@pytest.mark.usefixtures("served")
def test_coverage_lists_what_is_missing() -> None:
    result = CliRunner().invoke(cli.cli, ["coverage"])
    assert "1/2" in result.output and "missing: PutObject" in result.output


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AwsError("ValidationError", "t.yaml: A: no"), "cloudlet: t.yaml: A: no\n"),
        (OSError(98, "Address already in use"), "cloudlet: Address already in use\n"),
        (PermissionError(13, "Permission denied", "/d"), "cloudlet: /d: Permission denied\n"),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "cli", click.command()(fail))
    monkeypatch.setattr(sys, "argv", ["cloudlet"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1 and capsys.readouterr().err == line


def test_terminals_are_not_commanded_by_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x9b1m a\rb\tc é"
    assert remote._shown(text) == text  # into a file, as it is
    monkeypatch.setattr(remote.sys.stdout, "isatty", lambda: True)
    shown = "\x1b[31mred\x1b[0m \\x1b]0;title\\x07\\x1b[2J\\x9b1m a\\rb\tc é"
    assert remote._shown(text) == shown


def test_logs_of_functions_that_share_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is its own function's; whose an unnamed stream is, its group may say."""
    streams = [
        ("/shop", "2026/11/23/buy[$LATEST]0a"),
        ("/shop", "2026/11/23/sell[7]0b"),
        ("/shop", "2026/11/22/[$LATEST]0c"),
        ("/aws/lambda/buy", "2026/11/21/[$LATEST]0d"),
    ]
    events = [
        (group, {"eventId": stream, "timestamp": n, "logStreamName": stream, "message": f"{n}\n"})
        for n, (group, stream) in enumerate(streams)
    ]
    groups = {"buy": "/shop", "sell": "/shop", "old": "/aws/lambda/buy"}
    listed = [{"logGroupName": group} for group in {*groups.values()}]
    client = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda: [{"logGroups": listed}])
    )
    monkeypatch.setattr(remote, "_client", lambda data, service: client)
    monkeypatch.setattr(remote, "_functions", lambda data: groups)
    monkeypatch.setattr(
        remote, "_events", lambda data, client, asked, window: [e for e in events if e[0] in asked]
    )

    def logs(*arguments: str) -> list[str]:
        done = CliRunner().invoke(remote.logs, arguments, catch_exceptions=False)
        return done.output.splitlines()

    time = "1970-01-01T00:00:00.00"
    assert logs() == [
        f"{time}{each}"
        for each in ("0Z 0a [buy] 0", "1Z 0b [sell] 1", "2Z 0c [buy, sell] 2", "3Z 0d [buy] 3")
    ]
    assert logs("sell") == [f"{time}1Z 0b 1", f"{time}2Z 0c 2"]
    assert logs("sell", "--plain") == ["1", "2"]
    assert logs("/shop", "--plain") == ["0", "1", "2"]
