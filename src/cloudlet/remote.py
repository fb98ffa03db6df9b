"""Commands that ask a running cloudlet over AWS's protocols: `cloudlet invoke`, `cloudlet logs`.

Where it listens and the root key stand in its data directory; boto3 does the rest.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from cloudlet.config import Config

DATA = Path(".cloudlet")
Command = TypeVar("Command", bound=Callable[..., Any])
_CONTROL = re.compile(r"(\x1b\[[\d;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_POLL_S = 0.5
_LATE_MS = 3_000  # lines may arrive so much later than others
_STREAM = re.compile(r"\d{4}/\d\d/\d\d/(.+)\[.+\]\w+")  # of a function, in a group of one's choice
_SINCE = re.compile(r"(\d+)(s|m|h|d)")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def data_option(command: Command) -> Command:
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DATA,
        show_default=True,
        envvar="CLOUDLET_DATA",
        help="The folder with all state.",
    )(command)


@click.command()
@click.argument("function")
@click.option("--payload", "-p", default="{}", metavar="JSON|@FILE|-", help="The event.")
@click.option("--async", "is_async", is_flag=True, help="Do not wait for the answer.")
@data_option
def invoke(function: str, payload: str, is_async: bool, data: Path) -> None:
    """Invokes FUNCTION and prints its answer. It goes by its name or its name in the template.

    Of an error, the end of the function's log goes to standard error; the exit code is 1.
    """
    name = _function(_functions(data), function)
    options = {"InvocationType": "Event"} if is_async else {"LogType": "Tail"}
    body = _payload(payload)
    client = _client(data, "lambda")
    answer = _ask(data, lambda: client.invoke(FunctionName=name, Payload=body, **options))
    if is_async:
        return
    click.echo(_shown(answer["Payload"].read().decode(errors="replace")))
    if answer.get("FunctionError"):
        from base64 import b64decode

        tail = b64decode(answer.get("LogResult", "")).decode(errors="replace")
        click.echo(_shown(tail, err=True), err=True)
        sys.exit(1)


def _shown(text: str, *, err: bool = False) -> str:
    """Visitors' words end up in logs: on a terminal they may be coloured, and no more than that."""
    if not (sys.stderr if err else sys.stdout).isatty():
        return text
    return _CONTROL.sub(lambda found: found[1] or ascii(found[0])[1:-1], text)


def _payload(given: str) -> bytes:
    if given == "-":
        body = sys.stdin.buffer.read()
    elif given.startswith("@"):
        body = Path(given[1:]).read_bytes()
    else:
        body = given.encode()
    try:
        json.loads(body)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--payload") from error
    return body


@click.command()
@click.argument("name", required=False, metavar="[FUNCTION|GROUP]")
@click.option("--follow", "-f", is_flag=True, help="Go on as new lines come.")
@click.option("--filter", "pattern", default="", metavar="PATTERN", help="CloudWatch's pattern.")
@click.option(
    "--since", metavar="10m", help="Only the last seconds, minutes, hours, days: s m h d."
)
@click.option("--plain", is_flag=True, help="Nothing but what was logged.")
@data_option
def logs(name: str | None, pattern: str, since: str | None, data: Path, **flags: bool) -> None:
    """Prints what a function, all functions or a log group have logged.

    Each line after its time (UTC) and the beginning of its worker's id: a worker has one invocation
    at a time. Of all functions, after whose it is, too. Of a log group that functions share,
    FUNCTION (its name, its name in the template) gets its own.
    """
    client, start_ms = _client(data, "logs"), _since_ms(since)
    is_group = name is not None and "/" in name
    seen: dict[str, int] = {}
    while True:
        groups = {name: [name]} if name and is_group else _groups(data, name)
        for group, event in _events(data, client, groups, _window(pattern, start_ms)):
            whose = _whose(group, event["logStreamName"], groups[group])
            is_wanted = is_group or not name or bool({*whose} & {*groups[group]})
            if is_wanted and event["eventId"] not in seen:
                seen[event["eventId"]] = event["timestamp"]
                label = "" if flags["plain"] else _label(event, [] if name else whose)
                click.echo(_shown(label + event["message"].rstrip("\n")))
        if not flags["follow"]:
            return
        start_ms = max([start_ms, *(time_ms - _LATE_MS for time_ms in seen.values())])
        seen = {id_: time_ms for id_, time_ms in seen.items() if time_ms >= start_ms}
        sys.stdout.flush()
        time.sleep(_POLL_S)


def _label(event: dict[str, Any], whose: list[str]) -> str:
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat("T", "milliseconds")
    names = f"[{', '.join(whose)}] " if whose else ""
    return f"{moment[:-6]}Z {event['logStreamName'].rpartition(']')[2][:8]} {names}"


def _window(pattern: str, start_ms: int) -> dict[str, Any]:
    return {"startTime": start_ms, **({"filterPattern": pattern} if pattern else {})}


def _since_ms(text: str | None) -> int:
    if text is None:
        return 0
    match = _SINCE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not like 30s, 10m, 2h, 1d", param_hint="--since")
    return max(0, Config(Path()).now_ms() - int(match[1]) * _UNITS_MS[match[2]])


def _whose(group: str, stream: str, sharers: list[str]) -> list[str]:
    """The functions that a stream is of: one, unless neither it nor its group says which."""
    named = _STREAM.fullmatch(stream)
    if named:
        return [named[1]]
    own = group.removeprefix("/aws/lambda/")
    return sharers if own == group else [own]


def _groups(data: Path, name: str | None) -> dict[str, list[str]]:
    """The log groups that exist of one function or of all → the functions that share them."""
    found = _functions(data)
    names = list(found) if name is None else [_function(found, name)]
    groups: dict[str, list[str]] = {}
    for each in (known.rsplit(":", 1)[-1] for known in names):
        groups.setdefault(found.get(each, f"/aws/lambda/{each}"), []).append(each)
    pages = _client(data, "logs").get_paginator("describe_log_groups").paginate()
    there = _ask(data, lambda: [g["logGroupName"] for p in pages for g in p["logGroups"]])
    return {group: sharers for group, sharers in groups.items() if group in there}


def _events(
    data: Path, client: Any, groups: Iterable[str], window: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """(group, event) in order of time."""
    pairs: list[tuple[str, dict[str, Any]]] = []
    for group in groups:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **window)
        pairs += [(group, event) for event in _ask(data, partial(_all, pages))]
    return sorted(pairs, key=lambda pair: pair[1]["timestamp"])


def _all(pages: Any) -> list[dict[str, Any]]:
    return [event for page in pages for event in page["events"]]


def _functions(data: Path) -> dict[str, str]:
    """Functions' names → their log groups."""
    pages = _client(data, "lambda").get_paginator("list_functions").paginate()
    found = _ask(data, lambda: [function for page in pages for function in page["Functions"]])
    return {each["FunctionName"]: each["LoggingConfig"]["LogGroup"] for each in found}


def _function(known: Iterable[str], name: str) -> str:
    """The function called so, or made for that logical id: STACK-NAME-RANDOM."""
    made = [each for each in known if f"-{name}-" in each]
    if name in known or name.startswith("arn:"):
        return name
    if len(made) == 1:
        return made[0]
    fail(f"no function {name!r} here; there are: {', '.join(sorted(known)) or 'none'}")


def replicate_existing(data: Path, bucket: str) -> None:
    """Puts the bucket's replication rules once more, for objects that are there already, too."""
    client = _client(data, "s3")
    found = _ask(data, lambda: client.get_bucket_replication(Bucket=bucket))
    configuration = found["ReplicationConfiguration"]
    for rule in configuration["Rules"]:
        rule["ExistingObjectReplication"] = {"Status": "Enabled"}
    wanted = {"Bucket": bucket, "ReplicationConfiguration": configuration}
    _ask(data, lambda: client.put_bucket_replication(**wanted))


def environment(data: Path, account: str = "") -> dict[str, str]:
    """What AWS's tools need to find the cloudlet of this folder; AwsError where there is none."""
    from cloudlet.errors import AwsError
    from cloudlet.iam.root import FILE, root_key

    config = Config(data=data.absolute())
    if not (config.data / FILE).exists():
        message = (
            f"no cloudlet has run in {config.data}: run `up` there, or name its folder: --data"
        )
        raise AwsError("NoCloudlet", message, 404)
    key = root_key(config)
    if account:
        from cloudlet.iam.accounts import key_of

        key = key_of(config, account)
    return {
        "AWS_ENDPOINT_URL": endpoint(config.data) or config.aws_endpoint,
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
    }


def endpoint(data: Path) -> str:
    """Where the cloudlet of this data directory listens (or last listened); "" if unknown."""
    try:
        document = json.loads((data / "endpoint.json").read_text(encoding="utf-8"))
        return f"http://127.0.0.1:{int(document['aws_port'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@cache
def _client(data: Path, service: str) -> Any:
    import boto3
    from botocore.config import Config as ClientConfig

    values = environment(data)
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=values["AWS_ENDPOINT_URL"],
        region_name=values["AWS_REGION"],
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        config=ClientConfig(retries={"total_max_attempts": 1}, read_timeout=910),
    )


def _ask(data: Path, call: Callable[[], Any]) -> Any:
    """The call's answer; AWS's errors and an absent cloudlet as one line."""
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

    try:
        return call()
    except ClientError as error:
        found = error.response["Error"]
        fail(f"{found['Code']}: {found['Message']}")
    except EndpointConnectionError:
        fail(f"the cloudlet of {data} is not running: start it with `cloudlet up`")
    except BotoCoreError as error:
        fail(f"no answer from the cloudlet of {data}: {error}")


def fail(message: str) -> NoReturn:
    click.echo(f"cloudlet: {message}", err=True)
    sys.exit(1)
