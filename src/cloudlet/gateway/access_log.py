"""Access logs of stages: a format with `$context` variables → a line in CloudWatch Logs.

The format may be JSON, XML, CLF or CSV: to API Gateway it is text with holes.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Cloud
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.configuration import bad_request
from cloudlet.gateway.variables import Context, lookup, text

_VARIABLE = re.compile(r"\$context\.([A-Za-z][\w-]*(?:\.[\w-]+)*)")
_GROUP = re.compile(r"arn:aws[\w-]*:logs:[\w-]+:\d*:log-group:([\w./#-]+)(?::\*)?")
_CHARACTERS_MAX = 3072


@dataclass(frozen=True, slots=True)
class AccessLog:
    """One stage's log. `pieces` alternate between text and names of variables."""

    group: str
    stream: str
    pieces: tuple[str, ...]
    quotes: bool  # values stand in JSON strings

    def write(self, cloud: Cloud, context: Context) -> None:
        cloud.journal.line(self.group, self.stream, self.line(context))

    def line(self, context: Context) -> str:
        pieces = list(self.pieces)
        for position in range(1, len(pieces), 2):
            value = text(lookup(context, pieces[position])) or "-"
            quoted = self.quotes and pieces[position] != "error.messageString"
            pieces[position] = _escaped(value) if quoted else value
        return "".join(pieces)


def compiled(settings: dict[str, Any] | None, stage: str) -> AccessLog | None:
    """`settings` are a stage's AccessLogSettings, checked; `stage` is `API/STAGE`."""
    if not settings or not settings.get("DestinationArn") or not settings.get("Format"):
        return None
    layout = settings["Format"].rstrip("\r\n")
    stream = hashlib.md5(stage.encode(), usedforsecurity=False).hexdigest()
    group = _group(settings["DestinationArn"])
    return AccessLog(group, stream, tuple(_VARIABLE.split(layout)), layout.lstrip()[:1] == "{")


def check(settings: dict[str, Any]) -> None:
    """Raises for what no log can be written with. Both members, or neither (no log)."""
    destination, layout = settings.get("DestinationArn"), settings.get("Format")
    if not destination and not layout:
        return
    if not destination or not layout:
        raise bad_request("Access log settings need both DestinationArn and Format.")
    _group(destination)
    if len(layout) > _CHARACTERS_MAX or "\n" in layout.rstrip("\r\n"):
        raise bad_request(
            "Access Log format must be single line, new line character is allowed only at end "
            "of the format"
        )
    if not {"requestId", "extendedRequestId"} & set(_VARIABLE.findall(layout)):
        raise bad_request(
            "Access Log format must contain at least $context.requestId or "
            "$context.extendedRequestId"
        )


def _group(arn: str) -> str:
    if ":firehose:" in arn:
        raise NotImplementedByCloudlet("An access log to Firehose")
    found = _GROUP.fullmatch(arn)
    if found is None:
        raise bad_request(
            f"Invalid ARN specified in the request. {arn!r} must be a log group's ARN."
        )
    return found.group(1)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
