"""REST protocols: which operation a method, path and query mean, and where its members travel.

Every operation of a model becomes a `Route`. S3 tells operations apart by sub-resources
(`?uploads`), required parameters (`?uploadId=`) and headers (`x-amz-copy-source`): of the routes
whose path matches, the one with the most demands met wins.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from botocore.model import ListShape, OperationModel, StructureShape

from cloudlet.errors import AwsError
from cloudlet.exchange import Request
from cloudlet.wire import s3_requests, scalars
from cloudlet.wire.models import Model, serialization

Arguments = list[tuple[str, str]]
# Deprecated twins share a route with the operation that replaced them.
_TWINS = {
    "s3": {"GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification",
           "PutBucketNotification", "ListDirectoryBuckets", "CreateSession"},
    "lambda": {"InvokeAsync"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    operation: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    literals: tuple[tuple[str, str | None], ...]  # query keys the URI itself demands
    needs_query: tuple[str, ...]
    needs_header: tuple[str, ...]

    def score(self, names: dict[str, str], headers: dict[str, str]) -> tuple[int, int] | None:
        """(demands met, demands unmet); None where a literal is missing."""
        for name, value in self.literals:
            if name not in names or (value is not None and names[name] != value):
                return None
        met = len(self.literals) * 2
        wanted = len(self.needs_query) + len(self.needs_header)
        found = sum(name in names for name in self.needs_query)
        found += sum(name in headers for name in self.needs_header)
        return met + found, wanted - found


@cache
def routes(model: Model) -> list[tuple[re.Pattern[str], dict[str, list[Route]]]]:
    """Path → method → routes: most operations share their path with many others."""
    twins = _TWINS.get(model.name, set())
    table: dict[re.Pattern[str], dict[str, list[Route]]] = {}
    for name in model.operation_names:
        if name not in twins:
            route = _route(model.operation(name))
            table.setdefault(route.path, {}).setdefault(route.method, []).append(route)
    return list(table.items())


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    labels = tuple(label.rstrip("+") for label in re.findall(r"\{([^}]+)\}", path))
    pattern = "".join(
        (r"(.+)" if part.endswith("+}") else r"([^/]+)")
        if part.startswith("{")
        else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", path)
    )
    literals: list[tuple[str, str | None]] = []
    for part in filter(None, query.split("&")):
        name, has_value, value = part.partition("=")
        if name != "x-id":
            literals.append((name, value if has_value else None))
    needs_query, needs_header = [], []
    shape = operation.input_shape
    for name in shape.required_members if shape else ():
        assert shape is not None
        traits = serialization(shape.members[name])
        if traits.get("location") == "querystring":
            needs_query.append(traits.get("name", name))
        elif traits.get("location") == "header":
            needs_header.append(traits.get("name", name).lower())
    suffix = "/?" if path != "/" and not path.endswith("+}") else ""
    return Route(
        operation.name,
        operation.http["method"],
        re.compile(f"{pattern}{suffix}", re.DOTALL),
        labels,
        tuple(literals),
        tuple(needs_query),
        tuple(needs_header),
    )


def match(
    model: Model, request: Request, path: str, query: Arguments
) -> tuple[str, dict[str, str]]:
    """Operation name and decoded path labels."""
    names = dict(query)
    best: tuple[int, int, int] | None = None
    found: tuple[Route, re.Match[str]] | None = None
    path_known = False
    for pattern, by_method in routes(model):
        matched = pattern.fullmatch(path)
        if matched is None:
            continue
        path_known = True
        for route in by_method.get(request.method, ()):
            if route.literals and not names:  # most requests have no query, most routes need one
                continue
            score = route.score(names, request.headers)
            if score is None or (score[1] and model.name == "s3"):
                continue
            rank = (score[0], -score[1], -len(route.labels))
            if best is None or rank > best:
                best, found = rank, (route, matched)
    if found is None:
        raise _no_route(model, request.method, path_known, path)
    route, matched = found
    if model.name == "s3":
        s3_requests.check(request, route.operation, names)
    labels = {
        label: _decoded(value) for label, value in zip(route.labels, matched.groups(), strict=True)
    }
    return route.operation, labels


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.", 400) from error


def _no_route(model: Model, method: str, path_known: bool, path: str) -> AwsError:
    if path_known:
        text = "The specified method is not allowed against this resource."
        kind = ("SERVICE", "BUCKET", "OBJECT")[min(2, len(path.rstrip("/").split("/")) - 1)]
        fields = {"Method": method, "ResourceType": kind} if model.name == "s3" else {}
        return AwsError("MethodNotAllowed", text, 405, **fields)
    return AwsError("UnknownOperationException", "The requested operation is not known.", 404)


Parse = Callable[[str], Any]


class Binder:
    """Fills parameters from labels, query and headers; leaves the payload to the codecs. It looks
    up what a request brings: operations know many more headers than a request has."""

    def __init__(self, shape: StructureShape) -> None:
        self._labels: list[tuple[str, str, Parse]] = []
        self._headers: dict[str, tuple[str, Parse]] = {}
        self._prefixes: list[tuple[str, str]] = []
        self._query: dict[str, tuple[str, Parse, bool]] = {}
        self._numbers: set[str] = set()  # of the query: an empty one is none
        self._maps: list[str] = []
        for name, member in shape.members.items():
            traits = serialization(member)
            where, wire_name = traits.get("location"), str(traits.get("name", name))
            is_list = isinstance(member, ListShape)
            parse = scalars.text_parser(member.member if isinstance(member, ListShape) else member)
            if where == "uri":
                self._labels.append((name, wire_name, parse))
            elif where == "header":
                self._headers[wire_name.lower()] = name, _listed(parse) if is_list else parse
            elif where == "headers":
                self._prefixes.append((name, wire_name.lower()))
            elif where == "querystring" and member.type_name == "map":
                self._maps.append(name)
            elif where == "querystring":
                self._query[wire_name] = name, parse, is_list
                if member.type_name in ("integer", "long"):
                    self._numbers.add(name)

    def bind(
        self, request: Request, labels: dict[str, str], query: Arguments, params: dict[str, Any]
    ) -> None:
        for name, label, parse in self._labels:
            if label in labels:
                params[name] = parse(labels[label])
        for header, text in request.headers.items():
            member = self._headers.get(header)
            if member is not None:
                params[member[0]] = member[1](text.strip())
            for name, prefix in self._prefixes:
                if header.startswith(prefix):
                    params.setdefault(name, {})[header[len(prefix) :]] = text.strip()
        if query:
            self._bind_query(query, params)
        for name in self._maps:
            params[name] = {key: value for key, value in query if key not in self._query}

    def _bind_query(self, query: Arguments, params: dict[str, Any]) -> None:
        for argument, text in query:
            if argument not in self._query:
                continue
            name, parse, is_list = self._query[argument]
            if is_list:
                params.setdefault(name, []).append(parse(text))
            elif name not in params and (text or name not in self._numbers):
                params[name] = parse(text)


def _listed(parse: Parse) -> Parse:
    return lambda text: [parse(part.strip()) for part in text.split(",")]
