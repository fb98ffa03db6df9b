"""From a template as given to one that can be carried out: inclusions, parameters, macros, rules.

`up` brings a file and a folder beside it; the API brings text, and files in S3 by their URLs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cloudlet.call import Caller, Cloud
from cloudlet.errors import AwsError
from cloudlet.exchange import Streamed
from cloudlet.template import document as documents
from cloudlet.template import lookups, macros, parameters, rules, sam, stacks
from cloudlet.template.builds import Say
from cloudlet.template.document import Document
from cloudlet.template.intrinsics import Scope
from cloudlet.template.parameters import Value
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import Stack


@dataclass(frozen=True, slots=True)
class Prepared:
    document: Document
    values: Mapping[str, Value]
    stored: Mapping[str, str]  # of parameters whose value is a name in the parameter store
    warnings: list[str] = field(default_factory=list)
    watched: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Who deploys which stack; `path` is the template's for `up`, which says what it builds."""

    cloud: Cloud
    stack: Stack
    caller: Caller | None = None
    path: Path | None = None
    say: Say = print


async def prepare(source: Source, document: Document, given: Mapping[str, str]) -> Prepared:
    """Raises TemplateError for what is wrong with template or parameters."""
    document = await macros.included(document, lambda uri: _fetch(source, uri))
    lookup = lookups.of(source.cloud, source.caller)
    stored = await lookups.stored(lookup, parameters.stored_names(document, given))
    values = parameters.values(document, given, stored)
    scope = Scope(values, pseudo(source.cloud, source.stack), document.get("Mappings") or {})
    scope.conditions = document.get("Conditions") or {}
    rules.check(document, scope)
    prepared = Prepared(document, values, stored)
    return await asyncio.to_thread(_translated, source, prepared, scope)


def _translated(source: Source, prepared: Prepared, scope: Scope) -> Prepared:
    """In a thread: it reads files and may load the translator."""
    document = macros.expanded(prepared.document, scope)
    documents.check(document)
    localized = sam.Localized(document, source.say)
    if source.path is not None:
        localized = sam.localize(source.cloud, document, source.path.parent, source.say)
    plain = sam.plain(source.cloud, localized, prepared.values)
    plain = {name: part for name, part in plain.items() if name != "Transform"}
    warnings = list(localized.warnings)
    code = [folder.path for folder in localized.code.values()]
    return Prepared(plain, prepared.values, prepared.stored, warnings, (*localized.files, *code))


def pseudo(cloud: Cloud, stack: Stack) -> dict[str, Any]:
    return {
        "AWS::AccountId": cloud.config.account,
        "AWS::NotificationARNs": stacks.details(cloud.database.view(), stack).topics,
        "AWS::Partition": "aws",
        "AWS::Region": cloud.config.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
    }


async def _fetch(source: Source, uri: str) -> str:
    if source.path is not None and "://" not in uri:
        path = source.path.parent / uri
        try:
            return await asyncio.to_thread(path.read_text, encoding="utf-8")
        except OSError as error:
            raise TemplateError(f"AWS::Include: {error}") from error
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return await read_object(source.cloud, source.caller, bucket, key)


async def read_url(cloud: Cloud, caller: Caller | None, url: str) -> str:
    """The template at an S3 URL, in whichever style, of AWS's or of this cloud's address."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
    if parts.scheme not in ("http", "https") or not path:
        raise TemplateError(f"TemplateURL must be a supported URL: {url}")
    bucket = host.partition(".s3")[0] if ".s3" in host else ""
    if host.endswith(".localhost"):
        bucket = host.partition(".")[0]
    if not bucket:
        bucket, _, path = path.partition("/")
    return await read_object(cloud, caller, bucket, path)


async def read_object(cloud: Cloud, caller: Caller | None, bucket: str, key: str) -> str:
    try:
        found = await cloud.invoke("s3", "GetObject", {"Bucket": bucket, "Key": key}, caller)
        data = await _bytes(found["Body"])
        return data.decode()
    except (AwsError, UnicodeDecodeError) as error:
        message = error.message if isinstance(error, AwsError) else str(error)
        code = error.code if isinstance(error, AwsError) else "InvalidEncoding"
        raise TemplateError(f"S3 error: {message} ({code}: s3://{bucket}/{key})") from error


async def _bytes(body: bytes | Streamed) -> bytes:
    if isinstance(body, bytes):
        return body
    data = b""
    try:
        async for chunk in body:
            data += chunk
            if len(data) > documents.MAXIMUM_BYTES:
                raise TemplateError("Template may not exceed 1000000 bytes in size.")
    finally:
        await body.aclose()
    return data
